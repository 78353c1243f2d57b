//! Acknowledgements: what a request waits for, and how it learns what became of its events.

use std::{
    future::poll_fn,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::AckLevel;
use crate::sync::AckLatch;

/// A request that waits for its events to be settled. Shards tell it as they go; the last one
/// wakes it. A request that went away is told all the same, and nobody listens.
#[derive(Debug)]
pub(super) struct Ticket {
    latch: AckLatch,
    outcome: Mutex<Outcome>,
}

/// What became of a request's accepted events, beyond being stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Indexes of events whose id the store had already, from another acceptance.
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
    pub(super) fn new(events: u32) -> Self {
        Self { latch: AckLatch::new(events), outcome: Mutex::default() }
    }

    pub(super) fn note(&self, add: impl FnOnce(&mut Outcome)) {
        add(&mut self.outcome.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// `events` more are settled. To be called after all about them was noted.
    pub(super) fn settle(&self, events: u32) {
        self.latch.complete(events);
    }
}

/// The wait for one request's acknowledgement.
#[derive(Debug)]
pub struct Ack {
    ticket: Option<Arc<Ticket>>,
    timeout: Duration,
}

/// How far a request's events came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// The level that all events reached which are not dead.
    pub level: AckLevel,
    /// Duplicates and dead events, known at [`AckLevel::Stored`] only.
    pub outcome: Outcome,
}

impl Ack {
    pub(super) fn queued() -> Self {
        Self { ticket: None, timeout: Duration::ZERO }
    }

    pub(super) fn stored(ticket: Arc<Ticket>, timeout: Duration) -> Self {
        Self { ticket: Some(ticket), timeout }
    }

    /// Whether [`Ack::wait`] returns at once.
    pub fn is_given(&self) -> bool {
        self.ticket.as_ref().is_none_or(|ticket| ticket.latch.is_done())
    }

    /// Waits until the level asked for is reached, at most for the pipeline's `ack_timeout`;
    /// then the level that was reached is returned.
    ///
    /// Runs on any tokio runtime with time enabled.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing for the events: they are on their way.
    pub async fn wait(self) -> Reached {
        let Some(ticket) = self.ticket else {
            return Reached { level: AckLevel::Queued, outcome: Outcome::default() };
        };
        let done = poll_fn(|cx| ticket.latch.poll_done(cx));
        match tokio::time::timeout(self.timeout, done).await {
            Ok(()) => {
                let mut outcome = Outcome::default();
                ticket.note(|noted| outcome = std::mem::take(noted));
                outcome.duplicates.sort_unstable();
                outcome.dead.sort_unstable_by_key(|dead| dead.index);
                Reached { level: AckLevel::Stored, outcome }
            }
            Err(_) => Reached { level: AckLevel::Queued, outcome: Outcome::default() },
        }
    }
}
