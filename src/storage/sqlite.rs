//! The embedded store.

use std::{ops::Range, path::Path, sync::Arc};

use futures_util::future::BoxFuture;
use uuid::Uuid;

use super::{Batch, Limits, Migration, Storage, StoreError, Stored, StoredEvent};

/// The store in a file of its own.
#[derive(Debug)]
pub struct Sqlite {}

impl Sqlite {
    /// Opens or creates the database at `path` and starts its thread.
    ///
    /// # Errors
    /// [`StoreError::Misconfigured`] where the file cannot be opened or is no database.
    pub fn open(_path: &Path) -> Result<Self, StoreError> {
        Ok(Self {})
    }
}

impl Storage for Sqlite {
    fn store<'a>(&'a self, _batch: &'a Arc<Batch>, _rows: Range<usize>) -> BoxFuture<'a, Result<Stored, StoreError>> {
        unreachable!()
    }

    fn fetch(&self, _id: Uuid) -> BoxFuture<'_, Result<Option<StoredEvent>, StoreError>> {
        unreachable!()
    }

    fn health(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        unreachable!()
    }

    fn migrate(&self) -> BoxFuture<'_, Result<Migration, StoreError>> {
        unreachable!()
    }

    fn limits(&self) -> Limits {
        Limits { rows_max: 20_000, bytes_max: 16 << 20, in_flight: 1 }
    }
}
