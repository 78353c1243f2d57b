//! A shard's tray: where its worker puts records for the hub, as many as the hub has allowed, without ever
//! waiting for it.
//!
//! It has two places. The worker uses the first, and where the hub is just emptying that, the second; the hub empties
//! the second and then the first. So records are taken in order, and none is passed over only because two met.

use std::{
    mem,
    ops::Div,
    sync::{
        Mutex, TryLockError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::lock;
use crate::event;

/// What a worker has put there, and what it has not.
#[derive(Debug, Default)]
pub(super) struct Tray {
    /// How many events it did not put there.
    passed_over: AtomicU64,
    places: [Mutex<Put>; 2],
}

#[derive(Debug, Default)]
struct Put {
    records: Vec<u8>,
    allowance: Allowance,
}

impl Tray {
    /// Puts the first ones of these records there, as many as may be; all others are passed over.
    pub(super) fn put(&self, records: &[u8], events: u32) {
        let put = self.places.iter().find_map(|place| match place.try_lock() {
            Ok(mut put) => Some(put.take_from(records)),
            Err(TryLockError::Poisoned(put)) => Some(put.into_inner().take_from(records)),
            Err(TryLockError::WouldBlock) => None,
        });
        let put = put.unwrap_or(0);
        if put < events {
            // Ordering: a count that stands by itself.
            self.passed_over.fetch_add(u64::from(events - put), Ordering::Relaxed);
        }
    }

    /// Takes what is there, for an empty buffer, and allows what `rate` brings in the time since the last call;
    /// how many events were passed over.
    pub(super) fn take(&self, records: &mut Vec<u8>, rate: Rate, since: Duration) -> u64 {
        for place in self.places.iter().rev() {
            let mut put = lock(place);
            if records.is_empty() {
                mem::swap(&mut put.records, records);
            } else {
                records.append(&mut put.records);
            }
            put.allowance.refill(rate, since);
        }
        // Ordering: see `put`.
        self.passed_over.swap(0, Ordering::Relaxed)
    }

    /// Forgets what is there, and allows all that may be.
    pub(super) fn clear(&self, rate: Rate) {
        for place in &self.places {
            *lock(place) = Put { records: Vec::new(), allowance: Allowance::full(rate) };
        }
        // Ordering: see `put`.
        self.passed_over.store(0, Ordering::Relaxed);
    }
}

impl Put {
    fn take_from(&mut self, records: &[u8]) -> u32 {
        let (mut events, mut end) = (0, 0);
        while let Some((_, length)) = event::skim(&records[end..])
            && self.allowance.take(length)
        {
            end += length;
            events += 1;
        }
        self.records.extend_from_slice(&records[..end]);
        events
    }
}

/// So many events, and so many bytes of them, a second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    pub(super) events: f64,
    pub(super) bytes: f64,
}

impl Div<usize> for Rate {
    type Output = Self;

    /// A part for each of so many; all of it where there is none.
    fn div(self, parts: usize) -> Self {
        let parts = parts.max(1) as f64;
        Self { events: self.events / parts, bytes: self.bytes / parts }
    }
}

/// What may be taken now: what a rate has brought, and at most what it brings in a second.
#[derive(Debug, Default)]
pub(super) struct Allowance {
    events: f64,
    bytes: f64,
}

impl Allowance {
    pub(super) fn full(rate: Rate) -> Self {
        Self { events: rate.events, bytes: rate.bytes }
    }

    pub(super) fn refill(&mut self, rate: Rate, since: Duration) {
        let seconds = since.as_secs_f64();
        self.events = (self.events + rate.events * seconds).min(rate.events);
        self.bytes = (self.bytes + rate.bytes * seconds).min(rate.bytes);
    }

    /// Takes an event of so many bytes. A larger one than what is left is taken all the same, and those after it
    /// pay for it: else it could never be seen.
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        let may = self.events >= 1.0 && self.bytes > 0.0;
        if may {
            self.events -= 1.0;
            self.bytes -= bytes as f64;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::event::{Event, EventType, Micros, Receipt, RecordReader, Source};

    const RATE: Rate = Rate { events: 100.0, bytes: 1e6 };

    fn records(numbers: std::ops::Range<u128>) -> Vec<u8> {
        let mut records = Vec::new();
        for number in numbers {
            let event = Event {
                id: Uuid::from_u128(number),
                kind: EventType::UserAction,
                source: Source::Web,
                user_id: Some("u"),
                timestamp: None,
                occurred: Micros(0),
                received: Micros(0),
                receipt: Receipt(number),
                data: r#"{"a":1}"#,
            };
            event::encode(&event, &mut records);
        }
        records
    }

    /// Puts these events there.
    fn put(tray: &Tray, numbers: std::ops::Range<u128>) {
        tray.put(&records(numbers.clone()), (numbers.end - numbers.start) as u32);
    }

    /// What is taken so long after the last time, and how many were passed over.
    fn take(tray: &Tray, since: Duration) -> (Vec<u128>, u64) {
        let mut taken = Vec::new();
        let passed_over = tray.take(&mut taken, RATE, since);
        let ids = RecordReader::new(&taken).map(|record| record.unwrap().0.id.as_u128());
        (ids.collect(), passed_over)
    }

    #[test]
    fn the_first_events_are_put_there_and_the_rest_is_counted() {
        let tray = Tray::default();
        tray.clear(RATE);
        put(&tray, 0..60);
        put(&tray, 60..120);
        put(&tray, 120..130);
        assert_eq!(take(&tray, Duration::from_millis(100)), ((0..100).collect(), 30));
        put(&tray, 130..145);
        assert_eq!(take(&tray, Duration::from_secs(9)), ((130..140).collect(), 5));
        put(&tray, 145..300);
        assert_eq!(take(&tray, Duration::ZERO), ((145..245).collect(), 55), "no more than a second's worth");
    }

    #[test]
    fn a_worker_does_not_wait_for_the_hub_and_order_is_kept() {
        let tray = Tray::default();
        tray.clear(RATE);
        put(&tray, 0..3);
        let mut hub = lock(&tray.places[0]);
        hub.records.clear();
        put(&tray, 3..5);
        drop(hub);
        put(&tray, 5..7);
        assert_eq!(take(&tray, Duration::ZERO), ((3..7).collect(), 0));
        let hub = [lock(&tray.places[0]), lock(&tray.places[1])];
        put(&tray, 7..9);
        drop(hub);
        assert_eq!(take(&tray, Duration::ZERO), (vec![], 2));
    }

    #[test]
    fn what_is_left_from_before_is_cleared() {
        let tray = Tray::default();
        tray.clear(RATE);
        put(&tray, 0..150);
        tray.clear(RATE);
        put(&tray, 150..160);
        assert_eq!(take(&tray, Duration::ZERO), ((150..160).collect(), 0));
    }

    #[test]
    fn an_event_larger_than_all_that_is_allowed_is_taken_and_paid_for() {
        let mut allowance = Allowance::full(RATE);
        assert!(allowance.take(3_000_000));
        assert!(!allowance.take(1));
        allowance.refill(RATE, Duration::from_secs(1));
        assert!(!allowance.take(1));
        allowance.refill(RATE, Duration::from_millis(1001));
        assert!(allowance.take(1));
    }
}
