//! Where processed events end: the trait [`Storage`] and the stores that implement it.
//!
//! A store promises two things. Storing is idempotent: the event's id is the primary key, so a
//! batch may be stored again after any doubt. And an error says what now: wait, try again,
//! isolate a row, or ask an operator ([`StoreError`]). Nothing here retries; the flusher decides.
//!
//! Stores run on the store runtime (SQLite on a thread of its own) and never on an ingest thread.

use std::{ops::Range, sync::Arc, time::Duration};

pub use futures_util::future::BoxFuture;
use futures_util::future::{FutureExt as _, ready};
use uuid::Uuid;

mod batch;
pub mod dead_letters;
mod discard;
mod error;
pub mod mysql;
pub mod schema;
pub mod sqlite;
mod target;

pub use batch::{Batch, Row};
pub use dead_letters::DeadLetters;
pub use discard::Discard;
pub use error::{BadRow, StoreError};
pub use mysql::MySql;
pub use sqlite::{Sqlite, SqliteView};
pub use target::{Target, TargetError};

/// A place that keeps processed events for good.
///
/// All methods are called on the store runtime, which has tokio's I/O and time and two threads: what
/// takes longer than a moment belongs on a thread of its own, or into `tokio::task::spawn_blocking`.
/// Several calls of [`Storage::store`] run at a time: one for each shard, times [`Limits::in_flight`]. A
/// store of one's own sets a limit to how long a call takes, since nobody else does, and fails it then.
///
/// ```
/// use std::{
///     collections::HashMap,
///     ops::Range,
///     sync::{Arc, Mutex},
/// };
///
/// use event_pipeline::{
///     Uuid,
///     event::Receipt,
///     storage::{Batch, BoxFuture, Storage, StoreError, Stored, StoredEvent},
/// };
///
/// /// Keeps what it is given for as long as the process runs.
/// #[derive(Default)]
/// struct Memory(Mutex<HashMap<Uuid, (Receipt, StoredEvent)>>);
///
/// impl Storage for Memory {
///     fn store<'a>(&'a self, batch: &'a Arc<Batch>, rows: Range<usize>) -> BoxFuture<'a, Result<Stored, StoreError>> {
///         Box::pin(async move {
///             let mut kept = self.0.lock().unwrap();
///             let mut stored = Stored::default();
///             for index in rows {
///                 let row = batch.row(index);
///                 let (receipt, _) = kept.entry(row.id).or_insert_with(|| (row.receipt, row.into()));
///                 if *receipt != row.receipt {
///                     stored.duplicates.push(index);
///                 }
///             }
///             Ok(stored)
///         })
///     }
///
///     fn fetch(&self, id: Uuid) -> BoxFuture<'_, Result<Option<StoredEvent>, StoreError>> {
///         let event = self.0.lock().unwrap().get(&id).map(|(_, event)| event.clone());
///         Box::pin(async { Ok(event) })
///     }
///
///     fn health(&self) -> BoxFuture<'_, Result<(), StoreError>> {
///         Box::pin(async { Ok(()) })
///     }
/// }
/// ```
pub trait Storage: Send + Sync + 'static {
    /// Stores `rows` of `batch`, all of them or none; rows whose id is there already are left
    /// as they are and reported as duplicates, unless they are there with the same receipt: then an
    /// earlier attempt stored them. The batch is shared, so that it may go to another thread; it is used
    /// again when all have let go of it.
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

    /// Asks whether the store answers.
    ///
    /// # Errors
    /// [`StoreError`] where it does not.
    fn health(&self) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Creates the table where it is missing, checks it where it is there. Called before anything is
    /// stored, until it succeeds; a store without a table need not have it.
    ///
    /// # Errors
    /// [`StoreError::Misconfigured`] where the table is there but cannot hold what is stored.
    fn migrate(&self) -> BoxFuture<'_, Result<Migration, StoreError>> {
        ready(Ok(Migration::NotNeeded)).boxed()
    }

    /// What one call of [`Storage::store`] takes at most.
    fn limits(&self) -> Limits {
        Limits::default()
    }
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

impl Default for Limits {
    /// 4096 rows, 4 MiB, one batch in flight: what suits a store that takes its time by the call.
    fn default() -> Self {
        Self { rows_max: 4096, bytes_max: 4 << 20, in_flight: 1 }
    }
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

impl From<Row<'_>> for StoredEvent {
    /// What a store reads back that keeps rows as they are.
    fn from(row: Row<'_>) -> Self {
        Self {
            id: row.id,
            kind: row.kind.as_str().to_owned(),
            source: row.source.as_str().to_owned(),
            user_id: row.user_id.map(ToOwned::to_owned),
            processed_data: Some(row.processed_data.to_owned()),
            processing_time_ms: Some(row.processing_time_ms.into()),
            created_at_s: Some(row.created_at_s),
            processed_at_s: Some(row.processed_at_s),
        }
    }
}

/// A row of a page that is read in the order of the primary key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRow {
    /// The primary key as it lies there; of a row that others made it may be any text.
    pub id: String,
    /// The column `processed_data`: JSON text.
    pub processed_data: Option<String>,
}

/// How long a store may take over one call before it is given up: an own limit, for the
/// drivers have none and a black-holed peer is noticed by TCP only after a quarter of an hour.
pub const STORE_TIMEOUT: Duration = Duration::from_secs(15);
