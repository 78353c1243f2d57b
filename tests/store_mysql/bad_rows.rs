//! A row that the server refuses costs its range, is named where the server names it, and
//! leaves the connection and the rest of the batch in order.

use std::ops::Range;

use event_pipeline::storage::{BadRow, Storage as _, StoreError};
use mysql_async::prelude::Queryable as _;

use crate::mysql::{Database, Made, batch, made};

/// Stores a range in which only the row at `bad` is bad; what is said of it.
async fn refused(database: &Database, rows: &[Made], range: Range<usize>, bad: usize) -> BadRow {
    let store = database.store().await;
    let rows = batch(rows);
    let Err(StoreError::BadRow(said)) = store.store(&rows, range.clone()).await else { panic!("it was stored") };
    assert_eq!(database.count().await, 0, "something of the range is stored");
    // Neither is it later: the connection has no transaction open.
    store.store(&batch(&[made()]), 0..1).await.unwrap();
    assert_eq!(database.count().await, 1, "the next call on the connection is not committed, or more than it is");

    let alone = store.store(&rows, bad..bad + 1).await;
    assert!(matches!(&alone, Err(StoreError::BadRow(alone)) if alone.row == Some(bad) && alone.code == said.code));
    store.store(&rows, range.start..bad).await.unwrap();
    store.store(&rows, bad + 1..range.end).await.unwrap();
    assert_eq!(database.count().await, range.len());
    said
}

#[tokio::test]
async fn a_user_id_that_is_too_long_is_named() {
    let Some(database) = Database::create().await else { return };
    let mut rows: Vec<_> = (0..20).map(|_| made()).collect();
    rows.reverse();
    rows[13].user_id = Some("x".repeat(51));
    let bad = refused(&database, &rows, 2..20, 13).await;
    assert_eq!((bad.row, bad.code.as_str()), (Some(13), "1406"));
}

#[tokio::test]
async fn a_bad_row_in_a_later_statement_undoes_the_earlier_ones() {
    let Some(database) = Database::create().await else { return };
    let mut rows: Vec<_> = (0..1100).map(|_| made()).collect();
    rows[1090].user_id = Some("x".repeat(51));
    let bad = refused(&database, &rows, 0..1100, 1090).await;
    assert_eq!((bad.row, bad.code.as_str()), (Some(1090), "1406"));
}

#[tokio::test]
async fn text_that_is_no_json_is_refused() {
    let Some(database) = Database::create().await else { return };
    let mut rows: Vec<_> = (0..8).map(|_| made()).collect();
    rows[5].processed_data = "{]".to_owned();
    let bad = refused(&database, &rows, 0..8, 5).await;
    assert!(["4025", "3140"].contains(&bad.code.as_str()), "{bad:?}");
    assert!([None, Some(5)].contains(&bad.row), "{bad:?}");
}

#[tokio::test]
async fn a_time_that_no_timestamp_holds_is_refused() {
    let Some(database) = Database::create().await else { return };
    let store = database.store().await;
    for seconds in [0, -1, 2_147_483_648 + (12 << 32), i64::from(i32::MIN) * 1000, i64::MAX / 2, i64::MIN / 2] {
        let mut row = made();
        row.created_at_s = seconds;
        let error = store.store(&batch(&[row]), 0..1).await.unwrap_err();
        assert!(matches!(&error, StoreError::BadRow(bad) if bad.row == Some(0)), "{seconds}: {error}");
    }
}

#[tokio::test]
async fn a_row_larger_than_a_packet_is_a_bad_row() {
    let Some(database) = Database::create().await else { return };
    let store = database.store().await;
    let mut conn = database.conn().await;
    let packet: Option<usize> = conn.query_first("SELECT @@max_allowed_packet").await.unwrap();
    let mut rows = [made(), made()];
    rows[1].processed_data = format!(r#"{{"data": "{}"}}"#, "x".repeat(packet.unwrap()));
    let rows = batch(&rows);
    let error = store.store(&rows, 0..2).await.unwrap_err();
    assert!(matches!(&error, StoreError::BadRow(bad) if bad.row == Some(1)), "{error}");
    assert_eq!(database.count().await, 0);
    assert!(store.store(&rows, 0..1).await.is_ok());
}
