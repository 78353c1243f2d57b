//! The thread that writes: whatever waits becomes one transaction, and every job in it keeps its
//! own fate.
//!
//! A job is stored whole or not at all, and nobody is answered before the COMMIT. After any failure
//! the whole transaction is rolled back; where a row was refused, each job then has a transaction of
//! its own, so that its neighbours are stored. Savepoints would spare them that, but cost far more:
//! under one, SQLite copies every page before it changes it. A connection whose state is not certain
//! is closed and opened anew.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    slice,
    sync::Arc,
};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{
    super::{Batch, Migration, StoreError, Stored},
    classify::{classify, classify_commit},
    connect::Database,
    insert::{self, RowsEach},
    table,
};
use crate::abort::AbortOnPanic;

/// Rows in a transaction after which no further job is taken into it.
const GROUP_ROWS: usize = 30_000;

/// What the thread is asked.
#[derive(Debug)]
pub(super) enum Message {
    /// To store rows.
    Store(Job),
    /// To create or check the table.
    Migrate(oneshot::Sender<Result<Migration, StoreError>>),
    /// To show that it runs.
    Ping(oneshot::Sender<()>),
}

/// Rows to be stored, all or none.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) batch: Arc<Batch>,
    pub(super) rows: Range<usize>,
    pub(super) reply: oneshot::Sender<Result<Stored, StoreError>>,
}

/// The one who writes to the database.
pub(super) struct Writer {
    path: PathBuf,
    /// `None` after a failure that left it in doubt.
    database: Option<Database>,
}

impl Writer {
    /// Connects to the database at `path`, which must be there.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self { path: path.to_owned(), database: Some(Database::to_write(path)?) })
    }

    /// Answers messages until all senders are gone, then closes the database.
    pub(super) fn run(mut self, queue: &flume::Receiver<Message>) {
        // Without this thread nothing is ever stored.
        let _guard = AbortOnPanic("thread that writes to SQLite");
        let mut jobs = Vec::new();
        let mut kept = None;
        while let Some(message) = kept.take().or_else(|| queue.recv().ok()) {
            match message {
                Message::Store(job) => {
                    jobs.push(job);
                    kept = gather(&mut jobs, queue);
                    self.store(&mut jobs);
                }
                Message::Migrate(reply) => drop(reply.send(self.migrate())),
                Message::Ping(reply) => drop(reply.send(())),
            }
        }
        self.close();
    }

    /// Stores and answers `jobs`, in one transaction.
    pub(super) fn store(&mut self, jobs: &mut Vec<Job>) {
        let results = self.transact(jobs);
        for (Job { batch, reply, .. }, result) in jobs.drain(..).zip(results) {
            // Who gets the answer fills the batch anew, and can do so only as its sole owner.
            drop(batch);
            // Whoever waited may have gone; its rows are stored all the same.
            drop(reply.send(result));
        }
    }

    fn transact(&mut self, jobs: &[Job]) -> Vec<Result<Stored, StoreError>> {
        match self.attempt(jobs, None) {
            Ok(stored) => stored.into_iter().map(Ok).collect(),
            // Whose row it was, and which, is certain only where each is alone.
            Err(StoreError::BadRow(_)) => jobs.iter().map(|job| self.transact_alone(job)).collect(),
            Err(error) => vec![Err(error); jobs.len()],
        }
    }

    fn transact_alone(&mut self, job: &Job) -> Result<Stored, StoreError> {
        let mut stored = self.attempt(slice::from_ref(job), Some(RowsEach::One))?;
        Ok(stored.pop().unwrap_or_default())
    }

    /// One transaction, of which nothing is left where it fails. Where `rows_each` says nothing, as
    /// many rows a statement as fit the table.
    fn attempt(&mut self, jobs: &[Job], rows_each: Option<RowsEach>) -> Result<Vec<Stored>, StoreError> {
        let attempted = self.insert_and_commit(jobs, rows_each);
        if let Err(error) = &attempted {
            self.roll_back(error);
        }
        attempted
    }

    fn insert_and_commit(&mut self, jobs: &[Job], rows_each: Option<RowsEach>) -> Result<Vec<Stored>, StoreError> {
        let (connection, path) = self.connected()?;
        connection.execute_batch("BEGIN IMMEDIATE").map_err(|error| classify(&error, path, None))?;
        let rows_each = match rows_each {
            Some(rows_each) => rows_each,
            None => insert::fit(connection, path)?,
        };
        let stored: Result<Vec<_>, _> =
            jobs.iter().map(|job| insert::insert(connection, path, &job.batch, job.rows.clone(), rows_each)).collect();
        let stored = stored?;
        // What the table checks only here (deferred foreign keys) is a bad row, too.
        connection.execute_batch("COMMIT").map_err(|error| classify_commit(&error, path))?;
        Ok(stored)
    }

    /// Brings the connection back to where no transaction is open, or parts with it.
    fn roll_back(&mut self, error: &StoreError) {
        let Some(connection) = self.database.as_ref().map(Database::connection) else { return };
        // What an operator mends, such as a file that was replaced, only a new connection sees.
        let mended_outside = matches!(error, StoreError::Misconfigured { .. });
        let certain =
            connection.is_autocommit() || (connection.execute_batch("ROLLBACK").is_ok() && connection.is_autocommit());
        if mended_outside || !certain {
            self.database = None;
        }
    }

    /// Creates or checks the table.
    pub(super) fn migrate(&mut self) -> Result<Migration, StoreError> {
        let result = self.connected().and_then(|(connection, path)| table::migrate(connection, path));
        if let Err(error) = &result {
            self.roll_back(error);
        }
        result
    }

    fn connected(&mut self) -> Result<(&mut Connection, &Path), StoreError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => Database::to_write(&self.path)?,
        };
        Ok((self.database.insert(database).in_place()?, &self.path))
    }

    /// Carries the log over into the database, so that one file has everything.
    fn close(self) {
        let Some(database) = self.database else { return };
        let checkpoint = database.connection().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        if let Err(error) = checkpoint.and_then(|()| database.close()) {
            tracing::warn!(%error, "could not close sqlite cleanly; its log is read when it is next opened");
        }
    }

    /// The connection, for tests that make it fail.
    #[cfg(test)]
    pub(super) fn connection(&self) -> Option<&Connection> {
        self.database.as_ref().map(Database::connection)
    }
}

/// Adds the jobs that wait, up to a bound. Returns the message that was none, if it met one.
fn gather(jobs: &mut Vec<Job>, queue: &flume::Receiver<Message>) -> Option<Message> {
    let mut rows: usize = jobs.iter().map(|job| job.rows.len()).sum();
    while rows < GROUP_ROWS {
        match queue.try_recv() {
            Ok(Message::Store(job)) => {
                rows += job.rows.len();
                jobs.push(job);
            }
            Ok(other) => return Some(other),
            Err(_) => return None,
        }
    }
    None
}
