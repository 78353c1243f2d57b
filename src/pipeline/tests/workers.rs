//! Many workers at once: everything arrives, once, in order, and is counted.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use super::kit::{FakeStore, batch, event, options, send, start, start_gated, start_with, until, user_of_shard, wait};
use crate::{
    event::Event,
    pipeline::{AckLevel, Fields, ProcessingError, Processor, Verdict},
};

#[test]
fn worker_pool_processing() {
    const THREADS: u64 = 4;
    const BATCHES: u64 = 100;
    const EVENTS: u64 = 25;
    let store = FakeStore::new();
    let pipeline = start(&store, options(4));
    let done = AtomicBool::new(false);
    let polls = thread::scope(|scope| {
        let law = scope.spawn(|| {
            let mut polls = 0_u64;
            while !done.load(Ordering::Relaxed) {
                let seen = pipeline.metrics();
                let left = seen.events_processed + seen.events_failed + seen.current_queue_depth;
                assert_eq!(seen.events_received + seen.events_recovered, left, "the law");
                polls += 1;
            }
            polls
        });
        let senders: Vec<_> = (0..THREADS)
            .map(|thread| {
                let pipeline = &pipeline;
                scope.spawn(move || {
                    for round in 0..BATCHES {
                        let events =
                            (0..EVENTS).map(|n| event(&format!("user-{thread}-{}", n % 7), round * EVENTS + n));
                        send(pipeline, &batch(events), AckLevel::Queued).unwrap();
                    }
                })
            })
            .collect();
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        until("all events to be stored", || pipeline.metrics().events_processed == THREADS * BATCHES * EVENTS);
        done.store(true, Ordering::Relaxed);
        law.join().unwrap()
    });
    assert!(polls > 0);
    assert_eq!(store.stored() as u64, THREADS * BATCHES * EVENTS);
    let seen = pipeline.metrics();
    assert_eq!((seen.active_workers, seen.shards.len()), (4, 4));
    assert!(seen.shards.iter().all(|shard| shard.events_processed > 0), "every worker took part: {:?}", seen.shards);
}

#[test]
fn one_users_events_reach_the_store_in_order() {
    let store = FakeStore::new();
    let pipeline = start(&store, options(3));
    let mut intake = pipeline.intake();
    for n in 0..500 {
        let body = batch((0..3).map(|user| event(&format!("user-{user}"), n)));
        intake.submit(body.as_bytes(), crate::event::Shape::Batch { events_max: 3 }, AckLevel::Queued).unwrap();
    }
    until("all events to be stored", || store.stored() == 1500);
    for user in 0..3 {
        assert_eq!(store.handed_over(&format!("user-{user}")), (0..500).collect::<Vec<_>>(), "user-{user}");
    }
}

#[test]
fn a_hot_user_fills_one_shard_and_leaves_room_for_others() {
    let store = FakeStore::new();
    let mut options = options(2);
    options.queue.events = 100;
    let (pipeline, gate) = start_gated(&store, options);
    let (hot, other) = (user_of_shard(&pipeline, 0), user_of_shard(&pipeline, 1));
    gate.hold();
    let mut taken = 0;
    while send(&pipeline, &batch([event(&hot, taken)]), AckLevel::Queued).is_ok() {
        taken += 1;
    }
    assert_eq!(taken, 100, "as many as the shard has credits");
    send(&pipeline, &batch([event(&other, 0)]), AckLevel::Queued).unwrap();
    gate.release();
    until("all events to be stored", || store.stored() == 101);
    assert_eq!(store.handed_over(&hot), (0..100).collect::<Vec<_>>());
}

#[test]
fn an_acknowledgement_at_stored_waits_for_every_shard() {
    let store = FakeStore::new();
    let pipeline = start(&store, options(4));
    store.hold();
    let users = (0..4).map(|shard| user_of_shard(&pipeline, shard));
    let taken = send(&pipeline, &batch(users.map(|user| event(&user, 1))), AckLevel::Stored).unwrap();
    assert!(!taken.ack.is_given());
    store.release();
    let reached = wait(taken.ack);
    assert_eq!(reached.level, AckLevel::Stored);
    assert_eq!(store.stored(), 4);
}

#[test]
fn duplicates_are_told_by_their_place_in_the_request() {
    let store = FakeStore::new();
    let pipeline = start(&store, options(2));
    let with_id = |id: u32| {
        let id = uuid::Uuid::from_u128(u128::from(id));
        format!(r#"{{"id":"{id}","type":"sensor_data","source":"iot_device"}}"#)
    };
    let first = send(&pipeline, &batch([with_id(1), with_id(2)]), AckLevel::Stored).unwrap();
    assert!(wait(first.ack).outcome.duplicates.is_empty());
    let second = send(&pipeline, &batch([with_id(3), with_id(2), with_id(4), with_id(1)]), AckLevel::Stored).unwrap();
    assert_eq!(wait(second.ack).outcome.duplicates, [1, 3]);
    let seen = pipeline.metrics();
    assert_eq!((seen.events_processed, seen.events_duplicate), (6, 2));
}

#[test]
fn what_is_stored_holds_the_data_as_sent_and_when_it_came() {
    let store = FakeStore::new();
    let pipeline = start(&store, options(1));
    let body = r#"[{"type":"user_action","source":"web","timestamp":"2025-01-15T10:30:00.123456789+01:00",
        "data":{ "value" : 1.50, "a":"\u00e4" }}]"#;
    wait(send(&pipeline, body, AckLevel::Stored).unwrap().ack);
    let data = store.processed_data().remove(0);
    assert!(data.starts_with(r#"{"data":{ "value" : 1.50, "a":"\u00e4" },"#), "{data}");
    let data: serde_json::Value = serde_json::from_str(&data).unwrap();
    assert_eq!(data["timestamp"], "2025-01-15T10:30:00.123456789+01:00");
    assert!(data["received_at"].as_str().unwrap().ends_with('Z'));
    assert!(data["lag_ms"].as_i64().unwrap() > 0);
    assert_eq!(data["receipt"].as_str().unwrap().len(), 32);
}

/// Fails the events of one user, and filters out those of another.
struct Picky;

impl Processor for Picky {
    fn process(&self, event: &Event<'_>, fields: &mut Fields<'_>) -> Result<Verdict, ProcessingError> {
        fields.raw("data", event.data);
        match event.user_id {
            Some("bad") => Err(ProcessingError { reason: "not this one".to_owned() }),
            Some("noise") => Ok(Verdict::FilterOut),
            _ => Ok(Verdict::Store),
        }
    }
}

#[test]
fn a_processor_that_fails_an_event_fails_that_event_alone() {
    let store = FakeStore::new();
    let pipeline = start_with(&store, options(2), |builder| builder.processor(Picky));
    let body = batch([event("good", 1), event("bad", 2), event("good", 3)]);
    let reached = wait(send(&pipeline, &body, AckLevel::Stored).unwrap().ack);
    let [dead] = reached.outcome.dead.as_slice() else { panic!("{reached:?}") };
    assert_eq!((dead.index, dead.code, dead.detail.as_str()), (1, "processing_failed", "not this one"));
    assert_eq!(store.handed_over("good"), [1, 3]);
    let seen = pipeline.metrics();
    assert_eq!((seen.events_processed, seen.events_failed, seen.current_queue_depth), (2, 1, 0));
}

#[test]
fn what_a_processor_filters_out_is_processed_and_not_stored() {
    let store = FakeStore::new();
    let pipeline = start_with(&store, options(1), |builder| builder.processor(Picky));
    let body = batch([event("noise", 1), event("good", 2), event("bad", 3), event("noise", 4)]);
    let reached = wait(send(&pipeline, &body, AckLevel::Stored).unwrap().ack);
    assert_eq!(reached.level, AckLevel::Stored);
    assert_eq!(reached.outcome.dead.iter().map(|dead| dead.index).collect::<Vec<_>>(), [2]);
    assert!(store.handed_over("noise").is_empty(), "{:?}", store.processed_data());
    assert_eq!(store.handed_over("good"), [2]);
    let seen = pipeline.metrics();
    assert_eq!((seen.events_processed, seen.events_filtered, seen.events_failed), (3, 2, 1));
    assert_eq!(seen.current_queue_depth, 0);
}

#[test]
fn a_request_of_which_nothing_is_left_is_answered_and_passed() {
    let store = FakeStore::new();
    let pipeline = start_with(&store, options(1), |builder| builder.processor(Picky));
    for round in 0..3 {
        let body = batch([event("noise", round), event("noise", round)]);
        assert_eq!(wait(send(&pipeline, &body, AckLevel::Stored).unwrap().ack).level, AckLevel::Stored);
    }
    assert_eq!(store.calls.load(Ordering::Relaxed), 0, "there was nothing to store");
    assert_eq!(pipeline.metrics().events_filtered, 6);
    assert_eq!(pipeline.drain(Duration::from_secs(10)).unstored, 0);
}
