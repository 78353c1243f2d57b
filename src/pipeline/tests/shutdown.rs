//! The end: nothing new comes in, what is in goes to the store, the rest is counted.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::kit::{FakeStore, batch, event, options, send, start, until};
use crate::pipeline::{AckLevel, Drained, Refused};

const GRACE: Duration = Duration::from_secs(20);

#[test]
fn graceful_shutdown() {
    let store = FakeStore::new();
    let pipeline = start(&store, options(3));
    store.hold();
    for n in 0..300 {
        send(&pipeline, &batch([event(&format!("u{n}"), n)]), AckLevel::Queued).unwrap();
    }
    let draining = {
        let pipeline = pipeline.clone();
        thread::spawn(move || pipeline.drain(GRACE))
    };
    until("the gate to close", || pipeline.is_draining());
    let late = send(&pipeline, &batch([event("late", 0)]), AckLevel::Queued).unwrap_err();
    assert_eq!(late, Refused::Draining);
    store.release();
    assert_eq!(draining.join().unwrap(), Drained { unstored: 0, journaled: true });
    assert_eq!(store.stored(), 300);
    let seen = pipeline.metrics();
    assert_eq!((seen.events_processed, seen.current_queue_depth, seen.active_workers), (300, 0, 0));
    assert_eq!(pipeline.drain(GRACE), Drained { unstored: 0, journaled: true }, "a second drain has nothing to do");
}

#[test]
fn what_is_not_stored_in_time_is_counted() {
    let store = FakeStore::new();
    let pipeline = start(&store, options(2));
    store.take_down();
    send(&pipeline, &batch((0..7).map(|n| event("u", n))), AckLevel::Queued).unwrap();
    let since = Instant::now();
    assert_eq!(pipeline.drain(Duration::from_millis(50)), Drained { unstored: 7, journaled: true });
    assert!(since.elapsed() < GRACE, "the grace is kept");
    assert_eq!(store.stored(), 0);
}

#[test]
fn what_was_let_in_before_the_end_is_handed_over_after_it() {
    let store = FakeStore::new();
    let pipeline = start(&store, options(1));
    let mut intake = pipeline.intake();
    let request = crate::pipeline::Request {
        shape: crate::event::Shape::Single,
        level: AckLevel::Queued,
        ack_timeout: GRACE,
        idempotency_key: None,
        received: crate::event::Micros::now(),
    };
    intake.take(event("u", 1).as_bytes(), request).unwrap();
    let draining = {
        let pipeline = pipeline.clone();
        thread::spawn(move || pipeline.drain(GRACE))
    };
    until("the gate to close", || pipeline.is_draining());
    intake.flush();
    assert_eq!(draining.join().unwrap(), Drained { unstored: 0, journaled: true });
    assert_eq!(store.handed_over("u"), [1]);
}

#[test]
fn an_idle_pipeline_ends_at_once() {
    let pipeline = start(&FakeStore::new(), options(2));
    assert_eq!(pipeline.drain(GRACE), Drained { unstored: 0, journaled: true });
}
