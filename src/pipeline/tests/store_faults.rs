//! A store that is slow, down, or refuses a row.

use std::{sync::atomic::Ordering, time::Duration};

use super::kit::{FakeStore, batch, event, options, send, start, until, wait};
use crate::pipeline::{AckLevel, BatchOptions};

#[test]
fn events_wait_while_the_store_is_down_and_are_stored_when_it_is_back() {
    let store = FakeStore::new();
    let pipeline = start(&store, options(2));
    store.take_down();
    for n in 0..50 {
        send(&pipeline, &batch([event("u", n)]), AckLevel::Queued).unwrap();
    }
    until("the store to be seen down", || pipeline.store_health().state == "down");
    let seen = pipeline.metrics();
    assert_eq!((seen.events_received, seen.events_processed, seen.current_queue_depth), (50, 0, 50));
    assert!(seen.store.retries["down"] > 0);
    store.mend();
    until("the backlog to be stored", || pipeline.metrics().events_processed == 50);
    assert_eq!(store.handed_over("u"), (0..50).collect::<Vec<_>>());
    assert!(pipeline.store_health().up);
}

#[test]
fn a_store_that_is_back_is_noticed_without_new_events() {
    let store = FakeStore::new();
    let pipeline = start(&store, options(1));
    store.take_down();
    send(&pipeline, &batch([event("u", 1)]), AckLevel::Queued).unwrap();
    until("the store to be seen down", || pipeline.store_health().state == "down");
    store.mend();
    until("the store to be seen up", || pipeline.store_health().up);
}

#[test]
fn batches_leave_by_new_options_also_those_that_wait_already() {
    let store = FakeStore::new();
    let mut options = options(1);
    options.batch = BatchOptions { max_events: 1000, max_bytes: 1 << 20, linger: Duration::from_secs(60) };
    let keeping = options.journal.keeping();
    for changed in [
        BatchOptions { max_events: 2, ..options.batch },
        BatchOptions { max_bytes: 1, ..options.batch },
        BatchOptions { linger: Duration::ZERO, ..options.batch },
    ] {
        let pipeline = start(&store, options);
        let before = store.stored();
        send(&pipeline, &batch([event("u", 1), event("u", 2)]), AckLevel::Durable).unwrap();
        until("the journal to have it", || pipeline.metrics().journal.counts.commits > 0);
        assert_eq!(store.stored(), before, "it lingers");
        pipeline.change(changed, keeping);
        until("it to leave", || store.stored() == before + 2);
    }
}

#[test]
fn an_answer_names_the_level_that_was_reached_in_time() {
    let store = FakeStore::new();
    let mut options = options(1);
    options.ack_timeout = Duration::from_millis(20);
    let pipeline = start(&store, options);
    store.hold();
    let taken = send(&pipeline, &batch([event("u", 1)]), AckLevel::Stored).unwrap();
    assert_eq!(wait(taken.ack).level, AckLevel::Durable);
    store.release();
    until("the event to be stored all the same", || store.stored() == 1);
}

#[test]
fn batches_grow_while_the_store_is_slow() {
    let store = FakeStore::new();
    let pipeline = start(&store, options(1));
    store.hold();
    for n in 0..1000 {
        send(&pipeline, &batch([event("u", n)]), AckLevel::Queued).unwrap();
    }
    store.release();
    until("all to be stored", || store.stored() == 1000);
    let calls = store.calls.load(Ordering::Relaxed);
    assert!(calls <= 1000 / 64 + 3, "the backlog left in full batches: {calls} calls");
}

#[test]
fn one_bad_row_costs_one_row() {
    for names_bad_rows in [false, true] {
        let store = FakeStore::that_names_bad_rows(names_bad_rows);
        let pipeline = start(&store, options(1));
        store.refuse_user("bad");
        let body = batch((0..60).map(|n| event(if n == 17 { "bad" } else { "good" }, n)));
        let reached = wait(send(&pipeline, &body, AckLevel::Stored).unwrap().ack);
        assert_eq!(reached.level, AckLevel::Stored);
        let [dead] = reached.outcome.dead.as_slice() else { panic!("{reached:?}") };
        assert_eq!((dead.index, dead.code), (17, "store_refused"));
        assert!(dead.detail.contains("1366"), "{}", dead.detail);
        assert_eq!(store.handed_over("good"), (0..60).filter(|n| *n != 17).collect::<Vec<_>>());
        let seen = pipeline.metrics();
        assert_eq!((seen.events_processed, seen.events_failed, seen.current_queue_depth), (59, 1, 0));
        let calls = store.calls.load(Ordering::Relaxed);
        // Two calls a halving of 60 rows, or around the named row.
        assert!(calls <= if names_bad_rows { 4 } else { 14 }, "{calls} calls");
    }
}

#[test]
fn a_batch_of_bad_rows_only_is_settled_too() {
    let store = FakeStore::new();
    let pipeline = start(&store, options(2));
    store.refuse_user("bad");
    let body = batch((0..20).map(|n| event("bad", n)));
    let reached = wait(send(&pipeline, &body, AckLevel::Stored).unwrap().ack);
    assert_eq!(reached.outcome.dead.len(), 20);
    assert_eq!(pipeline.metrics().events_failed, 20);
    assert_eq!(store.stored(), 0);
}
