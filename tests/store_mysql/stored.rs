//! What is stored is what was given.

use event_pipeline::storage::{Storage as _, Stored};
use mysql_async::prelude::Queryable as _;
use uuid::Uuid;

use crate::mysql::{Database, Server, batch, made, open};

#[tokio::test]
async fn a_row_is_read_back_column_by_column() {
    let Some(database) = Database::create().await else { return };
    let store = database.store().await;
    let row = made();
    assert_eq!(store.store(&batch(std::slice::from_ref(&row)), 0..1).await, Ok(Stored::default()));

    let event = store.fetch(row.id).await.unwrap().unwrap();
    assert_eq!((event.id, event.kind.as_str(), event.source.as_str()), (row.id, "system_log", "iot_device"));
    assert_eq!(event.user_id.as_deref(), Some("ada"));
    let data: serde_json::Value = serde_json::from_str(&event.processed_data.unwrap()).unwrap();
    assert_eq!(data, serde_json::from_str::<serde_json::Value>(&row.processed_data).unwrap());
    assert_eq!(event.processing_time_ms, Some(7));
    assert_eq!((event.created_at_s, event.processed_at_s), (Some(1_782_864_000), Some(1_782_864_001)));

    assert_eq!(store.fetch(Uuid::now_v7()).await, Ok(None));
    assert_eq!(store.health().await, Ok(()));
}

#[tokio::test]
async fn times_are_stored_as_the_utc_times_they_are() {
    let Some(database) = Database::create().await else { return };
    let store = database.store().await;
    let times = [
        (1, "1970-01-01 00:00:01"),
        (951_782_399, "2000-02-28 23:59:59"),
        (951_782_400, "2000-02-29 00:00:00"),
        (951_868_800, "2000-03-01 00:00:00"),
        (1_709_164_800, "2024-02-29 00:00:00"),
        (1_735_689_599, "2024-12-31 23:59:59"),
        (1_743_298_200, "2025-03-30 01:30:00"),
        (2_147_483_646, "2038-01-19 03:14:06"),
    ];
    let rows: Vec<_> = times
        .iter()
        .map(|(seconds, _)| {
            let mut row = made();
            row.created_at_s = *seconds;
            row
        })
        .collect();
    store.store(&batch(&rows), 0..rows.len()).await.unwrap();

    let mut conn = database.conn().await;
    conn.query_drop("SET time_zone = '+00:00'").await.unwrap();
    for (row, (seconds, text)) in rows.iter().zip(times) {
        let query = format!("SELECT CAST(created_at AS CHAR) FROM processed_events WHERE id = '{}'", row.id);
        assert_eq!(conn.query_first::<String, _>(query).await.unwrap().unwrap(), text);
        assert_eq!(store.fetch(row.id).await.unwrap().unwrap().created_at_s, Some(seconds));
    }
}

#[tokio::test]
async fn every_character_fits_a_user_id_and_none_of_it_is_needed() {
    let Some(database) = Database::create().await else { return };
    let store = database.store().await;
    let mut rows = [made(), made()];
    rows[0].user_id = Some("🦀".repeat(50));
    rows[1].user_id = None;
    store.store(&batch(&rows), 0..2).await.unwrap();
    for row in rows {
        assert_eq!(store.fetch(row.id).await.unwrap().unwrap().user_id, row.user_id);
    }
}

#[tokio::test]
async fn the_largest_and_the_deepest_data_are_stored() {
    let Some(database) = Database::create().await else { return };
    let store = database.store().await;
    let mut rows = [made(), made(), made()];
    rows[1].processed_data = format!(r#"{{"data": {{"text": "{}"}}}}"#, "x".repeat(4 << 20));
    rows[2].processed_data = format!(r#"{{"data": {}{}}}"#, r#"{"a": "#.repeat(29) + "{}", "}".repeat(29));
    store.store(&batch(&rows), 0..3).await.unwrap();
    for row in rows {
        let data = store.fetch(row.id).await.unwrap().unwrap().processed_data.unwrap();
        assert_eq!(data.replace(' ', "").len(), row.processed_data.replace(' ', "").len());
    }
}

#[tokio::test]
async fn any_number_of_rows_is_stored_and_only_the_range() {
    let Some(database) = Database::create().await else { return };
    let store = database.store().await;
    let rows: Vec<_> = (0..4096 + 2).map(|_| made()).collect();
    let rows = batch(&rows);
    assert_eq!(store.store(&rows, 1..1).await, Ok(Stored::default()));
    assert_eq!(database.count().await, 0);
    let mut count = 0;
    for end in [1, 8, 31, 600, 4097] {
        assert_eq!(store.store(&rows, 1..end).await, Ok(Stored::default()), "up to {end}");
        count = count.max(end - 1);
        assert_eq!(database.count().await, count);
    }
    assert_eq!(store.fetch(rows.row(0).id).await, Ok(None));
    assert_eq!(store.fetch(rows.row(4097).id).await, Ok(None));
}

#[tokio::test]
async fn the_servers_defaults_change_nothing_in_what_is_stored() {
    let Some(server) = Server::start(&["--default-time-zone=+05:00", "--sql-mode=", "--autocommit=0"]) else { return };
    let database = Database::create_on(&server.url).await;
    let store = database.store().await;
    let mut rows = [made(), made()];
    rows[1].user_id = Some("x".repeat(51));
    store.store(&batch(&rows), 0..1).await.unwrap();
    assert_eq!(store.fetch(rows[0].id).await.unwrap().unwrap().created_at_s, Some(rows[0].created_at_s));

    let mut conn = database.conn().await;
    conn.query_drop("SET time_zone = '+00:00'").await.unwrap();
    let text: Option<String> = conn.query_first("SELECT CAST(created_at AS CHAR) FROM processed_events").await.unwrap();
    assert_eq!(text.as_deref(), Some("2026-07-01 00:00:00"));
    drop(conn);
    // Without strict mode the server would cut it.
    let error = store.store(&batch(&rows), 1..2).await.unwrap_err();
    assert_eq!(error.code(), "1406");
    assert_eq!(database.count().await, 1);
}

#[tokio::test]
async fn a_store_of_its_own_reads_what_another_stored() {
    let Some(database) = Database::create().await else { return };
    let row = made();
    database.store().await.store(&batch(std::slice::from_ref(&row)), 0..1).await.unwrap();
    assert!(open(&database.url()).fetch(row.id).await.unwrap().is_some());
}
