//! The law of the metrics holds in every snapshot, with writers running.

use loom::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use crate::sync::{
    Tally,
    planted::{Bug, plant},
};

/// An ingest thread receives an event and hands it over; a flusher counts it as processed, and
/// as a duplicate; meanwhile a snapshot is taken. What left is never more than what came.
fn a_snapshot_under_way() {
    let (tally, handed_over) = (Arc::new(Tally::default()), Arc::new(AtomicBool::new(false)));
    let ingest = thread::spawn({
        let (tally, handed_over) = (Arc::clone(&tally), Arc::clone(&handed_over));
        move || {
            tally.add_received(1);
            // The hand-over by a queue.
            handed_over.store(true, Ordering::Release);
        }
    });
    let flusher = thread::spawn({
        let tally = Arc::clone(&tally);
        move || {
            if handed_over.load(Ordering::Acquire) {
                tally.add_processed(1);
                tally.add_duplicate(1);
            }
        }
    });
    let seen = tally.snapshot();
    assert!(seen.received + seen.recovered >= seen.processed + seen.failed, "more left than came: {seen:?}");
    assert!(seen.duplicate <= seen.processed, "more duplicates than processed: {seen:?}");
    ingest.join().unwrap();
    flusher.join().unwrap();
    let last = tally.snapshot();
    assert_eq!(last.received + last.recovered, last.processed + last.failed + last.depth(), "the law");
}

#[test]
fn the_snapshots_law_holds_with_writers_running() {
    loom::model(a_snapshot_under_way);
}

#[test]
#[should_panic(expected = "more left than came")]
fn reading_what_came_before_what_left_is_caught() {
    let _planted = plant(Bug::ArrivalsReadFirst);
    loom::model(a_snapshot_under_way);
}

#[test]
#[should_panic(expected = "more left than came")]
fn counting_what_left_without_release_is_caught() {
    let _planted = plant(Bug::DeparturesNotReleased);
    loom::model(a_snapshot_under_way);
}
