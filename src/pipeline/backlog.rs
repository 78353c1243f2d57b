//! Between worker and flusher: what is accepted and not yet handed to the store.
//!
//! **This is the seam where the journal goes.** The worker appends whole chunks of records and
//! never waits; the flusher takes them in the same order. Today the chunks stay in memory,
//! bounded by the shard's credits; a journal writes them to disk in `append` and reads them
//! back in `take`, and nothing else changes.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::ack::Ticket;

/// The events of one ingest thread and event-loop tick for one shard, as records one after
/// another.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    /// What `event::encode` wrote.
    pub(super) records: Vec<u8>,
    /// How many records.
    pub(super) events: usize,
    /// Requests that wait for these events, in the records' order.
    pub(super) waiters: Vec<Waiter>,
}

/// A request that waits for some of a chunk's events.
#[derive(Debug)]
pub(super) struct Waiter {
    /// The first of its events in the chunk, counted from 0.
    pub(super) first: usize,
    /// For each of its events here, which one of the request it is.
    pub(super) indexes: Vec<u32>,
    /// Whom to tell.
    pub(super) ticket: Arc<Ticket>,
}

/// One shard's backlog: its worker appends, its flusher takes.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    chunks: VecDeque<Chunk>,
    closed: bool,
}

/// What [`Backlog::take`] found.
#[derive(Debug)]
pub(super) enum Next {
    /// The oldest chunk.
    Chunk(Chunk),
    /// Nothing now.
    Empty,
    /// Nothing now or ever.
    Closed,
}

impl Backlog {
    /// Adds chunks at the end, and wakes the flusher.
    pub(super) fn append(&self, chunks: impl Iterator<Item = Chunk>) {
        self.lock().chunks.extend(chunks);
        self.changed.notify_one();
    }

    /// Nothing will be appended any more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    /// Takes the oldest chunk.
    pub(super) fn take(&self) -> Next {
        let mut state = self.lock();
        match state.chunks.pop_front() {
            Some(chunk) => Next::Chunk(chunk),
            None if state.closed => Next::Closed,
            None => Next::Empty,
        }
    }

    /// Waits until the backlog was appended to or closed since the last wait.
    ///
    /// # Cancel safety
    /// A change is kept for the next wait.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
