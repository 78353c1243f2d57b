//! Pages: what SQLite does for each statement, and tables that others made or filled.

use super::{
    super::page::{Tie, statement},
    *,
};
use crate::storage::{
    PageQuery, StoredEvent,
    page::{Begin, Filter, Index, Place},
    schema,
};

/// The table with indexes that end with the id.
fn table_by_id() -> String {
    schema::SQLITE.replace("created_at);", "created_at, id);")
}

fn begins() -> [Begin; 4] {
    let text = || b"2026-01-15 10:30:00".to_vec();
    let behind = Begin::Behind(Place { created_at: text(), tie: b"7".to_vec() });
    [Begin::Newest, Begin::Before(text()), Begin::NotAfter(text()), behind]
}

/// How SQLite would execute a statement, step by step.
fn explained(connection: &Connection, statement: &str) -> Vec<String> {
    let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
    let parameters = vec!["1"; statement.matches('?').count()];
    let steps = explain.query_map(rusqlite::params_from_iter(parameters), |row| row.get(3)).unwrap();
    steps.collect::<Result<_, _>>().unwrap()
}

#[test]
fn every_statement_reads_one_range_of_one_index_and_sorts_nothing() {
    for (table, tie, last) in [(schema::SQLITE.to_owned(), Tie::RowNumber, "rowid<?"), (table_by_id(), Tie::Id, "id<?")]
    {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(&table).unwrap();
        for index in [Index::Kind, Index::User] {
            for begin in begins() {
                for is_wide in [false, true] {
                    let statement = statement(tie, index, &begin, is_wide);
                    let steps = explained(&connection, &statement);
                    let range = match begin {
                        Begin::Behind(_) => format!("created_at=? AND {last}"),
                        _ => "created_at>? AND created_at<?".to_owned(),
                    };
                    let covering = if is_wide || tie == Tie::RowNumber { "" } else { "COVERING " };
                    let (name, column) = (index.name(), index.column());
                    let search =
                        format!("SEARCH processed_events USING {covering}INDEX {name} ({column}=? AND {range})");
                    assert_eq!(steps, [search], "{statement}");
                }
            }
        }
        let steps = explained(&connection, super::super::reader::FETCH);
        assert_eq!(steps, ["SEARCH processed_events USING INDEX sqlite_autoindex_processed_events_1 (id=?)"]);
    }
}

async fn all_pages(sqlite: &Sqlite, filter: &Filter, limit: usize) -> Vec<StoredEvent> {
    let (mut events, mut cursor) = (Vec::new(), None);
    for _ in 0..1000 {
        let query = PageQuery::new(filter.clone(), limit, cursor.as_deref()).unwrap();
        let page = sqlite.page(query).await.unwrap();
        events.extend(page.events);
        cursor = page.next_cursor;
        if cursor.is_none() {
            return events;
        }
    }
    panic!("the pages of {filter:?} never end");
}

fn filters() -> [Filter; 3] {
    let of_user = Filter { user_id: Some("Zoë".to_owned()), ..Filter::default() };
    let of_kind = Filter { kind: Some(EventType::SensorData), source: Some(Source::IotDevice), ..Filter::default() };
    [Filter::default(), of_user, of_kind]
}

#[tokio::test]
async fn the_rows_of_a_second_come_in_the_order_in_which_they_were_stored() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.db");
    let sqlite = opened(&path).await;
    let ids: Vec<u128> = (0..60).map(|n| n * 7919 % 61).collect();
    let rows = batch(&ids.iter().map(|id| (*id, 1)).collect::<Vec<_>>());
    sqlite.store(&rows, 0..60).await.unwrap();
    for filter in filters() {
        for limit in [1, 7, 60] {
            let found: Vec<u128> =
                all_pages(&sqlite, &filter, limit).await.iter().map(|event| event.id.as_u128()).collect();
            assert!(found.iter().eq(ids.iter().rev()), "{filter:?}, {limit}: {found:?}");
        }
    }
    assert_eq!(sqlite.migrate().await, Ok(Migration::Unchanged));
}

#[tokio::test]
async fn without_its_index_a_page_is_refused_with_the_statement_that_mends_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.db");
    let sqlite = opened(&path).await;
    sqlite.store(&batch(&[(1, 1)]), 0..1).await.unwrap();
    let first = || PageQuery::new(Filter::default(), 10, None).unwrap();
    for other in [
        "",
        "CREATE INDEX idx_type_created ON processed_events (type, source)",
        "CREATE INDEX idx_type_created ON processed_events (type, created_at, source)",
        "CREATE INDEX idx_type_created ON processed_events (type, created_at DESC)",
        "CREATE INDEX idx_type_created ON processed_events (type, created_at) WHERE user_id IS NULL",
    ] {
        stranger(&path).execute_batch(&format!("DROP INDEX IF EXISTS idx_type_created; {other}")).unwrap();
        let error = sqlite.page(first()).await.unwrap_err();
        assert!(matches!(error, StoreError::Misconfigured { .. }), "{other}: {error:?}");
        let message = error.to_string();
        let (_, command) = message.rsplit_once("run: ").unwrap();
        stranger(&path).execute_batch(&format!("DROP INDEX IF EXISTS idx_type_created; {command}")).unwrap();
        assert_eq!(sqlite.page(first()).await.unwrap().events.len(), 1);
    }
}

#[tokio::test]
async fn rows_that_others_wrote_are_listed_where_they_can_be_and_never_in_the_way() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.db");
    // A table that takes anything.
    let anything = "CREATE TABLE processed_events (id PRIMARY KEY, type, source, user_id, processed_data, \
         processing_time_ms, created_at, processed_at); \
         CREATE INDEX idx_type_created ON processed_events (type, created_at, id); \
         CREATE INDEX idx_user_created ON processed_events (user_id, created_at, id);";
    stranger(&path).execute_batch(anything).unwrap();
    let sqlite = opened(&path).await;
    sqlite.store(&batch(&[(1, 1), (2, 2), (0xF0, 3)]), 0..3).await.unwrap();
    let good = |id: u128| format!("'{}'", Uuid::from_u128(id));
    for (id, created_at) in [
        (good(0x10), "NULL"),
        (good(0x11), "1700000000"),
        (good(0x12), "17.5"),
        (good(0x13), "x'00'"),
        (good(0x14), "'1950-01-01 00:00:00'"),
        ("NULL".to_owned(), "'2023-11-14 22:13:20'"),
        ("7".to_owned(), "'2023-11-14 22:13:20'"),
        ("x'00ff'".to_owned(), "'2023-11-14 22:13:20'"),
        ("CAST(x'ff80' AS TEXT)".to_owned(), "'2023-11-14 22:13:20'"),
        (good(0xABC).to_uppercase(), "'2023-11-14 22:13:20'"),
        (good(0x15), "'2023-11-14T22:13:20Z'"),
        (good(0x16), "CAST(x'323032332d31312d31342080' AS TEXT)"),
    ] {
        let insert = format!(
            "INSERT INTO processed_events (id, type, source, user_id, processed_data, processing_time_ms, created_at) \
             VALUES ({id}, 'sensor_data', 'iot_device', 'Zoë', x'80', 'soon', {created_at})"
        );
        stranger(&path).execute_batch(&insert).unwrap();
    }
    for filter in filters() {
        for limit in [1, 2, 100] {
            let found: Vec<u128> =
                all_pages(&sqlite, &filter, limit).await.iter().map(|event| event.id.as_u128()).collect();
            assert_eq!(found, [0x15, 0x16, 0xF0, 2, 1], "{filter:?}, {limit}");
        }
    }
}

#[tokio::test]
async fn pages_are_read_while_somebody_writes_and_hold_up_no_single_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.db");
    let sqlite = opened(&path).await;
    sqlite.store(&batch(&[(1, 1)]), 0..1).await.unwrap();
    let writing = stranger(&path);
    writing.execute_batch("BEGIN IMMEDIATE; DELETE FROM processed_events;").unwrap();
    assert_eq!(all_pages(&sqlite, &Filter::default(), 10).await.len(), 1);
    writing.execute_batch("COMMIT").unwrap();
    assert_eq!(all_pages(&sqlite, &Filter::default(), 10).await.len(), 0);

    let turn = Arc::clone(&sqlite.page_turn).acquire_owned().await.unwrap();
    let page = sqlite.page(PageQuery::new(Filter::default(), 10, None).unwrap());
    let fetched = tokio::select! {
        biased;
        _ = page => panic!("another page is being read"),
        fetched = sqlite.fetch(Uuid::from_u128(1)) => fetched,
    };
    assert_eq!(fetched, Ok(None));
    drop(turn);
}
