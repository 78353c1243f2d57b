//! Between a shard's worker and its flusher: what is in the journal and not stored yet, and who waits
//! for it to be stored.
//!
//! The events themselves are in the journal, whatever their number; here is only how far the flusher
//! may read, and the requests that wait, of which there are no more than connections. A request that
//! has gone away is forgotten.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::Notify;
use uuid::Uuid;

use super::ack::Ticket;
use crate::sync::Watermark;

/// Fewer waiting requests than this are never looked through for those that have gone away.
const WAITING_MIN: usize = 1024;

/// At so many bytes a chunk is full.
pub(super) const CHUNK_BYTES: usize = 200 << 10;
/// A chunk whose buffer has become larger than this is not used again.
const KEPT_BYTES_MAX: usize = 256 << 10;

/// The events of one ingest thread and event-loop tick for one shard, as records one after
/// another.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    /// What `event::encode` wrote.
    pub(super) records: Vec<u8>,
    /// How many records.
    pub(super) events: usize,
    /// Room that was taken in the journal for them.
    pub(super) promised: u64,
    /// Requests that wait for these events, in the records' order.
    pub(super) waiters: Vec<Waiter>,
    /// The events whose ids the clients chose, in the records' order.
    pub(super) chosen: Vec<Chosen>,
}

impl Chunk {
    /// Empties it for other events and keeps its buffers; false where they have become very large.
    pub(super) fn clear(&mut self) -> bool {
        self.records.clear();
        self.waiters.clear();
        self.chosen.clear();
        (self.events, self.promised) = (0, 0);
        self.records.capacity() <= KEPT_BYTES_MAX
    }
}

/// A request that waits for some of a chunk's events.
#[derive(Debug)]
pub(super) struct Waiter {
    /// The first of its events in the chunk, counted from 0.
    pub(super) first: usize,
    /// For each of its events here, which one of the request it is; empty where the request waits for
    /// the journal only.
    pub(super) indexes: Vec<u32>,
    /// Whom to tell.
    pub(super) ticket: Arc<Ticket>,
}

/// An event whose id the client chose: it may have been sent before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chosen {
    pub(super) id: Uuid,
    /// Which event of its request it is.
    pub(super) index: u32,
    /// Which of the chunk's waiters its request is, if any.
    pub(super) waiter: Option<u32>,
}

/// A request that waits for journaled events to be stored.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Number of the first record.
    pub(super) first: u64,
    /// For each record from there, which event of the request it is.
    pub(super) indexes: Vec<u32>,
    /// Whom to tell, as long as it is there.
    pub(super) ticket: Weak<Ticket>,
}

impl Waiting {
    /// Number of the record after the last.
    pub(super) fn end(&self) -> u64 {
        self.first + self.indexes.len() as u64
    }
}

/// One shard's backlog: its worker appends, its flusher takes.
#[derive(Debug)]
pub(super) struct Backlog {
    /// The flusher may read up to here: everyone who waits for what is before is known.
    released: Watermark,
    waiting: Mutex<VecDeque<Waiting>>,
    /// How many waited after the last look for those that have gone away.
    waiting_then: Mutex<usize>,
    closed: AtomicBool,
    changed: Notify,
}

impl Backlog {
    /// A backlog whose records before number `recovered` are there already.
    pub(super) fn new(recovered: u64) -> Self {
        Self {
            released: Watermark::new(recovered),
            waiting: Mutex::default(),
            waiting_then: Mutex::new(0),
            closed: AtomicBool::new(false),
            changed: Notify::new(),
        }
    }

    /// The records before number `end` are synced, and these requests wait for some of them.
    pub(super) fn release(&self, end: u64, waiting: impl Iterator<Item = Waiting>) {
        let mut all = lock(&self.waiting);
        all.extend(waiting);
        let mut then = lock(&self.waiting_then);
        if all.len() >= WAITING_MIN && all.len() >= 2 * *then {
            all.retain(|waiting| waiting.ticket.strong_count() > 0);
            *then = all.len();
        }
        drop((then, all));
        self.released.advance(end);
        self.changed.notify_one();
    }

    /// Nothing will be released any more.
    pub(super) fn close(&self) {
        // Ordering: Release pairs with the Acquire in `is_closed`: who sees it sees all that was
        // released before.
        self.closed.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        // Ordering: see `close`.
        self.closed.load(Ordering::Acquire)
    }

    /// How far the flusher may read.
    pub(super) fn released(&self) -> u64 {
        self.released.get()
    }

    /// Takes the requests that wait for records before number `end`, in order.
    pub(super) fn take_waiting(&self, end: u64, into: &mut VecDeque<Waiting>) {
        let mut all = lock(&self.waiting);
        while all.front().is_some_and(|waiting| waiting.first < end) {
            into.extend(all.pop_front());
        }
    }

    /// How many requests are remembered.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        lock(&self.waiting).len()
    }

    /// Waits until something was released, or all closed, since the last wait.
    ///
    /// # Cancel safety
    /// A change is kept for the next wait.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
