//! Where processed events end: the trait [`Storage`] and the stores that implement it.
//!
//! A store promises two things. Storing is idempotent: the event's id is the primary key, so a
//! batch may be stored again after any doubt. And an error says what now: wait, try again,
//! isolate a row, or ask an operator ([`StoreError`]). Nothing here retries; the flusher decides.
//!
//! Stores run on the store runtime (SQLite on a thread of its own) and never on an ingest thread.

use std::{ops::Range, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use uuid::Uuid;

mod batch;
pub mod dead_letters;
mod discard;
mod error;
pub mod mysql;
pub mod page;
pub mod schema;
pub mod sqlite;
mod target;

pub use batch::{Batch, Row};
pub use dead_letters::DeadLetters;
pub use discard::Discard;
pub use error::{BadRow, StoreError};
pub use mysql::MySql;
pub use page::{Page, PageQuery};
pub use sqlite::{Sqlite, SqliteView};
pub use target::{Target, TargetError};

/// A place that keeps processed events for good.
///
/// All methods are called on the store runtime, which has tokio's I/O and time.
pub trait Storage: Send + Sync + 'static {
    /// Stores `rows` of `batch`, all of them or none; rows whose id is there already are left
    /// as they are and reported as duplicates.
    ///
    /// # Errors
    /// [`StoreError`], after which nothing of the range is stored, or, where it is
    /// [`StoreError::Ambiguous`], the whole range may be.
    fn store<'a>(&'a self, batch: &'a Arc<Batch>, rows: Range<usize>) -> BoxFuture<'a, Result<Stored, StoreError>>;

    /// The stored event of that id, `None` where the store has none.
    ///
    /// # Errors
    /// [`StoreError`] where the store could not be asked.
    fn fetch(&self, id: Uuid) -> BoxFuture<'_, Result<Option<StoredEvent>, StoreError>>;

    /// One page of stored events, newest first.
    ///
    /// # Errors
    /// [`StoreError`] where the store could not be asked, or has no index that answers it.
    fn page(&self, query: PageQuery) -> BoxFuture<'_, Result<Page, StoreError>>;

    /// Asks whether the store answers.
    ///
    /// # Errors
    /// [`StoreError`] where it does not.
    fn health(&self) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Creates the table where it is missing, checks it where it is there.
    ///
    /// # Errors
    /// [`StoreError::Misconfigured`] where the table is there but cannot hold what is stored.
    fn migrate(&self) -> BoxFuture<'_, Result<Migration, StoreError>>;

    /// What one call of [`Storage::store`] takes at most.
    fn limits(&self) -> Limits;
}

/// What a store takes at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most rows of one batch, when the backlog is long.
    pub rows_max: usize,
    /// Most bytes of text in one batch.
    pub bytes_max: usize,
    /// How many batches of one shard are stored at the same time.
    pub in_flight: usize,
}

/// What became of a stored range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Rows (indexes into the batch, ascending) whose id the store had already, from another
    /// acceptance; rows of our own earlier, ambiguous attempt are not among them.
    pub duplicates: Vec<usize>,
}

/// What [`Storage::migrate`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Migration {
    /// The table was missing and was made.
    Created,
    /// The table was there and fits.
    Unchanged,
    /// The store has no table.
    NotNeeded,
}

/// A row as it was read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// The event's id.
    pub id: Uuid,
    /// The column `type`.
    pub kind: String,
    /// The column `source`.
    pub source: String,
    /// The column `user_id`.
    pub user_id: Option<String>,
    /// The column `processed_data`: JSON text.
    pub processed_data: Option<String>,
    /// The column `processing_time_ms`.
    pub processing_time_ms: Option<i64>,
    /// The column `created_at`, seconds since the epoch.
    pub created_at_s: Option<i64>,
    /// The column `processed_at`, seconds since the epoch.
    pub processed_at_s: Option<i64>,
}

/// A row that is read in the order of the primary key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowById {
    /// The primary key as it lies there; of a row that others made it may be any text.
    pub id: String,
    /// The column `processed_data`: JSON text.
    pub processed_data: Option<String>,
}

/// How long a store may take over one call before it is given up: an own limit, for the
/// drivers have none and a black-holed peer is noticed by TCP only after a quarter of an hour.
pub const STORE_TIMEOUT: Duration = Duration::from_secs(15);
