//! The write group: threads that share one disk commit together, with one write and one sync for
//! all that was handed in. The shards' workers are its members, and the keeper.
//!
//! # Protocol
//! A member hands in its item. Where nobody leads, it leads: it takes what all members have handed
//! in, lets go of the lock, and writes and syncs. The others' items gather meanwhile, and one of
//! their members leads next. When the leader is back, the members of its group are acknowledged,
//! and no others, and everybody who waits looks again. All of this is one state under one lock,
//! and who waits holds the lock from its look until it sleeps: so no wake-up falls in between.
//! Members are few; waking all of them costs nothing beside a sync.
//!
//! One failure is final, for what the disk has is then unknown: neither those in that group nor
//! those who come later are acknowledged, ever. A leader that panics has failed. Those of an
//! earlier group that have not woken yet are acknowledged still, since theirs is synced.
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
    /// # Errors
    /// A call of `lead` that had it returned false or panicked, or another one did so before: the
    /// item may or may not be on the disk, and is gone.
    ///
    /// # Panics
    /// `member` is not one of the group's, or is in here already.
    pub fn commit(&self, member: usize, item: T, lead: impl FnOnce(&mut [(usize, T)]) -> bool) -> Result<T, Failed> {
        let mut state = self.lock();
        if state.failed {
            return Err(Failed);
        }
        assert!(matches!(state.places[member], Place::Empty), "member {member} hands in one item at a time");
        state.places[member] = Place::HandedIn(item);
        while state.is_led() && !state.is_settled(member) {
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

    /// Whether a call of `lead` has failed.
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
mod tests {
    use std::{
        panic::{AssertUnwindSafe, catch_unwind},
        sync::{Barrier, mpsc},
        thread,
    };

    use super::*;

    /// What a member got; nothing where it panicked.
    type Answer = Option<Result<u32, Failed>>;

    /// Whether an item of `member` waits for somebody to lead.
    fn has_handed_in(group: &WriteGroup<u32>, member: usize) -> bool {
        matches!(group.lock().places[member], Place::HandedIn(_))
    }

    /// Member 1 leads, until `end` tells how its turn ends, while members 2 and 0 hand in theirs, one
    /// after the other; `later` is how a lead call of theirs ends. Returns the answers by member, and
    /// what was led, in turn.
    fn two_turns(end: impl FnOnce() -> bool + Send, later: bool) -> ([Answer; 3], Vec<Vec<u32>>) {
        let group = WriteGroup::new(3);
        let both = Barrier::new(2);
        let (led, all_led) = mpsc::channel();
        let note = |led: &mpsc::Sender<_>, items: &mut [(usize, u32)]| {
            led.send(items.iter().map(|(_, item)| *item).collect::<Vec<_>>()).expect("this test listens");
        };
        let answers = thread::scope(|scope| {
            let (group, both, leader_led) = (&group, &both, led.clone());
            let leader = scope.spawn(move || {
                group.commit(1, 11, |items| {
                    note(&leader_led, items);
                    both.wait();
                    both.wait();
                    end()
                })
            });
            both.wait();
            let others = [2, 0].map(|member| {
                let led = led.clone();
                let other = scope.spawn(move || {
                    group.commit(member, 10 + member as u32, |items| {
                        note(&led, items);
                        later
                    })
                });
                while !has_handed_in(group, member) {
                    thread::yield_now();
                }
                other
            });
            both.wait();
            let [two, zero] = others.map(|other| other.join().ok());
            [zero, leader.join().ok(), two]
        });
        drop(led);
        (answers, all_led.iter().collect())
    }

    #[test]
    fn what_came_while_one_led_is_led_together_by_the_next() {
        let (answers, led) = two_turns(|| true, true);
        assert_eq!(answers, [Some(Ok(10)), Some(Ok(11)), Some(Ok(12))]);
        assert_eq!(led, [vec![11], vec![10, 12]]);
    }

    #[test]
    fn a_failure_is_final_for_those_who_wait_as_well() {
        let (answers, led) = two_turns(|| false, true);
        assert_eq!(answers, [Some(Err(Failed)); 3]);
        assert_eq!(led, [[11]], "nobody leads after a failure");
    }

    #[test]
    fn a_later_failure_takes_no_acknowledgement_back() {
        let (answers, _) = two_turns(|| true, false);
        assert_eq!(answers, [Some(Err(Failed)), Some(Ok(11)), Some(Err(Failed))]);
    }

    #[test]
    fn a_leader_that_panics_has_failed_and_nobody_hangs() {
        let (answers, led) = two_turns(|| panic!("the disk is on fire"), true);
        assert_eq!(answers, [Some(Err(Failed)), None, Some(Err(Failed))]);
        assert_eq!(led, [[11]]);
    }

    #[test]
    fn a_group_that_failed_leads_no_more() {
        let group = WriteGroup::new(1);
        assert_eq!(group.commit(0, "first", |_| true), Ok("first"));
        assert!(!group.is_failed());
        assert_eq!(group.commit(0, "second", |_| false), Err(Failed));
        assert!(group.is_failed());
        assert_eq!(group.commit(0, "third", |_| unreachable!("nobody leads")), Err(Failed));
    }

    #[test]
    fn a_member_that_is_inside_cannot_come_again() {
        let group = WriteGroup::new(1);
        let again = catch_unwind(AssertUnwindSafe(|| group.commit(0, 1, |_| group.commit(0, 2, |_| true).is_ok())));
        assert!(again.is_err());
        assert!(group.is_failed());
    }

    #[test]
    fn the_leader_may_change_the_items_and_uses_the_same_room_each_time() {
        let group = WriteGroup::new(2);
        let room = group.lock().spare.as_ptr();
        for turn in 0..3 {
            let doubled = group.commit(1, turn, |items| {
                assert_eq!(items.as_ptr(), room);
                items.iter_mut().for_each(|(_, item)| *item *= 2);
                true
            });
            assert_eq!(doubled, Ok(turn * 2));
        }
    }

    #[test]
    fn many_turns_of_many_members_end() {
        let group = WriteGroup::new(4);
        thread::scope(|scope| {
            for member in 0..4 {
                let group = &group;
                scope.spawn(move || {
                    for turn in 0..2_000 {
                        assert_eq!(group.commit(member, (member, turn), |_| true), Ok((member, turn)));
                    }
                });
            }
        });
    }
}
