//! What the service counts, for whom, and the law the counts obey.
//!
//! Each shard counts for itself, in cache-padded atomics that are added to once a batch; each
//! ingest thread likewise. A reader merges them. In every [`Snapshot`]:
//!
//! **received + recovered = processed + failed + current queue depth**
//!
//! It holds because the depth is derived from one tally in which what leaves is read before
//! what came (`src/sync/tally.rs`). Percentiles come from HDR histograms with two
//! significant digits, behind a lock that a writer takes once a batch or request.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

mod histogram;
mod ingest;
mod journal;
mod shard;
mod snapshot;

pub use histogram::{Distribution, Percentiles};
#[doc(hidden)]
pub use ingest::IngestMetrics;
#[doc(hidden)]
pub use journal::JournalMetrics;
pub use journal::{JournalCounts, JournalFigures};
#[doc(hidden)]
pub use shard::ShardMetrics;
#[doc(hidden)]
pub use snapshot::Elsewhere;
pub use snapshot::{DeadLettersSnapshot, JournalSnapshot, ShardSnapshot, Snapshot, StoreSnapshot};

use crate::sync::Padded;

/// Over how long `events_per_second` is taken.
const RATE_WINDOW: Duration = Duration::from_secs(10);

/// What was seen of times and sizes since the start, for those who want more than percentiles.
#[derive(Clone, Debug)]
pub struct Distributions {
    /// From a request's receipt to its answer, in µs.
    pub acknowledgement: Distribution,
    /// From an event's receipt to its being stored, in µs.
    pub storing: Distribution,
    /// A sync of the journal, in µs.
    pub sync: Distribution,
    /// Events of a commit.
    pub commit_events: Distribution,
}

/// All counters of one pipeline.
#[doc(hidden)]
#[derive(Debug)]
pub struct Metrics {
    started: Instant,
    shards: Box<[Padded<ShardMetrics>]>,
    ingest: Mutex<Vec<Arc<Padded<IngestMetrics>>>>,
    workers: AtomicUsize,
    /// Of the journal.
    pub journal: Arc<JournalMetrics>,
    journaled: AtomicU64,
    /// Samples of how many events were stored, and journaled, by then.
    rate: Mutex<VecDeque<(Instant, u64, u64)>>,
}

impl Metrics {
    /// Counters for `shards` shards, all zero; the uptime begins now.
    pub fn new(shards: usize) -> Self {
        let started = Instant::now();
        Self {
            started,
            shards: (0..shards).map(|_| Padded::new(ShardMetrics::default())).collect(),
            ingest: Mutex::default(),
            workers: AtomicUsize::new(0),
            journal: Arc::default(),
            journaled: AtomicU64::new(0),
            rate: Mutex::new(VecDeque::from([(started, 0, 0)])),
        }
    }

    /// The counters of one shard.
    ///
    /// # Panics
    /// Where there is no such shard.
    pub fn shard(&self, index: usize) -> &ShardMetrics {
        &self.shards[index]
    }

    /// Counters for one more ingest thread.
    pub fn add_ingest(&self) -> Arc<Padded<IngestMetrics>> {
        let metrics = Arc::new(Padded::new(IngestMetrics::default()));
        lock(&self.ingest).push(Arc::clone(&metrics));
        metrics
    }

    /// A shard worker began to run.
    pub fn worker_started(&self) {
        // Ordering: a gauge; nothing is read on the strength of it.
        self.workers.fetch_add(1, Ordering::Relaxed);
    }

    /// A shard worker ended.
    pub fn worker_stopped(&self) {
        // Ordering: a gauge; nothing is read on the strength of it.
        self.workers.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many shard workers run.
    pub fn workers(&self) -> usize {
        // Ordering: a gauge; nothing is read on the strength of it.
        self.workers.load(Ordering::Relaxed)
    }

    /// Notes how much is stored by now; to be called about once a second.
    pub fn sample_rate(&self) {
        let (now, processed, journaled) = (Instant::now(), self.processed(), self.journaled());
        let mut rate = lock(&self.rate);
        rate.push_back((now, processed, journaled));
        // One sample older than the window stays: the rate is taken over the whole window.
        while rate.get(1).is_some_and(|(at, ..)| now.duration_since(*at) >= RATE_WINDOW) {
            rate.pop_front();
        }
    }

    /// Events stored per second, over the last ten seconds (or since the start, if that is less).
    pub fn stored_per_second(&self) -> f64 {
        let processed = self.processed();
        let Some((at, before, _)) = lock(&self.rate).front().copied() else { return 0.0 };
        per_second(processed.saturating_sub(before), at)
    }

    /// The journal has taken so many more events.
    pub fn add_journaled(&self, events: u64) {
        // Ordering: a figure; nothing is read on the strength of it.
        self.journaled.fetch_add(events, Ordering::Relaxed);
    }

    /// Events that the journal took per second, over the same time.
    pub fn journaled_per_second(&self) -> f64 {
        let journaled = self.journaled();
        let Some((at, _, before)) = lock(&self.rate).front().copied() else { return 0.0 };
        per_second(journaled.saturating_sub(before), at)
    }

    /// Events that the journal has taken since the start.
    pub fn journaled(&self) -> u64 {
        // Ordering: a figure; nothing is read on the strength of it.
        self.journaled.load(Ordering::Relaxed)
    }

    /// When the oldest event was received that is not settled, µs since the epoch.
    pub fn oldest_us(&self) -> Option<i64> {
        self.shards.iter().filter_map(|shard| shard.oldest_us()).min()
    }

    /// Events accepted, and neither stored nor failed.
    pub fn depth(&self) -> u64 {
        self.shards.iter().map(|shard| shard.tally.snapshot().depth()).sum()
    }

    fn processed(&self) -> u64 {
        self.shards.iter().map(|shard| shard.tally.snapshot().processed).sum()
    }

    /// All distributions, merged.
    pub fn distributions(&self) -> Distributions {
        let [sync, commit_events] = self.journal.distributions();
        Distributions {
            acknowledgement: Distribution::merge(lock(&self.ingest).iter().map(|thread| &thread.acknowledgement)),
            storing: Distribution::merge(self.shards.iter().map(|shard| &shard.storing)),
            sync,
            commit_events,
        }
    }

    /// Everything, merged. `queue_bytes` says how many bytes of records a shard holds: only its
    /// owner knows.
    pub fn snapshot(&self, queue_bytes: &dyn Fn(usize) -> u64, elsewhere: Elsewhere) -> Snapshot {
        Snapshot::merge(self, &lock(&self.ingest), queue_bytes, elsewhere)
    }
}

fn per_second(events: u64, since: Instant) -> f64 {
    // A young service is not extrapolated from its first milliseconds.
    events as f64 / since.elapsed().as_secs_f64().max(1.0)
}

/// A lock that is taken also after a panic elsewhere: what it guards here are plain counts.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
