//! The gate: nothing in after it closed, nothing lost that was let in, one who learns it was last.

use std::sync::atomic::AtomicBool as Observed;

use loom::{
    model,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use crate::sync::{Bug, Gate, plant};

/// What the gate guards: a slot for each who may come in, filled inside. The slots are relaxed:
/// only the gate can make them be seen.
struct Place {
    gate: Gate,
    slots: [AtomicU32; 2],
    /// Whether someone learnt that it is the last. No part of the model but a look at it: loom never
    /// changes threads between a primitive's last step and this.
    ended: Observed,
}

/// What one thread has seen.
#[derive(Default)]
struct Seen {
    let_in: u32,
    /// How many slots were filled, where it was told that it is the last.
    ended_with: Option<u32>,
}

impl Place {
    fn new() -> Self {
        Self { gate: Gate::new(), slots: [AtomicU32::new(0), AtomicU32::new(0)], ended: Observed::new(false) }
    }

    fn visit(&self, slot: usize) -> Seen {
        if !self.gate.enter() {
            return Seen::default();
        }
        assert!(!self.ended.load(Ordering::Relaxed), "someone came in after the end");
        self.slots[slot].store(1, Ordering::Relaxed);
        Seen { let_in: 1, ended_with: self.gate.leave().then(|| self.end()) }
    }

    fn close(&self) -> Seen {
        Seen { let_in: 0, ended_with: self.gate.close().then(|| self.end()) }
    }

    fn end(&self) -> u32 {
        self.ended.store(true, Ordering::Relaxed);
        self.slots.iter().map(|slot| slot.load(Ordering::Relaxed)).sum()
    }
}

fn assert_ended(seen: &[Seen]) {
    let let_in: u32 = seen.iter().map(|seen| seen.let_in).sum();
    let ends: Vec<_> = seen.iter().filter_map(|seen| seen.ended_with).collect();
    assert_eq!(ends.len(), 1, "not exactly one learnt that it was the last");
    assert_eq!(ends, [let_in], "the last one missed what was let in");
}

/// Two come while a third closes: exactly one of the three learns that it is the last, it sees all
/// that was let in, and nothing is let in after.
fn shutdown() {
    model(|| {
        let place = Arc::new(Place::new());
        let visitors: Vec<_> = (0..2)
            .map(|slot| {
                let place = Arc::clone(&place);
                thread::spawn(move || place.visit(slot))
            })
            .collect();
        let mut seen = vec![place.close()];
        seen.extend(visitors.into_iter().map(|visitor| visitor.join().unwrap()));
        assert_ended(&seen);
    });
}

#[test]
fn the_gate_lets_nothing_in_after_it_closed_and_loses_nothing_let_in() {
    shutdown();
}

#[test]
#[should_panic(expected = "someone came in after the end")]
fn looking_and_entering_in_two_steps_is_found() {
    plant(Bug::ChecksThenActs);
    shutdown();
}

#[test]
#[should_panic(expected = "the last one missed what was let in")]
fn weak_orderings_of_the_gate_are_found() {
    plant(Bug::RelaxedUpdates);
    shutdown();
}

/// Two close, while one is inside: still exactly one of the three is told.
fn two_closers() {
    model(|| {
        let place = Arc::new(Place::new());
        let others: Vec<_> = [0, 1]
            .into_iter()
            .map(|role| {
                let place = Arc::clone(&place);
                thread::spawn(move || if role == 0 { place.visit(0) } else { place.close() })
            })
            .collect();
        let mut seen = vec![place.close()];
        seen.extend(others.into_iter().map(|other| other.join().unwrap()));
        assert_ended(&seen);
    });
}

#[test]
fn closing_twice_is_told_once() {
    two_closers();
}

#[test]
#[should_panic(expected = "not exactly one learnt that it was the last")]
fn closing_in_two_steps_is_found() {
    plant(Bug::SplitUpdates);
    two_closers();
}
