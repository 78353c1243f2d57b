//! The watermark: it never falls, and what is below it is done for whoever reads it.

use loom::{
    model,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use crate::sync::{Bug, Watermark, plant};

/// A flusher stores two events and raises the watermark after each; another comes late and raises it
/// to where it stood before. A recycler sees as stored all that is below the number it reads. The
/// notes of the store are relaxed: only the watermark can make them be seen.
fn recycling() {
    model(|| {
        let watermark = Arc::new(Watermark::new(0));
        let stored = Arc::new([AtomicU32::new(0), AtomicU32::new(0)]);
        let flusher = {
            let (watermark, stored) = (Arc::clone(&watermark), Arc::clone(&stored));
            thread::spawn(move || {
                for (event, note) in (0..).zip(stored.iter()) {
                    note.store(1, Ordering::Relaxed);
                    watermark.advance(event + 1);
                }
            })
        };
        let late = {
            let watermark = Arc::clone(&watermark);
            thread::spawn(move || watermark.advance(0))
        };
        let below = watermark.get() as usize;
        let all_stored = stored[..below].iter().all(|note| note.load(Ordering::Relaxed) == 1);
        assert!(all_stored, "recycled what is not to be seen as stored");
        flusher.join().unwrap();
        late.join().unwrap();
        assert_eq!(watermark.get(), 2, "the watermark fell");
    });
}

#[test]
fn who_reads_the_watermark_sees_all_below_it_as_stored() {
    recycling();
}

#[test]
#[should_panic(expected = "recycled what is not to be seen as stored")]
fn weak_raising_is_found() {
    let _planted = plant(Bug::RelaxedUpdates);
    recycling();
}

#[test]
#[should_panic(expected = "recycled what is not to be seen as stored")]
fn a_weak_read_of_the_watermark_is_found() {
    let _planted = plant(Bug::RelaxedLoads);
    recycling();
}

/// Two raise it while a third reads: it never falls, and ends at the greater of the two.
fn two_raise() {
    model(|| {
        let watermark = Arc::new(Watermark::new(1));
        let raisers: Vec<_> = [2, 3]
            .into_iter()
            .map(|to| {
                let watermark = Arc::clone(&watermark);
                thread::spawn(move || watermark.advance(to))
            })
            .collect();
        let first = watermark.get();
        let second = watermark.get();
        assert!(first <= second, "the watermark fell");
        raisers.into_iter().for_each(|raiser| raiser.join().unwrap());
        assert_eq!(watermark.get(), 3, "the watermark fell");
    });
}

#[test]
fn two_who_raise_the_watermark_never_make_it_fall() {
    two_raise();
}

#[test]
#[should_panic(expected = "the watermark fell")]
fn raising_in_two_steps_is_found() {
    let _planted = plant(Bug::SplitUpdates);
    two_raise();
}
