//! An id makes one row, and only a row of another acceptance is called a duplicate.

use event_pipeline::storage::{Storage as _, StoreError, Stored};
use mysql_async::prelude::Queryable as _;

use crate::mysql::{Database, batch, made, open, with_id};

#[tokio::test]
async fn known_ids_are_duplicates_and_new_ones_are_not() {
    let Some(database) = Database::create().await else { return };
    let store = database.store().await;
    let known = [made(), made(), made()];
    store.store(&batch(&known), 0..3).await.unwrap();

    let again = [made(), with_id(known[2].id), made(), with_id(known[0].id), with_id(known[1].id)];
    let stored = store.store(&batch(&again), 0..5).await.unwrap();
    assert_eq!(stored.duplicates, [1, 3, 4]);
    assert_eq!(store.store(&batch(&again), 3..4).await.unwrap().duplicates, [3]);
    assert_eq!(database.count().await, 5);
    // The first one stays.
    let data = store.fetch(known[0].id).await.unwrap().unwrap().processed_data.unwrap();
    assert!(data.contains(&format!("{:032x}", known[0].receipt)), "{data}");
}

#[tokio::test]
async fn of_equal_ids_in_a_batch_the_first_is_kept() {
    let Some(database) = Database::create().await else { return };
    let store = database.store().await;
    let (x, y) = (made(), made());
    let rows = [x.clone(), with_id(x.id), y, with_id(x.id)];
    assert_eq!(store.store(&batch(&rows), 0..4).await.unwrap().duplicates, [1, 3]);
    assert_eq!(database.count().await, 2);
    let data = store.fetch(x.id).await.unwrap().unwrap().processed_data.unwrap();
    assert!(data.contains(&format!("{:032x}", x.receipt)), "{data}");
    // Repeated after a doubt, the same answer.
    assert_eq!(store.store(&batch(&rows), 0..4).await.unwrap().duplicates, [1, 3]);
    // Where a later one is the one that is stored, the first is the duplicate.
    assert_eq!(store.store(&batch(&[with_id(x.id), x]), 0..2).await.unwrap().duplicates, [0]);
}

#[tokio::test]
async fn rows_of_our_own_earlier_attempt_are_no_duplicates() {
    let Some(database) = Database::create().await else { return };
    let store = database.store().await;
    let rows: Vec<_> = (0..700).map(|_| made()).collect();
    let rows = batch(&rows);
    store.store(&rows, 100..400).await.unwrap();
    assert_eq!(store.store(&rows, 0..700).await.unwrap().duplicates, [0_usize; 0]);
    assert_eq!(store.store(&rows, 5..6).await.unwrap().duplicates, [0_usize; 0]);
    assert_eq!(database.count().await, 700);
}

#[tokio::test]
async fn rows_that_somebody_else_made_are_duplicates() {
    let Some(database) = Database::create().await else { return };
    let store = database.store().await;
    let mut conn = database.conn().await;
    let mut rows = vec![made()];
    for data in
        ["NULL", "'{}'", "'[1]'", "'7'", r#"'{"receipt": 7}'"#, r#"'{"receipt": "zz"}'"#, r#"'{"receipt": null}'"#]
    {
        let row = made();
        conn.query_drop(format!(
            "INSERT INTO processed_events (id, type, source, processed_data) VALUES (UPPER('{}'), 'user_action', 'web', {data})",
            row.id
        ))
        .await
        .unwrap();
        rows.push(row);
    }
    let stored = store.store(&batch(&rows), 0..rows.len()).await.unwrap();
    assert_eq!(stored.duplicates, (1..rows.len()).collect::<Vec<_>>());
}

#[tokio::test]
async fn stores_that_write_the_same_ids_at_the_same_time_make_one_row_of_each() {
    let Some(database) = Database::create().await else { return };
    database.store().await;
    let ids: Vec<_> = (0..300).map(|_| made().id).collect();
    let tasks: Vec<_> = (0..4)
        .map(|task| {
            let store = open(&database.url());
            // Each in an order of its own.
            let mut rows: Vec<_> = ids.iter().map(|id| with_id(*id)).collect();
            rows.rotate_left(task * 70);
            tokio::spawn(async move {
                let rows = batch(&rows);
                let mut new = 0;
                for start in (0..300).step_by(100) {
                    let stored = loop {
                        match store.store(&rows, start..start + 100).await {
                            Ok(stored) => break stored,
                            Err(StoreError::Transient { .. }) => {}
                            Err(error) => panic!("{error}"),
                        }
                    };
                    new += 100 - stored.duplicates.len();
                }
                new
            })
        })
        .collect();
    let mut new = 0;
    for task in tasks {
        new += task.await.unwrap();
    }
    assert_eq!((new, database.count().await), (300, 300));
}

#[tokio::test]
async fn an_event_that_another_unique_key_keeps_out_is_not_said_to_be_stored() {
    let Some(database) = Database::create().await else { return };
    let store = database.store().await;
    let mut conn = database.conn().await;
    conn.query_drop("ALTER TABLE processed_events ADD UNIQUE KEY by_user (user_id)").await.unwrap();
    for count in [1, 600] {
        let mut rows: Vec<_> = (0..count).map(|_| made()).collect();
        for (row, made) in rows.iter_mut().enumerate() {
            made.user_id = Some(format!("{count}-{row}"));
        }
        rows[0].user_id = Some("ada".to_owned());
        let error = store.store(&batch(&rows), 0..count).await;
        if count == 1 {
            assert_eq!(error, Ok(Stored::default()));
            continue;
        }
        let error = error.unwrap_err();
        assert!(matches!(&error, StoreError::Misconfigured { .. }), "{error}");
        assert!(error.to_string().contains(&rows[0].id.to_string()), "{error}");
        assert_eq!(database.count().await, 1, "something of the range is stored");
        conn.query_drop("ALTER TABLE processed_events DROP INDEX by_user").await.unwrap();
        assert_eq!(store.store(&batch(&rows), 0..count).await, Ok(Stored::default()));
        assert_eq!(database.count().await, 601);
    }
}
