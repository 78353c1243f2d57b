//! A connection that reads, beside the one that writes.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use rusqlite::{Connection, OptionalExtension as _, Row, params, types::ValueRef};
use uuid::Uuid;

use super::{
    super::{RowById, StoreError, StoredEvent},
    classify::classify,
    connect::Database,
};

/// What is read of the event of one id, for [`event`].
pub(super) const FETCH: &str = "\
SELECT type, source, user_id, processed_data, processing_time_ms, unixepoch(created_at), unixepoch(processed_at)
FROM processed_events WHERE id = ?1";

const ROWS_BY_ID: &str =
    "SELECT id, processed_data FROM processed_events WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3";

/// Reads, for one caller at a time; blocks, so it is called on threads that may.
#[derive(Debug)]
pub(super) struct Reader {
    path: PathBuf,
    slot: Mutex<Slot>,
}

#[derive(Debug)]
enum Slot {
    Open(Database),
    /// To be opened anew, after an error that only a new connection can see mended.
    Lost,
    /// For good.
    Closed,
}

impl Reader {
    /// Connects to the database at `path`, which must be there.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self { path: path.to_owned(), slot: Mutex::new(Slot::Open(Database::to_read(path)?)) })
    }

    /// The event of that id.
    pub(super) fn fetch(&self, id: Uuid) -> Result<Option<StoredEvent>, StoreError> {
        self.with(|connection, path| {
            let mut statement = connection.prepare_cached(FETCH).map_err(|error| classify(&error, path, None))?;
            let found = statement.query_row([id.hyphenated().to_string()], |row| event(id, row));
            found.optional().map_err(|error| classify(&error, path, None))
        })
    }

    /// The next rows in the order of their ids, behind `after` and not behind `until`.
    pub(super) fn rows_by_id(&self, after: &str, until: &str, rows_max: usize) -> Result<Vec<RowById>, StoreError> {
        self.with(|connection, path| {
            let failed = |error| classify(&error, path, None);
            let mut statement = connection.prepare_cached(ROWS_BY_ID).map_err(failed)?;
            let rows = statement.query_map(params![after, until, rows_max as i64], |row| {
                Ok(RowById { id: row.get(0)?, processed_data: row.get(1)? })
            });
            rows.and_then(Iterator::collect).map_err(failed)
        })
    }

    /// Reads from the table.
    pub(super) fn health(&self) -> Result<(), StoreError> {
        self.with(|connection, path| {
            let failed = |error| classify(&error, path, None);
            let mut statement = connection.prepare_cached("SELECT 1 FROM processed_events LIMIT 1").map_err(failed)?;
            statement.exists([]).map(drop).map_err(failed)
        })
    }

    /// Closes it, after whoever reads.
    pub(super) fn close(&self) {
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = Slot::Closed;
    }

    /// Has `read` done with the connection, and the path to name in errors.
    ///
    /// # Errors
    /// Those of `read`, or [`StoreError`] where there is no connection.
    pub(super) fn with<T>(
        &self,
        read: impl FnOnce(&Connection, &Path) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*slot, Slot::Lost) {
            *slot = Slot::Open(Database::to_read(&self.path)?);
        }
        let Slot::Open(database) = &mut *slot else {
            let message = format!("the database {} was closed; start the service again", self.path.display());
            return Err(StoreError::Transient { code: "SQLITE_CLOSED".into(), message });
        };
        let result = database.in_place().and_then(|connection| read(connection, &self.path));
        if matches!(result, Err(StoreError::Misconfigured { .. })) {
            *slot = Slot::Lost;
        }
        result
    }
}

/// The event of a row of [`FETCH`].
pub(super) fn event(id: Uuid, row: &Row<'_>) -> rusqlite::Result<StoredEvent> {
    Ok(StoredEvent {
        id,
        kind: text(row, 0)?.unwrap_or_default(),
        source: text(row, 1)?.unwrap_or_default(),
        user_id: text(row, 2)?,
        processed_data: text(row, 3)?,
        processing_time_ms: integer(row, 4)?,
        created_at_s: integer(row, 5)?,
        processed_at_s: integer(row, 6)?,
    })
}

/// A value as text, whatever it is: in SQLite a column holds what was put into it.
pub(super) fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    Ok(match row.get_ref(column)? {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
    })
}

fn integer(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<i64>> {
    Ok(match row.get_ref(column)? {
        ValueRef::Integer(number) => Some(number),
        _ => None,
    })
}
