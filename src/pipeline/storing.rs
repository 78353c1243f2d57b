//! Storing one batch, for as long as it takes: a failing one is repeated or bisected, until every row is
//! stored or was refused alone, and those that were refused are in the dead-letter file, synced.
//!
//! Only what an error says of a row makes a dead letter; all else waits, and nothing is dropped.

use std::{
    iter,
    ops::Range,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use arc_swap::ArcSwap;
use smallvec::SmallVec;
use tokio::sync::{Semaphore, watch};

use super::{
    BatchOptions,
    flight::{Flight, RefusedRow},
    retry::{self, Step},
    store_state::StoreState,
};
use crate::{
    event::Micros,
    storage::{Storage, StoreError, dead_letters::DeadLetters},
};

/// Longest pause between two attempts to write dead letters.
const LETTERS_PAUSE: Duration = Duration::from_secs(5);

/// Bad rows of one batch that are isolated by the store's word; further ones by halves.
const NAMED_ROWS_MAX: usize = 4;

/// The store, and what all flushers know of it.
pub(super) struct StoreAccess {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) dead_letters: Arc<DeadLetters>,
    pub(super) state: StoreState,
    /// When a batch leaves.
    pub(super) batch: ArcSwap<BatchOptions>,
    /// How many events may be looked up in this node's files at a time.
    pub(super) lookups: Semaphore,
    /// How many pages may be in memory at a time.
    pub(super) pages: Semaphore,
    /// Whether it was said that pages cannot be read.
    pub(super) pages_refused: AtomicBool,
    /// Becomes true when the table was seen to be there.
    pub(super) prepared: watch::Sender<bool>,
}

/// Stores a batch, and sets apart what cannot be.
pub(super) async fn store_flight(store: Arc<StoreAccess>, mut flight: Flight) -> Flight {
    let mut ranges: SmallVec<[Range<usize>; 4]> = iter::once(0..flight.batch.len()).collect();
    let mut named_rows = 0;
    while let Some(range) = ranges.pop() {
        if range.is_empty() {
            continue;
        }
        let (mut attempt, mut waiting) = (0, None);
        loop {
            let asked = store.state.asking();
            let error = match store.storage.store(&flight.batch, range.clone()).await {
                Ok(stored) => {
                    store.state.answered(asked);
                    flight.duplicates.extend(stored.duplicates);
                    break;
                }
                Err(error) => error,
            };
            store.state.failed(asked, &error);
            match retry::next(&error, range.len(), attempt, jitter()) {
                Step::Wait(pause) => {
                    waiting.get_or_insert_with(|| store.state.waits());
                    store.state.pause(pause).await;
                }
                Step::Bisect(row) => {
                    // Around the named row all behind it are sent again, which many bad rows make dear.
                    let row = row.filter(|_| named_rows < NAMED_ROWS_MAX);
                    named_rows += usize::from(row.is_some());
                    // The last one pushed is stored first: keep the rows' order.
                    ranges.extend(split(&range, row).into_iter().rev());
                    break;
                }
                Step::DeadLetter => {
                    refuse(&mut flight, range.start, error, attempt + 1);
                    break;
                }
            }
            attempt += 1;
        }
    }
    write_letters(&store, &flight).await;
    flight
}

fn refuse(flight: &mut Flight, row: usize, error: StoreError, attempts: u32) {
    let id = flight.batch.row(row).id;
    tracing::warn!(%id, code = error.code(), %error, "the store refused an event for good");
    if let StoreError::BadRow(bad) = error {
        flight.refused.push(RefusedRow { row, bad, attempts });
    }
}

/// Returns once the letters of what is dead are synced: only then may the watermark pass.
async fn write_letters(store: &StoreAccess, flight: &Flight) {
    if flight.refused.is_empty() && flight.failed.is_empty() {
        return;
    }
    let mut attempt = 0;
    loop {
        let letters = flight.letters(Micros::now());
        let file = Arc::clone(&store.dead_letters);
        let written = match letters {
            Ok(letters) => tokio::task::spawn_blocking(move || file.append(&letters)).await,
            Err(error) => Ok(Err(error)),
        };
        match written {
            Ok(Ok(())) => return,
            Ok(Err(error)) => tracing::error!(%error, "dead letters cannot be written; trying again"),
            Err(error) => tracing::error!(%error, "dead letters were not written; trying again"),
        }
        tokio::time::sleep(retry::backoff(LETTERS_PAUSE, attempt, jitter())).await;
        attempt += 1;
    }
}

/// The parts of a range with a bad row: around the row where the store named it, else halves.
pub(crate) fn split(range: &Range<usize>, row: Option<usize>) -> [Range<usize>; 3] {
    match row.filter(|row| range.contains(row)) {
        Some(row) => [range.start..row, row..row + 1, row + 1..range.end],
        None => {
            let middle = range.start + range.len() / 2;
            [range.start..middle, middle..range.end, range.end..range.end]
        }
    }
}

/// A number in 0..1 to spread waits; not for secrets.
fn jitter() -> f64 {
    let bits = getrandom::u32().unwrap_or(u32::MAX / 2);
    f64::from(bits) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_covers_the_range_and_is_smaller() {
        for (row, parts) in
            [(None, [3..6, 6..10, 10..10]), (Some(3), [3..3, 3..4, 4..10]), (Some(99), [3..6, 6..10, 10..10])]
        {
            let got = split(&(3..10), row);
            assert_eq!(got, parts, "{row:?}");
            assert_eq!(got.iter().map(|part| part.len()).sum::<usize>(), 7);
        }
    }
}
