//! The way of an event from admission to the store, behind one façade: [`Pipeline`].
//!
//! ```text
//! Intake (one a thread) ▸ credits ▸ shard's queue ▸ worker thread ▸ journal ▸ flusher ▸ Storage
//! ```
//!
//! What holds:
//! - A request's events are admitted together or not at all, and a refusal is given before
//!   anything is queued, never after.
//! - What was journaled is stored or dead-lettered, in this run or a later one; nothing is dropped but what
//!   a processor of the user's own filters out.
//! - A shard holds at most its credits' worth of events and bytes in memory, from admission until the
//!   journal has them; behind that memory does not depend on how much there is.
//! - Events of one user keep their order up to the hand-over to the store.
//!
//! n shard threads (`shard-0`…) and a small tokio runtime of its own (`store`) for flushers and
//! store; nothing here runs on the caller's threads but [`Intake`].

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU16, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::{runtime::Runtime, task::JoinHandle};
mod ack;
mod admit;
mod backlog;
mod builder;
mod flight;
mod flusher;
mod identity;
mod ids;
mod level;
mod page;
mod problems;
mod processor;
mod query;
mod recent;
mod retry;
mod room;
mod shard;
mod slots;
mod stamps;
mod store_state;
mod storing;
mod tail;
mod upkeep;

#[cfg(test)]
mod tests;

pub use ack::{Ack, DeadEvent, Outcome, Reached};
pub use admit::{Intake, Refused, Request, Taken};
pub(crate) use builder::JOURNAL_DIR;
pub use builder::{Builder, StartError};
pub use flight::add_row;
pub use flusher::BatchOptions;
pub use identity::Identity;
pub use level::{AckLevel, NoSuchLevel};
pub use processor::{Fields, ProcessingError, Processor, StandardProcessor, Verdict};
pub use query::{Found, JournaledEvent};
pub use store_state::{StoreFailure, StoreHealth};
pub(crate) use storing::split;
pub use tail::{Seen, Tail, TailFilter};

use self::{
    shard::{Message, Shard},
    storing::StoreAccess,
    tail::Tails,
};
use crate::{
    event::{Micros, Validator},
    journal::{self, Journal},
    metrics::{DeadLettersSnapshot, Distributions, Elsewhere, JournalSnapshot, Metrics, Snapshot},
    storage::Storage,
    sync::{Amount, Gate},
};

/// How a pipeline behaves. [`Default`] is what the service uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How many shards; 0 is one for each core.
    pub shards: usize,
    /// The level for requests that name none, as long as the HTTP side is not told otherwise.
    pub ack: AckLevel,
    /// Longest wait for `stored`, likewise.
    pub ack_timeout: Duration,
    /// When a batch leaves.
    pub batch: BatchOptions,
    /// How much one shard holds in memory, from admission until the journal has it.
    pub queue: Amount,
    /// How the journal behaves.
    pub journal: journal::Options,
}

impl Options {
    /// How many shards that makes on this machine.
    pub(crate) fn shard_count(&self) -> usize {
        match self.shards {
            0 => thread::available_parallelism().map_or(1, usize::from),
            shards => shards,
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            shards: 0,
            ack: AckLevel::Durable,
            ack_timeout: Duration::from_secs(10),
            batch: BatchOptions { max_events: 1000, max_bytes: 1 << 20, linger: Duration::from_millis(2) },
            queue: Amount { events: 100_000, bytes: 64 << 20 },
            journal: journal::Options::default(),
        }
    }
}

/// How often a drain looks whether it is done.
const DRAIN_LOOK: Duration = Duration::from_millis(1);
/// How often it is looked whether workers have answered.
const WORKERS_LOOK: Duration = Duration::from_millis(5);

/// A store that has been down for so long is away; what passes sooner is waited for.
const AWAY_AFTER: Duration = Duration::from_secs(2);
/// How long the last watermarks may take when the grace is over.
const KEEPER_GRACE: Duration = Duration::from_secs(1);

/// A running pipeline. Clones share it.
///
/// [`Pipeline::builder`] begins one, [`Pipeline::intake`] is the way in, and [`Pipeline::drain`] the way out: it
/// is to be called before the last clone goes. Without it, threads stay behind, and what was accepted waits
/// for the next start.
///
/// ```
/// use std::{sync::Arc, time::Duration};
///
/// use event_pipeline::{pipeline::Pipeline, storage::Discard};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// let pipeline = Pipeline::builder(Arc::new(Discard::default()), dir.path()).start()?;
/// let seen = pipeline.metrics();
/// assert_eq!(
///     seen.events_received + seen.events_recovered,
///     seen.events_processed + seen.events_failed + seen.current_queue_depth
/// );
/// let drained = pipeline.drain(Duration::from_secs(10));
/// assert!(drained.journaled);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Pipeline {
    inner: Arc<Inner>,
    running: Arc<Mutex<Option<Running>>>,
}

/// What all threads of a pipeline share.
struct Inner {
    options: Options,
    identity: Identity,
    /// Tells this run's receipts from those of others on the same node.
    run: u32,
    intakes: AtomicU16,
    gate: Gate,
    shards: Arc<[Arc<Shard>]>,
    journal: Journal,
    tails: Arc<Tails>,
    #[cfg(test)]
    backlogs: Vec<Arc<backlog::Backlog>>,
    validator: Arc<dyn Validator>,
    metrics: Arc<Metrics>,
    store: Arc<StoreAccess>,
    handle: tokio::runtime::Handle,
}

/// What ends with the pipeline.
struct Running {
    runtime: Runtime,
    workers: Vec<thread::JoinHandle<()>>,
    flushers: Vec<JoinHandle<()>>,
    keeper: thread::JoinHandle<()>,
}

/// The journal's state as `/health` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalHealth {
    /// Whether it has room.
    pub accepting: bool,
    /// How long the oldest event has waited that is not stored.
    pub oldest_unstored: Duration,
    /// How many places were found damaged since the start.
    pub damaged: u64,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Accepted events that are neither stored nor failed: the journal has them for the next start.
    pub unstored: u64,
    /// Whether the journal has all of them.
    pub journaled: bool,
}

impl Pipeline {
    /// Begins a pipeline into `storage`, with the defaults of [`Options`]. Its journal and its dead
    /// letters lie in `dir`, which no other process may use at the same time.
    pub fn builder(storage: Arc<dyn Storage>, dir: impl Into<PathBuf>) -> Builder {
        Builder::new(storage, dir.into())
    }

    /// A way in, for one thread.
    pub fn intake(&self) -> Intake {
        // Ordering: the numbers only have to differ.
        let number = self.inner.intakes.fetch_add(1, Ordering::Relaxed);
        Intake::new(Arc::clone(&self.inner), number)
    }

    /// All counters at this moment.
    pub fn metrics(&self) -> Snapshot {
        let queue_bytes = |shard: usize| self.inner.shards[shard].credits.in_use().bytes;
        let elsewhere = Elsewhere {
            store: self.inner.store.state.snapshot(),
            journal: self.inner.journal_snapshot(),
            dead_letters: self.inner.dead_letters_snapshot(),
        };
        self.inner.metrics.snapshot(&queue_bytes, elsewhere)
    }

    /// What was seen of times and sizes since the start.
    pub fn distributions(&self) -> Distributions {
        self.inner.metrics.distributions()
    }

    /// How this pipeline behaves; the number of shards is never 0.
    pub fn options(&self) -> &Options {
        &self.inner.options
    }

    /// Whether the journal has room, how long the oldest event has waited for the store, and how many
    /// places of the journal were found damaged.
    pub fn journal_health(&self) -> JournalHealth {
        let journal = self.inner.journal_snapshot();
        JournalHealth {
            accepting: self.inner.journal.can_accept(),
            oldest_unstored: Duration::from_secs_f64(journal.oldest_unstored_seconds),
            damaged: journal.counts.damaged_extents,
        }
    }

    /// The state of the store, as last seen.
    pub fn store_health(&self) -> StoreHealth {
        self.inner.store.state.health()
    }

    /// How many shard workers run, and of how many.
    pub fn workers(&self) -> (usize, usize) {
        (self.inner.metrics.workers(), self.inner.shards.len())
    }

    /// Behaves differently from now on: batches that are not on their way yet leave by `batch`, and the
    /// journal keeps what `keeping` says.
    pub fn change(&self, batch: BatchOptions, keeping: journal::Keeping) {
        self.inner.store.batch.store(Arc::new(batch));
        self.inner.journal.change(keeping);
    }

    /// Whether each shard's worker goes through its loop within `patience`; one that waits for a disk which
    /// hangs does not. Blocks the calling thread.
    pub fn workers_answer(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let rounds: Vec<u64> = self.inner.shards.iter().map(|shard| shard.rounds()).collect();
        self.inner.shards.iter().for_each(|shard| shard.wake());
        let are_all_round = || self.inner.shards.iter().zip(&rounds).all(|(shard, before)| shard.rounds() != *before);
        while !are_all_round() {
            if Instant::now() >= deadline {
                return false;
            }
            thread::sleep(WORKERS_LOOK);
        }
        true
    }

    /// Whether a request could be accepted now: not draining, and the journal and some shard have room.
    pub fn can_accept(&self) -> bool {
        let has_room = |shard: &Arc<Shard>| {
            let (used, bound) = (shard.credits.in_use(), shard.credits.bound());
            used.events < bound.events && used.bytes < bound.bytes
        };
        !self.inner.gate.is_closed() && self.inner.journal.can_accept() && self.inner.shards.iter().any(has_room)
    }

    /// Whether [`Pipeline::drain`] was called.
    pub fn is_draining(&self) -> bool {
        self.inner.gate.is_closed()
    }

    /// When a refused client should come back, in seconds: the depth over the rate at which it
    /// falls, from 1 to 30.
    pub fn retry_after_s(&self) -> u64 {
        self.inner.retry_after_s()
    }

    /// Takes no more events, stores what was accepted, and stops; at most for `grace`, and where the
    /// store is away only until the journal has everything. A second call waits for nothing.
    ///
    /// Blocks the calling thread: not for an async task.
    pub fn drain(&self, grace: Duration) -> Drained {
        let deadline = Instant::now() + grace;
        if self.inner.gate.close() {
            self.inner.seal();
        }
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut journaled = true;
        if let Some(Running { runtime, workers, flushers, keeper }) = running {
            let is_over = || Instant::now() >= deadline;
            while !workers.iter().all(thread::JoinHandle::is_finished) && !is_over() {
                thread::sleep(DRAIN_LOOK);
            }
            journaled = workers.iter().all(thread::JoinHandle::is_finished);
            // With the store away there is nothing to wait for: the journal has the rest.
            let is_away = || {
                let health = self.inner.store.state.health();
                health.state == "down" && health.since >= AWAY_AFTER
            };
            while !flushers.iter().all(JoinHandle::is_finished) && !is_over() && !is_away() {
                thread::sleep(DRAIN_LOOK);
            }
            runtime.shutdown_timeout(Duration::from_millis(200));
            self.inner.journal.close();
            let closed_at = Instant::now();
            // Where the disk hangs, the keeper does, too.
            let is_late = || is_over() && closed_at.elapsed() > KEEPER_GRACE;
            while !keeper.is_finished() && !is_late() {
                thread::sleep(DRAIN_LOOK);
            }
        }
        Drained { unstored: self.metrics().current_queue_depth, journaled }
    }
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipeline").field("options", &self.inner.options).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Inner {
    /// Ends the shards' queues. Called once, by whoever was last inside the closed gate.
    fn seal(&self) {
        for shard in self.shards.iter() {
            shard.send(Message::Close);
            shard.wake();
        }
    }

    /// When a client should come back that the journal had no room for: the backlog over the rate at
    /// which it is stored.
    fn retry_after_s(&self) -> u64 {
        seconds_for(self.metrics.depth(), self.metrics.stored_per_second())
    }

    /// When a client should come back that a shard's queue had no room for: what waits for the journal
    /// over the rate at which it goes there.
    fn queue_retry_after_s(&self) -> u64 {
        let queued = self.shards.iter().map(|shard| u64::from(shard.credits.in_use().events)).sum();
        seconds_for(queued, self.metrics.journaled_per_second())
    }

    fn dead_letters_snapshot(&self) -> Vec<DeadLettersSnapshot> {
        let open = self.store.dead_letters.counts().open.into_iter();
        open.map(|open| DeadLettersSnapshot { reason: open.reason.as_str(), code: open.code, letters: open.letters })
            .collect()
    }

    fn journal_snapshot(&self) -> JournalSnapshot {
        let age_us = self.metrics.oldest_us().map_or(0, |oldest| (Micros::now().0 - oldest).max(0));
        JournalSnapshot {
            figures: self.journal.figures(),
            oldest_unstored_seconds: (age_us / 1000) as f64 / 1000.0,
            counts: self.metrics.journal.counts(),
        }
    }
}

/// How long `events` take at `rate` events a second, in whole seconds from 1 to 30.
fn seconds_for(events: u64, rate: f64) -> u64 {
    if events == 0 {
        return 1;
    }
    if rate <= 0.0 { 30 } else { ((events as f64 / rate).ceil() as u64).clamp(1, 30) }
}
