//! Pages from a real server: what they hold, and from how many rows the server puts them together.

use std::{collections::HashMap, sync::Arc};

use event_pipeline::{
    event::EventType,
    storage::{PageQuery, Storage as _, StoreError, mysql::page_statements, page::Filter, schema},
};
use mysql_async::{Conn, Row, prelude::Queryable as _};
use uuid::Uuid;

use crate::{
    mysql::{Database, batch, made, open},
    suite,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_rows_are_paged_by_every_filter_each_once_while_writing_goes_on() {
    let Some(database) = Database::create().await else { return };
    suite::every_row_is_on_one_page_while_writing_goes_on(Arc::new(database.store().await), true).await;
}

#[tokio::test]
async fn a_page_that_found_nothing_in_10_000_rows_ends_and_the_next_one_goes_on() {
    let Some(database) = Database::create().await else { return };
    suite::a_page_that_found_nothing_ends_and_goes_on(&database.store().await).await;
}

fn id_of_row(number: u64) -> String {
    format!("'{}'", suite::Made::numbered(number).id)
}

/// The statement with values that the suite's rows have.
fn with_values(statement: &str) -> String {
    let first = if statement.contains("WHERE type = ?") { "'sensor_data'" } else { "'ada'" };
    let ids: Vec<String> = (0..).take(statement.matches('?').count()).map(id_of_row).collect();
    let values: Vec<&str> = if statement.contains("id IN") {
        ids.iter().map(String::as_str).collect()
    } else if statement.contains("id < ?") {
        vec![first, "'2026-01-15 10:30:04'", "'80000000-0000-0000-0000-000000000000'", "100"]
    } else if statement.contains("AND created_at <") {
        vec![first, "'1970-01-01 00:00:01'", "'2026-01-15 10:30:05'", "100"]
    } else {
        vec![first, "'1970-01-01 00:00:01'", "100"]
    };
    assert_eq!(values.len(), statement.matches('?').count(), "{statement}");
    let mut values = values.into_iter();
    statement.split('?').map(|part| format!("{part}{}", values.next().unwrap_or_default())).collect()
}

async fn explained(conn: &mut Conn, statement: &str) -> HashMap<String, String> {
    let rows: Vec<Row> = conn.query(format!("EXPLAIN FORMAT=TRADITIONAL {statement}")).await.unwrap();
    assert_eq!(rows.len(), 1, "{statement}");
    let text = |name: &str| rows[0].get::<Option<String>, _>(name).flatten().unwrap_or_default();
    ["type", "key", "rows", "Extra"].into_iter().map(|name| (name.to_owned(), text(name))).collect()
}

/// How many rows the session has read, and how many it has sorted.
async fn counted(conn: &mut Conn) -> (u64, u64) {
    let sum = |counters: Vec<(String, u64)>| counters.into_iter().map(|(_, count)| count).sum();
    let reads = sum(conn.query("SHOW SESSION STATUS LIKE 'Handler_read%'").await.unwrap());
    (reads, sum(conn.query("SHOW SESSION STATUS LIKE 'Sort_%'").await.unwrap()))
}

#[tokio::test]
async fn every_statement_reads_one_range_of_one_index_and_no_more_rows_than_it_wants() {
    let Some(database) = Database::create().await else { return };
    let store = database.store().await;
    let mut conn = database.conn().await;
    conn.query_drop("SET time_zone = '+00:00'").await.unwrap();
    // A server's mind may change with what is in the table.
    for rows in [0, 40, suite::ROWS] {
        suite::fill(&store, 0..rows).await;
        let _: Vec<Row> = conn.query("ANALYZE TABLE processed_events").await.unwrap();
        for statement in page_statements().iter().map(|statement| with_values(statement)) {
            let plan = explained(&mut conn, &statement).await;
            let key = if statement.contains("id IN") {
                "PRIMARY"
            } else if statement.contains("WHERE type") {
                "idx_type_created"
            } else {
                "idx_user_created"
            };
            let told = format!("{statement}\n{plan:?}, {rows} rows");
            if plan["key"] != key {
                // Of an empty table, or of ids that are not there, there is nothing to be explained.
                assert!(plan["Extra"].contains("no matching row") || plan["Extra"].contains("Impossible"), "{told}");
            }
            assert!(!plan["Extra"].contains("filesort") && !plan["Extra"].contains("temporary"), "{told}");
            // Where there is nothing, all of the index is not much.
            let reads_all = ["ALL", "index"].contains(&plan["type"].as_str());
            assert!(!reads_all || rows == 0, "{told}");

            // Counting counts, too.
            let (idle, before) = (counted(&mut conn).await, counted(&mut conn).await);
            let found: Vec<Row> = conn.query(&statement).await.unwrap();
            let after = counted(&mut conn).await;
            let read = (after.0 - before.0) - (before.0 - idle.0);
            assert_eq!(after.1, before.1, "{told}: something was sorted");
            assert!(read <= found.len() as u64 + 32, "{told}: {read} rows were read for {}", found.len());
            assert!(rows < suite::ROWS || !found.is_empty(), "{told}");
        }
    }
}

#[tokio::test]
async fn without_its_index_a_page_is_refused_with_the_statement_that_mends_it() {
    let Some(database) = Database::create().await else { return };
    let store = database.store().await;
    let mut conn = database.conn().await;
    store.store(&batch(&[made()]), 0..1).await.unwrap();
    conn.query_drop("ALTER TABLE processed_events DROP INDEX idx_user_created").await.unwrap();
    let of_user = || {
        let filter = Filter { user_id: Some("ada".to_owned()), ..Filter::default() };
        PageQuery::new(filter, 10, None).unwrap()
    };
    let error = store.page(of_user()).await.unwrap_err();
    assert!(matches!(error, StoreError::Misconfigured { .. }), "{error:?}");
    let message = error.to_string();
    let (_, command) = message.rsplit_once("run: ").unwrap();
    conn.query_drop(command).await.unwrap();
    assert_eq!(store.page(of_user()).await.unwrap().events.len(), 1);
}

#[tokio::test]
async fn rows_that_others_wrote_are_listed_where_they_can_be_and_never_in_the_way() {
    let Some(database) = Database::create().await else { return };
    let mut conn = database.conn().await;
    conn.query_drop("SET time_zone = '+00:00', sql_mode = ''").await.unwrap();
    let table = schema::MYSQL
        .replace("created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP", "created_at DATETIME(6)")
        .replace("VARCHAR(36) PRIMARY KEY", "VARCHAR(36) COLLATE utf8mb4_bin PRIMARY KEY");
    conn.query_drop(table).await.unwrap();
    let mut expected = Vec::new();
    let times = ["2026-01-15 10:30:00.5", "2026-01-15 10:30:00.25", "2026-01-15 10:30:00", "1971-01-01 00:00:00"];
    for time in times {
        for _ in 0..3 {
            let id = Uuid::new_v4();
            expected.push((time, id));
            let insert = format!(
                "INSERT INTO processed_events (id, type, source, created_at) VALUES ('{id}', 'system_log', 'fax', '{time}')"
            );
            conn.query_drop(insert).await.unwrap();
        }
    }
    for (id, created_at) in [
        ("'10000000-0000-0000-0000-000000000000'", "NULL"),
        ("'20000000-0000-0000-0000-000000000000'", "'1950-01-01 00:00:00'"),
        ("'ABCDEF00-0000-0000-0000-000000000000'", "'2026-01-15 10:30:00'"),
        ("'~ not an id'", "'2026-01-15 10:30:00'"),
        ("''", "'2026-01-15 10:30:00'"),
    ] {
        let insert = format!(
            "INSERT INTO processed_events (id, type, source, created_at) VALUES ({id}, 'system_log', 'web', {created_at})"
        );
        conn.query_drop(insert).await.unwrap();
    }
    expected.sort_by_key(|(time, id)| (std::cmp::Reverse(times.iter().position(|at| at == time)), *id));
    expected.reverse();
    let store = open(&database.url());
    for filter in [Filter::default(), Filter { kind: Some(EventType::SystemLog), ..Filter::default() }] {
        for limit in [1, 2, 100] {
            let (events, _) = suite::all_pages(&store, &filter, limit).await;
            let ids: Vec<Uuid> = events.iter().map(|event| event.id).collect();
            assert_eq!(ids, expected.iter().map(|(_, id)| *id).collect::<Vec<_>>(), "{filter:?}, {limit}");
        }
    }
}
