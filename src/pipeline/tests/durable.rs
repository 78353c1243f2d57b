//! What the journal promises, seen through the pipeline: acknowledgements, restarts, repeated ids.

use std::{sync::Arc, time::Duration};

use super::kit::{FakeStore, batch, event, options, send, small_journal, start, start_gated, start_with, until, wait};
use crate::{
    event::Shape,
    pipeline::{AckLevel, Drained, Options, Pipeline},
    storage::Storage,
};

const SHAPE: Shape = Shape::Batch { events_max: 100 };
const GRACE: Duration = Duration::from_secs(20);

fn restart(store: &Arc<FakeStore>, dir: &std::path::Path, options: Options) -> Pipeline {
    Pipeline::builder(Arc::clone(store) as Arc<dyn Storage>, dir).options(options).start().unwrap()
}

#[test]
fn an_acknowledgement_at_durable_waits_for_the_sync_and_not_for_the_store() {
    let store = FakeStore::new();
    let (pipeline, gate) = start_gated(&store, options(2));
    store.hold();
    gate.hold();
    let taken = send(&pipeline, &batch((0..20).map(|n| event(&format!("u{n}"), n))), AckLevel::Durable).unwrap();
    until("a sync to wait", || gate.waiting() > 0);
    assert!(!taken.ack.is_given(), "nothing is synced");
    gate.release();
    assert_eq!(wait(taken.ack).level, AckLevel::Durable);
    assert_eq!(store.stored(), 0);
    store.release();
}

#[test]
fn nothing_is_stored_before_it_is_synced() {
    let store = FakeStore::new();
    let (pipeline, gate) = start_gated(&store, options(1));
    gate.hold();
    send(&pipeline, &batch([event("u", 1)]), AckLevel::Queued).unwrap();
    until("the sync to wait", || gate.waiting() > 0);
    assert_eq!(store.calls.load(std::sync::atomic::Ordering::Relaxed), 0);
    gate.release();
    until("it to be stored", || store.stored() == 1);
}

#[test]
fn a_drain_with_the_store_away_leaves_the_backlog_to_the_next_start() {
    let store = FakeStore::new();
    let pipeline = start(&store, options(2));
    store.take_down();
    for n in 0..300 {
        send(&pipeline, &batch([event(&format!("u{}", n % 10), n)]), AckLevel::Queued).unwrap();
    }
    until("the store to be seen down", || pipeline.store_health().state == "down");
    let since = std::time::Instant::now();
    assert_eq!(pipeline.drain(GRACE), Drained { unstored: 300, journaled: true });
    assert!(since.elapsed() < GRACE / 2, "with the store away it does not wait for the grace");

    store.mend();
    let again = restart(&store, pipeline.dir(), options(2));
    let seen = again.metrics();
    assert_eq!((seen.events_recovered, seen.events_received), (300, 0));
    until("the backlog to be stored", || again.metrics().events_processed == 300);
    assert_eq!((store.stored(), again.metrics().current_queue_depth), (300, 0));
    for user in 0..10 {
        let expected: Vec<u64> = (0..300).filter(|n| n % 10 == user).collect();
        assert_eq!(store.handed_over(&format!("u{user}")), expected, "in order, over the restart");
    }
    assert_eq!(again.drain(GRACE), Drained { unstored: 0, journaled: true });
    let third = restart(&store, pipeline.dir(), options(2));
    assert_eq!(third.metrics().events_recovered, 0, "the watermark was written at the end");
    third.drain(GRACE);
}

#[test]
fn another_number_of_shards_drains_what_the_former_ones_left_first() {
    let store = FakeStore::new();
    let pipeline = start(&store, options(8));
    store.take_down();
    for n in 0..200 {
        send(&pipeline, &batch([event(&format!("u{}", n % 10), n)]), AckLevel::Durable).unwrap();
    }
    assert_eq!(pipeline.drain(GRACE).unstored, 200);
    for (round, shards) in [3, 8, 1].into_iter().enumerate() {
        let again = restart(&store, pipeline.dir(), options(shards));
        let before = 200 + round as u64 * 10;
        assert_eq!(again.metrics().events_recovered, before, "{shards} shards");
        for n in before..before + 10 {
            wait(send(&again, &batch([event(&format!("u{}", n % 10), n)]), AckLevel::Durable).unwrap().ack);
        }
        assert_eq!(again.drain(GRACE).unstored, before + 10);
    }
    store.mend();
    let last = restart(&store, pipeline.dir(), options(2));
    until("all to be stored", || last.metrics().events_processed == 230);
    for user in 0..10 {
        let expected: Vec<u64> = (0..230).filter(|n| n % 10 == user).collect();
        assert_eq!(store.handed_over(&format!("u{user}")), expected, "in order, over all changes");
    }
    last.drain(GRACE);
}

#[test]
fn segments_are_used_again_and_again() {
    let store = FakeStore::new();
    let mut options = options(2);
    options.journal = small_journal();
    let pipeline = start(&store, options);
    let mut intake = pipeline.intake();
    let body = |round: u64| batch((0..50).map(|n| event(&format!("u{}", n % 7), round * 50 + n)));
    for round in 0..1000 {
        loop {
            // The journal is small: now and then it has to wait for the store.
            if let Ok(taken) = intake.submit(body(round).as_bytes(), SHAPE, AckLevel::Durable) {
                wait(taken.ack);
                break;
            }
        }
    }
    until("all to be stored", || pipeline.metrics().events_processed == 50_000);
    let seen = pipeline.metrics();
    assert!(seen.journal.counts.written_bytes > 3 * small_journal().max_bytes, "{:?}", seen.journal);
    assert!(seen.journal.figures.bytes <= small_journal().max_bytes, "{:?}", seen.journal);
    assert_eq!(seen.journal.counts.damaged_extents, 0);
    for user in 0..7 {
        let mut numbers = store.handed_over(&format!("u{user}"));
        let sent = numbers.len();
        numbers.dedup();
        assert!(numbers.is_sorted() && numbers.len() == sent, "once, and in order");
    }
}

#[test]
fn an_event_larger_than_a_segment_gets_one_of_its_own() {
    let store = FakeStore::new();
    let mut options = options(1);
    options.journal = small_journal();
    options.journal.ready_bytes = 512 << 10;
    options.journal.max_bytes = 4 << 20;
    let pipeline = start(&store, options);
    let large = |n: u64| {
        let text = "x".repeat(100_000);
        format!(r#"{{"type":"system_log","source":"system","user_id":"u","data":{{"n":{n},"m":"{text}"}}}}"#)
    };
    for n in 0..10 {
        let body = batch([event("u", 10 * n), large(10 * n + 1)]);
        until("room", || pipeline.can_accept());
        let reached = loop {
            if let Ok(taken) = send(&pipeline, &body, AckLevel::Stored) {
                break wait(taken.ack);
            }
        };
        assert_eq!(reached.level, AckLevel::Stored);
    }
    assert_eq!(store.handed_over("u"), (0..10).flat_map(|n| [10 * n, 10 * n + 1]).collect::<Vec<_>>());
    assert_eq!(pipeline.metrics().journal.counts.damaged_extents, 0);
}

#[test]
fn an_id_that_was_sent_lately_is_said_to_be_a_duplicate_at_durable() {
    let store = FakeStore::new();
    let pipeline = start(&store, options(2));
    store.hold();
    let with_id = |id: u32| {
        let id = uuid::Uuid::from_u128(u128::from(id));
        format!(r#"{{"id":"{id}","type":"sensor_data","source":"iot_device"}}"#)
    };
    let level = AckLevel::Durable;
    let first = wait(send(&pipeline, &batch([with_id(1), event("u", 1), with_id(2)]), level).unwrap().ack);
    assert!(first.outcome.duplicates.is_empty());
    let second = wait(send(&pipeline, &batch([event("u", 1), with_id(2), with_id(4), with_id(1)]), level).unwrap().ack);
    assert_eq!((second.level, second.outcome.duplicates), (level, vec![1, 3]));
    let twice = wait(send(&pipeline, &batch([with_id(7), with_id(7)]), level).unwrap().ack);
    assert_eq!(twice.outcome.duplicates, [1]);
    store.release();
    until("all to be settled", || pipeline.metrics().current_queue_depth == 0);
    assert_eq!(pipeline.metrics().events_duplicate, 3);
}

#[test]
fn requests_that_went_away_are_not_remembered() {
    let store = FakeStore::new();
    let mut options = options(1);
    options.ack_timeout = Duration::from_millis(1);
    let pipeline = start_with(&store, options, |builder| builder);
    store.hold();
    for n in 0..5000 {
        let taken = send(&pipeline, &batch([event("u", n)]), AckLevel::Stored).unwrap();
        if n % 500 == 0 {
            assert_ne!(wait(taken.ack).level, AckLevel::Stored);
        }
    }
    assert!(pipeline.inner.backlogs[0].waiting() < 2500, "{}", pipeline.inner.backlogs[0].waiting());
    store.release();
    until("all to be stored", || store.stored() == 5000);
}
