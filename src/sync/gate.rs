//! The gate: who is inside, and whether anyone may still come in. Admission enters it until its
//! events are handed over; shutdown closes it.
//!
//! # Protocol
//! Closed or not and how many are inside are one word. Whoever brings it to "closed and empty"
//! — the closer, where nobody is inside, or else the last to leave — learns so, and exactly one
//! does: that one ends the queues, when all that was let in has been handed over and nothing
//! can follow.
//!
//! # Orderings
//! Leaving is a Release and learning that one is the last an Acquire, so that the last one sees
//! all that the others did inside. Each read-modify-write continues the release sequence.

#[cfg(loom)]
use super::planted::{Bug, is_planted};
use super::shim::{AtomicU64, Ordering};

const CLOSED: u64 = 1 << 63;

/// Counts who is inside, and closes once and for ever.
#[derive(Debug)]
pub struct Gate {
    state: AtomicU64,
}

impl Gate {
    /// Open and empty.
    #[expect(clippy::new_without_default, reason = "loom's atomics have no place in a default")]
    pub fn new() -> Self {
        Self { state: AtomicU64::new(0) }
    }

    /// Enters; false where the gate is closed. Whoever entered must [`Gate::leave`].
    pub fn enter(&self) -> bool {
        #[cfg(loom)]
        if is_planted(Bug::GateEnteredInTwoSteps) {
            let open = !self.is_closed();
            if open {
                self.state.fetch_add(1, Ordering::SeqCst);
            }
            return open;
        }
        // Ordering: entering depends on nothing that others did. The closed bit and the count are
        // one word, so nobody enters after it closed.
        self.state
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |state| (state & CLOSED == 0).then(|| state + 1))
            .is_ok()
    }

    /// Leaves. True for the last to leave a closed gate.
    #[must_use = "the last one must end what the gate guards"]
    pub fn leave(&self) -> bool {
        #[cfg(loom)]
        if is_planted(Bug::GateLeftRelaxed) {
            return self.state.fetch_sub(1, Ordering::Relaxed) == CLOSED | 1;
        }
        // Ordering: Release for what this one did inside; Acquire, should it be the last, for what
        // the others did.
        self.state.fetch_sub(1, Ordering::AcqRel) == CLOSED | 1
    }

    /// Closes. True for the first call, where nobody is inside.
    #[must_use = "the last one must end what the gate guards"]
    pub fn close(&self) -> bool {
        // Ordering: Acquire, should nobody be inside any more, for what they did.
        self.state.fetch_or(CLOSED, Ordering::AcqRel) == 0
    }

    /// Whether it is closed.
    pub fn is_closed(&self) -> bool {
        // Ordering: an early answer; whoever must be sure calls `enter`.
        self.state.load(Ordering::Relaxed) & CLOSED != 0
    }

    /// How many are inside at this moment.
    pub fn inside(&self) -> u64 {
        // Ordering: a figure for people.
        self.state.load(Ordering::Relaxed) & !CLOSED
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_last_to_leave_a_closed_gate_learns_so() {
        let gate = Gate::new();
        assert!(gate.enter() && gate.enter());
        assert!(!gate.close());
        assert!(!gate.enter());
        assert_eq!(gate.inside(), 2);
        assert!(!gate.leave());
        assert!(gate.leave());
    }

    #[test]
    fn closing_an_empty_gate_is_told_once() {
        let gate = Gate::new();
        assert!(gate.enter());
        assert!(!gate.leave());
        assert!(gate.close());
        assert!(!gate.close());
        assert!(gate.is_closed());
    }
}
