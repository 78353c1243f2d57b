//! What was counted. Each thread counts for itself; the figures are taken from it now and then and
//! added to the run's.

use std::{collections::BTreeMap, ops::Range, time::Instant};

use hdrhistogram::Histogram;

/// The longest latency that is told apart, in microseconds: an hour.
const LATENCY_US_MAX: u64 = 3_600_000_000;
const DIGITS: u8 = 3;

/// Counts of a run, or of a part of it.
#[derive(Debug)]
pub(super) struct Figures {
    /// Of acknowledged requests, in microseconds.
    pub(super) latency: Histogram<u64>,
    pub(super) requests: u64,
    /// Requests whose connection broke before the answer.
    pub(super) requests_broken: u64,
    pub(super) events_sent: u64,
    pub(super) events_acknowledged: u64,
    pub(super) events_rejected: u64,
    /// By status.
    pub(super) responses: BTreeMap<u16, u64>,
    /// Connections broken, answers not understood.
    pub(super) errors: u64,
    pub(super) error_last: Option<String>,
    /// Requests of the schedule whose time came and that were not sent.
    pub(super) requests_unsent: u64,
    pub(super) first_send: Option<Instant>,
    pub(super) last_answer: Option<Instant>,
    /// The level that the server says it reached.
    pub(super) ack: Option<String>,
    /// Numbers of acknowledged events, where they are wanted.
    pub(super) acknowledged: Vec<Range<u64>>,
}

impl Figures {
    pub(super) fn new() -> Self {
        Self {
            latency: Histogram::new_with_bounds(1, LATENCY_US_MAX, DIGITS).expect("the bounds are in order"),
            requests: 0,
            requests_broken: 0,
            events_sent: 0,
            events_acknowledged: 0,
            events_rejected: 0,
            responses: BTreeMap::new(),
            errors: 0,
            error_last: None,
            requests_unsent: 0,
            first_send: None,
            last_answer: None,
            ack: None,
            acknowledged: Vec::new(),
        }
    }

    /// Requests that were answered.
    pub(super) fn answered(&self) -> u64 {
        self.responses.values().sum()
    }

    /// Requests that are neither answered nor broken.
    pub(super) fn awaited(&self) -> u64 {
        self.requests.saturating_sub(self.requests_broken + self.answered())
    }

    /// Adds `part` and empties it.
    pub(super) fn take(&mut self, part: &mut Self) {
        self.latency.add(&part.latency).expect("both have the same bounds");
        self.requests += part.requests;
        self.requests_broken += part.requests_broken;
        self.events_sent += part.events_sent;
        self.events_acknowledged += part.events_acknowledged;
        self.events_rejected += part.events_rejected;
        for (status, count) in &part.responses {
            *self.responses.entry(*status).or_default() += count;
        }
        self.errors += part.errors;
        self.error_last = part.error_last.take().or(self.error_last.take());
        self.requests_unsent += part.requests_unsent;
        self.first_send = self.first_send.into_iter().chain(part.first_send).min();
        self.last_answer = self.last_answer.max(part.last_answer);
        self.ack = self.ack.take().or(part.ack.take());
        self.acknowledged.append(&mut part.acknowledged);
        part.clear();
    }

    /// Empties it, and keeps its buffers.
    fn clear(&mut self) {
        self.latency.reset();
        self.responses.clear();
        (self.requests, self.events_sent, self.events_acknowledged, self.events_rejected) = (0, 0, 0, 0);
        (self.errors, self.requests_broken, self.requests_unsent) = (0, 0, 0);
        (self.first_send, self.last_answer) = (None, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_counted_once() {
        let (mut run, mut part) = (Figures::new(), Figures::new());
        for round in 1..=2 {
            part.latency.record(250_000).unwrap();
            part.responses.insert(202, 3);
            (part.requests, part.errors) = (4, 1);
            part.acknowledged.push(0..5);
            run.take(&mut part);
            assert_eq!((run.requests, run.errors, run.answered()), (4 * round, round, 3 * round));
            assert_eq!((run.latency.len(), run.acknowledged.len() as u64), (round, round));
            assert_eq!((part.requests, part.answered(), part.latency.len()), (0, 0, 0));
        }
    }
}
