//! Bugs to be planted, so that the models are seen to fail: exists only where loom checks.
//!
//! A bug is planted for the thread that runs the model; all threads of a model run on that one.
//! Most bugs sit in the atomics below, which stand in for loom's: an ordering that is weaker than
//! what was asked for, or a read-modify-write in two steps.

use std::cell::Cell;

use loom::sync::atomic;

use super::shim::Ordering;

/// A bug that the models must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Every load is relaxed.
    RelaxedLoads,
    /// Every read-modify-write is relaxed.
    RelaxedUpdates,
    /// A counter is changed by a load and a store.
    SplitUpdates,
    /// A word that is looked at before it is changed may have changed in between.
    ChecksThenActs,
    /// Admission that was refused by one shard keeps what it took from the others.
    KeepsWhatItTook,
    /// A snapshot reads what came before what left.
    ReadsArrivalsFirst,
    /// Who waits does not look again after leaving its waker.
    NoSecondLook,
    /// The end of a turn acknowledges what gathered during it as well.
    AcknowledgesTheGathered,
    /// A member leads while another does.
    LeadsBesideALeader,
    /// The end of a turn wakes nobody.
    WakesNobody,
    /// The end of a turn wakes one of those who wait.
    WakesOnlyOne,
    /// A member lets go of the lock between its look and its sleep.
    SleepsOnAnOldLook,
    /// A failed turn is acknowledged.
    IgnoresTheFailure,
    /// Who waits for a turn leads it although one has failed.
    ForgetsTheFailure,
    /// A member that does not come after all tells nobody.
    LeavesWithoutAWord,
}

thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Keeps a bug planted until it is dropped.
#[derive(Debug)]
#[must_use = "the bug is gone when this is dropped"]
pub struct Planted(());

/// Plants `bug` in all primitives that this thread uses.
pub fn plant(bug: Bug) -> Planted {
    PLANTED.set(Some(bug));
    Planted(())
}

impl Drop for Planted {
    fn drop(&mut self) {
        PLANTED.set(None);
    }
}

/// Whether `bug` was planted.
pub(super) fn is_planted(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

fn of_load(ordering: Ordering) -> Ordering {
    if is_planted(Bug::RelaxedLoads) { Ordering::Relaxed } else { ordering }
}

fn of_update(ordering: Ordering) -> Ordering {
    if is_planted(Bug::RelaxedUpdates) { Ordering::Relaxed } else { ordering }
}

/// Loom's atomic, with the bugs.
#[derive(Debug)]
pub(super) struct AtomicU32(atomic::AtomicU32);

impl AtomicU32 {
    pub(super) fn new(value: u32) -> Self {
        Self(atomic::AtomicU32::new(value))
    }

    pub(super) fn load(&self, ordering: Ordering) -> u32 {
        self.0.load(of_load(ordering))
    }

    pub(super) fn fetch_sub(&self, value: u32, ordering: Ordering) -> u32 {
        if is_planted(Bug::SplitUpdates) {
            let before = self.0.load(Ordering::Acquire);
            self.0.store(before - value, Ordering::Release);
            return before;
        }
        self.0.fetch_sub(value, of_update(ordering))
    }
}

/// Loom's atomic, with the bugs.
#[derive(Debug)]
pub(super) struct AtomicU64(atomic::AtomicU64);

impl AtomicU64 {
    pub(super) fn new(value: u64) -> Self {
        Self(atomic::AtomicU64::new(value))
    }

    pub(super) fn load(&self, ordering: Ordering) -> u64 {
        self.0.load(of_load(ordering))
    }

    pub(super) fn fetch_add(&self, value: u64, ordering: Ordering) -> u64 {
        self.update(|before| before + value, |atomic| atomic.fetch_add(value, of_update(ordering)))
    }

    pub(super) fn fetch_sub(&self, value: u64, ordering: Ordering) -> u64 {
        self.update(|before| before - value, |atomic| atomic.fetch_sub(value, of_update(ordering)))
    }

    pub(super) fn fetch_or(&self, value: u64, ordering: Ordering) -> u64 {
        self.update(|before| before | value, |atomic| atomic.fetch_or(value, of_update(ordering)))
    }

    pub(super) fn fetch_max(&self, value: u64, ordering: Ordering) -> u64 {
        self.update(|before| before.max(value), |atomic| atomic.fetch_max(value, of_update(ordering)))
    }

    pub(super) fn fetch_update(
        &self,
        done: Ordering,
        refused: Ordering,
        mut change: impl FnMut(u64) -> Option<u64>,
    ) -> Result<u64, u64> {
        if is_planted(Bug::ChecksThenActs) {
            let before = self.0.load(Ordering::Acquire);
            self.0.store(change(before).ok_or(before)?, Ordering::Release);
            return Ok(before);
        }
        self.0.fetch_update(of_update(done), of_load(refused), change)
    }

    fn update(&self, change: impl FnOnce(u64) -> u64, whole: impl FnOnce(&atomic::AtomicU64) -> u64) -> u64 {
        if is_planted(Bug::SplitUpdates) {
            let before = self.0.load(Ordering::Acquire);
            self.0.store(change(before), Ordering::Release);
            return before;
        }
        whole(&self.0)
    }
}

/// Loom's atomic, with the bugs.
#[derive(Debug)]
pub(super) struct AtomicI64(atomic::AtomicI64);

impl AtomicI64 {
    pub(super) fn new(value: i64) -> Self {
        Self(atomic::AtomicI64::new(value))
    }

    pub(super) fn load(&self, ordering: Ordering) -> i64 {
        self.0.load(of_load(ordering))
    }

    pub(super) fn fetch_add(&self, value: i64, ordering: Ordering) -> i64 {
        if is_planted(Bug::SplitUpdates) {
            let before = self.0.load(Ordering::Acquire);
            self.0.store(before + value, Ordering::Release);
            return before;
        }
        self.0.fetch_add(value, of_update(ordering))
    }

    pub(super) fn fetch_update(
        &self,
        done: Ordering,
        refused: Ordering,
        mut change: impl FnMut(i64) -> Option<i64>,
    ) -> Result<i64, i64> {
        if is_planted(Bug::ChecksThenActs) {
            let before = self.0.load(Ordering::Acquire);
            self.0.store(change(before).ok_or(before)?, Ordering::Release);
            return Ok(before);
        }
        self.0.fetch_update(of_update(done), of_load(refused), change)
    }
}
