//! Acknowledgements: what a request waits for, and how it learns what became of its events.

use std::{
    future::poll_fn,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::AckLevel;
use crate::sync::AckLatch;

/// How long a request at `queued` waits at most where a queue fills up. A client that waits for answers
/// then slows down before anything of it has to be refused.
const CROWDED_WAIT: Duration = Duration::from_millis(50);

/// A request that waits for its events to be journaled, or settled too. Shards tell it as they go; the
/// last one wakes it. A request that went away is told all the same, and nobody listens.
#[derive(Debug)]
pub(super) struct Ticket {
    /// Opens when the journal has all parts of the request.
    journaled: AckLatch,
    /// Opens when the store has answered for all of its events.
    settled: AckLatch,
    outcome: Mutex<Noted>,
}

/// What was noted about a request's events on their way.
#[derive(Clone, Debug, Default)]
pub(super) struct Noted {
    /// Indexes of events whose ids were seen lately.
    pub(super) repeated: Vec<usize>,
    /// Indexes of events that the store had already.
    pub(super) duplicates: Vec<usize>,
    pub(super) dead: Vec<DeadEvent>,
}

/// What became of a request's accepted events, beyond the level that they reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Indexes of events whose id the store had already, from another acceptance; at level `durable`
    /// of those whose id was seen lately.
    pub duplicates: Vec<usize>,
    /// Events refused for good.
    pub dead: Vec<DeadEvent>,
}

/// An accepted event that the processor or the store refused for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadEvent {
    /// The event's place in its request, counted from 0.
    pub index: usize,
    /// `processing_failed` or `store_refused`.
    pub code: &'static str,
    /// Why, in the words of who refused it.
    pub detail: String,
}

impl Ticket {
    /// For a request whose `events` events go to so many shards.
    pub(super) fn new(shards: u32, events: u32) -> Self {
        Self { journaled: AckLatch::new(shards), settled: AckLatch::new(events), outcome: Mutex::default() }
    }

    pub(super) fn note(&self, add: impl FnOnce(&mut Noted)) {
        add(&mut self.outcome.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// One more shard has journaled its part. To be called after the sync, and after all about it was
    /// noted.
    pub(super) fn journaled(&self) {
        self.journaled.complete(1);
    }

    /// `events` more are settled. To be called after all about them was noted.
    pub(super) fn settle(&self, events: u32) {
        self.settled.complete(events);
    }
}

/// The wait for one request's acknowledgement.
#[derive(Debug)]
pub struct Ack {
    /// With the level that is waited for; `None` where nothing is.
    ticket: Option<(Arc<Ticket>, AckLevel)>,
    timeout: Duration,
}

/// How far a request's events came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// The level that all events reached which are not dead.
    pub level: AckLevel,
    /// What is known about them at that level.
    pub outcome: Outcome,
}

impl Ack {
    pub(super) fn queued() -> Self {
        Self { ticket: None, timeout: Duration::ZERO }
    }

    pub(super) fn new(ticket: Arc<Ticket>, level: AckLevel, timeout: Duration) -> Self {
        Self { ticket: Some((ticket, level)), timeout }
    }

    /// For `queued`, where a queue fills up: the wait for the journal, but not for long.
    pub(super) fn crowded(ticket: Arc<Ticket>) -> Self {
        Self { ticket: Some((ticket, AckLevel::Queued)), timeout: CROWDED_WAIT }
    }

    /// Whether [`Ack::wait`] returns at once.
    pub fn is_given(&self) -> bool {
        self.ticket.as_ref().is_none_or(|(ticket, level)| match level {
            AckLevel::Stored => ticket.settled.is_done(),
            AckLevel::Queued | AckLevel::Durable => ticket.journaled.is_done(),
        })
    }

    /// Waits until the level asked for is reached: for the journal as long as it takes, since without
    /// it nothing can be said; for the store at most for the request's `ack_timeout`, and then the
    /// level that was reached is returned.
    ///
    /// Runs on any tokio runtime with time enabled.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing for the events: they are on their way.
    pub async fn wait(self) -> Reached {
        let Some((ticket, level)) = self.ticket else {
            return Reached { level: AckLevel::Queued, outcome: Outcome::default() };
        };
        if level == AckLevel::Queued {
            // Whether it came so far or not, the events are in the queue.
            let journaled = poll_fn(|cx| ticket.journaled.poll_done(cx));
            let _ = tokio::time::timeout(self.timeout, journaled).await;
            return ticket.reached(AckLevel::Queued);
        }
        if level == AckLevel::Stored {
            let settled = poll_fn(|cx| ticket.settled.poll_done(cx));
            if tokio::time::timeout(self.timeout, settled).await.is_ok() {
                return ticket.reached(AckLevel::Stored);
            }
            let level = if ticket.journaled.is_done() { AckLevel::Durable } else { AckLevel::Queued };
            return ticket.reached(level);
        }
        poll_fn(|cx| ticket.journaled.poll_done(cx)).await;
        ticket.reached(AckLevel::Durable)
    }
}

impl Ticket {
    fn reached(&self, level: AckLevel) -> Reached {
        let noted = self.outcome.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (mut duplicates, mut dead) = match level {
            AckLevel::Stored => (noted.duplicates, noted.dead),
            AckLevel::Durable => (noted.repeated, Vec::new()),
            AckLevel::Queued => (Vec::new(), Vec::new()),
        };
        duplicates.sort_unstable();
        dead.sort_unstable_by_key(|dead| dead.index);
        Reached { level, outcome: Outcome { duplicates, dead } }
    }
}
