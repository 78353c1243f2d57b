//! What came and what left: the counters of the law
//! *received + recovered = processed + failed + depth*.
//!
//! # Protocol
//! An event is counted as received before it is handed over, and as processed or failed after,
//! so that it came before it left. A reader reads what left before what came: it may miss an
//! arrival that it could have seen, never one whose departure it has seen. The depth is then
//! derived, is never negative, and the law holds in every snapshot.
//!
//! # Orderings
//! What leaves is added with Release and read with Acquire: who sees an event's departure sees
//! its arrival, since the hand-over put the arrival before it. Duplicates are read before
//! processed for the same reason: each is counted as processed first.

use std::ops::AddAssign;

#[cfg(loom)]
use super::planted::{Bug, is_planted};
use super::shim::{AtomicU64, Ordering};

/// The counters of one shard.
#[derive(Debug)]
pub struct Tally {
    received: AtomicU64,
    recovered: AtomicU64,
    processed: AtomicU64,
    failed: AtomicU64,
    duplicate: AtomicU64,
}

impl Default for Tally {
    fn default() -> Self {
        let zero = || AtomicU64::new(0);
        Self { received: zero(), recovered: zero(), processed: zero(), failed: zero(), duplicate: zero() }
    }
}

/// A [`Tally`] at one moment, or the sum of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TallySnapshot {
    /// Accepted since the start.
    pub received: u64,
    /// Found accepted, and not stored, at the start.
    pub recovered: u64,
    /// In the store.
    pub processed: u64,
    /// Refused for good by the processor or the store.
    pub failed: u64,
    /// Of the processed ones, those whose id the store had already.
    pub duplicate: u64,
}

impl Tally {
    /// `events` are about to be handed over.
    pub fn add_received(&self, events: u64) {
        // Ordering: the hand-over publishes it.
        self.received.fetch_add(events, Ordering::Relaxed);
    }

    /// `events` were found at the start, and are about to be handed over.
    pub fn add_recovered(&self, events: u64) {
        // Ordering: the hand-over publishes it.
        self.recovered.fetch_add(events, Ordering::Relaxed);
    }

    /// `events` are in the store.
    pub fn add_processed(&self, events: u64) {
        #[cfg(loom)]
        if is_planted(Bug::DeparturesNotReleased) {
            self.processed.fetch_add(events, Ordering::Relaxed);
            return;
        }
        // Ordering: pairs with the Acquire in `snapshot`.
        self.processed.fetch_add(events, Ordering::Release);
    }

    /// `events` were refused for good.
    pub fn add_failed(&self, events: u64) {
        // Ordering: pairs with the Acquire in `snapshot`.
        self.failed.fetch_add(events, Ordering::Release);
    }

    /// `events`, counted as processed before, were in the store already.
    pub fn add_duplicate(&self, events: u64) {
        // Ordering: pairs with the Acquire in `snapshot`.
        self.duplicate.fetch_add(events, Ordering::Release);
    }

    /// All counters, in an order of reading that keeps the law.
    pub fn snapshot(&self) -> TallySnapshot {
        #[cfg(loom)]
        if super::planted::is_planted(super::Bug::ReadsArrivalsFirst) {
            return self.snapshot_arrivals_first();
        }
        // Ordering: Acquire pairs with the Release of what leaves; it also keeps the reads in this
        // order. What came is read last, and needs no more than that.
        let duplicate = self.duplicate.load(Ordering::Acquire);
        let failed = self.failed.load(Ordering::Acquire);
        let processed = self.processed.load(Ordering::Acquire);
        let received = self.received.load(Ordering::Relaxed);
        let recovered = self.recovered.load(Ordering::Relaxed);
        TallySnapshot { received, recovered, processed, failed, duplicate }
    }

    /// The wrong way, for the model that must find it.
    #[cfg(loom)]
    fn snapshot_arrivals_first(&self) -> TallySnapshot {
        let received = self.received.load(Ordering::Acquire);
        let recovered = self.recovered.load(Ordering::Acquire);
        let processed = self.processed.load(Ordering::Acquire);
        let failed = self.failed.load(Ordering::Acquire);
        let duplicate = self.duplicate.load(Ordering::Acquire);
        TallySnapshot { received, recovered, processed, failed, duplicate }
    }
}

impl TallySnapshot {
    /// Accepted, and neither stored nor failed.
    pub fn depth(&self) -> u64 {
        self.received + self.recovered - self.processed - self.failed
    }
}

impl AddAssign for TallySnapshot {
    fn add_assign(&mut self, other: Self) {
        self.received += other.received;
        self.recovered += other.recovered;
        self.processed += other.processed;
        self.failed += other.failed;
        self.duplicate += other.duplicate;
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_depth_is_what_came_and_has_not_left() {
        let tally = Tally::default();
        tally.add_received(10);
        tally.add_recovered(3);
        tally.add_processed(6);
        tally.add_failed(2);
        tally.add_duplicate(1);
        let mut sum = tally.snapshot();
        assert_eq!(sum.depth(), 5);
        sum += tally.snapshot();
        assert_eq!((sum.depth(), sum.duplicate), (10, 2));
    }
}
