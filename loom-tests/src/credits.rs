//! Credits never exceed the bound, and none leaks.

use loom::{sync::Arc, thread};

use crate::sync::{
    Amount, Credits,
    planted::{Bug, plant},
    take_all,
};

const ONE: Amount = Amount { events: 1, bytes: 10 };

fn pair() -> (Arc<Credits>, Arc<Credits>) {
    (Arc::new(Credits::new(ONE)), Arc::new(Credits::new(ONE)))
}

/// Two take, one credit is there: never do both get it, and when it was given back it is there.
fn the_last_credit() {
    let credits = Arc::new(Credits::new(ONE));
    let takers: Vec<_> = (0..2)
        .map(|_| {
            let credits = Arc::clone(&credits);
            thread::spawn(move || credits.try_take(ONE))
        })
        .collect();
    let taken = takers.into_iter().map(|taker| taker.join().unwrap()).filter(|taken| *taken).count();
    assert_eq!(taken, 1, "credits exceed the bound, or the last one went to nobody");
    credits.give_back(ONE);
    assert_eq!(credits.in_use(), Amount::default(), "a credit leaked");
}

#[test]
fn credits_never_exceed_the_bound_and_none_leaks() {
    loom::model(the_last_credit);
}

#[test]
#[should_panic(expected = "credits exceed the bound")]
fn taking_in_two_steps_is_caught() {
    let _planted = plant(Bug::CreditsTakenInTwoSteps);
    loom::model(the_last_credit);
}

/// One of two credits is taken. It is given back while two others take: what is in use is what
/// they hold.
fn a_credit_given_back() {
    let credits = Arc::new(Credits::new(Amount { events: 2, bytes: 20 }));
    assert!(credits.try_take(ONE));
    let giver = thread::spawn({
        let credits = Arc::clone(&credits);
        move || credits.give_back(ONE)
    });
    let taker = thread::spawn({
        let credits = Arc::clone(&credits);
        move || u32::from(credits.try_take(ONE))
    });
    let taken = u32::from(credits.try_take(ONE)) + taker.join().unwrap();
    giver.join().unwrap();
    assert_eq!(credits.in_use().events, taken, "a credit leaked");
    assert!(taken >= 1, "the free credit went to nobody");
}

#[test]
fn a_credit_given_back_while_others_take_is_not_lost() {
    loom::model(a_credit_given_back);
}

#[test]
#[should_panic(expected = "a credit leaked")]
fn giving_back_in_two_steps_is_caught() {
    let _planted = plant(Bug::CreditsGivenBackInTwoSteps);
    loom::model(a_credit_given_back);
}

/// Two requests each want a credit of both shards, in opposite orders: whoever is refused holds
/// nothing, and whoever is admitted holds both.
fn admission_over_two_shards() {
    let (a, b) = pair();
    let other = thread::spawn({
        let (a, b) = (Arc::clone(&a), Arc::clone(&b));
        move || u32::from(take_all([(&*b, ONE), (&*a, ONE)].into_iter()).is_ok())
    });
    let admitted = u32::from(take_all([(&*a, ONE), (&*b, ONE)].into_iter()).is_ok()) + other.join().unwrap();
    assert!(admitted <= 1, "both were admitted");
    let held = (a.in_use().events, b.in_use().events);
    assert_eq!(held, (admitted, admitted), "a refused request holds a credit");
}

#[test]
fn admission_over_two_shards_is_all_or_nothing() {
    loom::model(admission_over_two_shards);
}

#[test]
#[should_panic(expected = "a refused request holds a credit")]
fn a_refusal_that_keeps_what_it_took_is_caught() {
    let _planted = plant(Bug::RefusalKeepsCredits);
    loom::model(admission_over_two_shards);
}
