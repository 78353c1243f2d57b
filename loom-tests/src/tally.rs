//! Tallies: the law holds in every snapshot, whatever is being counted meanwhile.

use loom::{
    model,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use crate::sync::{Bug, Tally, TallySnapshot, plant};

fn assert_law(snapshot: TallySnapshot) {
    let came = snapshot.received + snapshot.recovered;
    let left = snapshot.processed + snapshot.failed;
    assert!(left <= came, "more left than came");
    assert_eq!(came, left + snapshot.depth());
    assert!(snapshot.duplicate <= snapshot.processed, "more duplicates than processed");
}

/// One thread takes events in and hands them over, another settles them, a third reads: in what it
/// reads, received + recovered = processed + failed + depth, and the depth is not below zero.
fn counting(settle: fn(&Tally)) {
    model(move || {
        let tally = Arc::new(Tally::default());
        let handed_over = Arc::new(AtomicU32::new(0));
        let intake = {
            let (tally, handed_over) = (Arc::clone(&tally), Arc::clone(&handed_over));
            thread::spawn(move || {
                tally.add_recovered(1);
                tally.add_received(1);
                handed_over.store(2, Ordering::Release);
            })
        };
        let flusher = {
            let (tally, handed_over) = (Arc::clone(&tally), Arc::clone(&handed_over));
            thread::spawn(move || {
                // Where nothing is there yet, this run of the model shows nothing; others do.
                if handed_over.load(Ordering::Acquire) == 2 {
                    settle(&tally);
                }
            })
        };
        assert_law(tally.snapshot());
        intake.join().unwrap();
        flusher.join().unwrap();
        let last = tally.snapshot();
        assert_law(last);
        assert_eq!(last.received + last.recovered, 2, "a count was lost");
    });
}

fn one_stored_one_failed(tally: &Tally) {
    tally.add_failed(1);
    tally.add_processed(1);
}

fn one_stored_one_duplicate(tally: &Tally) {
    tally.add_processed(2);
    tally.add_duplicate(1);
}

#[test]
fn the_law_holds_in_every_snapshot() {
    counting(one_stored_one_failed);
}

#[test]
fn duplicates_are_among_the_processed_in_every_snapshot() {
    counting(one_stored_one_duplicate);
}

#[test]
#[should_panic(expected = "more left than came")]
fn a_snapshot_that_reads_arrivals_first_is_found() {
    plant(Bug::ReadsArrivalsFirst);
    counting(one_stored_one_failed);
}

#[test]
#[should_panic(expected = "more left than came")]
fn weak_reads_of_the_tally_are_found() {
    plant(Bug::RelaxedLoads);
    counting(one_stored_one_failed);
}

#[test]
#[should_panic(expected = "more left than came")]
fn weak_counting_is_found() {
    plant(Bug::RelaxedUpdates);
    counting(one_stored_one_failed);
}

/// Two threads count at the same time: no count is lost.
fn two_writers() {
    model(|| {
        let tally = Arc::new(Tally::default());
        let other = {
            let tally = Arc::clone(&tally);
            thread::spawn(move || tally.add_received(1))
        };
        tally.add_received(1);
        other.join().unwrap();
        assert_eq!(tally.snapshot().received, 2, "a count was lost");
    });
}

#[test]
fn no_count_is_lost() {
    two_writers();
}

#[test]
#[should_panic(expected = "a count was lost")]
fn counting_in_two_steps_is_found() {
    plant(Bug::SplitUpdates);
    two_writers();
}
