//! Counters of one shard: the tally that obeys the law, and how long storing took.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::histogram::Latencies;
use crate::sync::Tally;

/// Counters of one shard. The ingest threads add to what was received, the shard's flusher to
/// all others, once a batch.
#[derive(Debug, Default)]
pub struct ShardMetrics {
    /// Received, processed, failed: the numbers of the law.
    pub tally: Tally,
    batches: AtomicU64,
    filtered: AtomicU64,
    record_bytes: AtomicU64,
    storing_us: AtomicU64,
    /// When the oldest event was received that is not settled, µs since the epoch; 0 where there is none.
    oldest_us: AtomicI64,
    pub(super) storing: Latencies,
}

/// Sums over the settled batches of a shard.
pub(super) struct Totals {
    pub(super) batches: u64,
    /// Events that the processor filtered out.
    pub(super) filtered: u64,
    pub(super) record_bytes: u64,
    /// From receipt to stored, of all events together.
    pub(super) storing_us: u64,
}

impl ShardMetrics {
    /// A batch was settled: stored, but for its dead rows and the events that the processor filtered
    /// out. `latencies_us` are the times from receipt to stored, each with how many events it is of.
    pub fn batch_settled(
        &self,
        record_bytes: u64,
        filtered: u64,
        latencies_us: impl Iterator<Item = (u64, u64)> + Clone,
    ) {
        let sum = latencies_us.clone().map(|(latency_us, events)| latency_us.saturating_mul(events)).sum();
        // Ordering: statistics; no other memory is read on the strength of them.
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.filtered.fetch_add(filtered, Ordering::Relaxed);
        self.record_bytes.fetch_add(record_bytes, Ordering::Relaxed);
        self.storing_us.fetch_add(sum, Ordering::Relaxed);
        self.storing.record(latencies_us);
    }

    /// Events that were received then, µs since the epoch, were journaled: the oldest, where there was
    /// none.
    pub fn journaled(&self, received_us: i64) {
        // Ordering: a figure; nothing is read on the strength of it.
        let _ = self.oldest_us.compare_exchange(0, received_us, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The oldest event that is not settled was received then, µs since the epoch; 0 where there is none.
    pub fn set_oldest(&self, received_us: i64) {
        // Ordering: as above.
        self.oldest_us.store(received_us, Ordering::Relaxed);
    }

    /// When the oldest event was received that is not settled, µs since the epoch.
    pub(super) fn oldest_us(&self) -> Option<i64> {
        // Ordering: as above.
        Some(self.oldest_us.load(Ordering::Relaxed)).filter(|oldest| *oldest > 0)
    }

    /// What is known of the settled batches.
    pub(super) fn totals(&self) -> Totals {
        // Ordering: as in `batch_settled`.
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Totals {
            batches: read(&self.batches),
            filtered: read(&self.filtered),
            record_bytes: read(&self.record_bytes),
            storing_us: read(&self.storing_us),
        }
    }
}
