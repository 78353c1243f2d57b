//! The tail: what viewers see, what they miss, and that nobody waits for them.

use std::{sync::Arc, time::Duration};

use super::kit::{FakeStore, Started, batch, event, options, send, start, until, wait};
use crate::{
    event::EventType,
    pipeline::{AckLevel, JournaledEvent, Pipeline, Seen, Tail, TailFilter},
};

const PATIENCE: Duration = Duration::from_secs(20);

/// The next thing that it sees; `None` where it is over.
fn next(tail: &mut Tail) -> Option<Seen> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, tail.next()).await.expect("it sees something") })
}

fn next_event(tail: &mut Tail) -> Arc<JournaledEvent> {
    match next(tail) {
        Some(Seen::Event(event)) => event,
        other => panic!("{other:?}"),
    }
}

fn number(event: &JournaledEvent) -> u64 {
    serde_json::from_str::<serde_json::Value>(&event.data).unwrap()["n"].as_u64().unwrap()
}

fn of_user(user: &str) -> TailFilter {
    TailFilter { user_id: Some(user.to_owned()), ..TailFilter::default() }
}

/// Sends the user's events with these numbers, and waits until they are durable.
fn send_of(pipeline: &Pipeline, user: &str, numbers: impl IntoIterator<Item = u64>) {
    let events = batch(numbers.into_iter().map(|n| event(user, n)));
    wait(send(pipeline, &events, AckLevel::Durable).unwrap().ack);
}

fn start_with_store_down(shards: usize) -> Started {
    let store = FakeStore::new();
    store.take_down();
    start(&store, options(shards))
}

#[test]
fn viewers_see_the_same_events_in_order_while_the_store_is_down() {
    let pipeline = start_with_store_down(3);
    let (mut one, mut other) = (pipeline.tail(of_user("a")), pipeline.tail(of_user("a")));
    let mut all = pipeline.tail(TailFilter::default());
    for n in 1..100 {
        send_of(&pipeline, "a", [n]);
        send_of(&pipeline, "b", [n]);
    }
    for n in 1..100 {
        let (seen, shared) = (next_event(&mut one), next_event(&mut other));
        assert_eq!(number(&seen), n);
        assert!(Arc::ptr_eq(&seen, &shared));
        assert_eq!((seen.kind, seen.user_id.as_deref()), ("user_action", Some("a")));
    }
    let mut last = [0, 0];
    for _ in 0..198 {
        let seen = next_event(&mut all);
        let last = &mut last[usize::from(seen.user_id.as_deref() == Some("b"))];
        *last += 1;
        assert_eq!(number(&seen), *last);
    }
}

#[test]
fn a_type_is_compared_too() {
    let pipeline = start_with_store_down(1);
    let mut none = pipeline.tail(TailFilter { kind: Some(EventType::SystemLog), user_id: Some("a".to_owned()) });
    let mut some = pipeline.tail(TailFilter { kind: Some(EventType::UserAction), user_id: None });
    send_of(&pipeline, "a", [1, 2]);
    assert_eq!([number(&next_event(&mut some)), number(&next_event(&mut some))], [1, 2]);
    assert_eq!(none.next_now(), None);
}

#[test]
fn a_viewer_that_does_not_look_keeps_the_first_and_is_told_how_many_it_missed_then() {
    let pipeline = start_with_store_down(1);
    let (mut slow, mut quick) = (pipeline.tail(TailFilter::default()), pipeline.tail(TailFilter::default()));
    let mut quick_saw = 0;
    for round in 0..30 {
        send_of(&pipeline, "a", round * 50..(round + 1) * 50);
        for n in round * 50..(round + 1) * 50 {
            assert_eq!(number(&next_event(&mut quick)), n);
            quick_saw += 1;
        }
    }
    assert_eq!(quick_saw, 1500);
    for n in 0..1024 {
        assert_eq!(number(&next_event(&mut slow)), n);
    }
    assert_eq!(next(&mut slow), Some(Seen::Missed(1500 - 1024)));
    send_of(&pipeline, "a", [1500]);
    assert_eq!(number(&next_event(&mut slow)), 1500);
}

#[test]
fn large_events_fill_a_viewers_room_by_their_bytes() {
    let pipeline = start_with_store_down(1);
    let (mut slow, mut quick) = (pipeline.tail(of_user("a")), pipeline.tail(of_user("b")));
    let large =
        format!(r#"{{"type":"user_action","source":"web","user_id":"a","data":{{"t":"{}"}}}}"#, "x".repeat(300_000));
    for _ in 0..6 {
        wait(send(&pipeline, &batch([large.clone()]), AckLevel::Durable).unwrap().ack);
    }
    send_of(&pipeline, "b", [1]);
    assert_eq!(number(&next_event(&mut quick)), 1, "all is shown now");
    (0..4).for_each(|_| assert_eq!(next_event(&mut slow).data.len(), 300_008));
    assert_eq!(next(&mut slow), Some(Seen::Missed(2)));
}

#[test]
fn more_than_can_be_looked_at_is_counted_and_told() {
    const SENT: u64 = 60_000;
    let store = FakeStore::new();
    let mut options = options(2);
    options.queue.events = 100_000;
    let pipeline = start(&store, options);
    let mut tail = pipeline.tail(TailFilter::default());
    for round in 0..SENT / 1000 {
        let events = batch((0..1000).map(|n| event(&format!("user-{}", n % 10), round)));
        send(&pipeline, &events, AckLevel::Queued).unwrap();
    }
    let (mut seen, mut missed) = (0, 0);
    while seen + missed < SENT {
        match next(&mut tail) {
            Some(Seen::Event(_)) => seen += 1,
            Some(Seen::Missed(events)) => missed += events,
            None => panic!("it is not over"),
        }
    }
    assert_eq!(seen + missed, SENT);
    assert!(seen > 0 && missed > 0, "{seen} seen, {missed} missed");
}

#[test]
fn a_viewer_after_a_pause_sees_nothing_that_was_put_there_for_the_last_one() {
    let pipeline = start_with_store_down(2);
    for round in 0..20 {
        let tail = pipeline.tail(TailFilter::default());
        send_of(&pipeline, "a", [3 * round]);
        drop(tail);
        send_of(&pipeline, "a", [3 * round + 1]);
        let mut tail = pipeline.tail(TailFilter::default());
        send_of(&pipeline, "a", [3 * round + 2]);
        // The worker may have been on its way from the acknowledgement to the tray with the second one.
        let seen = number(&next_event(&mut tail));
        assert!(seen > 3 * round, "{seen} in round {round}");
    }
}

#[test]
fn a_tail_is_over_when_the_pipeline_has_stopped() {
    let store = FakeStore::new();
    let pipeline = start(&store, options(2));
    let mut tail = pipeline.tail(TailFilter::default());
    send_of(&pipeline, "a", [1]);
    until("the event to be stored", || store.stored() == 1);
    pipeline.drain(PATIENCE);
    let mut seen = Vec::new();
    while let Some(one) = next(&mut tail) {
        seen.push(one);
    }
    assert!(seen.len() <= 1, "{seen:?}");
    let mut late = pipeline.tail(TailFilter::default());
    assert_eq!(next(&mut late), None);
}
