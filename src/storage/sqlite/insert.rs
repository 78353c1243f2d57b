//! Rows into the table, and the question whose row it is that was there before.
//!
//! Most rows go in many at a time: a statement costs about as much as a row. Where one of them was
//! there before, all of them are asked for; where one was refused, nobody knows which, and the
//! caller repeats it with [`RowsEach::One`].

use std::{fmt::Write as _, ops::Range, path::Path, sync::LazyLock};

use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Statement, params};
use uuid::{Uuid, fmt::Hyphenated};

use super::{
    super::{Batch, Row, StoreError, Stored},
    classify::classify,
};
use crate::event::{Civil, Receipt};

/// Rows of the large statement.
pub(super) const MANY: usize = 50;

const COLUMNS: usize = 8;

/// Leaves a row that is there as it is, and hides nothing else: OR IGNORE would also swallow what
/// the table refuses.
static INSERT_ONE: LazyLock<String> = LazyLock::new(|| sql("INSERT", 1));

/// The same for [`MANY`] rows. OR FAIL, for otherwise SQLite would copy every page before it changes
/// it, to be able to undo the statement alone; the whole transaction is rolled back instead.
static INSERT_MANY: LazyLock<String> = LazyLock::new(|| sql("INSERT OR FAIL", MANY));

fn sql(insert: &str, rows: usize) -> String {
    let values = vec!["(?,?,?,?,?,?,?,?)"; rows].join(",");
    format!(
        "{insert} INTO processed_events \
         (id, type, source, user_id, processed_data, processing_time_ms, created_at, processed_at) \
         VALUES {values} ON CONFLICT (id) DO NOTHING"
    )
}

/// The receipt of the row that is there; NULL for a row that none of us wrote.
const RECEIPT: &str = "\
SELECT CASE WHEN json_valid(processed_data) THEN json_extract(processed_data, '$.receipt') = ?2 END
FROM processed_events WHERE id = ?1";

const HAS_TRIGGERS: &str = "\
SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND lower(tbl_name) = 'processed_events')";

/// How many rows a statement inserts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowsEach {
    /// Fast; which row was refused is not known.
    Many,
    /// So that an error names its row.
    One,
}

/// What is fit for the table as it is within the transaction that is open. Statements of somebody's
/// trigger would take over the large statement's OR FAIL in place of what they say themselves.
///
/// # Errors
/// [`StoreError`] where the database cannot be read.
pub(super) fn fit(connection: &Connection, path: &Path) -> Result<RowsEach, StoreError> {
    let has_triggers = connection
        .prepare_cached(HAS_TRIGGERS)
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
        .map_err(|error| classify(&error, path, None))?;
    Ok(if has_triggers { RowsEach::One } else { RowsEach::Many })
}

/// The statement that inserts a row, prepared once for each connection.
///
/// # Errors
/// [`StoreError::Misconfigured`] where the table is missing or does not fit.
pub(super) fn prepare<'c>(connection: &'c Connection, path: &Path) -> Result<CachedStatement<'c>, StoreError> {
    connection.prepare_cached(&INSERT_ONE).map_err(|error| classify(&error, path, None))
}

/// Inserts `rows` of `batch` within the transaction that is open.
///
/// # Errors
/// [`StoreError`]; a part of the rows may be inserted then, and the transaction has to be rolled
/// back.
pub(super) fn insert(
    connection: &Connection,
    path: &Path,
    batch: &Batch,
    rows: Range<usize>,
    rows_each: RowsEach,
) -> Result<Stored, StoreError> {
    let mut insertion = Insertion { connection, batch, texts: Texts::default(), duplicates: Vec::new() };
    let mut next = rows.start;
    if rows_each == RowsEach::Many && rows.len() >= MANY {
        let mut statement = connection.prepare_cached(&INSERT_MANY).map_err(|error| classify(&error, path, None))?;
        while rows.end - next >= MANY {
            insertion.execute(&mut statement, next..next + MANY).map_err(|error| classify(&error, path, None))?;
            next += MANY;
        }
    }
    if next == rows.end {
        return Ok(Stored { duplicates: insertion.duplicates });
    }
    let mut statement = prepare(connection, path)?;
    for index in next..rows.end {
        insertion.execute(&mut statement, index..index + 1).map_err(|error| classify(&error, path, Some(index)))?;
    }
    Ok(Stored { duplicates: insertion.duplicates })
}

/// Rows of a batch on their way into the table.
struct Insertion<'a> {
    connection: &'a Connection,
    batch: &'a Batch,
    texts: Texts,
    duplicates: Vec<usize>,
}

impl Insertion<'_> {
    /// Inserts the rows, as many as `statement` takes.
    fn execute(&mut self, statement: &mut Statement<'_>, rows: Range<usize>) -> rusqlite::Result<()> {
        for (position, index) in rows.clone().enumerate() {
            self.texts.bind(statement, position * COLUMNS, &self.batch.row(index))?;
        }
        if statement.raw_execute()? < rows.len() {
            for index in rows {
                let row = self.batch.row(index);
                if !is_ours(self.connection, row.id, row.receipt)? {
                    self.duplicates.push(index);
                }
            }
        }
        Ok(())
    }
}

/// Whether the row of that id carries this receipt: then this or an earlier attempt of ours stored it.
fn is_ours(connection: &Connection, id: Uuid, receipt: Receipt) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached(RECEIPT)?;
    let mut id_buffer = Uuid::encode_buffer();
    let id: &str = Hyphenated::from_uuid(id).encode_lower(&mut id_buffer);
    let same: Option<Option<bool>> =
        statement.query_row(params![id, receipt.to_string()], |row| row.get(0)).optional()?;
    Ok(same.flatten().unwrap_or(false))
}

/// Room for the texts of one row's values.
#[derive(Default)]
struct Texts {
    created_at: SqlText,
    processed_at: SqlText,
}

impl Texts {
    /// Binds the row's values behind the first `before` parameters. SQLite copies them.
    fn bind(&mut self, statement: &mut Statement<'_>, before: usize, row: &Row<'_>) -> rusqlite::Result<()> {
        let mut id_buffer = Uuid::encode_buffer();
        let id: &str = Hyphenated::from_uuid(row.id).encode_lower(&mut id_buffer);
        statement.raw_bind_parameter(before + 1, id)?;
        statement.raw_bind_parameter(before + 2, row.kind.as_str())?;
        statement.raw_bind_parameter(before + 3, row.source.as_str())?;
        statement.raw_bind_parameter(before + 4, row.user_id)?;
        statement.raw_bind_parameter(before + 5, row.processed_data)?;
        statement.raw_bind_parameter(before + 6, row.processing_time_ms)?;
        statement.raw_bind_parameter(before + 7, self.created_at.of(row.created_at_s))?;
        statement.raw_bind_parameter(before + 8, self.processed_at.of(row.processed_at_s))
    }
}

/// The text of a time. Neighbours mostly share their second, which is written once then.
struct SqlText {
    seconds: Option<i64>,
    text: String,
}

impl Default for SqlText {
    fn default() -> Self {
        Self { seconds: None, text: String::with_capacity("2026-01-15 10:30:00".len()) }
    }
}

impl SqlText {
    fn of(&mut self, seconds: i64) -> &str {
        if self.seconds != Some(seconds) {
            self.text.clear();
            write!(self.text, "{}", Civil::from_seconds(seconds)).expect("a String takes everything");
            self.seconds = Some(seconds);
        }
        &self.text
    }
}
