//! Counters of the journal, written by whoever leads a commit.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use schemars::JsonSchema;
use serde::Serialize;

use super::histogram::{Distribution, Latencies, Percentiles, merge};

/// Counters of one journal.
#[derive(Debug, Default)]
pub struct JournalMetrics {
    commits: AtomicU64,
    bytes: AtomicU64,
    recovery_ms: AtomicU64,
    torn_bytes: AtomicU64,
    damaged_extents: AtomicU64,
    lost_events: AtomicU64,
    syncs: Latencies,
    events: Latencies,
}

/// What a journal holds at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct JournalFigures {
    /// Bytes of all its files.
    pub bytes: u64,
    /// Bytes that may still be accepted.
    pub free_bytes: u64,
    /// Bytes of finished segments that stay for a replay.
    pub kept_bytes: u64,
    /// Segments that hold something which is not stored, with the one that is written to.
    pub live_segments: usize,
    /// Segments that stay for a replay.
    pub kept_segments: usize,
    /// Segments that wait for their turn.
    pub blank_segments: usize,
}

/// [`JournalMetrics`] at a moment.
#[derive(Clone, Copy, Debug, Default, Serialize, JsonSchema)]
#[schemars(description = "What the journal has done since the start.")]
pub struct JournalCounts {
    /// Commits since the start, each one write and one sync.
    pub commits: u64,
    /// Bytes that they wrote.
    pub written_bytes: u64,
    /// How long the start took to recover what was there, in ms.
    pub recovery_ms: u64,
    /// Bytes of a commit that the last crash interrupted, cut at the start.
    pub torn_bytes: u64,
    /// Places that were found damaged since the start.
    pub damaged_extents: u64,
    /// Events that were lost to damage; they are among the failed ones.
    pub lost_events: u64,
    /// How long a sync took, in ms.
    pub sync_ms: Percentiles,
    /// How many events a commit had.
    pub commit_events: Percentiles,
}

impl JournalMetrics {
    /// A commit of so many bytes and events was synced within this time.
    pub fn committed(&self, sync: Duration, bytes: u64, events: u32) {
        // Ordering: statistics; nothing is read on the strength of them.
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.syncs.record([(u64::try_from(sync.as_micros()).unwrap_or(u64::MAX), 1)]);
        if events > 0 {
            self.events.record([(u64::from(events), 1)]);
        }
    }

    /// A start took so long, cut a torn tail of so many bytes, and found so many damaged places.
    pub fn recovered(&self, took: Duration, torn_bytes: u64, damaged: u64) {
        // Ordering: as above.
        self.recovery_ms.store(u64::try_from(took.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.torn_bytes.fetch_add(torn_bytes, Ordering::Relaxed);
        self.damaged_extents.fetch_add(damaged, Ordering::Relaxed);
    }

    /// A damaged place was passed over.
    pub fn damaged_extent(&self) {
        // Ordering: as above.
        self.damaged_extents.fetch_add(1, Ordering::Relaxed);
    }

    /// So many events are lost to damage.
    pub fn lost(&self, events: u64) {
        // Ordering: as above.
        self.lost_events.fetch_add(events, Ordering::Relaxed);
    }

    /// How long syncs took, in µs, and how many events commits had.
    pub(super) fn distributions(&self) -> [Distribution; 2] {
        [&self.syncs, &self.events].map(|values| Distribution::merge([values].into_iter()))
    }

    /// All of them.
    pub fn counts(&self) -> JournalCounts {
        // Ordering: as above.
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        JournalCounts {
            commits: read(&self.commits),
            written_bytes: read(&self.bytes),
            recovery_ms: read(&self.recovery_ms),
            torn_bytes: read(&self.torn_bytes),
            damaged_extents: read(&self.damaged_extents),
            lost_events: read(&self.lost_events),
            sync_ms: merge([&self.syncs].into_iter()),
            commit_events: merge([&self.events].into_iter()).scaled(1000.0),
        }
    }
}
