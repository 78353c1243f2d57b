//! The flusher of one shard: backlog ▸ process ▸ batch ▸ store ▸ acknowledge.
//!
//! A batch leaves when it is large enough, when its oldest event has lingered, or at once when
//! draining; while all slots are in flight the next one grows, so that batches are as large as
//! the backlog asks for. Batches leave in order; several may be in flight and land in any order.
//! One task on the store runtime; a panic in it ends the process.

use std::{
    iter,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::{select, sync::watch, time::sleep_until};

use super::{
    backlog::{Backlog, Next},
    flight::{DeadRow, Flight, Reading},
    processor::Processor,
    retry::{self, Step},
    shard::Shard,
    store_state::StoreState,
};
use crate::{
    abort::AbortOnPanic,
    event::Micros,
    metrics::{Metrics, ShardMetrics},
    storage::{Limits, Storage, StoreError},
};

/// When a batch leaves for the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchOptions {
    /// At this many events.
    pub max_events: usize,
    /// At this many bytes of text.
    pub max_bytes: usize,
    /// When its oldest event has waited this long.
    pub linger: Duration,
}

/// What a flusher works with.
pub(super) struct Flusher {
    pub(super) index: usize,
    pub(super) shard: Arc<Shard>,
    pub(super) backlog: Arc<Backlog>,
    pub(super) processor: Arc<dyn Processor>,
    pub(super) store: Arc<StoreAccess>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) options: BatchOptions,
}

/// The store, and what all flushers know of it.
pub(super) struct StoreAccess {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) state: StoreState,
    /// Becomes true when the table was seen to be there.
    pub(super) prepared: watch::Sender<bool>,
}

impl Flusher {
    /// Runs until the backlog is closed and all of it has landed.
    pub(super) async fn run(self) {
        let _guard = AbortOnPanic("flusher");
        let mut prepared = self.store.prepared.subscribe();
        if prepared.wait_for(|prepared| *prepared).await.is_err() {
            return;
        }
        let limits = self.store.storage.limits();
        let mut filling = Filling::new(limits);
        let mut flying = FuturesUnordered::new();
        loop {
            filling.fill(&self, limits);
            let slot_free = flying.len() < limits.in_flight.max(1);
            if slot_free && filling.is_due(&self.options) {
                let flight = filling.depart();
                flying.push(fly(Arc::clone(&self.store), flight));
                continue;
            }
            if filling.is_done() && flying.is_empty() {
                return;
            }
            let lingered = filling.since.map(|since| (since + self.options.linger).into());
            select! {
                Some(flight) = flying.next(), if !flying.is_empty() => filling.land(self.settle(flight)),
                () = self.backlog.changed(), if filling.wants_more() => {}
                () = sleep_until(lingered.unwrap_or_else(tokio::time::Instant::now)), if slot_free && lingered.is_some() => {}
            }
        }
    }

    /// Counts, gives the credits back, tells who waits: in this order, so that whoever was told
    /// sees the counts.
    fn settle(&self, mut flight: Flight) -> Flight {
        let metrics: &ShardMetrics = self.metrics.shard(self.index);
        let dead = flight.dead.len() as u64 + flight.failed;
        let stored = u64::from(flight.amount.events) - dead;
        metrics.tally.add_failed(dead);
        metrics.tally.add_processed(stored);
        metrics.tally.add_duplicate(flight.duplicates.len() as u64);
        metrics.batch_settled(flight.amount.bytes, &flight.latencies_us(Micros::now()));
        self.shard.credits.give_back(flight.amount);
        flight.tell();
        flight.clear();
        flight
    }
}

/// The batch that is being filled, and empty ones for the next.
struct Filling {
    flight: Flight,
    reading: Option<Reading>,
    /// When the oldest event of `flight` came in.
    since: Option<Instant>,
    full: bool,
    closed: bool,
    spare: Vec<Flight>,
    limits: Limits,
}

impl Filling {
    fn new(limits: Limits) -> Self {
        let spare = (0..limits.in_flight).map(|_| Flight::with_capacity(limits)).collect();
        let flight = Flight::with_capacity(limits);
        Self { flight, reading: None, since: None, full: false, closed: false, spare, limits }
    }

    /// Takes from the backlog until the batch is full or the backlog empty.
    fn fill(&mut self, flusher: &Flusher, limits: Limits) {
        let mut now = None;
        while !self.full {
            let Some(reading) = &mut self.reading else {
                match flusher.backlog.take() {
                    Next::Chunk(chunk) => self.reading = Some(Reading::new(chunk)),
                    Next::Empty => return,
                    Next::Closed => {
                        self.closed = true;
                        return;
                    }
                }
                continue;
            };
            let now = *now.get_or_insert_with(Micros::now);
            self.full = self.flight.fill(reading, flusher.processor.as_ref(), limits, now);
            self.since.get_or_insert_with(Instant::now);
            if !self.full {
                self.reading = None;
            }
        }
    }

    fn is_due(&self, options: &BatchOptions) -> bool {
        let Some(since) = self.since else { return false };
        self.full
            || self.closed
            || self.flight.amount.events as usize >= options.max_events
            || self.flight.batch.bytes() >= options.max_bytes
            || since.elapsed() >= options.linger
    }

    fn wants_more(&self) -> bool {
        !self.full && !self.closed
    }

    fn is_done(&self) -> bool {
        self.closed && self.flight.is_empty() && self.reading.is_none()
    }

    fn depart(&mut self) -> Flight {
        self.since = None;
        self.full = false;
        let next = self.spare.pop().unwrap_or_else(|| Flight::with_capacity(self.limits));
        std::mem::replace(&mut self.flight, next)
    }

    fn land(&mut self, cleared: Flight) {
        self.spare.push(cleared);
    }
}

/// Stores a batch for as long as it takes: a failing one is repeated or bisected, until every
/// row is stored or was refused alone.
async fn fly(store: Arc<StoreAccess>, mut flight: Flight) -> Flight {
    let mut ranges: Vec<_> = iter::once(0..flight.batch.len()).collect();
    while let Some(range) = ranges.pop() {
        if range.is_empty() {
            continue;
        }
        let mut attempt = 0;
        loop {
            let error = match store.storage.store(&flight.batch, range.clone()).await {
                Ok(stored) => {
                    store.state.answered();
                    flight.duplicates.extend(stored.duplicates);
                    break;
                }
                Err(error) => error,
            };
            store.state.failed(&error);
            match retry::next(&error, range.len(), attempt, jitter()) {
                Step::Wait(pause) => tokio::time::sleep(pause).await,
                Step::Bisect(row) => {
                    // The last one pushed is stored first: keep the rows' order.
                    ranges.extend(split(&range, row).into_iter().rev());
                    break;
                }
                Step::DeadLetter => {
                    flight.dead.push(refused(&flight, range.start, &error));
                    break;
                }
            }
            attempt += 1;
        }
    }
    flight
}

/// The parts of a range with a bad row: around the row where the store named it, else halves.
fn split(range: &Range<usize>, row: Option<usize>) -> [Range<usize>; 3] {
    match row.filter(|row| range.contains(row)) {
        Some(row) => [range.start..row, row..row + 1, row + 1..range.end],
        None => {
            let middle = range.start + range.len() / 2;
            [range.start..middle, middle..range.end, range.end..range.end]
        }
    }
}

fn refused(flight: &Flight, row: usize, error: &StoreError) -> DeadRow {
    let detail = match error {
        StoreError::BadRow(bad) => format!("the store refused the event ({}): {}", bad.code, bad.message),
        other => other.to_string(),
    };
    let id = flight.batch.row(row).id;
    tracing::warn!(%id, code = error.code(), %error, "the store refused an event for good");
    DeadRow { row, detail }
}

/// A number in 0..1 to spread waits; not for secrets.
fn jitter() -> f64 {
    let bits = getrandom::u32().unwrap_or(u32::MAX / 2);
    f64::from(bits) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_covers_the_range_and_is_smaller() {
        for (row, parts) in
            [(None, [3..6, 6..10, 10..10]), (Some(3), [3..3, 3..4, 4..10]), (Some(99), [3..6, 6..10, 10..10])]
        {
            let got = split(&(3..10), row);
            assert_eq!(got, parts, "{row:?}");
            assert_eq!(got.iter().map(|part| part.len()).sum::<usize>(), 7);
        }
    }
}
