//! Credits: the bound holds, nothing leaks, and several shards give all or nothing.

use std::sync::atomic::AtomicU32 as Observed;

use loom::{
    model,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use crate::sync::{Amount, Bug, Credits, plant, take_all};

fn amount(events: u32, bytes: u64) -> Amount {
    Amount { events, bytes }
}

/// Of three that want the last credit, one gets it; the others take nothing.
fn last_credit() {
    model(|| {
        let credits = Arc::new(Credits::new(amount(1, 100)));
        let takers: Vec<_> = (0..2)
            .map(|_| {
                let credits = Arc::clone(&credits);
                thread::spawn(move || credits.try_take(amount(1, 10)))
            })
            .collect();
        let mine = credits.try_take(amount(1, 10));
        let taken = takers.into_iter().map(|taker| u32::from(taker.join().unwrap())).sum::<u32>() + u32::from(mine);
        assert_eq!(taken, 1, "the last credit went to another number of takers");
        assert_eq!(credits.in_use(), amount(1, 10), "what is in use is not what was taken");
    });
}

#[test]
fn the_last_credit_goes_to_one_taker() {
    last_credit();
}

#[test]
#[should_panic(expected = "the last credit went to another number of takers")]
fn checking_and_taking_in_two_steps_is_found() {
    let _planted = plant(Bug::ChecksThenActs);
    last_credit();
}

/// Whoever comes and goes: what is held at any moment is within the bound, of events and of bytes,
/// and at the end all of it is free again. `held` is no part of the model but looks on: loom never
/// changes threads between a primitive's last step and it.
fn come_and_go() {
    model(|| {
        let credits = Arc::new(Credits::new(amount(2, 25)));
        let held = std::sync::Arc::new([Observed::new(0), Observed::new(0)]);
        let use_some = |credits: &Credits, held: &[Observed; 2], want: Amount| {
            if credits.try_take(want) {
                let events = held[0].fetch_add(want.events, Ordering::Relaxed) + want.events;
                let bytes = held[1].fetch_add(want.bytes as u32, Ordering::Relaxed) + want.bytes as u32;
                assert!(events <= 2 && bytes <= 25, "more is held than the bound");
                held[0].fetch_sub(want.events, Ordering::Relaxed);
                held[1].fetch_sub(want.bytes as u32, Ordering::Relaxed);
                credits.give_back(want);
            }
        };
        let others: Vec<_> = [amount(1, 10), amount(2, 10)]
            .into_iter()
            .map(|want| {
                let (credits, held) = (Arc::clone(&credits), held.clone());
                thread::spawn(move || use_some(&credits, &held, want))
            })
            .collect();
        use_some(&credits, &held, amount(1, 15));
        others.into_iter().for_each(|other| other.join().unwrap());
        assert!(credits.try_take(amount(2, 25)), "credits leaked");
    });
}

#[test]
fn credits_never_exceed_the_bound_and_none_leaks() {
    come_and_go();
}

#[test]
#[should_panic(expected = "credits leaked")]
fn a_take_that_overwrites_what_was_given_back_is_found() {
    let _planted = plant(Bug::ChecksThenActs);
    come_and_go();
}

/// One gives back while another takes: neither undoes the other.
fn one_gives_back_while_another_takes() {
    model(|| {
        let credits = Arc::new(Credits::new(amount(2, 20)));
        assert!(credits.try_take(amount(1, 10)));
        let giver = {
            let credits = Arc::clone(&credits);
            thread::spawn(move || credits.give_back(amount(1, 10)))
        };
        assert!(credits.try_take(amount(1, 10)), "there is room for both");
        giver.join().unwrap();
        assert_eq!(credits.in_use(), amount(1, 10), "credits leaked or were made");
    });
}

#[test]
fn giving_back_and_taking_do_not_undo_each_other() {
    one_gives_back_while_another_takes();
}

#[test]
#[should_panic(expected = "credits leaked or were made")]
fn giving_back_in_two_steps_is_found() {
    let _planted = plant(Bug::SplitUpdates);
    one_gives_back_while_another_takes();
}

/// Who takes what another gave back sees all that the other did with it.
fn room_changes_hands() {
    model(|| {
        let credits = Arc::new(Credits::new(amount(1, 10)));
        let room = Arc::new(AtomicU32::new(0));
        let use_it = |credits: &Credits, room: &AtomicU32| {
            let taken = credits.try_take(amount(1, 10));
            if taken {
                // Two steps: nobody else is here.
                room.store(room.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                credits.give_back(amount(1, 10));
            }
            u32::from(taken)
        };
        let other = {
            let (credits, room) = (Arc::clone(&credits), Arc::clone(&room));
            thread::spawn(move || use_it(&credits, &room))
        };
        let uses = use_it(&credits, &room) + other.join().unwrap();
        assert_eq!(room.load(Ordering::Relaxed), uses, "what one left there was not seen by the next");
    });
}

#[test]
fn room_is_taken_as_it_was_left() {
    room_changes_hands();
}

#[test]
#[should_panic(expected = "what one left there was not seen by the next")]
fn weak_orderings_of_credits_are_found() {
    let _planted = plant(Bug::RelaxedUpdates);
    room_changes_hands();
}

/// A flusher gives back what admission took, having stored the event: who takes it then sees what the
/// flusher noted, and once it is given back it can be taken.
fn the_flusher_gives_back() {
    model(|| {
        let credits = Arc::new(Credits::new(amount(1, 10)));
        let stored = Arc::new(AtomicU32::new(0));
        assert!(credits.try_take(amount(1, 10)));
        let flusher = {
            let (credits, stored) = (Arc::clone(&credits), Arc::clone(&stored));
            thread::spawn(move || {
                stored.store(1, Ordering::Relaxed);
                credits.give_back(amount(1, 10));
            })
        };
        let taken = credits.try_take(amount(1, 10));
        if taken {
            assert_eq!(stored.load(Ordering::Relaxed), 1, "taken before what the giver did is to be seen");
        }
        flusher.join().unwrap();
        assert_ne!(credits.try_take(amount(1, 10)), taken, "what was given back cannot be taken once");
    });
}

#[test]
fn what_the_flusher_gave_back_can_be_taken_as_it_left_it() {
    the_flusher_gives_back();
}

#[test]
#[should_panic(expected = "taken before what the giver did is to be seen")]
fn weak_giving_back_by_another_is_found() {
    let _planted = plant(Bug::RelaxedUpdates);
    the_flusher_gives_back();
}

/// Two admissions want a credit of each of two shards, in opposite orders: each holds both or
/// none, and of what was refused nothing stays taken.
fn two_shards() {
    model(|| {
        let shards = Arc::new([Credits::new(amount(1, 10)), Credits::new(amount(1, 10))]);
        let admit = |shards: &[Credits; 2], order: [usize; 2]| {
            take_all(order.into_iter().map(|shard| (&shards[shard], amount(1, 10)))).is_ok()
        };
        let other = {
            let shards = Arc::clone(&shards);
            thread::spawn(move || admit(&shards, [1, 0]))
        };
        let mine = admit(&shards, [0, 1]);
        let admitted = u32::from(mine) + u32::from(other.join().unwrap());
        assert!(admitted <= 1, "both were admitted to the room of one");
        for shard in shards.iter() {
            assert_eq!(shard.in_use().events, admitted, "a shard's credits are not those of the admitted");
        }
    });
}

#[test]
fn admission_over_two_shards_is_all_or_nothing() {
    two_shards();
}

#[test]
#[should_panic(expected = "a shard's credits are not those of the admitted")]
fn a_refusal_that_keeps_what_it_took_is_found() {
    let _planted = plant(Bug::KeepsWhatItTook);
    two_shards();
}
