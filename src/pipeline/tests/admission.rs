//! Admission: all or nothing, within bounds, and said early.

use super::kit::{
    FakeStore, batch, event, options, send, small_journal, start, start_gated, until, user_of_shard, wait,
};
use crate::{
    event::Shape,
    pipeline::{AckLevel, Refused},
};

#[test]
fn a_request_that_one_shard_has_no_room_for_takes_nothing_anywhere() {
    let store = FakeStore::new();
    let mut options = options(2);
    options.queue.events = 10;
    let (pipeline, gate) = start_gated(&store, options);
    let (full, free) = (user_of_shard(&pipeline, 0), user_of_shard(&pipeline, 1));
    gate.hold();
    send(&pipeline, &batch((0..10).map(|n| event(&full, n))), AckLevel::Queued).unwrap();

    let refused = send(&pipeline, &batch([event(&free, 0), event(&full, 10)]), AckLevel::Queued).unwrap_err();
    let Refused::Overloaded { retry_after_s } = refused else { panic!("{refused:?}") };
    assert!((1..=30).contains(&retry_after_s));
    let seen = pipeline.metrics();
    assert_eq!((seen.events_received, seen.current_queue_depth, seen.events_shed), (10, 10, 2));
    assert_eq!(seen.shards[1].events_received, 0);

    gate.release();
    until("the ten to be stored", || store.stored() == 10);
    assert!(store.handed_over(&free).is_empty());
}

#[test]
fn room_in_memory_is_given_back_when_the_journal_has_the_events() {
    let store = FakeStore::new();
    let mut options = options(1);
    options.queue.events = 5;
    let pipeline = start(&store, options);
    store.hold();
    for _ in 0..20 {
        let taken = send(&pipeline, &batch((0..5).map(|n| event("u", n))), AckLevel::Durable).unwrap();
        assert_eq!(wait(taken.ack).level, AckLevel::Durable);
        assert_eq!(pipeline.metrics().queue_bytes, 0);
    }
    assert_eq!(pipeline.metrics().current_queue_depth, 100, "the backlog is on disk");
    store.release();
}

#[test]
fn bytes_are_bounded_as_events_are() {
    let store = FakeStore::new();
    let mut options = options(1);
    options.queue.bytes = 4096;
    let (pipeline, gate) = start_gated(&store, options);
    gate.hold();
    let large = format!(r#"[{{"type":"system_log","source":"system","data":{{"m":"{}"}}}}]"#, "x".repeat(3000));
    send(&pipeline, &large, AckLevel::Queued).unwrap();
    assert!(matches!(send(&pipeline, &large, AckLevel::Queued), Err(Refused::Overloaded { .. })));
    assert!(pipeline.can_accept(), "a small one would fit");
    gate.release();
}

#[test]
fn at_queued_an_answer_waits_a_moment_where_half_of_the_queue_is_taken() {
    let store = FakeStore::new();
    let mut options = options(1);
    options.queue.events = 10;
    let (pipeline, gate) = start_gated(&store, options);
    gate.hold();
    let take = |events| send(&pipeline, &batch((0..events).map(|n| event("u", n))), AckLevel::Queued).unwrap().ack;
    assert!(take(5).is_given(), "there is room");
    let crowded = take(1);
    assert!(!crowded.is_given());
    assert_eq!(wait(crowded).level, AckLevel::Queued, "the journal stands still, and the events are in the queue");
    let crowded = take(1);
    gate.release();
    assert_eq!(wait(crowded).level, AckLevel::Queued);
    until("all to be stored", || store.stored() == 7);
}

#[test]
fn readiness_ends_where_no_shard_has_room() {
    let store = FakeStore::new();
    let mut options = options(1);
    options.queue.events = 1;
    let (pipeline, gate) = start_gated(&store, options);
    gate.hold();
    send(&pipeline, &batch([event("u", 1)]), AckLevel::Queued).unwrap();
    assert!(!pipeline.can_accept());
    gate.release();
    until("room", || pipeline.can_accept());
}

#[test]
fn a_full_journal_takes_nothing_and_takes_on_when_the_store_has_taken_some() {
    let store = FakeStore::new();
    let mut options = options(2);
    options.journal = small_journal();
    let pipeline = start(&store, options);
    store.hold();
    let body = |round: u64| batch((0..100).map(|n| event(&format!("u{}", n % 7), round * 100 + n)));
    let (mut intake, mut taken) = (pipeline.intake(), 0);
    let refused = loop {
        match intake.submit(body(taken).as_bytes(), Shape::Batch { events_max: 100 }, AckLevel::Durable) {
            Ok(accepted) => drop(wait(accepted.ack)),
            Err(refused) => {
                // The keeper may be making room at this moment: full is what stays full.
                if pipeline.metrics().journal.figures.bytes + (64 << 10) > small_journal().max_bytes {
                    break refused;
                }
                std::thread::yield_now();
                continue;
            }
        }
        taken += 1;
    };
    let Refused::JournalFull { retry_after_s } = refused else { panic!("{refused:?}") };
    assert!((1..=30).contains(&retry_after_s));
    let seen = pipeline.metrics();
    assert_eq!(seen.events_received, taken * 100);
    assert!(seen.journal.figures.bytes <= small_journal().max_bytes, "{:?}", seen.journal);

    store.release();
    until("the backlog to be stored", || pipeline.metrics().events_processed == taken * 100);
    let mut later = None;
    until("room in the journal", || {
        later = intake.submit(body(taken).as_bytes(), Shape::Batch { events_max: 100 }, AckLevel::Stored).ok();
        later.is_some()
    });
    assert_eq!(wait(later.unwrap().ack).level, AckLevel::Stored);
    assert_eq!(store.stored() as u64, (taken + 1) * 100);
}

#[test]
fn bad_events_are_rejected_and_good_ones_taken() {
    let store = FakeStore::new();
    let pipeline = start(&store, options(1));
    let body = format!(r#"[{},{{"type":"nope","source":"web"}},{}]"#, event("u", 1), event("u", 3));
    let taken = send(&pipeline, &body, AckLevel::Queued).unwrap();
    assert_eq!(taken.received, 3);
    assert_eq!(taken.accepted.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0, 2]);
    assert_eq!(taken.rejections[0].pointer, "/1/type");
    until("two to be stored", || store.handed_over("u") == [1, 3]);
    assert_eq!(pipeline.metrics().events_rejected, 1);
}

#[test]
fn nothing_is_taken_where_no_event_is_valid() {
    let store = FakeStore::new();
    let pipeline = start(&store, options(1));
    let none = send(&pipeline, "[{}]", AckLevel::Queued).unwrap_err();
    assert!(matches!(none, Refused::NoValidEvent { .. }), "{none:?}");
    assert_eq!(pipeline.metrics().events_received, 0);
}

#[test]
fn requests_of_one_tick_share_a_message_and_keep_their_own_acknowledgements() {
    let store = FakeStore::new();
    let pipeline = start(&store, options(1));
    let mut intake = pipeline.intake();
    let acks: Vec<_> = (0..10)
        .map(|n| {
            let request = crate::pipeline::Request {
                shape: Shape::Single,
                level: AckLevel::Stored,
                ack_timeout: pipeline.options().ack_timeout,
                idempotency_key: None,
                received: crate::event::Micros::now(),
            };
            intake.take(event("u", n).as_bytes(), request).unwrap().ack
        })
        .collect();
    assert!(intake.needs_flush() && acks.iter().all(|ack| !ack.is_given()));
    assert_eq!(store.stored(), 0);
    intake.flush();
    for ack in acks {
        assert_eq!(super::kit::wait(ack).level, AckLevel::Stored);
    }
    assert_eq!(store.handed_over("u"), (0..10).collect::<Vec<_>>());
}

/// A store's primary key takes rows best that lie side by side, and a flusher stores the rows of one shard.
#[test]
fn the_ids_that_are_made_in_a_moment_lie_together_by_shard() {
    let pipeline = start(&FakeStore::new(), options(4));
    let users: Vec<_> = (0..4).map(|shard| user_of_shard(&pipeline, shard)).collect();
    let body = batch((0..100).map(|n| event(&users[n as usize * 7 % 4], n)));
    let taken = send(&pipeline, &body, AckLevel::Queued).unwrap();
    let mut shards: Vec<_> = taken.accepted.iter().map(|(index, id)| (*id, index * 7 % 4)).collect();
    shards.sort_unstable();
    assert_eq!(shards.chunk_by(|a, b| a.1 == b.1).count(), 4, "{shards:?}");
}

#[test]
fn an_idempotency_key_makes_the_same_ids_again() {
    let store = FakeStore::new();
    let pipeline = start(&store, options(2));
    let mut intake = pipeline.intake();
    let mut ids = |key| {
        let request = crate::pipeline::Request {
            shape: Shape::Batch { events_max: 10 },
            level: AckLevel::Queued,
            ack_timeout: pipeline.options().ack_timeout,
            idempotency_key: Some(key),
            received: crate::event::Micros::now(),
        };
        let body = batch([event("a", 1), event("b", 2)]);
        let taken = intake.take(body.as_bytes(), request).unwrap();
        intake.flush();
        taken.accepted.iter().map(|(_, id)| *id).collect::<Vec<_>>()
    };
    let first = ids("key");
    assert_ne!(first[0], first[1]);
    assert_eq!(first[0].get_version_num(), 5);
    assert_eq!(ids("key"), first);
    assert_ne!(ids("other"), first);
    until("the rest to be known as duplicates", || pipeline.metrics().events_duplicate == 2);
    assert_eq!(store.stored(), 4);
}
