//! All counters at one moment, in the form of `GET /metrics`.

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;

use super::{
    Metrics,
    histogram::{Percentiles, merge},
    ingest::IngestMetrics,
    journal::{JournalCounts, JournalFigures},
};
use crate::sync::{Padded, TallySnapshot};

/// The answer of `GET /metrics`. The first eight fields are always there.
#[derive(Clone, Debug, Serialize)]
pub struct Snapshot {
    /// Events accepted since the start.
    pub events_received: u64,
    /// Events in the store, those included that were there already, or that the processor filtered out.
    pub events_processed: u64,
    /// Events refused for good by the processor or the store.
    pub events_failed: u64,
    /// Mean time from receipt to stored, since the start, in ms.
    pub average_processing_latency_ms: f64,
    /// Events accepted, and neither stored nor failed.
    pub current_queue_depth: u64,
    /// Shard workers that run.
    pub active_workers: usize,
    /// Events stored per second, over the last ten seconds.
    pub events_per_second: f64,
    /// Seconds since the start.
    pub uptime_seconds: u64,
    /// Events that were found accepted, and not stored, at the start.
    pub events_recovered: u64,
    /// Processed events whose id the store had already.
    pub events_duplicate: u64,
    /// Processed events that the processor filtered out: they are not in the store.
    pub events_filtered: u64,
    /// Events that were not valid, and never accepted.
    pub events_rejected: u64,
    /// Events refused for load, and never accepted.
    pub events_shed: u64,
    /// Bytes of the bodies that events were accepted from.
    pub body_bytes: u64,
    /// Bytes of records that are accepted and not in the journal yet.
    pub queue_bytes: u64,
    /// Time from a request's receipt to its answer, in ms.
    pub acknowledgement_ms: Percentiles,
    /// Time from an event's receipt to its being stored, in ms.
    pub storing_ms: Percentiles,
    /// The journal.
    pub journal: JournalSnapshot,
    /// Dead letters that nobody has resolved yet.
    pub dead_letters: Vec<DeadLettersSnapshot>,
    /// The state of the store.
    pub store: StoreSnapshot,
    /// Each shard by itself.
    pub shards: Vec<ShardSnapshot>,
}

/// What the journal holds, and what it has done.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct JournalSnapshot {
    /// At this moment.
    #[serde(flatten)]
    pub figures: JournalFigures,
    /// How long the oldest event has waited that is not stored, in seconds.
    pub oldest_unstored_seconds: f64,
    /// Since the start.
    #[serde(flatten)]
    pub counts: JournalCounts,
}

/// Unresolved dead letters of one reason and code.
#[derive(Clone, Debug, Serialize)]
pub struct DeadLettersSnapshot {
    /// `processing_failed` or `store_refused`.
    pub reason: &'static str,
    /// The store's own error number or name.
    pub code: String,
    /// How many.
    pub letters: u64,
}

/// What is known of the store.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StoreSnapshot {
    /// `starting`, `up` or `down`.
    pub state: &'static str,
    /// For how long, in seconds.
    pub state_seconds: u64,
    /// Failed attempts since the start, by the server's error code.
    pub retries: BTreeMap<String, u64>,
}

/// One shard of [`Snapshot::shards`].
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ShardSnapshot {
    /// Which one, from 0.
    pub shard: usize,
    /// Events accepted onto it.
    pub events_received: u64,
    /// Its events in the store.
    pub events_processed: u64,
    /// Its events refused for good.
    pub events_failed: u64,
    /// Its events neither stored nor failed.
    pub current_queue_depth: u64,
    /// Bytes of its records that are not in the journal yet.
    pub queue_bytes: u64,
    /// Batches that were settled.
    pub batches: u64,
    /// Bytes of the settled events' records.
    pub record_bytes: u64,
}

/// The parts of a [`Snapshot`] that only their owners know.
#[derive(Clone, Debug, Default)]
pub struct Elsewhere {
    /// The state of the store.
    pub store: StoreSnapshot,
    /// What the journal holds.
    pub journal: JournalSnapshot,
    /// Unresolved dead letters.
    pub dead_letters: Vec<DeadLettersSnapshot>,
}

impl Snapshot {
    pub(super) fn merge(
        metrics: &Metrics,
        ingest: &[Arc<Padded<IngestMetrics>>],
        queue_bytes: &dyn Fn(usize) -> u64,
        elsewhere: Elsewhere,
    ) -> Self {
        let Elsewhere { store, journal, dead_letters } = elsewhere;
        let mut total = TallySnapshot::default();
        let (mut filtered, mut storing_us) = (0, 0_u64);
        let mut shards = Vec::with_capacity(metrics.shards.len());
        for (index, shard) in metrics.shards.iter().enumerate() {
            let tally = shard.tally.snapshot();
            let totals = shard.totals();
            total += tally;
            filtered += totals.filtered;
            storing_us = storing_us.saturating_add(totals.storing_us);
            shards.push(ShardSnapshot {
                shard: index,
                events_received: tally.received,
                events_processed: tally.processed,
                events_failed: tally.failed,
                current_queue_depth: tally.depth(),
                queue_bytes: queue_bytes(index),
                batches: totals.batches,
                record_bytes: totals.record_bytes,
            });
        }
        let (mut rejected, mut shed, mut body_bytes) = (0, 0, 0);
        for thread in ingest {
            let totals = thread.totals();
            rejected += totals.0;
            shed += totals.1;
            body_bytes += totals.2;
        }
        Self {
            events_received: total.received,
            events_processed: total.processed,
            events_failed: total.failed,
            average_processing_latency_ms: mean_ms(storing_us, total.processed),
            current_queue_depth: total.depth(),
            active_workers: metrics.workers(),
            events_per_second: (metrics.stored_per_second() * 10.0).round() / 10.0,
            uptime_seconds: metrics.started.elapsed().as_secs(),
            events_recovered: total.recovered,
            events_duplicate: total.duplicate,
            events_filtered: filtered,
            events_rejected: rejected,
            events_shed: shed,
            body_bytes,
            queue_bytes: shards.iter().map(|shard| shard.queue_bytes).sum(),
            acknowledgement_ms: merge(ingest.iter().map(|thread| &thread.acknowledgement)),
            storing_ms: merge(metrics.shards.iter().map(|shard| &shard.storing)),
            journal,
            dead_letters,
            store,
            shards,
        }
    }
}

/// The mean of `sum_us` over `events`, in ms with three decimals.
fn mean_ms(sum_us: u64, events: u64) -> f64 {
    if events == 0 {
        return 0.0;
    }
    (sum_us as f64 / events as f64).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_accuracy() {
        let metrics = Metrics::new(2);
        let ingest = metrics.add_ingest();
        metrics.worker_started();
        metrics.shard(0).tally.add_received(10);
        metrics.shard(1).tally.add_received(5);
        metrics.shard(0).tally.add_processed(7);
        metrics.shard(0).tally.add_duplicate(2);
        metrics.shard(1).tally.add_failed(1);
        metrics.shard(0).batch_settled(700, 1, [(2_000, 7)].into_iter());
        ingest.add_rejected(3);
        ingest.add_shed(4);

        let seen = metrics.snapshot(&|_| 0, Elsewhere::default());
        assert_eq!((seen.events_received, seen.events_processed, seen.events_failed), (15, 7, 1));
        assert_eq!((seen.events_duplicate, seen.events_filtered, seen.events_rejected, seen.events_shed), (2, 1, 3, 4));
        assert_eq!(seen.current_queue_depth, 7);
        assert_eq!(seen.average_processing_latency_ms, 2.0);
        assert_eq!(seen.active_workers, 1);
        assert_eq!((seen.shards[0].current_queue_depth, seen.shards[1].current_queue_depth), (3, 4));
        assert_eq!(seen.events_per_second, 7.0);
        metrics.worker_stopped();
        assert_eq!(metrics.snapshot(&|_| 0, Elsewhere::default()).active_workers, 0);
    }

    #[test]
    fn the_eight_keys_are_top_level_numbers() {
        let seen = serde_json::to_value(Metrics::new(1).snapshot(&|_| 0, Elsewhere::default())).unwrap();
        for key in [
            "events_received",
            "events_processed",
            "events_failed",
            "average_processing_latency_ms",
            "current_queue_depth",
            "active_workers",
            "events_per_second",
            "uptime_seconds",
        ] {
            assert!(seen[key].is_number(), "{key}: {}", seen[key]);
        }
    }
}
