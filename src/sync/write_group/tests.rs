//! Turns of a write group, one step after another; all interleavings are loom's.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
};

use super::*;

/// Nobody is waited for.
fn nobody(_: usize) -> bool {
    false
}

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
            group.commit(1, 11, nobody, |items| {
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
                group.commit(member, 10 + member as u32, nobody, |items| {
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
fn who_is_first_waits_for_who_is_coming_and_one_turn_serves_both() {
    let group = WriteGroup::new(2);
    let coming = AtomicBool::new(true);
    let is_coming = |member| member == 1 && coming.load(Ordering::Relaxed);
    let (led, all_led) = mpsc::channel();
    thread::scope(|scope| {
        let first = scope.spawn(|| group.commit(0, 10, is_coming, |_| unreachable!("the last one leads")));
        while !has_handed_in(&group, 0) {
            thread::yield_now();
        }
        // A worker's queue is empty when it hands in.
        coming.store(false, Ordering::Relaxed);
        let second = group.commit(1, 11, is_coming, |items| led.send(items.to_vec()).is_ok());
        assert_eq!((first.join().ok(), second), (Some(Ok(10)), Ok(11)));
    });
    drop(led);
    assert_eq!(all_led.iter().collect::<Vec<_>>(), [[(0, 10), (1, 11)]]);
}

#[test]
fn who_is_not_coming_any_more_is_not_waited_for() {
    let group = WriteGroup::new(2);
    let coming = AtomicBool::new(true);
    let is_coming = |member| member == 1 && coming.load(Ordering::Relaxed);
    thread::scope(|scope| {
        let first = scope.spawn(|| group.commit(0, 10, is_coming, |_| true));
        while !has_handed_in(&group, 0) {
            thread::yield_now();
        }
        coming.store(false, Ordering::Relaxed);
        group.look_again();
        assert_eq!(first.join().ok(), Some(Ok(10)));
    });
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
    assert_eq!(group.commit(0, "first", nobody, |_| true), Ok("first"));
    assert!(!group.is_failed());
    assert_eq!(group.commit(0, "second", nobody, |_| false), Err(Failed));
    assert!(group.is_failed());
    assert_eq!(group.commit(0, "third", nobody, |_| unreachable!("nobody leads")), Err(Failed));
}

#[test]
fn a_failure_outside_is_final_and_a_turn_under_way_ends_as_its_sync_does() {
    let group = WriteGroup::new(1);
    let led = group.commit(0, "first", nobody, |_| {
        group.fail();
        true
    });
    assert_eq!(led, Ok("first"));
    assert!(group.is_failed());
    assert_eq!(group.commit(0, "second", nobody, |_| unreachable!("nobody leads")), Err(Failed));
}

#[test]
fn a_member_that_is_inside_cannot_come_again() {
    let group = WriteGroup::new(1);
    let again =
        catch_unwind(AssertUnwindSafe(|| group.commit(0, 1, nobody, |_| group.commit(0, 2, nobody, |_| true).is_ok())));
    assert!(again.is_err());
    assert!(group.is_failed());
}

#[test]
fn the_leader_may_change_the_items_and_uses_the_same_room_each_time() {
    let group = WriteGroup::new(2);
    let room = group.lock().spare.as_ptr();
    for turn in 0..3 {
        let doubled = group.commit(1, turn, nobody, |items| {
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
                    assert_eq!(group.commit(member, (member, turn), nobody, |_| true), Ok((member, turn)));
                }
            });
        }
    });
}
