//! Several jobs in one transaction, and what happens to them when it or one of them fails.

use super::*;
use crate::storage::BadRow;

fn kind(result: &Result<Stored, StoreError>) -> &'static str {
    match result {
        Ok(_) => "stored",
        Err(StoreError::Transient { .. }) => "transient",
        Err(StoreError::Ambiguous { .. }) => "ambiguous",
        Err(StoreError::BadRow(_)) => "bad row",
        Err(StoreError::Misconfigured { .. }) => "misconfigured",
    }
}

fn kinds(results: &[Result<Stored, StoreError>]) -> Vec<&'static str> {
    results.iter().map(kind).collect()
}

#[test]
fn a_bad_row_fails_its_own_job_and_no_neighbour() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.db");
    let mut writer = writer(&path);
    refuse_bad_users(&path, "ABORT");
    let results = store_group(&mut writer, [batch(&[(1, 1)]), batch_with_bad_row(10), batch(&[(20, 1), (1, 2)])]);
    let Err(StoreError::BadRow(BadRow { row, code, message })) = &results[1] else { panic!("{results:?}") };
    assert_eq!((*row, code.as_str()), (Some(2), "SQLITE_CONSTRAINT"));
    assert!(message.contains("a bad user"), "{message}");
    assert_eq!((&results[0], &results[2]), (&duplicates(&[]), &duplicates(&[1])));
    assert_eq!(ids(&path), [1, 20], "of the refused job nothing is stored");
}

#[test]
fn a_value_that_the_tables_check_refuses_is_a_bad_row() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.db");
    let table =
        crate::storage::schema::SQLITE.replace("source VARCHAR(50)", "source VARCHAR(50) CHECK (source <> 'web')");
    stranger(&path).execute_batch(&table).unwrap();
    let mut writer = Writer::open(&path).unwrap();
    let mut rows = Batch::default();
    rows.push(&row(1));
    rows.push(&Row { source: Source::Web, ..row(2) });
    let results = store_group(&mut writer, [Arc::new(rows), batch(&[(3, 3)])]);
    assert!(matches!(&results[0], Err(StoreError::BadRow(bad)) if bad.row == Some(1)), "{results:?}");
    assert_eq!(ids(&path), [3]);
}

#[test]
fn a_trigger_that_rolls_everything_back_costs_its_own_job_only() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.db");
    let mut writer = writer(&path);
    refuse_bad_users(&path, "ROLLBACK");
    let results = store_group(&mut writer, [batch(&[(1, 1)]), batch_with_bad_row(10), batch(&[(20, 1)])]);
    assert_eq!(kinds(&results), ["stored", "bad row", "stored"]);
    assert!(matches!(&results[1], Err(StoreError::BadRow(bad)) if bad.row == Some(2)), "{results:?}");
    assert_eq!(ids(&path), [1, 20]);
}

#[test]
fn a_row_that_only_the_commit_refuses_costs_its_own_job_only() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.db");
    let reference = "user_id VARCHAR(50) REFERENCES users DEFERRABLE INITIALLY DEFERRED";
    let table = crate::storage::schema::SQLITE.replace("user_id VARCHAR(50)", reference);
    let users = "CREATE TABLE users (name TEXT PRIMARY KEY); INSERT INTO users VALUES ('Zoë'), ('good');";
    stranger(&path).execute_batch(&format!("{users}{table}")).unwrap();
    let mut writer = Writer::open(&path).unwrap();
    let results = store_group(&mut writer, [batch(&[(1, 1)]), batch_with_bad_row(10), batch(&[(20, 1)])]);
    assert_eq!(kinds(&results), ["stored", "bad row", "stored"]);
    assert_eq!(ids(&path), [1, 20]);
}

#[test]
fn a_full_disk_stores_nothing_and_passes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.db");
    let mut writer = writer(&path);
    let many: Vec<_> = (100..2100).map(|n| (n, n)).collect();
    let limit = |writer: &Writer, pages: i64| {
        let connection = writer.connection().expect("a full disk does not cost the connection");
        connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
    };
    limit(&writer, 20);
    let results = store_group(&mut writer, [batch(&[(1, 1)]), batch(&many), batch(&[(2, 2)])]);
    assert_eq!(kinds(&results), ["transient"; 3]);
    assert_eq!(results[0].as_ref().unwrap_err().code(), "SQLITE_FULL");
    assert!(ids(&path).is_empty());
    limit(&writer, 1 << 30);
    assert_eq!(kinds(&store_group(&mut writer, [batch(&[(1, 1)]), batch(&many)])), ["stored"; 2]);
    assert_eq!(ids(&path).len(), 2001);
}

#[test]
fn a_database_that_another_process_holds_passes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.db");
    let mut writer = writer(&path);
    let other = stranger(&path);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let results = store_group(&mut writer, [batch(&[(1, 1)])]);
    assert_eq!(kinds(&results), ["transient"]);
    assert_eq!(results[0].as_ref().unwrap_err().code(), "SQLITE_BUSY");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(kinds(&store_group(&mut writer, [batch(&[(1, 1)])])), ["stored"]);
}

#[test]
fn a_missing_table_is_for_an_operator_and_its_return_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.db");
    let mut writer = writer(&path);
    stranger(&path).execute_batch("ALTER TABLE processed_events RENAME TO aside").unwrap();
    let results = store_group(&mut writer, [batch(&[(1, 1)]), batch(&[(2, 2)])]);
    assert_eq!(kinds(&results), ["misconfigured"; 2]);
    assert!(results[0].as_ref().unwrap_err().to_string().contains("migrate"), "{results:?}");
    stranger(&path).execute_batch("ALTER TABLE aside RENAME TO processed_events").unwrap();
    assert_eq!(kinds(&store_group(&mut writer, [batch(&[(1, 1)])])), ["stored"]);
}

#[test]
fn a_file_that_became_another_is_opened_anew() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.db");
    let mut writer = writer(&path);
    writer.connection().unwrap().pragma_update(None, "query_only", true).unwrap();
    let results = store_group(&mut writer, [batch(&[(1, 1)])]);
    assert_eq!(kinds(&results), ["misconfigured"], "{results:?}");
    assert!(writer.connection().is_none(), "only a new connection can see it mended");
    assert_eq!(kinds(&store_group(&mut writer, [batch(&[(1, 1)])])), ["stored"]);
    assert_eq!(ids(&path), [1]);
}

#[test]
fn a_file_that_was_moved_away_is_noticed_and_found_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.db");
    let mut writer = writer(&path);
    let aside = directory.path().join("aside.db");
    std::fs::rename(&path, &aside).unwrap();
    let results = store_group(&mut writer, [batch(&[(1, 1)])]);
    assert_eq!(results[0].as_ref().unwrap_err().code(), "SQLITE_MOVED");
    assert_eq!(kinds(&store_group(&mut writer, [batch(&[(1, 1)])])), ["transient"], "there is no file");
    assert!(!path.exists(), "no empty database takes its place");
    std::fs::rename(&aside, &path).unwrap();
    assert_eq!(kinds(&store_group(&mut writer, [batch(&[(1, 1)])])), ["stored"]);
    assert_eq!(ids(&path), [1]);
}
