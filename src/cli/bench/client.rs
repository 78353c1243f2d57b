//! One client: a connection on which one request is sent after the other.
//!
//! A closed loop sends the next request when the last one was answered. An open loop has a
//! schedule: request `k` is due at `k` intervals after the start, and belongs to connection `k`
//! modulo their number. Its latency counts from then, also where the connection was still busy:
//! what a slow answer holds up is seen in the answers behind it, as users would see it.

use std::{
    io,
    ops::Range,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use super::{
    answer,
    figures::Figures,
    load::{Amount, Shared},
    request::Request,
};
use crate::cli::service::{Connection, Head};

/// Distinct requests of a connection, where memory allows: so many bytes for all connections.
const RING_MAX: usize = 16;
const RING_BYTES_MAX: usize = 16 << 20;
/// The longest pause after a 503, whatever `Retry-After` says: a load generator is to see when the
/// service takes events again.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// The pause after a 503 without `Retry-After`.
const PAUSE: Duration = Duration::from_millis(100);
/// Waits before a connection is opened anew.
const REOPEN_FIRST: Duration = Duration::from_millis(10);
const REOPEN_LONGEST: Duration = Duration::from_secs(1);
/// Timers wake up to a millisecond late, and threads a little later. Where the connection was idle
/// such a delay is this program's own, and no request waited.
const TIMER_SLACK: Duration = Duration::from_millis(2);

/// One connection's user.
pub(super) struct Client {
    shared: Arc<Shared>,
    thread: usize,
    number: usize,
    connection: Option<Connection>,
    reopen_after: Duration,
    ring: Vec<Request>,
    turn: usize,
}

impl Client {
    pub(super) fn new(shared: Arc<Shared>, thread: usize, number: usize) -> Self {
        let form = &shared.plan.form;
        let bytes_all = form.body_bytes() * shared.plan.connections;
        let size = (RING_BYTES_MAX / bytes_all).clamp(1, RING_MAX);
        let seed = |turn| (number * RING_MAX + turn) * form.batch;
        let ring = (0..size).map(|turn| form.render(form.batch, seed(turn))).collect();
        Self { thread, number, connection: None, reopen_after: Duration::ZERO, ring, turn: 0, shared }
    }

    pub(super) async fn run(mut self) {
        self.open().await;
        self.shared.ready.wait().await;
        let start = *self.shared.start.get_or_init(Instant::now);
        let end = match self.shared.plan.amount {
            Amount::Time(time) => Some(start + time),
            Amount::Events(_) => None,
        };
        match self.shared.plan.interval {
            None => self.closed_loop(end).await,
            Some(interval) => self.open_loop(start, interval, end).await,
        }
    }

    async fn closed_loop(&mut self, end: Option<Instant>) {
        let requests = self.shared.plan.requests();
        while self.is_open(end).await {
            // Ordering: only that each number is given once.
            let k = self.shared.next.fetch_add(1, Ordering::Relaxed);
            if k >= requests {
                return;
            }
            if let Some(pause) = self.send(k, None).await {
                let now = Instant::now();
                let then = now + pause;
                self.shared.rest_until(end.map_or(then, |end| then.min(end))).await;
            }
        }
    }

    async fn open_loop(&mut self, start: Instant, interval: Duration, end: Option<Instant>) {
        let requests = self.shared.plan.requests();
        let due = |k: u64| start + Duration::from_nanos((interval.as_nanos() * u128::from(k)) as u64);
        let step = self.shared.plan.connections;
        let mut mine = (self.number as u64..requests).step_by(step);
        while let Some(k) = mine.next() {
            let due_at = due(k);
            self.shared.rest_until(due_at).await;
            if !self.is_open(end).await {
                let until = end.unwrap_or_else(Instant::now).min(Instant::now());
                let unsent = std::iter::once(k).chain(mine).take_while(|k| due(*k) < until).count();
                self.shared.figures(self.thread).requests_unsent += unsent as u64;
                return;
            }
            self.send(k, Some(due_at)).await;
        }
    }

    /// Whether a request may be sent: the run goes on, and there is a connection.
    async fn is_open(&mut self, end: Option<Instant>) -> bool {
        loop {
            if self.shared.is_stopped() || end.is_some_and(|end| Instant::now() >= end) {
                return false;
            }
            if self.connection.is_some() {
                return true;
            }
            let then = Instant::now() + self.reopen_after;
            self.shared.rest_until(end.map_or(then, |end| then.min(end))).await;
            self.open().await;
        }
    }

    async fn open(&mut self) {
        match Connection::open(&self.shared.plan.addresses).await {
            Ok(connection) => self.connection = Some(connection),
            Err(error) => self.fail(&error),
        }
    }

    fn fail(&mut self, error: &io::Error) {
        self.connection = None;
        self.reopen_after = (self.reopen_after * 2).clamp(REOPEN_FIRST, REOPEN_LONGEST);
        let mut figures = self.shared.figures(self.thread);
        figures.errors += 1;
        figures.error_last = Some(error.to_string());
    }

    /// Sends request `k` and counts its answer; the pause that the server asks for.
    async fn send(&mut self, k: u64, due: Option<Instant>) -> Option<Duration> {
        let mut connection = self.connection.take()?;
        let form = &self.shared.plan.form;
        let events = self.shared.plan.events(k);
        let first = k * form.batch as u64;
        let mut short;
        let request = if events == form.batch {
            self.turn = (self.turn + 1) % self.ring.len();
            &mut self.ring[self.turn]
        } else {
            short = form.render(events, 0);
            &mut short
        };
        let bytes = request.stamp(form, first);
        let sent = Instant::now();
        {
            let mut figures = self.shared.figures(self.thread);
            figures.requests += 1;
            figures.events_sent += events as u64;
            figures.first_send.get_or_insert(sent);
        }
        let since = match due {
            Some(due) if sent.saturating_duration_since(due) > TIMER_SLACK => due,
            _ => sent,
        };
        match connection.exchange(bytes).await {
            Ok((head, body)) => {
                let sent = Sent { first, events, since };
                sent.count(&head, body, &mut self.shared.figures(self.thread), self.shared.plan.keeps_numbers);
                self.reopen_after = Duration::ZERO;
                self.connection = (!head.closes).then_some(connection);
                (head.status == 503).then(|| head.retry_after_s.map_or(PAUSE, Duration::from_secs).min(PAUSE_MAX))
            }
            Err(error) => {
                self.fail(&error);
                self.shared.figures(self.thread).requests_broken += 1;
                None
            }
        }
    }
}

/// A request that was answered.
struct Sent {
    /// The number of its first event.
    first: u64,
    events: usize,
    /// From when its latency counts.
    since: Instant,
}

impl Sent {
    fn count(&self, head: &Head, body: &[u8], figures: &mut Figures, keeps_numbers: bool) {
        let now = Instant::now();
        figures.last_answer = Some(now);
        *figures.responses.entry(head.status).or_default() += 1;
        if !head.is_success() {
            return;
        }
        let latency_us = now.saturating_duration_since(self.since).as_micros() as u64;
        figures.latency.saturating_record(latency_us.max(1));
        if figures.ack.is_none() {
            figures.ack = Some(answer::ack(body).unwrap_or_else(|| "unknown".to_owned()));
        }
        let refused = answer::refused(body, self.events);
        figures.events_rejected += refused.len() as u64;
        figures.events_acknowledged += (self.events - refused.len()) as u64;
        if keeps_numbers {
            figures.acknowledged.extend(self.taken(&refused));
        }
    }

    /// The numbers that were not refused.
    fn taken(&self, refused: &[usize]) -> impl Iterator<Item = Range<u64>> {
        let number = |index: usize| self.first + index as u64;
        let begins = std::iter::once(0).chain(refused.iter().map(|index| index + 1));
        let ends = refused.iter().copied().chain([self.events]);
        begins.zip(ends).map(move |(begin, end)| number(begin)..number(end)).filter(|range| !range.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_is_left_out_of_the_numbers() {
        let sent = Sent { first: 100, events: 5, since: Instant::now() };
        let taken = |refused: &[usize]| sent.taken(refused).map(|range| (range.start, range.end)).collect::<Vec<_>>();
        assert_eq!(taken(&[]), [(100, 105)]);
        assert_eq!(taken(&[0, 2]), [(101, 102), (103, 105)]);
        assert_eq!(taken(&[1]), [(100, 101), (102, 105)]);
        assert_eq!(taken(&[3, 4]), [(100, 103)]);
        assert_eq!(taken(&[0, 1, 2, 3, 4]), []);
    }
}
