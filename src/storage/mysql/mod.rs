//! The store on MySQL (8 and later) and MariaDB (10.11 and later).
//!
//! What holds: a range is stored as a whole or not at all; an id makes one row however often it
//! is stored; no answer is ever taken for the answer to another command; every wait ends. A
//! connection is used only after its session was set and verified, and never again after an
//! exit that was not clean. Hosts are tried in the order of the URL; the one that answers stays
//! in use until it fails or cannot write.
//!
//! Statements take values as parameters only, and neither they nor a password are ever logged.
//! All of it runs on the one runtime that first used it.

use std::{fmt, ops::Range, sync::Arc, time::Duration};

use futures_util::future::{BoxFuture, FutureExt as _};
use uuid::Uuid;

use self::pool::{Pool, Purpose};
use super::{Batch, Limits, Migration, Page, PageQuery, RowById, Storage, StoreError, Stored, StoredEvent};

mod classify;
mod connect;
mod insert;
mod migrate;
mod page;
mod pool;
mod probe;
mod query;
mod url;

pub use page::statements as page_statements;
pub use probe::{Cluster, ServerFacts};
pub use url::MySqlUrl;

/// The store on MySQL or MariaDB.
pub struct MySql {
    pool: Pool,
}

impl MySql {
    /// A store on these servers with at most `connections` batches at a time, each on a
    /// connection of its own; beside them it has up to two for single reads and two for pages. Connects when first
    /// used.
    pub fn new(url: MySqlUrl, connections: usize) -> Self {
        Self { pool: Pool::new(url, connections) }
    }

    /// The same store with another limit than [`super::STORE_TIMEOUT`] for one call, to which
    /// waiting for a connection, and connecting, may each add as much at most.
    #[must_use]
    pub fn with_timeout(mut self, call: Duration) -> Self {
        self.pool.set_timeout(call);
        self
    }

    /// What each server of the URL says of itself, by its host and port; nothing is made or changed there.
    pub async fn examine(&self) -> Vec<(String, Result<ServerFacts, StoreError>)> {
        let mut examined = Vec::new();
        for (index, host) in self.pool.url().hosts.iter().enumerate() {
            let facts = async { self.pool.take_from(index).await?.run(|session| probe::facts(session).boxed()).await };
            examined.push((host.to_string(), facts.await));
        }
        examined
    }

    /// The next rows, `rows_max` at most, whose ids lie behind `after` and not behind `until`, in
    /// the order of their ids.
    ///
    /// # Errors
    /// [`StoreError`] where the store could not be asked.
    pub async fn rows_by_id(&self, after: &str, until: &str, rows_max: usize) -> Result<Vec<RowById>, StoreError> {
        let (after, until) = (after.to_owned(), until.to_owned());
        let lease = self.pool.take(Purpose::Read).await?;
        lease.run(move |session| query::rows_by_id(session, after, until, rows_max).boxed()).await
    }
}

impl fmt::Debug for MySql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MySql").field(self.pool.url()).finish()
    }
}

impl Storage for MySql {
    fn store<'a>(&'a self, batch: &'a Arc<Batch>, rows: Range<usize>) -> BoxFuture<'a, Result<Stored, StoreError>> {
        async move {
            if rows.is_empty() {
                return Ok(Stored::default());
            }
            let lease = self.pool.take(Purpose::Store).await?;
            let batch = Arc::clone(batch);
            lease.run(move |session| async move { insert::insert(session, &batch, rows).await }.boxed()).await
        }
        .boxed()
    }

    fn fetch(&self, id: Uuid) -> BoxFuture<'_, Result<Option<StoredEvent>, StoreError>> {
        async move { self.pool.take(Purpose::Read).await?.run(move |session| query::fetch(session, id).boxed()).await }
            .boxed()
    }

    fn page(&self, query: PageQuery) -> BoxFuture<'_, Result<Page, StoreError>> {
        async move { self.pool.take(Purpose::Page).await?.run(move |session| page::read(session, query).boxed()).await }
            .boxed()
    }

    fn health(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        async move { self.pool.take(Purpose::Read).await?.run(|session| query::health(session).boxed()).await }.boxed()
    }

    fn migrate(&self) -> BoxFuture<'_, Result<Migration, StoreError>> {
        async move { self.pool.take(Purpose::Read).await?.run(|session| migrate::migrate(session).boxed()).await }
            .boxed()
    }

    fn limits(&self) -> Limits {
        Limits { rows_max: 4096, bytes_max: 4 << 20, in_flight: 2 }
    }
}
