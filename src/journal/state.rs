//! What the journal's threads share: the lanes, and which segments there are in which state.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use super::{format::LaneHead, fs::File, segment::Segment};
use crate::sync::Watermark;

/// One lane while the journal is open.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) number: u32,
    /// The shard it belongs to, `None` where none does any more.
    pub(super) shard: Option<u32>,
    /// All before it are stored or dead-lettered.
    pub(super) stored: Watermark,
    /// The same as the journal has it, synced: what a restart begins with.
    pub(super) durable: Watermark,
    /// Number of the record after the last that is synced.
    pub(super) synced: Watermark,
}

impl Lane {
    pub(super) fn new(head: &LaneHead) -> Self {
        Self {
            number: head.lane,
            shard: head.shard,
            stored: Watermark::new(head.watermark),
            durable: Watermark::new(head.watermark),
            synced: Watermark::new(head.next),
        }
    }
}

/// A file that waits for its turn.
#[derive(Debug)]
pub(super) struct Blank {
    pub(super) number: u64,
    pub(super) file: Arc<dyn File>,
}

/// A finished segment that stays for a replay.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) segment: Arc<Segment>,
    pub(super) since: Instant,
}

/// All segments.
#[derive(Debug, Default)]
pub(super) struct Segments {
    /// Not finished, oldest first; the last one is written to.
    pub(super) live: VecDeque<Arc<Segment>>,
    /// Where the synced commits of the last one end.
    pub(super) synced: u64,
    /// Finished, oldest first.
    pub(super) kept: VecDeque<Kept>,
    pub(super) blank: VecDeque<Blank>,
    /// The next file's number.
    pub(super) next_number: u64,
}

/// A place to read from.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) segment: Arc<Segment>,
    /// Where its commits end, as far as they may be read now; `None` where only a look can tell.
    pub(super) end: Option<u64>,
    /// No more will be written to it.
    pub(super) is_sealed: bool,
}

impl Segments {
    /// The live segment at `index`.
    fn place(&self, index: usize) -> Option<Place> {
        let segment = Arc::clone(self.live.get(index)?);
        Some(match self.live.get(index + 1) {
            None => Place { segment, end: Some(self.synced), is_sealed: false },
            Some(next) => {
                let end = (next.head.previous == segment.number()).then_some(next.head.previous_end);
                Place { segment, end, is_sealed: true }
            }
        })
    }

    fn index(&self, number: u64) -> Option<usize> {
        self.live.iter().position(|segment| segment.number() == number)
    }

    /// The live segment of that number, as it may be read now.
    pub(super) fn at(&self, number: u64) -> Option<Place> {
        self.place(self.index(number)?)
    }

    /// The live segment behind that one.
    pub(super) fn after(&self, number: u64) -> Option<Place> {
        self.place(self.index(number)? + 1)
    }

    /// The live segment to begin with, where records of `lane` from `next` on are wanted.
    pub(super) fn first_with(&self, lane: u32, next: u64) -> Option<Place> {
        let begins_later = |segment: &Arc<Segment>| segment.head.lane(lane).is_some_and(|head| head.next > next);
        let index = self.live.iter().position(begins_later).unwrap_or(self.live.len());
        self.place(index.saturating_sub(1))
    }

    /// The newest live segments first.
    pub(super) fn newest_first(&self) -> Vec<Place> {
        (0..self.live.len()).rev().filter_map(|index| self.place(index)).collect()
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self, segment_bytes: u64) -> u64 {
        let of = |segment: &Arc<Segment>| segment.bytes;
        self.live.iter().map(of).sum::<u64>() + self.kept_bytes() + self.blank.len() as u64 * segment_bytes
    }

    /// Bytes of the finished ones that stay for a replay.
    pub(super) fn kept_bytes(&self) -> u64 {
        self.kept.iter().map(|kept| kept.segment.bytes).sum()
    }

    /// The number for a new file.
    pub(super) fn take_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number - 1
    }
}

/// A lock that is taken also after a panic elsewhere: what it guards is changed in single steps.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
