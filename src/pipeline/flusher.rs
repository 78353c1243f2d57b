//! The flusher of one shard: journal ▸ process ▸ batch ▸ store ▸ dead letters ▸ watermark ▸ acknowledge.
//!
//! A batch leaves when it is large enough, when its oldest event has lingered, or at once when
//! draining; while all slots are in flight the next one grows, so that batches are as large as
//! the backlog asks for. Batches leave in order; several may be in flight and land in any order, and the
//! watermark passes a batch when all before it have landed too. Running, catching up and recovering are
//! the same. What lanes of former shards have left is stored before anything of the shards of today.
//! One task on the store runtime; a panic in it ends the process.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::Cache;
use tokio::{select, sync::Barrier, time::sleep_until};

use super::{
    backlog::Backlog,
    flight::{Flight, Reading, Waiters},
    processor::Processor,
    slots::Slots,
    storing::{StoreAccess, store_flight},
};
use crate::{
    abort::AbortOnPanic,
    event::Micros,
    journal::{Journal, Reader},
    metrics::{Metrics, ShardMetrics},
    storage::Limits,
};

/// How long it waits before it reads again what could not be read.
const READ_PAUSE: Duration = Duration::from_millis(500);

/// How long it lets events gather in the journal before it reads on, while the batch may wait: each
/// look costs the worker a wake-up.
const LOOK_EVERY: Duration = Duration::from_millis(5);

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
    pub(super) backlog: Arc<Backlog>,
    pub(super) journal: Journal,
    pub(super) processor: Arc<dyn Processor>,
    pub(super) store: Arc<StoreAccess>,
    pub(super) metrics: Arc<Metrics>,
    /// Passed when the first flusher has stored what former shards left.
    pub(super) former_stored: Arc<Barrier>,
}

impl Flusher {
    /// Runs until the backlog is closed and all of it has landed.
    pub(super) async fn run(self) {
        let _guard = AbortOnPanic("flusher");
        let limits = self.store.storage.limits();
        if self.index == 0 {
            for reader in self.journal.former_readers() {
                self.store_lane(reader, limits, true).await;
            }
        }
        self.former_stored.wait().await;
        self.store_lane(self.journal.reader(self.index), limits, false).await;
    }

    /// Stores what a lane has; of a former shard's, until its end, of one's own until the backlog is
    /// closed.
    async fn store_lane(&self, reader: Reader, limits: Limits, is_former: bool) {
        let mut filling = Filling::new(reader, limits, is_former);
        let mut flying = Slots::new(limits.in_flight.max(1));
        filling.fill(self, limits);
        self.note_oldest(&filling);
        let mut options = Cache::new(&self.store.batch);
        let mut prepared = self.store.prepared.subscribe();
        if prepared.wait_for(|prepared| *prepared).await.is_err() {
            return;
        }
        loop {
            filling.fill(self, limits);
            let options = **options.load();
            let slot_free = flying.has_free();
            if slot_free && filling.is_due(&options) {
                flying.fill(store_flight(Arc::clone(&self.store), filling.depart()));
                continue;
            }
            if filling.is_done() && flying.are_empty() {
                return;
            }
            let lingered = filling.since.map(|since| since + options.linger).filter(|_| slot_free);
            let gathered = filling.since.filter(|_| filling.wants_more()).map(|_| filling.looked_at + LOOK_EVERY);
            let next_look = [lingered, gathered, filling.read_again_at].into_iter().flatten().min();
            let next_look = next_look.map(tokio::time::Instant::from);
            select! {
                flight = flying.next() => {
                    filling.land(self.settle(flight), &self.journal);
                    self.note_oldest(&filling);
                }
                () = self.backlog.changed(), if filling.wants_more() && gathered.is_none() => {}
                () = sleep_until(next_look.unwrap_or_else(tokio::time::Instant::now)), if next_look.is_some() => {}
            }
        }
    }

    fn note_oldest(&self, filling: &Filling) {
        self.metrics.shard(self.index).set_oldest(filling.oldest().map_or(0, |oldest| oldest.0));
    }

    /// Counts, and tells who waits: in this order, so that whoever was told sees the counts.
    fn settle(&self, mut flight: Flight) -> Flight {
        let metrics: &ShardMetrics = self.metrics.shard(self.index);
        let dead = (flight.refused.len() + flight.failed.len()) as u64;
        metrics.tally.add_failed(dead);
        metrics.tally.add_processed(flight.events - dead);
        metrics.tally.add_duplicate(flight.duplicates.len() as u64);
        metrics.batch_settled(flight.bytes, flight.filtered, flight.latencies_us(Micros::now()));
        flight.tell();
        flight.clear();
        flight
    }
}

/// The batch that is being filled, and empty ones for the next.
struct Filling {
    reader: Reader,
    reading: Option<Reading>,
    waiters: Waiters,
    flight: Flight,
    /// When the oldest event of `flight` came in.
    since: Option<Instant>,
    /// When it last looked for more.
    looked_at: Instant,
    /// When to read again, where something could not be read.
    read_again_at: Option<Instant>,
    full: bool,
    closed: bool,
    is_former: bool,
    spare: Vec<Flight>,
    limits: Limits,
    departed: u64,
    /// Of the flights that have not landed, in order: which, and when their first events were received.
    in_flight: VecDeque<(u64, Option<Micros>)>,
    /// How many flights have landed, with all before them.
    landed: u64,
    /// Flights that landed before one that left earlier, and where they end.
    early: BTreeMap<u64, u64>,
}

impl Filling {
    fn new(reader: Reader, limits: Limits, is_former: bool) -> Self {
        let spare = (0..limits.in_flight).map(|_| Flight::with_capacity(limits)).collect();
        let mut flight = Flight::with_capacity(limits);
        flight.end = reader.position();
        Self {
            flight,
            reader,
            reading: None,
            waiters: Waiters::default(),
            since: None,
            looked_at: Instant::now(),
            read_again_at: None,
            full: false,
            closed: false,
            is_former,
            spare,
            limits,
            departed: 0,
            in_flight: VecDeque::new(),
            landed: 0,
            early: BTreeMap::new(),
        }
    }

    /// Takes from the journal until the batch is full or nothing is left.
    fn fill(&mut self, flusher: &Flusher, limits: Limits) {
        if self.read_again_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        self.read_again_at = None;
        self.looked_at = Instant::now();
        while !self.full {
            let Some(reading) = &mut self.reading else {
                if !self.read(flusher) {
                    return;
                }
                continue;
            };
            let processor = flusher.processor.as_ref();
            self.full = self.flight.fill(reading, &self.reader, &mut self.waiters, processor, limits);
            self.since.get_or_insert_with(Instant::now);
            if !self.full {
                self.reading = None;
            }
        }
    }

    /// Reads the next extent; false where there is none now.
    fn read(&mut self, flusher: &Flusher) -> bool {
        // Before the look, so that nothing is released between it and the close.
        let closed = self.is_former || flusher.backlog.is_closed();
        let limit = if self.is_former { u64::MAX } else { flusher.backlog.released() };
        match self.reader.next_extent(limit) {
            Ok(Some(extent)) => {
                if extent.lost > 0 {
                    tracing::error!(shard = flusher.index, events = extent.lost, "accepted events are lost to damage");
                    flusher.metrics.journal.lost(extent.lost);
                    flusher.metrics.shard(flusher.index).tally.add_failed(extent.lost);
                    self.flight.end = extent.first;
                    self.since.get_or_insert_with(Instant::now);
                }
                self.waiters.fetch(&flusher.backlog, extent.first + u64::from(extent.events));
                self.reading = (extent.events > 0).then(|| Reading::new(extent));
                true
            }
            Ok(None) => {
                self.closed = closed;
                false
            }
            Err(error) => {
                tracing::error!(%error, shard = flusher.index, "the journal cannot be read; trying again");
                self.read_again_at = Some(Instant::now() + READ_PAUSE);
                false
            }
        }
    }

    fn is_due(&self, options: &BatchOptions) -> bool {
        let Some(since) = self.since else { return false };
        self.full
            || self.closed
            || self.flight.events as usize >= options.max_events
            || self.flight.batch.bytes() >= options.max_bytes
            || since.elapsed() >= options.linger
    }

    fn wants_more(&self) -> bool {
        !self.full && !self.closed
    }

    /// When the oldest event was received that is on its way to the store.
    fn oldest(&self) -> Option<Micros> {
        self.in_flight.front().map_or_else(|| self.flight.first_received(), |(_, received)| *received)
    }

    fn is_done(&self) -> bool {
        self.closed && self.since.is_none() && self.reading.is_none()
    }

    fn depart(&mut self) -> Flight {
        self.since = None;
        self.full = false;
        self.flight.serial = self.departed;
        self.in_flight.push_back((self.departed, self.flight.first_received()));
        self.departed += 1;
        let mut next = self.spare.pop().unwrap_or_else(|| Flight::with_capacity(self.limits));
        next.end = self.flight.end;
        std::mem::replace(&mut self.flight, next)
    }

    /// A settled flight has landed; the watermark passes it, and those behind it, once all before it
    /// have.
    fn land(&mut self, cleared: Flight, journal: &Journal) {
        self.in_flight.retain(|(serial, _)| *serial != cleared.serial);
        self.early.insert(cleared.serial, cleared.end);
        while let Some(end) = self.early.remove(&self.landed) {
            self.landed += 1;
            journal.advance(self.reader.lane(), end);
        }
        self.spare.push(cleared);
    }
}
