//! The write group: no acknowledgement without its sync, no lost wake-up, one leader at a time, and
//! none acknowledged after a failure.
//!
//! A lost wake-up shows as loom's own "deadlock". What the threads share is held by std's `Arc`: loom
//! cannot drop its own in a thread that found a deadlock.

use std::sync::{Arc, atomic::AtomicBool as Observed};

use loom::{
    model,
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use crate::sync::{Bug, Failed, WriteGroup, plant};

/// A disk behind a group. Each item is a bit of its own.
struct Disk {
    group: WriteGroup<u32>,
    /// The bits that are synced. Changed in two relaxed steps: nobody else is there, and only the
    /// group can make them be seen.
    durable: AtomicU32,
    /// Looks on, and is no part of the model.
    led: Observed,
    has_failed: Observed,
}

impl Disk {
    fn new(members: usize) -> Arc<Self> {
        Arc::new(Self {
            group: WriteGroup::new(members),
            durable: AtomicU32::new(0),
            led: Observed::new(false),
            has_failed: Observed::new(false),
        })
    }

    /// Commits `item`, and checks what it is told. The sync fails where it is led by `member` and
    /// `works` is false.
    fn commit(&self, member: usize, item: u32, works: bool) -> Result<(), Failed> {
        let back = self.group.commit(
            member,
            item,
            |_| false,
            |items| {
                assert!(items.is_sorted_by_key(|(member, _)| *member), "not in the order of members");
                self.sync(items, works)
            },
        )?;
        assert_eq!(back, item, "an item went to another member");
        assert!(self.durable.load(Ordering::Relaxed) & item != 0, "acknowledged without its sync");
        Ok(())
    }

    fn sync(&self, items: &[(usize, u32)], works: bool) -> bool {
        assert!(!self.led.swap(true, Ordering::Relaxed), "two lead at the same time");
        assert!(!self.has_failed.load(Ordering::Relaxed), "led after a failure");
        if works {
            let written: u32 = items.iter().map(|(_, item)| item).sum();
            let before = self.durable.load(Ordering::Relaxed);
            assert_eq!(before & written, 0, "an item was led twice");
            self.durable.store(before | written, Ordering::Relaxed);
        } else {
            self.has_failed.store(true, Ordering::Relaxed);
        }
        self.led.store(false, Ordering::Relaxed);
        works
    }
}

/// All interleavings of three members are too many, those of two are not. So of three, threads are
/// taken off the processor at most this often where they could have gone on; those that wait do not
/// count.
const PREEMPTIONS: usize = 4;

fn bounded(check: impl Fn() + Send + Sync + 'static) {
    let mut builder = model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(check);
}

/// Three members commit one item each. All of them end, each is acknowledged after its sync, and
/// what gathered while one led is led by a later one.
fn three_members() {
    bounded(|| {
        let disk = Disk::new(3);
        let others: Vec<_> = (1..3)
            .map(|member| {
                let disk = Arc::clone(&disk);
                thread::spawn(move || disk.commit(member, 1 << member, true))
            })
            .collect();
        assert_eq!(disk.commit(0, 1, true), Ok(()));
        for other in others {
            assert_eq!(other.join().unwrap(), Ok(()));
        }
        assert_eq!(disk.durable.load(Ordering::Relaxed), 0b111, "an item was not led");
    });
}

#[test]
fn nobody_is_acknowledged_without_its_sync_and_no_wake_up_is_lost() {
    three_members();
}

#[test]
#[should_panic(expected = "acknowledged without its sync")]
fn acknowledging_what_only_gathered_is_found() {
    let _planted = plant(Bug::AcknowledgesTheGathered);
    three_members();
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_leader_that_wakes_nobody_is_found() {
    let _planted = plant(Bug::WakesNobody);
    three_members();
}

#[test]
#[should_panic(expected = "deadlock")]
fn sleeping_on_an_old_look_is_found() {
    let _planted = plant(Bug::SleepsOnAnOldLook);
    three_members();
}

/// One member comes twice while others wait: leadership goes on to whoever needs it, and who is
/// woken in vain is woken again.
fn one_comes_again() {
    bounded(|| {
        let disk = Disk::new(3);
        let others: Vec<_> = (1..3)
            .map(|member| {
                let disk = Arc::clone(&disk);
                thread::spawn(move || disk.commit(member, 1 << member, true))
            })
            .collect();
        assert_eq!(disk.commit(0, 1, true), Ok(()));
        assert_eq!(disk.commit(0, 8, true), Ok(()));
        for other in others {
            assert_eq!(other.join().unwrap(), Ok(()));
        }
        assert_eq!(disk.durable.load(Ordering::Relaxed), 0b1111, "an item was not led");
    });
}

#[test]
fn leadership_is_handed_over_while_members_come_again() {
    one_comes_again();
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_leader_that_wakes_only_one_is_found() {
    let _planted = plant(Bug::WakesOnlyOne);
    one_comes_again();
}

/// One of two members comes twice, beside the other: in all interleavings at most one of them leads
/// at a time, and the next one goes on from what the last has left.
fn two_members() {
    model(|| {
        let disk = Disk::new(2);
        let other = {
            let disk = Arc::clone(&disk);
            thread::spawn(move || disk.commit(1, 2, true))
        };
        assert_eq!(disk.commit(0, 1, true), Ok(()));
        assert_eq!(disk.commit(0, 4, true), Ok(()));
        assert_eq!(other.join().unwrap(), Ok(()));
        assert_eq!(disk.durable.load(Ordering::Relaxed), 0b111, "an item was not led");
    });
}

#[test]
fn one_leads_at_a_time_and_the_next_goes_on_from_there() {
    two_members();
}

/// Two members lead, and do nothing else, so that nothing else can be found.
fn two_leaders() {
    model(|| {
        let group = Arc::new(WriteGroup::new(2));
        let leaders = Arc::new(AtomicU32::new(0));
        let lead = |group: &WriteGroup<()>, leaders: &AtomicU32, member: usize| {
            group.commit(
                member,
                (),
                |_| false,
                |_| {
                    assert_eq!(leaders.fetch_add(1, Ordering::Relaxed), 0, "two lead at the same time");
                    leaders.fetch_sub(1, Ordering::Relaxed);
                    true
                },
            )
        };
        let other = {
            let (group, leaders) = (Arc::clone(&group), Arc::clone(&leaders));
            thread::spawn(move || lead(&group, &leaders, 1))
        };
        assert_eq!(lead(&group, &leaders, 0), Ok(()));
        assert_eq!(other.join().unwrap(), Ok(()));
    });
}

#[test]
fn two_never_lead_at_the_same_time() {
    two_leaders();
}

#[test]
#[should_panic(expected = "two lead at the same time")]
fn leading_beside_a_leader_is_found() {
    let _planted = plant(Bug::LeadsBesideALeader);
    two_leaders();
}

/// Both members have a message. One hands in what it got; the other's is an item as well, or the word to
/// leave. Whoever waits for the other goes on.
fn one_waits_for_the_other(other_leaves: bool) {
    bounded(move || {
        let group = Arc::new(WriteGroup::new(2));
        let messages = Arc::new([AtomicU32::new(1), AtomicU32::new(1)]);
        let take = |messages: &[AtomicU32; 2], member: usize| messages[member].store(0, Ordering::Relaxed);
        let commit = |group: &WriteGroup<usize>, messages: &[AtomicU32; 2], member: usize| {
            let is_coming = |member: usize| messages[member].load(Ordering::Relaxed) > 0;
            assert_eq!(group.commit(member, member, is_coming, |_| true), Ok(member));
        };
        let other = {
            let (group, messages) = (Arc::clone(&group), Arc::clone(&messages));
            thread::spawn(move || {
                take(&messages, 1);
                if other_leaves {
                    group.look_again();
                } else {
                    commit(&group, &messages, 1);
                }
            })
        };
        take(&messages, 0);
        commit(&group, &messages, 0);
        other.join().unwrap();
    });
}

#[test]
fn who_waits_for_one_who_comes_goes_on() {
    one_waits_for_the_other(false);
}

#[test]
fn who_waits_for_one_who_leaves_goes_on() {
    one_waits_for_the_other(true);
}

#[test]
#[should_panic(expected = "deadlock")]
fn leaving_without_a_word_is_found() {
    let _planted = plant(Bug::LeavesWithoutAWord);
    one_waits_for_the_other(true);
}

/// The syncs that member 0 leads fail: nobody in that group is acknowledged, nor anyone later, and
/// nobody hangs. Where others lead before it, theirs is acknowledged.
fn a_failure() {
    bounded(|| {
        let disk = Disk::new(3);
        let others: Vec<_> = (1..3)
            .map(|member| {
                let disk = Arc::clone(&disk);
                thread::spawn(move || disk.commit(member, 1 << member, true))
            })
            .collect();
        let mine = disk.commit(0, 1, false);
        let failed = disk.has_failed.load(Ordering::Relaxed);
        assert_eq!(mine.is_err(), failed, "a failure was answered otherwise, or without one");
        let others: Vec<_> = others.into_iter().map(|other| other.join().unwrap()).collect();
        assert_eq!(disk.group.is_failed(), failed, "the group does not know of its failure");
        let acknowledged = [mine].into_iter().chain(others).filter(Result::is_ok).count() as u32;
        let synced = disk.durable.load(Ordering::Relaxed).count_ones();
        assert_eq!(acknowledged, synced, "what was synced was not acknowledged");
        if failed {
            assert_eq!(disk.commit(0, 8, true), Err(Failed), "acknowledged after a failure");
        }
    });
}

#[test]
fn after_a_failure_nobody_is_acknowledged() {
    a_failure();
}

#[test]
#[should_panic(expected = "acknowledged without its sync")]
fn a_failure_that_is_not_looked_at_is_found() {
    let _planted = plant(Bug::IgnoresTheFailure);
    a_failure();
}

#[test]
#[should_panic(expected = "led after a failure")]
fn a_failure_of_one_group_only_is_found() {
    let _planted = plant(Bug::ForgetsTheFailure);
    a_failure();
}

/// Somebody outside fails the group while two members commit: nobody hangs, and nobody is acknowledged
/// who comes later.
fn a_failure_outside() {
    bounded(|| {
        let disk = Disk::new(2);
        let other = {
            let disk = Arc::clone(&disk);
            thread::spawn(move || disk.commit(1, 2, true))
        };
        let outside = {
            let disk = Arc::clone(&disk);
            thread::spawn(move || {
                disk.group.fail();
                disk.group.is_failed()
            })
        };
        // An acknowledgement without its sync is found in there.
        let _ = disk.commit(0, 1, true);
        let _ = other.join().unwrap();
        assert!(outside.join().unwrap(), "the group does not know of its failure");
        assert_eq!(disk.commit(0, 4, true), Err(Failed), "acknowledged after a failure");
    });
}

#[test]
fn after_a_failure_outside_nobody_is_acknowledged() {
    a_failure_outside();
}

/// A member waits for one that never comes.
fn a_failure_outside_while_one_waits() {
    model(|| {
        let group = Arc::new(WriteGroup::new(2));
        let outside = {
            let group = Arc::clone(&group);
            thread::spawn(move || group.fail())
        };
        assert_eq!(group.commit(0, 1, |member| member == 1, |_| true), Err(Failed));
        outside.join().unwrap();
    });
}

#[test]
fn a_failure_outside_wakes_who_waits() {
    a_failure_outside_while_one_waits();
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_failure_outside_that_wakes_nobody_is_found() {
    let _planted = plant(Bug::WakesNobody);
    a_failure_outside_while_one_waits();
}
