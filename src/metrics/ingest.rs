//! Counters of one ingest thread: what was refused, and how long acknowledgements took.

use std::sync::atomic::{AtomicU64, Ordering};

use super::histogram::Latencies;

/// Counters that one ingest thread adds to, once a request.
#[derive(Debug, Default)]
pub struct IngestMetrics {
    rejected: AtomicU64,
    shed: AtomicU64,
    body_bytes: AtomicU64,
    pub(super) acknowledgement: Latencies,
}

impl IngestMetrics {
    /// Events that were not valid.
    pub fn add_rejected(&self, events: u64) {
        add(&self.rejected, events);
    }

    /// Events that were refused for load.
    pub fn add_shed(&self, events: u64) {
        add(&self.shed, events);
    }

    /// Bytes of a body of which events were accepted.
    pub fn add_body_bytes(&self, bytes: u64) {
        add(&self.body_bytes, bytes);
    }

    /// One request with accepted events was answered this long after its receipt.
    pub fn record_acknowledgement(&self, latency_us: u64) {
        self.acknowledgement.record([(latency_us, 1)]);
    }

    /// Rejected events, shed events, bytes.
    pub(super) fn totals(&self) -> (u64, u64, u64) {
        // Ordering: statistics of this thread alone; no other memory is read on their strength.
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (read(&self.rejected), read(&self.shed), read(&self.body_bytes))
    }
}

fn add(counter: &AtomicU64, n: u64) {
    // Ordering: a statistic; no other memory is read on the strength of it.
    counter.fetch_add(n, Ordering::Relaxed);
}
