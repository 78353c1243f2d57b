//! Room: no byte is promised twice, none leaks, and what was promised is there.

use loom::{
    model,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use crate::sync::{Bug, Room, plant};

fn room_of(bytes: i64) -> Arc<Room> {
    let room = Arc::new(Room::new());
    room.change(bytes);
    room
}

/// Of three that want the last bytes, one gets them; the others take nothing.
fn last_bytes() {
    model(|| {
        let room = room_of(10);
        let takers: Vec<_> = (0..2)
            .map(|_| {
                let room = Arc::clone(&room);
                thread::spawn(move || room.try_take(10))
            })
            .collect();
        let mine = room.try_take(10);
        let taken = takers.into_iter().map(|taker| u32::from(taker.join().unwrap())).sum::<u32>() + u32::from(mine);
        assert_eq!(taken, 1, "the last bytes went to another number of takers");
        assert_eq!(room.free(), 0, "what is free is not what was left");
    });
}

#[test]
fn the_last_bytes_go_to_one_taker() {
    last_bytes();
}

#[test]
#[should_panic(expected = "the last bytes went to another number of takers")]
fn checking_and_taking_bytes_in_two_steps_is_found() {
    let _planted = plant(Bug::ChecksThenActs);
    last_bytes();
}

/// One takes and gives back, a commit uses bytes without a promise, a segment comes: at the end what
/// is free is what came less what was used.
fn come_and_go() {
    model(|| {
        let room = room_of(10);
        let admission = {
            let room = Arc::clone(&room);
            thread::spawn(move || {
                if room.try_take(8) {
                    room.give_back(8);
                }
            })
        };
        let commit = {
            let room = Arc::clone(&room);
            thread::spawn(move || room.change(-14))
        };
        room.change(5);
        admission.join().unwrap();
        commit.join().unwrap();
        assert_eq!(room.free(), 1, "bytes leaked or were made");
    });
}

#[test]
fn no_bytes_leak_and_none_are_made() {
    come_and_go();
}

#[test]
#[should_panic(expected = "bytes leaked or were made")]
fn a_take_that_overwrites_what_came_or_went_is_found() {
    let _planted = plant(Bug::ChecksThenActs);
    come_and_go();
}

#[test]
#[should_panic(expected = "bytes leaked or were made")]
fn changing_room_in_two_steps_is_found() {
    let _planted = plant(Bug::SplitUpdates);
    come_and_go();
}

/// Who takes bytes sees the segment that the keeper made for them, even if a commit used some in
/// between. The note of it is relaxed: only the room can make it be seen.
fn a_segment_comes() {
    model(|| {
        let room = room_of(0);
        let made = Arc::new(AtomicU32::new(0));
        let keeper = {
            let (room, made) = (Arc::clone(&room), Arc::clone(&made));
            thread::spawn(move || {
                made.store(1, Ordering::Relaxed);
                room.change(10);
            })
        };
        let commit = {
            let room = Arc::clone(&room);
            thread::spawn(move || room.change(-5))
        };
        if room.try_take(5) {
            assert_eq!(made.load(Ordering::Relaxed), 1, "promised bytes of a segment that is not to be seen");
        }
        keeper.join().unwrap();
        commit.join().unwrap();
    });
}

#[test]
fn bytes_are_promised_when_their_segment_is_there() {
    a_segment_comes();
}

#[test]
#[should_panic(expected = "promised bytes of a segment that is not to be seen")]
fn weak_orderings_of_room_are_found() {
    let _planted = plant(Bug::RelaxedUpdates);
    a_segment_comes();
}
