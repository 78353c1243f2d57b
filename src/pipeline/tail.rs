//! The tail: events as they become durable, for whoever looks on.
//!
//! ```text
//! shard worker, after its commit ▸ the shard's tray ▸ hub, a task on the store runtime ▸ viewers
//! ```
//!
//! What holds:
//! - **It never slows ingestion.** Without a viewer a commit costs one relaxed load. With viewers a worker copies
//!   as many records into its tray as the hub has allowed; it never waits for the hub, and wakes nobody.
//! - All viewers together see at most [`RATE`], whatever is ingested, and however many they are. What is passed
//!   over is counted, and told to every viewer that could have seen it.
//! - A viewer that is slow misses events, is told how many and where, and changes nothing for others.
//! - One user's events are seen in the order in which they were accepted: they are all of one shard.
//!
//! The hub looks into the trays at fixed times, so that many events cost one look. It does not depend on the
//! store or the flushers: the tail goes on while the store is away.

use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::mpsc,
    task::yield_now,
    time::{Instant, MissedTickBehavior, interval},
};

mod tray;
mod viewer;

pub use self::viewer::{Seen, Tail, TailFilter};
use self::{
    tray::{Rate, Tray},
    viewer::Viewer,
};
use super::Pipeline;
use crate::{event::RecordReader, sync::Padded};

/// What is looked at for all viewers together, and also what all of them together are shown: an event that two
/// of them see is looked at once and shown twice.
const RATE: Rate = Rate { events: 10_000.0, bytes: (4 << 20) as f64 };
/// How often the hub looks.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// Events that are looked at before the runtime's other tasks have their turn.
const EVENTS_AT_ONCE: usize = 256;

impl Pipeline {
    /// The events from now on that match `filter`, as they become durable.
    pub fn tail(&self, filter: TailFilter) -> Tail {
        self.inner.tails.join(filter)
    }
}

/// Where the workers, the hub and the viewers of a pipeline meet.
#[derive(Debug)]
pub(super) struct Tails {
    has_viewers: AtomicBool,
    viewers: Mutex<usize>,
    /// One for each shard.
    trays: Box<[Padded<Tray>]>,
    joining: mpsc::UnboundedSender<Viewer>,
}

impl Tails {
    /// For so many shards, and the hub that is to run.
    pub(super) fn new(shards: usize) -> (Arc<Self>, Hub) {
        let (joining, joined) = mpsc::unbounded_channel();
        let tails = Arc::new(Self {
            has_viewers: AtomicBool::new(false),
            viewers: Mutex::new(0),
            trays: (0..shards).map(|_| Padded::default()).collect(),
            joining,
        });
        (Arc::clone(&tails), Hub { tails, joined, viewers: Vec::new() })
    }

    /// These records of a shard are synced. To be called by its worker; never waits.
    pub(super) fn show(&self, shard: usize, records: &[u8], events: u32) {
        // Ordering: whoever looks on a moment later sees the events of a moment later.
        if self.has_viewers.load(Ordering::Relaxed) {
            self.trays[shard].put(records, events);
        }
    }

    fn join(self: &Arc<Self>, filter: TailFilter) -> Tail {
        let mut viewers = lock(&self.viewers);
        if *viewers == 0 {
            // What was put there for the last viewer is of another time.
            self.trays.iter().for_each(|tray| tray.clear(RATE / self.trays.len()));
            // Ordering: see `show`.
            self.has_viewers.store(true, Ordering::Relaxed);
        }
        *viewers += 1;
        drop(viewers);
        let (viewer, tail) = Viewer::new(filter, RATE, Arc::clone(self));
        // Where the pipeline has stopped there is no hub, and the tail is over.
        let _ = self.joining.send(viewer);
        tail
    }

    fn leave(&self) {
        let mut viewers = lock(&self.viewers);
        *viewers -= 1;
        if *viewers == 0 {
            // Ordering: see `show`.
            self.has_viewers.store(false, Ordering::Relaxed);
        }
    }
}

/// Looks into the trays for the viewers, and sleeps while there are none.
#[derive(Debug)]
pub(super) struct Hub {
    tails: Arc<Tails>,
    joined: mpsc::UnboundedReceiver<Viewer>,
    viewers: Vec<Viewer>,
}

impl Hub {
    /// Runs until its runtime ends.
    pub(super) async fn run(mut self) {
        while let Some(first) = self.joined.recv().await {
            self.viewers.push(first);
            // Freed when the last viewer is gone.
            let mut taken = vec![Vec::new(); self.tails.trays.len()];
            let mut looked = Instant::now();
            let mut every = interval(LOOK_EVERY);
            every.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while !self.viewers.is_empty() {
                every.tick().await;
                let now = Instant::now();
                self.look(&mut taken, now - mem::replace(&mut looked, now)).await;
            }
        }
    }

    /// Shows what came since the last look, which was so long ago.
    async fn look(&mut self, taken: &mut [Vec<u8>], since: Duration) {
        let trays = &self.tails.trays;
        let mut passed_over = 0;
        for (tray, records) in trays.iter().zip(&mut *taken) {
            records.clear();
            passed_over += tray.take(records, RATE / trays.len(), since);
        }
        // After the trays: whoever joined before an event was put there sees it.
        while let Ok(viewer) = self.joined.try_recv() {
            self.viewers.push(viewer);
        }
        self.viewers.retain(|viewer| !viewer.has_left());
        let share = RATE / self.viewers.len();
        self.viewers.iter_mut().for_each(|viewer| viewer.allow(share, since));
        for records in &*taken {
            for (number, record) in RecordReader::new(records).enumerate() {
                // The worker wrote it a moment ago, and it can be read.
                let Ok((event, bytes)) = record else { break };
                let mut shared = None;
                self.viewers.iter_mut().for_each(|viewer| viewer.show(&event, bytes, &mut shared));
                if number % EVENTS_AT_ONCE == EVENTS_AT_ONCE - 1 {
                    yield_now().await;
                }
            }
        }
        self.viewers.iter().for_each(|viewer| viewer.look_up(passed_over));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
