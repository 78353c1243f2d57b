//! A shard: its credits, its bounded queue, and the worker thread that brings the queue to the journal.
//!
//! Shards share nothing but the sync of the disk: a full one sheds its own load and leaves the others
//! alone. The worker is the queue's only receiver and blocks on it; it is never awaited. If it panics,
//! the process aborts: a dead shard that swallows its part of the traffic would be worse. The same where
//! the journal fails: whoever waits is told nothing, for nobody knows what is on the disk.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, Thread},
};

use super::{
    backlog::{Backlog, Chunk, Waiting},
    recent::Recent,
    tail::Tails,
};
use crate::{
    abort::AbortOnPanic,
    event::Micros,
    journal::{Journal, Pending},
    metrics::Metrics,
    planted::{Bug, is_planted},
    sync::{Amount, Credits, Padded},
    unhurried::wake_without_preempting,
};

/// Most chunks that are committed together.
const COMMIT_CHUNKS: usize = 1024;
/// With fewer bytes a worker waits for other shards that are about to commit: a sync costs more than all
/// that is before it then.
const WAITS_BELOW_BYTES: usize = 64 << 10;
/// A commit's buffer that has become larger than this is given up.
const KEPT_BYTES_MAX: usize = 4 << 20;
/// Most chunks that wait to be used again: some more than are on their way at a time.
const SPARE_CHUNKS_MAX: usize = 16;

/// What travels through a shard's queue.
#[derive(Debug)]
pub(super) enum Message {
    /// Accepted events.
    Chunk(Chunk),
    /// The last message: nothing was let in after it.
    Close,
}

/// What the ingest side holds of a shard.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) credits: Credits,
    queue: flume::Sender<Message>,
    /// The worker's thread, once it runs.
    worker: OnceLock<Thread>,
    /// How often the worker has looked at its queue: by this it is seen to live.
    rounds: Padded<AtomicU64>,
    /// Empty chunks on their way back, so that their buffers are allocated once.
    spare: (flume::Sender<Chunk>, flume::Receiver<Chunk>),
}

impl Shard {
    /// A shard with its queue, and the end of the queue for its worker.
    pub(super) fn new(bound: Amount) -> (Self, flume::Receiver<Message>) {
        // Every chunk holds at least one event's credit, so a queue as long as there are
        // credits, and one longer for `Close`, is never full.
        let (queue, receiver) = flume::bounded(bound.events as usize + 1);
        (
            Self {
                credits: Credits::new(bound),
                queue,
                worker: OnceLock::new(),
                rounds: Padded::new(AtomicU64::new(0)),
                spare: flume::bounded(SPARE_CHUNKS_MAX),
            },
            receiver,
        )
    }

    /// An empty chunk, one that was used before where there is one.
    pub(super) fn empty_chunk(&self) -> Chunk {
        self.spare.1.try_recv().unwrap_or_default()
    }

    /// Takes back a chunk whose events are on their way.
    fn give_back(&self, mut chunk: Chunk) {
        if chunk.clear() {
            // Where there are enough it is freed.
            let _ = self.spare.0.try_send(chunk);
        }
    }

    /// Puts a message into the queue; the caller holds the credits of its events, and calls
    /// [`Shard::wake`] next.
    pub(super) fn send(&self, message: Message) {
        if self.queue.try_send(message).is_err() {
            // Neither full (see `new`) nor without its worker (see `AbortOnPanic`): a bug, and
            // going on would lose what was acknowledged.
            tracing::error!("a shard's queue refused a message although its credits were held");
            std::process::abort();
        }
    }

    /// How often the worker has looked at its queue; it looks, too, when it is woken.
    pub(super) fn rounds(&self) -> u64 {
        // Ordering: a sign of life; nothing is read on the strength of it.
        self.rounds.load(Ordering::Relaxed)
    }

    /// Whether the worker has something to look at.
    fn has_messages(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Has the worker look at what was sent.
    pub(super) fn wake(&self) {
        // One that has not begun looks before it sleeps.
        if let Some(worker) = self.worker.get() {
            worker.unpark();
        }
    }
}

/// What a worker works with.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) index: usize,
    pub(super) queue: flume::Receiver<Message>,
    /// All shards; its own is the one at `index`.
    pub(super) shards: Arc<[Arc<Shard>]>,
    pub(super) journal: Journal,
    pub(super) backlog: Arc<Backlog>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) tails: Arc<Tails>,
}

impl Worker {
    /// Starts the worker's thread: queue ▸ journal commit ▸ acknowledge.
    ///
    /// # Errors
    /// Where the system starts no thread.
    pub(super) fn start(self) -> std::io::Result<thread::JoinHandle<()>> {
        // Counted here, so that a pipeline that was just started has all of its workers.
        self.metrics.worker_started();
        thread::Builder::new().name(format!("shard-{}", self.index)).spawn(move || {
            let _guard = AbortOnPanic("shard worker");
            // Nobody else sets it.
            let _ = self.shard().worker.set(thread::current());
            wake_without_preempting();
            self.work();
            self.metrics.worker_stopped();
        })
    }

    /// Blocks for one message, takes what else is there, commits it all at once, and then tells whoever
    /// waits.
    fn work(&self) {
        let mut chunks = Vec::with_capacity(COMMIT_CHUNKS);
        let mut waiting = Vec::new();
        let (mut pending, mut recent) = (Pending::default(), Recent::default());
        let mut is_open = true;
        while is_open {
            is_open = self.gather(&mut chunks, &mut pending);
            if pending.events() > 0 {
                assert!(!is_planted(Bug::PanicInShard) || self.metrics.journaled() < 1000, "a planted panic");
                let waits = pending.bytes() < WAITS_BELOW_BYTES;
                let is_coming =
                    |member: usize| waits && self.shards.get(member).is_some_and(|shard| shard.has_messages());
                let Ok(first) = self.journal.commit(self.index, &mut pending, is_coming) else {
                    // It is not known what is on the disk. The connections break, clients ask again.
                    tracing::error!("the journal failed; the process ends, and a restart recovers what is there");
                    std::process::abort();
                };
                self.shard().credits.give_back(Amount { events: pending.events(), bytes: pending.bytes() as u64 });
                let mut next = first;
                for mut chunk in chunks.drain(..) {
                    acknowledge(next, &mut chunk, &mut recent, &mut waiting);
                    next += chunk.events as u64;
                    self.shard().give_back(chunk);
                }
                self.backlog.release(next, waiting.drain(..));
                self.tails.show(self.index, pending.records(), pending.events());
                self.metrics.shard(self.index).journaled(Micros::now().0);
                self.metrics.add_journaled(pending.events().into());
            }
            pending.clear(KEPT_BYTES_MAX);
        }
        // Whoever saw the last message in the queue, and waits for a commit of ours, shall not any longer.
        self.journal.look_again();
        self.backlog.close();
    }

    fn shard(&self) -> &Shard {
        &self.shards[self.index]
    }

    /// The next message; `None` where nobody is left to send any.
    fn receive(&self) -> Option<Message> {
        loop {
            // Ordering: as in `rounds`; this thread alone writes it.
            self.shard().rounds.store(self.shard().rounds() + 1, Ordering::Relaxed);
            match self.queue.try_recv() {
                Ok(message) => return Some(message),
                Err(flume::TryRecvError::Disconnected) => return None,
                // flume's own wait allocates each time. A message that comes between the look and this
                // leaves the token, with which it returns at once.
                Err(flume::TryRecvError::Empty) => {
                    thread::park();
                    // Whoever has more for this commit, or is to commit with us, may run first.
                    thread::yield_now();
                }
            }
        }
    }

    /// Fills `chunks` and `pending`; false after the last message.
    fn gather(&self, chunks: &mut Vec<Chunk>, pending: &mut Pending) -> bool {
        let Some(first) = self.receive() else { return false };
        for message in std::iter::once(first).chain(self.queue.try_iter()) {
            match message {
                Message::Chunk(chunk) => {
                    pending.push(&chunk.records, chunk.events, chunk.promised);
                    chunks.push(chunk);
                }
                Message::Close => return false,
            }
            if chunks.len() >= COMMIT_CHUNKS || pending.bytes() >= self.journal.run_bytes() {
                break;
            }
        }
        true
    }
}

/// The events of `chunk` are synced, the first as record number `first`: who waits for the journal is
/// told, and who waits for the store is added to `waiting`.
fn acknowledge(first: u64, chunk: &mut Chunk, recent: &mut Recent, waiting: &mut Vec<Waiting>) {
    for chosen in &chunk.chosen {
        let is_repeated = recent.note(chosen.id);
        if let (true, Some(waiter)) = (is_repeated, chosen.waiter) {
            chunk.waiters[waiter as usize].ticket.note(|outcome| outcome.repeated.push(chosen.index as usize));
        }
    }
    for waiter in chunk.waiters.drain(..) {
        if !waiter.indexes.is_empty() {
            let ticket = Arc::downgrade(&waiter.ticket);
            waiting.push(Waiting { first: first + waiter.first as u64, indexes: waiter.indexes, ticket });
        }
        waiter.ticket.journaled();
    }
}
