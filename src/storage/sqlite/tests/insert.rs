//! Statements of many rows keep every row's own fate.

use super::{super::insert::MANY, *};
use crate::storage::BadRow;

/// Enough rows for two large statements and three small ones, with ids from 1 on.
fn many_rows() -> Vec<(u128, u128)> {
    (1..=2 * MANY as u128 + 3).map(|id| (id, 1000 + id)).collect()
}

/// Rows of good users, but for those at `bad`.
fn batch_with_bad_users(rows: usize, bad: &[usize]) -> Arc<Batch> {
    let mut batch = Batch::default();
    for index in 0..rows {
        let user_id = Some(if bad.contains(&index) { "bad" } else { "good" });
        batch.push(&Row { user_id, ..row(index as u128 + 1) });
    }
    Arc::new(batch)
}

/// A table whose own check, other than a trigger, refuses the user `bad`.
fn writer_that_checks_users(path: &Path) -> Writer {
    let table =
        crate::storage::schema::SQLITE.replace("user_id VARCHAR(50)", "user_id VARCHAR(50) CHECK (user_id <> 'bad')");
    stranger(path).execute_batch(&table).unwrap();
    Writer::open(path).unwrap()
}

#[test]
fn every_row_of_large_and_small_statements_is_stored_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.db");
    let mut writer = writer(&path);
    let rows = many_rows();
    assert_eq!(store_group(&mut writer, [batch(&rows)]), [duplicates(&[])]);
    let connection = stranger(&path);
    let mut statement = connection.prepare("SELECT id, processed_data FROM processed_events ORDER BY rowid").unwrap();
    let stored = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let stored: Vec<(String, String)> = stored.collect::<Result<_, _>>().unwrap();
    let expected = batch(&rows);
    assert_eq!(stored.len(), rows.len());
    for (stored, expected) in stored.iter().zip(expected.rows()) {
        assert_eq!(stored, &(expected.id.to_string(), expected.processed_data.to_owned()));
    }
}

#[test]
fn duplicates_within_a_large_statement_are_told_one_by_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.db");
    let mut writer = writer(&path);
    let rows = many_rows();
    // Of the second large statement, one row is there from another acceptance, and one from this.
    let there = [(rows[MANY + 3].0, 7), rows[MANY + 5]];
    assert_eq!(store_group(&mut writer, [batch(&there)]), [duplicates(&[])]);
    assert_eq!(store_group(&mut writer, [batch(&rows)]), [duplicates(&[MANY + 3])]);
    assert_eq!(ids(&path).len(), rows.len());
    assert_eq!(store_group(&mut writer, [batch(&rows)]), [duplicates(&[MANY + 3])], "all are there now");
}

#[test]
fn of_an_id_that_is_twice_in_a_large_statement_the_second_is_the_duplicate() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.db");
    let mut writer = writer(&path);
    let mut rows = many_rows();
    rows[20] = (rows[10].0, 7);
    for _ in 0..2 {
        assert_eq!(store_group(&mut writer, [batch(&rows)]), [duplicates(&[20])]);
    }
    let kept = "SELECT json_extract(processed_data, '$.receipt') FROM processed_events WHERE id = ?1";
    let id = Uuid::from_u128(rows[10].0).to_string();
    let kept: String = stranger(&path).query_row(kept, [id], |row| row.get(0)).unwrap();
    assert_eq!(kept, Receipt(rows[10].1).to_string());
}

#[test]
fn a_bad_row_within_a_large_statement_is_named_and_nothing_of_its_job_stays() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.db");
    let mut writer = writer_that_checks_users(&path);
    let bad = MANY + MANY / 2;
    let jobs = [batch(&[(1001, 1)]), batch_with_bad_users(3 * MANY, &[bad, bad + 1]), batch(&[(1002, 1), (1001, 2)])];
    let results = store_group(&mut writer, jobs);
    let Err(StoreError::BadRow(BadRow { row, code, .. })) = &results[1] else { panic!("{results:?}") };
    assert_eq!((*row, code.as_str()), (Some(bad), "SQLITE_CONSTRAINT"));
    assert_eq!((&results[0], &results[2]), (&duplicates(&[]), &duplicates(&[1])));
    assert_eq!(ids(&path), [1001, 1002]);
}

#[test]
fn a_strangers_trigger_does_what_it_says() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.db");
    let mut writer = writer(&path);
    let trigger = "CREATE TABLE seen (user_id TEXT PRIMARY KEY); \
        CREATE TRIGGER see AFTER INSERT ON processed_events \
        BEGIN INSERT OR IGNORE INTO seen VALUES (new.user_id); END";
    stranger(&path).execute_batch(trigger).unwrap();
    let rows = many_rows();
    assert_eq!(store_group(&mut writer, [batch(&rows)]), [duplicates(&[])]);
    assert_eq!(ids(&path).len(), rows.len());
}
