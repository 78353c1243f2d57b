//! The write group: threads that share one disk commit together, with one write and one sync for
//! all that was handed in. The shards' workers are its members, and the keeper.
//!
//! # Protocol
//! A member hands in its item. Where nobody leads, and no other is about to hand in, it leads: it takes
//! what all members have handed in, lets go of the lock, and writes and syncs. The others' items
//! gather meanwhile, and one of their members leads next. When the leader is back, the members of its group are acknowledged,
//! and no others, and everybody who waits looks again. All of this is one state under one lock,
//! and who waits holds the lock from its look until it sleeps: so no wake-up falls in between.
//! Members are few; waking all of them costs nothing beside a sync.
//!
//! One failure is final, for what the disk has is then unknown: neither those in that group nor
//! those who come later are acknowledged, ever. A leader that panics has failed. Those of an
//! earlier group that have not woken yet are acknowledged still, since theirs is synced. Who
//! leads while somebody outside fails the group is answered as its sync ends; whoever waits may be told of the
//! failure, although its item is synced.
//!
//! # Orderings
//! The lock's: what a member did before it handed in has happened for the leader, and what the
//! leader did has happened for those whom it acknowledged.

use std::{error::Error, fmt, mem, sync::PoisonError};

use super::shim::{Condvar, Mutex, MutexGuard};

/// Commits the items of a fixed number of members together. Each hands in one at a time.
#[derive(Debug)]
pub struct WriteGroup<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<T> {
    places: Box<[Place<T>]>,
    /// Whether somebody leads.
    led: bool,
    failed: bool,
    /// What the next leader fills, empty and large enough; the leader has it while it leads.
    spare: Vec<(usize, T)>,
}

/// Where a member's item is.
#[derive(Debug)]
enum Place<T> {
    /// The member has it.
    Empty,
    /// Waits for somebody to lead.
    HandedIn(T),
    /// The leader has it.
    Led,
    /// Synced: the member may have it back.
    Done(T),
}

/// The group had a failure, so nothing is acknowledged any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed;

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a write or sync of the group failed: what is on the disk is unknown until a restart has read it")
    }
}

impl Error for Failed {}

impl<T> WriteGroup<T> {
    /// A group of `members`, numbered from zero.
    pub fn new(members: usize) -> Self {
        let places = (0..members).map(|_| Place::Empty).collect();
        let state = State { places, led: false, failed: false, spare: Vec::with_capacity(members) };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Hands in `item` as `member`, and returns it when a call of `lead` that had it has returned
    /// true. That is the call of any member: of this one, where it finds nobody leading. It gets
    /// all that was handed in until then, by member, and runs while no other does.
    ///
    /// Nobody begins to lead while `is_coming` is true of a member that has not handed in: two halves
    /// would cost two syncs. Such a member must hand in soon, or call [`WriteGroup::look_again`] when it
    /// has become false otherwise.
    ///
    /// # Errors
    /// A call of `lead` that had it returned false or panicked, or another one did so before: the
    /// item may or may not be on the disk, and is gone.
    ///
    /// # Panics
    /// `member` is not one of the group's, or is in here already.
    pub fn commit(
        &self,
        member: usize,
        item: T,
        is_coming: impl Fn(usize) -> bool,
        lead: impl FnOnce(&mut [(usize, T)]) -> bool,
    ) -> Result<T, Failed> {
        let mut state = self.lock();
        if state.failed {
            return Err(Failed);
        }
        assert!(matches!(state.places[member], Place::Empty), "member {member} hands in one item at a time");
        state.places[member] = Place::HandedIn(item);
        while (state.is_led() || state.is_early(&is_coming)) && !state.is_settled(member) {
            #[cfg(loom)]
            if super::planted::is_planted(super::Bug::SleepsOnAnOldLook) {
                drop(state);
                state = self.lock();
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.is_settled(member) {
            return state.settle(member);
        }
        let mut turn = Turn { items: state.gather(), group: self, synced: false };
        drop(state);
        turn.synced = lead(&mut turn.items);
        drop(turn);
        self.lock().settle(member)
    }

    /// Has those who wait look again whether somebody is coming.
    pub fn look_again(&self) {
        #[cfg(loom)]
        if super::planted::is_planted(super::Bug::LeavesWithoutAWord) {
            return;
        }
        // Under the lock: nobody is between its look and its sleep.
        let _state = self.lock();
        self.changed.notify_all();
    }

    /// Fails the group for a reason that lies outside of it, without waiting for who leads.
    pub fn fail(&self) {
        // Not by an item that fails: whoever leads next would commit it, and nothing would have failed.
        self.lock().failed = true;
        #[cfg(loom)]
        if super::planted::is_planted(super::Bug::WakesNobody) {
            return;
        }
        self.changed.notify_all();
    }

    /// Whether it has failed.
    pub fn is_failed(&self) -> bool {
        self.lock().failed
    }

    /// Nothing that is done under the lock can panic half-way, so a poisoned state is a sound one.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    /// Whether somebody leads, so that others must wait.
    fn is_led(&self) -> bool {
        #[cfg(loom)]
        if super::planted::is_planted(super::Bug::LeadsBesideALeader) {
            return false;
        }
        self.led
    }

    /// Whether a member is still to hand in for the next turn.
    fn is_early(&self, is_coming: &impl Fn(usize) -> bool) -> bool {
        let not_in = |place: &Place<T>| matches!(place, Place::Empty | Place::Done(_));
        self.places.iter().enumerate().any(|(member, place)| not_in(place) && is_coming(member))
    }

    /// Whether there is an answer for `member`.
    fn is_settled(&self, member: usize) -> bool {
        #[cfg(loom)]
        if super::planted::is_planted(super::Bug::ForgetsTheFailure)
            && matches!(self.places[member], Place::HandedIn(_))
        {
            return false;
        }
        self.failed || matches!(self.places[member], Place::Done(_))
    }

    /// The answer for `member`, whose place is empty then.
    fn settle(&mut self, member: usize) -> Result<T, Failed> {
        match mem::replace(&mut self.places[member], Place::Empty) {
            Place::Done(item) => Ok(item),
            Place::Empty | Place::HandedIn(_) | Place::Led => Err(Failed),
        }
    }

    /// Begins a turn: takes all that was handed in.
    fn gather(&mut self) -> Vec<(usize, T)> {
        self.led = true;
        let mut items = mem::take(&mut self.spare);
        for (member, place) in self.places.iter_mut().enumerate() {
            *place = match mem::replace(place, Place::Led) {
                Place::HandedIn(item) => {
                    items.push((member, item));
                    Place::Led
                }
                other => other,
            };
        }
        items
    }

    /// Ends a turn whose items are synced.
    fn acknowledge(&mut self, mut items: Vec<(usize, T)>) {
        for (member, item) in items.drain(..) {
            self.places[member] = Place::Done(item);
        }
        self.spare = items;
        #[cfg(loom)]
        if super::planted::is_planted(super::Bug::AcknowledgesTheGathered) {
            for place in &mut self.places {
                *place = match mem::replace(place, Place::Led) {
                    Place::HandedIn(item) => Place::Done(item),
                    other => other,
                };
            }
        }
    }
}

/// One leader's turn. Ends when it is dropped, however that comes about: a failure unless `synced`.
struct Turn<'a, T> {
    group: &'a WriteGroup<T>,
    items: Vec<(usize, T)>,
    synced: bool,
}

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        #[cfg(loom)]
        if super::planted::is_planted(super::Bug::IgnoresTheFailure) {
            self.synced = true;
        }
        let items = mem::take(&mut self.items);
        let mut state = self.group.lock();
        state.led = false;
        if self.synced {
            state.acknowledge(items);
        } else {
            state.failed = true;
        }
        drop(state);
        #[cfg(loom)]
        if super::planted::is_planted(super::Bug::WakesNobody) {
            return;
        }
        #[cfg(loom)]
        if super::planted::is_planted(super::Bug::WakesOnlyOne) {
            return self.group.changed.notify_one();
        }
        self.group.changed.notify_all();
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
