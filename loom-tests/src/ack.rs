//! The latch: who waits is always woken, and then sees what was noted.

use std::{
    sync::atomic::AtomicBool as Observed,
    task::{Context, Wake, Waker},
};

use loom::{
    model,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use crate::sync::{AckLatch, Bug, plant};

/// A request of two events, each settled by a thread of its own, which notes the outcome first.
/// The notes are relaxed: only the latch can make them be seen.
struct Request {
    latch: AckLatch,
    notes: [AtomicU32; 2],
}

impl Request {
    fn new() -> Self {
        Self { latch: AckLatch::new(2), notes: [AtomicU32::new(0), AtomicU32::new(0)] }
    }

    fn settle(&self, event: usize) {
        self.notes[event].store(1, Ordering::Relaxed);
        self.latch.complete(1);
    }

    fn assert_noted(&self) {
        let noted = self.notes.iter().all(|note| note.load(Ordering::Relaxed) == 1);
        assert!(noted, "ready, and a note is not to be seen");
    }
}

/// A waker that tells whether it was used. Its flag is no part of the model: it is looked at when
/// the settlers have ended.
#[derive(Default)]
struct Bell(Observed);

impl Wake for Bell {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Two threads settle while a task asks once: either it is ready, with both notes to be seen, or it
/// will be woken, and is ready then. Nothing blocks here, since loom cannot end a model that does.
/// `asked_before`: whether somebody with another waker has asked already.
fn hand_over(asked_before: bool) {
    model(move || {
        let request = Arc::new(Request::new());
        let settlers: Vec<_> = (0..2)
            .map(|event| {
                let request = Arc::clone(&request);
                thread::spawn(move || request.settle(event))
            })
            .collect();
        let bell = std::sync::Arc::new(Bell::default());
        let waker = Waker::from(std::sync::Arc::clone(&bell));
        let mut cx = Context::from_waker(&waker);
        if asked_before && request.latch.poll_done(&mut Context::from_waker(Waker::noop())).is_ready() {
            request.assert_noted();
        }
        let ready = request.latch.poll_done(&mut cx).is_ready();
        if ready {
            request.assert_noted();
        }
        settlers.into_iter().for_each(|settler| settler.join().unwrap());
        assert!(ready || bell.0.load(Ordering::Relaxed), "a wake-up was lost");
        assert!(request.latch.poll_done(&mut cx).is_ready(), "woken for nothing");
    });
}

#[test]
fn the_one_who_waits_is_woken_and_sees_all_notes() {
    hand_over(false);
}

#[test]
fn a_later_waker_takes_the_place_of_an_earlier_one() {
    hand_over(true);
}

#[test]
#[should_panic(expected = "a wake-up was lost")]
fn a_missing_second_look_is_found() {
    plant(Bug::NoSecondLook);
    hand_over(false);
}

#[test]
#[should_panic(expected = "a wake-up was lost")]
fn settling_in_two_steps_is_found() {
    plant(Bug::SplitUpdates);
    hand_over(false);
}

#[test]
#[should_panic(expected = "ready, and a note is not to be seen")]
fn weak_settling_is_found() {
    plant(Bug::RelaxedUpdates);
    hand_over(false);
}

#[test]
#[should_panic(expected = "ready, and a note is not to be seen")]
fn a_weak_look_is_found() {
    plant(Bug::RelaxedLoads);
    hand_over(false);
}
