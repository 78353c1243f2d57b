//! The journal: what is accepted and not stored yet, on this node's disk. `docs/JOURNAL.md` has its
//! bytes and why they are safe.
//!
//! ```text
//! shard workers ▸ write group ▸ one commit (one write, one sync) ▸ segments ▸ readers, one a lane
//! ```
//!
//! What holds:
//! - Whatever `Journal::commit` returned is on the disk. After an error nothing is ever committed
//!   again: the caller ends the process.
//! - Readers see what is synced, in order, and nothing else; memory does not depend on how much.
//! - A segment is used again only when a synced watermark of every lane is past it.
//! - No promised byte lacks its place: `Journal::promise` counts the room in segments that are
//!   there already.
//! - It always opens, whatever its files hold, unless a later version wrote them.
//!
//! Commits block the calling thread for a write and a sync; reads are from the page cache mostly. A
//! thread of its own, the keeper, makes and recycles segments. Nothing here is async.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

mod begin;
mod commit;
mod error;
mod find;
mod format;
#[doc(hidden)]
pub mod fs;
mod inspect;
mod keeper;
mod reader;
mod recovery;
mod segment;
mod state;

#[cfg(test)]
mod tests;

#[doc(hidden)]
pub use commit::Pending;
pub use error::JournalError;
pub(crate) use inspect::{Inspection, LaneFigures, Passed, Record, SegmentFigures, SegmentState, View};
pub(crate) use reader::{Extent, Origin, Reader};
#[doc(hidden)]
pub use recovery::Recovered;

use self::{
    commit::Writer,
    fs::Fs,
    segment::data_bytes,
    state::{Lane, Segments, lock},
};
use crate::{
    metrics::{JournalFigures, JournalMetrics},
    sync::{Failed, Room, WriteGroup},
};

/// Smallest segment: a few commits must fit.
pub(crate) const SEGMENT_BYTES_MIN: u64 = 64 << 10;
/// Fewest segments that the journal's bound must hold: one that is written to, one that is drained,
/// two that are withheld so that watermarks and a restart always have a place, and one more.
pub(crate) const SEGMENTS_MIN: u64 = 5;
/// Segments whose room is never promised.
const WITHHELD: u64 = 2;
/// What a run of records costs beside its bytes: its part of the heads, and padding.
const EXTENT_COST_BYTES: u64 = 96;
/// What the head of an extent, or of a commit, takes at most.
const HEAD_COST_BYTES: u64 = 32;
/// Largest commit, where one shard's part alone is not larger.
const COMMIT_BYTES_MAX: u64 = 2 << 20;

/// How a journal behaves. [`Default`] is what the service uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bytes of one segment, a multiple of 4096 and at least 64 KiB.
    pub segment_bytes: u64,
    /// Bytes of all files together, at least five segments.
    pub max_bytes: u64,
    /// Room that is to be had at any time, as long as the bound and the disk allow it: at least what
    /// one request may need.
    pub ready_bytes: u64,
    /// How long finished segments stay for a replay, at most.
    pub keep: Duration,
    /// How many bytes of them stay, at most.
    pub keep_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            max_bytes: 8 << 30,
            ready_bytes: 5 << 20,
            keep: Duration::from_secs(600),
            keep_bytes: 1 << 30,
        }
    }
}

/// An open journal. Clones share it.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct Journal {
    shared: Arc<Shared>,
}

/// What all threads of the journal share.
#[derive(Debug)]
struct Shared {
    fs: Arc<dyn Fs>,
    options: Options,
    shards: usize,
    /// Those of the shards, in their order; behind them those that no shard has any more.
    lanes: Box<[Lane]>,
    segments: Mutex<Segments>,
    writer: Mutex<Writer>,
    group: WriteGroup<Pending>,
    room: Room,
    metrics: Arc<JournalMetrics>,
    /// Fingerprints of sealed segments, by the segment's number.
    indexed: Mutex<HashMap<u64, find::Ids>>,
    /// Which segments have been sealed for a while.
    seen_sealed: Mutex<find::SeenSealed>,
    /// When fingerprints are made again, after they could not be written.
    index_again_at: Mutex<Option<Instant>>,
    keeper: Mutex<keeper::Call>,
    keeper_called: Condvar,
}

impl Journal {
    /// Opens the journal on `fs` for so many shards, and recovers what is there.
    ///
    /// # Errors
    /// [`JournalError`] where the files cannot be read, or a later version wrote them; a full disk
    /// is no error, see [`Journal::can_accept`].
    pub fn open(
        fs: Arc<dyn Fs>,
        options: Options,
        shards: usize,
        metrics: Arc<JournalMetrics>,
    ) -> Result<(Self, Recovered), JournalError> {
        let (shared, recovered) = recovery::open(fs, options, shards, metrics)?;
        let journal = Self { shared: Arc::new(shared) };
        // The keeper makes more meanwhile; to accept something, none beyond these is needed.
        journal.keep(0);
        Ok((journal, recovered))
    }

    /// Ends [`Journal::keep_until_closed`], after a last look at the watermarks.
    pub fn close(&self) {
        lock(&self.shared.keeper).closed = true;
        self.shared.keeper_called.notify_all();
    }

    /// Takes `bytes` of room for a run of records; false where the journal is full.
    pub fn promise(&self, bytes: u64) -> bool {
        self.shared.room.try_take(bytes)
    }

    /// Gives back room that was taken and not used.
    pub(crate) fn release(&self, bytes: u64) {
        self.shared.room.give_back(bytes);
    }

    /// The room that a run of records of so many bytes needs at most, wherever it comes to stand.
    pub fn cost(&self, bytes: u64) -> u64 {
        // A large run may leave a hole of its own size at a segment's end.
        let hole = if bytes > self.shared.commit_bytes_max() / 2 { bytes } else { 0 };
        bytes + hole + EXTENT_COST_BYTES
    }

    /// With so many bytes a run of records is to be handed over, and what a shard has committed. So
    /// a run that is not large by itself (see [`Journal::cost`]) makes no commit larger than the
    /// largest.
    pub(crate) fn run_bytes(&self) -> usize {
        (self.shared.commit_bytes_max() / 4) as usize
    }

    /// Writes and syncs what a shard has, together with whatever the others have; the number of its
    /// first record. Blocks, also for shards of which `is_coming` says that they are about to commit.
    ///
    /// # Errors
    /// [`Failed`] where it could not be written or synced, and ever after: what is on the disk is
    /// then unknown, nothing may be acknowledged, and the process should end.
    pub fn commit(
        &self,
        shard: usize,
        pending: &mut Pending,
        is_coming: impl Fn(usize) -> bool,
    ) -> Result<u64, Failed> {
        pending.seal();
        *pending = self.shared.join(shard, std::mem::take(pending), is_coming)?;
        Ok(pending.first())
    }

    /// To be called where a shard is not about to commit any more, and did not.
    pub(crate) fn look_again(&self) {
        self.shared.group.look_again();
    }

    /// The reader of a shard's lane.
    pub(crate) fn reader(&self, shard: usize) -> Reader {
        Reader::new(Arc::clone(&self.shared), shard)
    }

    /// Readers of lanes that no shard has any more, and nothing is added to. One user's events may be
    /// in several of them: read one after another, in this order, they are in theirs.
    pub(crate) fn former_readers(&self) -> Vec<Reader> {
        (self.shared.shards..self.shared.lanes.len()).map(|lane| Reader::new(Arc::clone(&self.shared), lane)).collect()
    }

    /// Number of the record after the last that is synced of a lane.
    pub(crate) fn synced(&self, lane: usize) -> u64 {
        self.shared.lanes[lane].synced.get()
    }

    /// All records of the lane before `to` are stored or dead-lettered. To be called after the
    /// store's answer.
    pub fn advance(&self, lane: usize, to: u64) {
        self.shared.lanes[lane].stored.advance(to);
    }

    /// Whether there is room for more than a few events.
    pub(crate) fn can_accept(&self) -> bool {
        self.shared.room.free() >= self.run_bytes() as u64 && !self.shared.group.is_failed()
    }

    /// What it holds.
    pub(crate) fn figures(&self) -> JournalFigures {
        let segments = lock(&self.shared.segments);
        JournalFigures {
            bytes: segments.bytes(self.shared.options.segment_bytes),
            free_bytes: self.shared.room.free(),
            kept_bytes: segments.kept_bytes(),
            live_segments: segments.live.len(),
            kept_segments: segments.kept.len(),
            blank_segments: segments.blank.len(),
        }
    }
}

impl Shared {
    fn join(&self, member: usize, pending: Pending, is_coming: impl Fn(usize) -> bool) -> Result<Pending, Failed> {
        self.group.commit(member, pending, is_coming, |members| {
            let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
            match writer.write(self, members) {
                Ok(()) => true,
                Err(error) => {
                    let errno = error.raw_os_error();
                    tracing::error!(%error, errno, "the journal cannot be written; nothing is acknowledged any more");
                    false
                }
            }
        })
    }

    /// Largest commit, where one shard's part alone is not larger.
    fn commit_bytes_max(&self) -> u64 {
        (self.options.segment_bytes / 8).min(COMMIT_BYTES_MAX)
    }

    /// Bytes at a segment's end that the next commit might not fit into, with its heads.
    fn hole_bytes_max(&self) -> u64 {
        self.commit_bytes_max() + (2 * self.lanes.len() as u64 + 1) * HEAD_COST_BYTES
    }

    /// Bytes of a blank segment that admission may promise.
    fn usable_bytes(&self) -> u64 {
        data_bytes(self.options.segment_bytes, self.lanes.len()).saturating_sub(self.hole_bytes_max())
    }

    /// A new segment's salt: not 0, so that what is blank is never taken for a commit.
    fn salt(&self) -> io::Result<u64> {
        Ok(getrandom::u64()?.max(1))
    }

    fn wake_keeper(&self) {
        lock(&self.keeper).called = true;
        self.keeper_called.notify_all();
    }
}
