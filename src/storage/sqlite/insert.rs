//! Rows into the table, and the question whose row it is that was there before.

use std::{fmt::Write as _, ops::Range, path::Path};

use rusqlite::{CachedStatement, Connection, OptionalExtension as _, params};
use uuid::{Uuid, fmt::Hyphenated};

use super::{
    super::{Batch, StoreError, Stored},
    classify::classify,
};
use crate::event::{Receipt, SqlSeconds};

/// Leaves a row that is there as it is, and hides nothing else: OR IGNORE would also swallow what
/// the table refuses.
const INSERT: &str = "\
INSERT INTO processed_events
  (id, type, source, user_id, processed_data, processing_time_ms, created_at, processed_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
ON CONFLICT (id) DO NOTHING";

/// The receipt of the row that is there; NULL for a row that none of us wrote.
const RECEIPT: &str = "\
SELECT CASE WHEN json_valid(processed_data) THEN json_extract(processed_data, '$.receipt') = ?2 END
FROM processed_events WHERE id = ?1";

/// The statement that inserts, prepared once for each connection.
///
/// # Errors
/// [`StoreError::Misconfigured`] where the table is missing or does not fit.
pub(super) fn prepare<'c>(connection: &'c Connection, path: &Path) -> Result<CachedStatement<'c>, StoreError> {
    connection.prepare_cached(INSERT).map_err(|error| classify(&error, path, None))
}

/// Inserts `rows` of `batch` within the transaction that is open.
///
/// # Errors
/// [`StoreError`]; a part of the rows may be inserted then, and has to be rolled back.
pub(super) fn insert(
    connection: &Connection,
    path: &Path,
    batch: &Batch,
    rows: Range<usize>,
) -> Result<Stored, StoreError> {
    let mut statement = prepare(connection, path)?;
    let mut stored = Stored::default();
    let mut id_buffer = Uuid::encode_buffer();
    let (mut created_at, mut processed_at) = (SqlText::default(), SqlText::default());
    for index in rows {
        let row = batch.row(index);
        let id: &str = Hyphenated::from_uuid(row.id).encode_lower(&mut id_buffer);
        let inserted = statement
            .execute(params![
                id,
                row.kind.as_str(),
                row.source.as_str(),
                row.user_id,
                row.processed_data,
                row.processing_time_ms,
                created_at.of(row.created_at_s),
                processed_at.of(row.processed_at_s),
            ])
            .map_err(|error| classify(&error, path, Some(index)))?;
        if inserted == 0 && !is_ours(connection, id, row.receipt).map_err(|error| classify(&error, path, None))? {
            stored.duplicates.push(index);
        }
    }
    Ok(stored)
}

/// Whether the row of that id carries this receipt: then an earlier attempt of ours stored it.
fn is_ours(connection: &Connection, id: &str, receipt: Receipt) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached(RECEIPT)?;
    let same: Option<Option<bool>> =
        statement.query_row(params![id, receipt.to_string()], |row| row.get(0)).optional()?;
    Ok(same.flatten().unwrap_or(false))
}

/// The text of a time. Neighbours mostly share their second, which is written once then.
#[derive(Default)]
struct SqlText {
    seconds: Option<i64>,
    text: String,
}

impl SqlText {
    fn of(&mut self, seconds: i64) -> &str {
        if self.seconds != Some(seconds) {
            self.text.clear();
            write!(self.text, "{}", SqlSeconds(seconds)).expect("a String takes everything");
            self.seconds = Some(seconds);
        }
        &self.text
    }
}
