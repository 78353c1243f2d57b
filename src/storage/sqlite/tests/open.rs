//! Opening, and the table that is there or not.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn misconfigured<T: std::fmt::Debug>(result: Result<T, StoreError>, words: &[&str]) {
    let error = result.unwrap_err();
    assert!(matches!(error, StoreError::Misconfigured { .. }), "{error:?}");
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "{word} is not in: {text}");
    }
}

#[tokio::test]
async fn a_new_file_is_ours_alone_and_safe_at_a_power_loss() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.db");
    let sqlite = Sqlite::open(&path).unwrap();
    assert_eq!(sqlite.migrate().await, Ok(Migration::Created));
    assert_eq!(sqlite.migrate().await, Ok(Migration::Unchanged));
    assert_eq!(sqlite.health().await, Ok(()));
    for suffix in ["", "-wal", "-shm"] {
        let file = directory.path().join(format!("events.db{suffix}"));
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600, "{suffix}");
    }
    let writer = Writer::open(&path).unwrap();
    let pragma =
        |name| writer.connection().unwrap().pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(pragma("synchronous"), 2);
}

#[test]
fn a_missing_directory_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing");
    misconfigured(Sqlite::open(&missing.join("events.db")), &[missing.to_str().unwrap(), "create it"]);
    misconfigured(Sqlite::open(directory.path()), &["is a directory"]);
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("letter.txt");
    let text = "Dear reader, this is no database. ".repeat(100);
    std::fs::write(&path, &text).unwrap();
    misconfigured(Sqlite::open(&path), &["SQLITE_NOTADB", "letter.txt"]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn a_table_of_another_layout_is_refused_by_its_column() {
    for (table, words) in [
        ("CREATE TABLE processed_events (id TEXT PRIMARY KEY, body TEXT)", "no column type"),
        (
            "CREATE TABLE processed_events (id PRIMARY KEY, type, source, user_id, processed_data, processing_time_ms, created_at)",
            "no column processed_at",
        ),
        (
            "CREATE TABLE processed_events (id, type, source, user_id, processed_data, processing_time_ms, created_at, processed_at)",
            "ON CONFLICT",
        ),
        (
            "CREATE TABLE processed_events (id PRIMARY KEY, type, source, user_id, processed_data, processing_time_ms, created_at, processed_at, tenant NOT NULL)",
            "column tenant",
        ),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("other.db");
        stranger(&path).execute_batch(table).unwrap();
        let sqlite = Sqlite::open(&path).unwrap();
        misconfigured(sqlite.migrate().await, &[words, "other.db"]);
        misconfigured(sqlite.migrate().await, &[words]);
    }
}

#[tokio::test]
async fn a_table_made_by_somebody_else_is_used_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.db");
    let table = "CREATE TABLE processed_events (ID TEXT PRIMARY KEY, note TEXT, type TEXT NOT NULL, source TEXT NOT NULL, user_id TEXT, processed_data TEXT, processing_time_ms INTEGER, created_at TEXT, processed_at TEXT, tenant TEXT NOT NULL DEFAULT 'us')";
    stranger(&path).execute_batch(table).unwrap();
    let sqlite = opened(&path).await;
    assert_eq!(sqlite.migrate().await, Ok(Migration::Unchanged));
    assert_eq!(sqlite.store(&batch(&[(1, 1)]), 0..1).await, duplicates(&[]));
    assert_eq!(sqlite.fetch(Uuid::from_u128(1)).await.unwrap().unwrap().created_at_s, Some(1_700_000_000));
}

#[tokio::test]
async fn without_the_table_reads_and_health_say_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let sqlite = Sqlite::open(&directory.path().join("events.db")).unwrap();
    misconfigured(sqlite.health().await, &["no such table", "migrate"]);
    misconfigured(sqlite.fetch(Uuid::nil()).await, &["no such table"]);
    sqlite.migrate().await.unwrap();
    assert_eq!(sqlite.health().await, Ok(()));
    assert_eq!(sqlite.fetch(Uuid::nil()).await, Ok(None));
}

#[test]
fn a_name_with_a_meaning_to_sqlite_is_a_file_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file:events.db?mode=memory");
    drop(Sqlite::open(&path).unwrap());
    assert!(path.is_file());
}
