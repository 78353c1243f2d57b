//! The gate lets nothing in after it closed, and loses nothing that was let in.

use loom::{cell::UnsafeCell, sync::Arc, thread};

use crate::sync::{
    Gate,
    planted::{Bug, plant},
};

/// A gate, and what each of two threads hands over while it is inside.
struct Yard {
    gate: Gate,
    handed_over: [UnsafeCell<bool>; 2],
}

impl Yard {
    /// Enters, hands over, leaves: whether it was let in, and whether it was the last.
    fn visit(&self, thread: usize) -> (bool, bool) {
        if !self.gate.enter() {
            return (false, false);
        }
        self.handed_over[thread].with_mut(|handed_over| write(handed_over, true));
        (true, self.gate.leave())
    }

    /// What the last one finds: everything that was let in, and nobody still at work.
    fn seal(&self) -> [bool; 2] {
        std::array::from_fn(|thread| self.handed_over[thread].with(read))
    }
}

#[expect(unsafe_code, reason = "loom's cell hands out pointers, and checks that they are used by one thread at a time")]
fn write(cell: *mut bool, value: bool) {
    // SAFETY: loom keeps the cell alive, and fails the model where another thread is at it too.
    unsafe { *cell = value }
}

#[expect(unsafe_code, reason = "loom's cell hands out pointers, and checks that they are used by one thread at a time")]
fn read(cell: *const bool) -> bool {
    // SAFETY: loom keeps the cell alive, and fails the model where another thread writes it.
    unsafe { *cell }
}

/// Two threads go in and out while a third closes: exactly one of the three is the last, and it
/// finds all that was handed over.
fn a_gate_that_closes() {
    let yard = Arc::new(Yard { gate: Gate::new(), handed_over: [UnsafeCell::new(false), UnsafeCell::new(false)] });
    let visitors: Vec<_> = (0..2)
        .map(|thread| {
            let yard = Arc::clone(&yard);
            thread::spawn(move || {
                let (entered, last) = yard.visit(thread);
                (entered, last.then(|| yard.seal()))
            })
        })
        .collect();
    let closed_empty = yard.gate.close().then(|| yard.seal());
    let visits: Vec<_> = visitors.into_iter().map(|visitor| visitor.join().unwrap()).collect();
    let entered: Vec<bool> = visits.iter().map(|(entered, _)| *entered).collect();
    let seals: Vec<_> = visits.into_iter().filter_map(|(_, seal)| seal).chain(closed_empty).collect();
    assert_eq!(seals.len(), 1, "the end was told to one, and to one only");
    assert_eq!(seals[0].to_vec(), entered, "the last one found other than what was let in");
    assert!(!yard.gate.enter(), "let in after it closed");
}

#[test]
fn the_gate_lets_nothing_in_after_it_closed_and_loses_nothing_that_was_let_in() {
    loom::model(a_gate_that_closes);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn entering_without_looking_again_is_caught() {
    let _planted = plant(Bug::GateEnteredInTwoSteps);
    loom::model(a_gate_that_closes);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn leaving_without_release_is_caught() {
    let _planted = plant(Bug::GateLeftRelaxed);
    loom::model(a_gate_that_closes);
}
