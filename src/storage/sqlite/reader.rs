//! The connection that reads, beside the one that writes.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use rusqlite::{Connection, OptionalExtension as _, params};
use uuid::Uuid;

use super::{
    super::{PageRow, StoreError, StoredEvent},
    classify::classify,
    connect::Database,
};

const FETCH: &str = "\
SELECT type, source, user_id, processed_data, processing_time_ms, unixepoch(created_at), unixepoch(processed_at)
FROM processed_events WHERE id = ?1";

const PAGE: &str = "SELECT id, processed_data FROM processed_events WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3";

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
        self.with(|connection| {
            let mut statement = connection.prepare_cached(FETCH).map_err(|error| classify(&error, &self.path, None))?;
            let found = statement.query_row([id.hyphenated().to_string()], |row| {
                Ok(StoredEvent {
                    id,
                    kind: row.get(0)?,
                    source: row.get(1)?,
                    user_id: row.get(2)?,
                    processed_data: row.get(3)?,
                    processing_time_ms: row.get(4)?,
                    created_at_s: row.get(5)?,
                    processed_at_s: row.get(6)?,
                })
            });
            found.optional().map_err(|error| classify(&error, &self.path, None))
        })
    }

    /// The next rows in the order of their ids, behind `after` and not behind `until`.
    pub(super) fn page(&self, after: &str, until: &str, rows_max: usize) -> Result<Vec<PageRow>, StoreError> {
        self.with(|connection| {
            let failed = |error| classify(&error, &self.path, None);
            let mut statement = connection.prepare_cached(PAGE).map_err(failed)?;
            let rows = statement.query_map(params![after, until, rows_max as i64], |row| {
                Ok(PageRow { id: row.get(0)?, processed_data: row.get(1)? })
            });
            rows.and_then(Iterator::collect).map_err(failed)
        })
    }

    /// Reads from the table.
    pub(super) fn health(&self) -> Result<(), StoreError> {
        self.with(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT 1 FROM processed_events LIMIT 1")
                .map_err(|error| classify(&error, &self.path, None))?;
            statement.exists([]).map(drop).map_err(|error| classify(&error, &self.path, None))
        })
    }

    /// Closes it, after whoever reads.
    pub(super) fn close(&self) {
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = Slot::Closed;
    }

    fn with<T>(&self, read: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*slot, Slot::Lost) {
            *slot = Slot::Open(Database::to_read(&self.path)?);
        }
        let Slot::Open(database) = &mut *slot else {
            let message = format!("the database {} was closed; start the service again", self.path.display());
            return Err(StoreError::Transient { code: "SQLITE_CLOSED".into(), message });
        };
        let result = database.in_place().and_then(|connection| read(connection));
        if matches!(result, Err(StoreError::Misconfigured { .. })) {
            *slot = Slot::Lost;
        }
        result
    }
}
