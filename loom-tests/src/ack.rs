//! The acknowledgement hand-off wakes every waiter, who then sees all that was noted.

use std::{
    sync::Arc,
    task::{Context, Wake, Waker},
};

use loom::{
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
};

use crate::sync::{
    AckLatch,
    planted::{Bug, plant},
};

/// A waiting task: it knows whether it was woken.
struct Task(AtomicBool);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A request that waits for some events, and what was noted of each.
struct Request {
    latch: AckLatch,
    notes: [AtomicU32; 2],
    task: Arc<Task>,
}

impl Request {
    fn of(events: u32) -> Arc<Self> {
        let notes = [AtomicU32::new(0), AtomicU32::new(0)];
        let task = Arc::new(Task(AtomicBool::new(false)));
        Arc::new(Self { latch: AckLatch::new(events), notes, task })
    }

    fn settle(&self, event: usize) {
        self.notes[event].store(1, Ordering::Relaxed);
        self.latch.complete(1);
    }

    fn is_ready(&self) -> bool {
        let waker = Waker::from(Arc::clone(&self.task));
        self.latch.poll_done(&mut Context::from_waker(&waker)).is_ready()
    }

    fn noted(&self) -> u32 {
        self.notes.iter().map(|note| note.load(Ordering::Relaxed)).sum()
    }

    /// To be asked when all is settled: a task that had to wait was woken.
    fn check_woken(&self, had_to_wait: bool) {
        assert!(!had_to_wait || self.task.0.load(Ordering::SeqCst), "a wake-up was lost");
        assert!(self.is_ready(), "everything is settled, and the latch is shut");
    }
}

/// Two shards settle one event each, the request waits for both.
fn two_shards_settle_one_request() {
    let request = Request::of(2);
    let shards: Vec<_> = (0..2)
        .map(|event| {
            let request = Arc::clone(&request);
            thread::spawn(move || request.settle(event))
        })
        .collect();
    let ready = request.is_ready();
    if ready {
        assert_eq!(request.noted(), 2, "the waiter goes on without a note");
    }
    shards.into_iter().for_each(|shard| shard.join().unwrap());
    request.check_woken(!ready);
}

/// One shard settles two requests that wait on different threads.
fn one_shard_settles_two_requests() {
    let requests = [Request::of(1), Request::of(1)];
    let shard = thread::spawn({
        let requests = requests.clone();
        move || requests.iter().for_each(|request| request.settle(0))
    });
    let other = thread::spawn({
        let second = Arc::clone(&requests[1]);
        move || second.is_ready()
    });
    let ready = [requests[0].is_ready(), other.join().unwrap()];
    shard.join().unwrap();
    for (request, ready) in requests.iter().zip(ready) {
        request.check_woken(!ready);
    }
}

#[test]
fn the_hand_off_wakes_the_waiter_when_two_shards_settle() {
    loom::model(two_shards_settle_one_request);
}

#[test]
fn the_hand_off_wakes_every_waiter() {
    loom::model(one_shard_settles_two_requests);
}

#[test]
#[should_panic(expected = "a wake-up was lost")]
fn waiting_without_a_second_look_is_caught() {
    let _planted = plant(Bug::AckLooksOnce);
    loom::model(two_shards_settle_one_request);
}

#[test]
#[should_panic(expected = "the waiter goes on without a note")]
fn settling_without_release_is_caught() {
    let _planted = plant(Bug::AckSettledRelaxed);
    loom::model(two_shards_settle_one_request);
}
