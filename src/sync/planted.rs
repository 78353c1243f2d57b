//! Bugs that the loom tests plant, to see that their models catch them. Compiled for loom only.

use std::cell::Cell;

/// A bug in one of the primitives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    CreditsTakenInTwoSteps,
    CreditsGivenBackInTwoSteps,
    RefusalKeepsCredits,
    ArrivalsReadFirst,
    DeparturesNotReleased,
    GateEnteredInTwoSteps,
    GateLeftRelaxed,
    AckLooksOnce,
    AckSettledRelaxed,
}

thread_local! {
    // All threads of a model are run by the thread of its test.
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Keeps a bug planted until it is dropped.
#[must_use]
pub(crate) struct Planted(());

/// Plants a bug for the calling test.
pub(crate) fn plant(bug: Bug) -> Planted {
    PLANTED.set(Some(bug));
    Planted(())
}

impl Drop for Planted {
    fn drop(&mut self) {
        PLANTED.set(None);
    }
}

/// Whether the bug is planted.
pub(super) fn is_planted(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}
