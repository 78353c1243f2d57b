//! The table: made where it is missing, looked over where it is there.
//!
//! A table that passes takes every row of ours; one that somebody else made is never changed.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::{
    super::{Migration, StoreError, schema},
    classify::classify,
    insert,
};

/// What a row of ours has.
const COLUMNS: [&str; 8] =
    ["id", "type", "source", "user_id", "processed_data", "processing_time_ms", "created_at", "processed_at"];

/// A column as the file has it.
struct Column {
    name: String,
    /// Whether a row must bring a value for it.
    demanded: bool,
}

/// Checks the table; false where there is none.
///
/// # Errors
/// [`StoreError::Misconfigured`] where rows do not fit the table that is there.
pub(super) fn is_there(connection: &Connection, path: &Path) -> Result<bool, StoreError> {
    let columns = columns(connection).map_err(|error| classify(&error, path, None))?;
    if columns.is_empty() {
        return Ok(false);
    }
    check(&columns, path)?;
    // What the columns do not show, such as an id that is no key, shows here.
    insert::prepare(connection, path)?;
    Ok(true)
}

/// Creates the table with its indexes, or checks the one that is there.
///
/// # Errors
/// [`StoreError::Misconfigured`] where rows do not fit the table that is there.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<Migration, StoreError> {
    let failed = |error: rusqlite::Error| classify(&error, path, None);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let migration = if is_there(&transaction, path)? {
        Migration::Unchanged
    } else {
        transaction.execute_batch(schema::SQLITE).map_err(failed)?;
        insert::prepare(&transaction, path)?;
        Migration::Created
    };
    transaction.commit().map_err(failed)?;
    Ok(migration)
}

fn columns(connection: &Connection) -> rusqlite::Result<Vec<Column>> {
    let sql = "SELECT name, \"notnull\" AND dflt_value IS NULL AND pk = 0 FROM pragma_table_info('processed_events')";
    let mut statement = connection.prepare(sql)?;
    let columns = statement.query_map([], |row| Ok(Column { name: row.get(0)?, demanded: row.get(1)? }))?;
    columns.collect()
}

fn check(columns: &[Column], path: &Path) -> Result<(), StoreError> {
    let unfit = |what: String| {
        let message = format!(
            "the table processed_events in the database {} {what}; rename that table, or set `store` to another file",
            path.display()
        );
        Err(StoreError::Misconfigured { code: "SQLITE_TABLE".into(), message })
    };
    for name in COLUMNS {
        if !columns.iter().any(|column| column.name.eq_ignore_ascii_case(name)) {
            return unfit(format!("has no column {name}"));
        }
    }
    let ours = |column: &Column| COLUMNS.iter().any(|name| column.name.eq_ignore_ascii_case(name));
    match columns.iter().find(|column| column.demanded && !ours(column)) {
        Some(column) => unfit(format!("wants a value for the column {}, of which nothing is known here", column.name)),
        None => Ok(()),
    }
}
