//! The embedded store: one SQLite file, one thread that writes to it, and two connections that read: one for single
//! events, and one for pages, which take longer.
//!
//! A call of [`Storage::store`] puts its rows into the thread's queue. Whatever waits there
//! becomes one transaction, since a commit costs a sync and large transactions touch each page of
//! the indexes once; still each call is stored or refused by itself. A commit that was answered
//! survives a power loss.

use std::{ops::Range, path::Path, sync::Arc, thread::JoinHandle};

use futures_util::future::{BoxFuture, FutureExt as _};
use tokio::{
    sync::{Semaphore, oneshot},
    task::spawn_blocking,
    time::timeout,
};
use uuid::Uuid;

mod classify;
mod connect;
mod insert;
mod page;
mod reader;
mod table;
#[cfg(test)]
mod tests;
mod view;
mod writer;

pub use self::view::SqliteView;
use self::{
    connect::Database,
    reader::Reader,
    writer::{Job, Message, Writer},
};
use super::{Batch, Limits, Migration, Page, PageQuery, STORE_TIMEOUT, Storage, StoreError, Stored, StoredEvent};

/// Calls that may wait for the thread. The flushers have far fewer; a call beyond that is repeated.
const QUEUE_CALLS: usize = 1024;

/// The store in a file of its own. Dropping it waits for the calls in its queue and closes the
/// database, which leaves everything in the one file.
#[derive(Debug)]
pub struct Sqlite {
    /// Taken by `drop`: the thread ends when it is gone.
    queue: Option<flume::Sender<Message>>,
    thread: Option<JoinHandle<()>>,
    reader: Arc<Reader>,
    page_reader: Arc<Reader>,
    /// Held by whoever reads a page, so that those who wait keep no thread.
    page_turn: Arc<Semaphore>,
}

impl Sqlite {
    /// Opens or creates the database at `path` and starts its thread. The table is made by
    /// [`Storage::migrate`].
    ///
    /// # Errors
    /// [`StoreError::Misconfigured`] where the file cannot be created, is no database or cannot be
    /// written; [`StoreError::Transient`] where another process holds it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        connect::create(path)?;
        let writer = Writer::open(path)?;
        let (reader, page_reader) = (Arc::new(Reader::open(path)?), Arc::new(Reader::open(path)?));
        let (queue, messages) = flume::bounded(QUEUE_CALLS);
        let thread = std::thread::Builder::new().name("sqlite".into()).spawn(move || writer.run(&messages));
        let thread = thread.map_err(|error| StoreError::Transient {
            code: "SQLITE_THREAD".into(),
            message: format!("the thread that writes cannot be started: {error}; allow the service more threads"),
        })?;
        let page_turn = Arc::new(Semaphore::new(1));
        Ok(Self { queue: Some(queue), thread: Some(thread), reader, page_reader, page_turn })
    }

    /// Whether the database at `path`, which must be there, has the table, which is checked. Beside a service
    /// or without one, nothing is made or changed.
    ///
    /// # Errors
    /// [`StoreError`] where the file is no database or cannot be written, or rows do not fit its table.
    pub fn has_table(path: &Path) -> Result<bool, StoreError> {
        table::is_there(Database::to_look(path)?.in_place()?, path)
    }

    fn send(&self, message: Message) -> Result<(), StoreError> {
        let queue = self.queue.as_ref().expect("only drop takes it");
        queue.try_send(message).map_err(|_| StoreError::Transient {
            code: "SQLITE_QUEUE".into(),
            message: format!("{QUEUE_CALLS} calls wait for it already; look at its disk"),
        })
    }
}

impl Storage for Sqlite {
    /// # Cancel safety
    /// Once polled, the rows are stored whether or not the future is awaited to its end.
    fn store<'a>(&'a self, batch: &'a Arc<Batch>, rows: Range<usize>) -> BoxFuture<'a, Result<Stored, StoreError>> {
        async move {
            let (reply, answer) = oneshot::channel();
            self.send(Message::Store(Job { batch: Arc::clone(batch), rows, reply }))?;
            answer.await.map_err(|_| lost())?
        }
        .boxed()
    }

    fn fetch(&self, id: Uuid) -> BoxFuture<'_, Result<Option<StoredEvent>, StoreError>> {
        let reader = Arc::clone(&self.reader);
        in_time(async move { spawn_blocking(move || reader.fetch(id)).await.map_err(|_| lost())? }).boxed()
    }

    fn page(&self, query: PageQuery) -> BoxFuture<'_, Result<Page, StoreError>> {
        let (reader, turn) = (Arc::clone(&self.page_reader), Arc::clone(&self.page_turn));
        in_time(async move {
            let turn = turn.acquire_owned().await.map_err(|_| lost())?;
            let reading = spawn_blocking(move || {
                // Not given back before the thread is, even where the caller has given up.
                let _turn = turn;
                page::read(&reader, query)
            });
            reading.await.map_err(|_| lost())?
        })
        .boxed()
    }

    fn health(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        let reader = Arc::clone(&self.reader);
        in_time(async move {
            let (reply, answer) = oneshot::channel();
            self.send(Message::Ping(reply))?;
            answer.await.map_err(|_| lost())?;
            spawn_blocking(move || reader.health()).await.map_err(|_| lost())?
        })
        .boxed()
    }

    fn migrate(&self) -> BoxFuture<'_, Result<Migration, StoreError>> {
        async move {
            let (reply, answer) = oneshot::channel();
            self.send(Message::Migrate(reply))?;
            answer.await.map_err(|_| lost())?
        }
        .boxed()
    }

    fn limits(&self) -> Limits {
        // Two, so that a job waits while another is committed.
        Limits { rows_max: 20_000, bytes_max: 16 << 20, in_flight: 2 }
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        // The readers first: whoever closes last moves the log into the database, and may write.
        self.reader.close();
        self.page_reader.close();
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // A panic in it has ended the process.
            drop(thread.join());
        }
    }
}

/// A question that is given up after [`STORE_TIMEOUT`]. Storing is not: while the disk hangs there
/// is nothing better to do than to wait for it.
async fn in_time<T>(question: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    timeout(STORE_TIMEOUT, question).await.unwrap_or_else(|_| {
        let message = format!("no answer within {} s; look at its disk", STORE_TIMEOUT.as_secs());
        Err(StoreError::Transient { code: "SQLITE_TIMEOUT".into(), message })
    })
}

/// The thread or task that should have answered is gone.
fn lost() -> StoreError {
    StoreError::Ambiguous { code: "SQLITE_CLOSED".into(), message: "the database was closed meanwhile".into() }
}
