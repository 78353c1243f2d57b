//! The keeper: writes watermarks when no commit carries them, finishes and recycles segments, and
//! has blank ones ready, so that no commit waits for a disk to make room.
//!
//! Order is everything. A segment is finished when a *synced* watermark of every lane is past it. Before
//! one is used again its heads are zeroed and synced, then it is renamed, and the directory synced.
//! A failed sync is final here too: the journal fails. A disk without room is not: admission ends
//! where the room does, and goes on when there is some.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Journal, Shared, WITHHELD,
    commit::Pending,
    find::INDEX_AFTER,
    format::{ALIGN, CommitHead},
    fs::File,
    segment::{Segment, corrupt_name, ids_name, make_blank, segment_name},
    state::{Blank, Kept, lock},
};
use crate::{
    planted::{Bug, is_planted},
    sync::Failed,
};

/// How often it looks, where nobody calls.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How old the watermarks in the journal become at most.
const WATERMARKS_EVERY: Duration = Duration::from_millis(500);
/// Blank segments that are kept ready beyond those that are withheld: mostly, and where a segment lasts
/// less than [`FAST`].
const READY: u64 = 1;
const READY_WHEN_FAST: u64 = 6;
const FAST: Duration = Duration::from_secs(2);
/// So many in a row: one may have been nearly full already.
const FAST_SEGMENTS: u32 = 2;
/// So many more are made of segments that need not be kept any longer, since a new one would soon have to
/// be zeroed for each that was removed.
const RECYCLED_WHEN_FAST: u64 = 8;
/// How much of the disk is left to others, in segments.
const FLOOR_SEGMENTS: u64 = 2;

/// What the keeper is called for.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) called: bool,
    pub(super) closed: bool,
    /// When the newest live segment was first seen, and which it was.
    newest: (u64, Instant),
    /// How many segments lasted less than [`FAST`], one after another.
    short_ones: u32,
    /// There is no room for a segment that is needed, and it was said.
    is_short: bool,
    /// A segment could not be made, and it was said.
    cannot_make: bool,
}

impl Default for Call {
    fn default() -> Self {
        Self {
            called: false,
            closed: false,
            newest: (0, Instant::now()),
            short_ones: 0,
            is_short: false,
            cannot_make: false,
        }
    }
}

impl Journal {
    /// Looks after the segments until the journal is closed: to be run on a thread of its own.
    ///
    /// # Errors
    /// [`Failed`] where the journal cannot be written any more: the process should end, as after a
    /// failed commit.
    pub fn keep_until_closed(&self) -> Result<(), Failed> {
        let mut watermarks_at = Instant::now();
        loop {
            let mut call = lock(&self.shared.keeper);
            if !call.called && !call.closed {
                let waited = self.shared.keeper_called.wait_timeout(call, LOOK_EVERY);
                call = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
            }
            call.called = false;
            let closed = call.closed;
            drop(call);
            if closed || watermarks_at.elapsed() >= WATERMARKS_EVERY {
                watermarks_at = Instant::now();
                self.write_watermarks();
            }
            self.keep(READY);
            if self.shared.group.is_failed() {
                return Err(Failed);
            }
            if closed {
                return Ok(());
            }
            self.shared.index_sealed(INDEX_AFTER);
        }
    }

    /// Writes and syncs the watermarks that moved, where the journal has them not yet.
    pub fn write_watermarks(&self) {
        let shared = &self.shared;
        let moved = shared.lanes.iter().any(|lane| lane.stored.get() != lane.durable.get());
        if moved && !shared.group.is_failed() && shared.has_place() {
            // A failure is told to every shard that commits, and there ends the process.
            let _ = shared.join(shared.shards, Pending::watermarks(), |_| false);
        }
    }

    /// One look: what is finished is finished, and there are `ready` blank segments beyond those that
    /// are withheld, or more where they are used up fast.
    pub(super) fn keep(&self, ready: u64) {
        let shared = &self.shared;
        if shared.group.is_failed() {
            return;
        }
        if let Err(error) = shared.finish().and_then(|()| shared.refill(ready)).and_then(|()| shared.trim()) {
            let errno = error.raw_os_error();
            tracing::error!(%error, errno, "the journal's segments cannot be looked after; it ends");
            // Whoever commits next learns that it has failed.
            shared.group.fail();
        }
    }
}

impl Shared {
    /// Whether a commit of watermarks has somewhere to go.
    pub(super) fn has_place(&self) -> bool {
        let needed = CommitHead::head_bytes(self.lanes.len()) as u64 + ALIGN;
        let writer = lock(&self.writer);
        let left = writer.current.as_ref().map_or(0, |current| current.end().saturating_sub(writer.at));
        left >= needed || !lock(&self.segments).blank.is_empty()
    }

    /// Moves finished segments from the live ones to those that are kept.
    fn finish(&self) -> io::Result<()> {
        loop {
            let mut segments = lock(&self.segments);
            let (Some(_), Some(next)) = (segments.live.front(), segments.live.get(1)) else { return Ok(()) };
            let is_done = |lane: &super::state::Lane| {
                next.head.lane(lane.number).is_none_or(|head| lane.durable.get() >= head.next)
            };
            if !self.lanes.iter().all(is_done) && !is_planted(Bug::RecycleBeforeStored) {
                return Ok(());
            }
            let Some(segment) = segments.live.pop_front() else { return Ok(()) };
            let is_damaged = segment.is_damaged();
            if !is_damaged {
                segments.kept.push_back(Kept { segment: Arc::clone(&segment), since: Instant::now() });
            }
            drop(segments);
            self.forget_ids(segment.number());
            if is_damaged {
                let (name, aside) = (segment_name(segment.number()), corrupt_name(segment.number()));
                unless_gone(self.fs.rename(&name, &aside), &name)?;
                self.sync_dir()?;
            }
        }
    }

    /// Makes blank segments until there are enough, out of those that are kept where that is due or
    /// nothing else is left.
    fn refill(&self, ready: u64) -> io::Result<()> {
        let ready_bytes = self.keeping.load().ready_bytes;
        let needed = WITHHELD + ready.max(ready_bytes.div_ceil(self.usable_bytes().max(1)));
        let (wanted, welcome) = if self.is_fast() {
            let wanted = needed.max(WITHHELD + READY_WHEN_FAST);
            (wanted, wanted + RECYCLED_WHEN_FAST)
        } else {
            (needed, needed)
        };
        loop {
            let (blank, due) = {
                let segments = lock(&self.segments);
                (segments.blank.len() as u64, self.is_kept_due(&segments))
            };
            if blank >= if due { welcome } else { wanted } {
                return Ok(());
            }
            // What is kept for a replay gives way to what is needed, not to what is only convenient.
            let recycled = if due || (blank < needed && !self.has_room()?) { self.recycle()? } else { None };
            let made = match recycled {
                None if self.has_room()? => self.make()?,
                recycled => recycled,
            };
            let is_short = made.is_none() && blank < needed;
            let said = std::mem::replace(&mut lock(&self.keeper).is_short, is_short);
            let Some(made) = made else {
                if is_short && !said {
                    let max_bytes = self.options.max_bytes;
                    tracing::warn!(max_bytes, "the journal finds no room for more: by its bound, or on the disk");
                }
                return Ok(());
            };
            lock(&self.segments).blank.push_back(made);
            self.room.change(self.usable_bytes() as i64);
        }
    }

    /// Whether the bound and the disk have room for one more segment.
    fn has_room(&self) -> io::Result<bool> {
        let (bytes, own) = (self.options.segment_bytes, self.options.max_bytes);
        let in_use = lock(&self.segments).bytes(bytes);
        Ok(in_use + bytes <= own && self.fs.free_bytes()? >= bytes * (1 + FLOOR_SEGMENTS))
    }

    /// Whether segments are used up fast.
    fn is_fast(&self) -> bool {
        let newest = lock(&self.segments).live.back().map_or(0, |segment| segment.number());
        let mut call = lock(&self.keeper);
        if call.newest.0 != newest {
            let is_short = call.newest.0 != 0 && call.newest.1.elapsed() < FAST;
            call.short_ones = if is_short { call.short_ones.saturating_add(1) } else { 0 };
            call.newest = (newest, Instant::now());
        } else if call.newest.1.elapsed() >= FAST {
            call.short_ones = 0;
        }
        call.short_ones >= FAST_SEGMENTS
    }

    /// Whether the oldest kept segment has stayed as long, or as many bytes stay, as was asked for.
    fn is_kept_due(&self, segments: &super::state::Segments) -> bool {
        let keeping = self.keeping.load();
        let is_old = segments.kept.front().is_some_and(|oldest| oldest.since.elapsed() >= keeping.keep);
        is_old || segments.kept_bytes() > keeping.keep_bytes
    }

    /// Lets go of what is kept longer, or is more, than was asked for.
    fn trim(&self) -> io::Result<()> {
        loop {
            let mut segments = lock(&self.segments);
            if !self.is_kept_due(&segments) {
                return Ok(());
            }
            let Some(oldest) = segments.kept.pop_front() else { return Ok(()) };
            drop(segments);
            let name = segment_name(oldest.segment.number());
            unless_gone(self.fs.remove(&name), &name)?;
        }
    }

    /// A blank segment out of the oldest that is kept.
    pub(super) fn recycle(&self) -> io::Result<Option<Blank>> {
        loop {
            let Some(Kept { segment, .. }) = lock(&self.segments).kept.pop_front() else { return Ok(None) };
            let name = segment_name(segment.number());
            if segment.bytes != self.options.segment_bytes {
                unless_gone(self.fs.remove(&name), &name)?;
                continue;
            }
            if let Some(blank) = self.blank_out(&segment)? {
                return Ok(Some(blank));
            }
        }
    }

    /// Makes a segment, of which nothing is needed any more, blank and gives it a new number; `None`
    /// where its file is gone.
    pub(super) fn blank_out(&self, segment: &Segment) -> io::Result<Option<Blank>> {
        make_blank(&*segment.file, segment.bytes, segment.head.lanes.len())?;
        let number = lock(&self.segments).take_number();
        let name = segment_name(segment.number());
        if !unless_gone(self.fs.rename(&name, &segment_name(number)), &name)? {
            return Ok(None);
        }
        self.sync_dir()?;
        Ok(Some(Blank { number, file: Arc::clone(&segment.file) }))
    }

    /// A new blank segment; `None` where the disk has no room for it.
    pub(super) fn make(&self) -> io::Result<Option<Blank>> {
        let number = lock(&self.segments).take_number();
        let made: Result<Arc<dyn File>, io::Error> = self.fs.create(&segment_name(number), self.options.segment_bytes);
        let file = match made {
            Ok(file) => file,
            Err(error) => {
                if !std::mem::replace(&mut lock(&self.keeper).cannot_make, true) {
                    tracing::warn!(%error, "the journal cannot make a segment");
                }
                return Ok(None);
            }
        };
        lock(&self.keeper).cannot_make = false;
        file.sync_data()?;
        self.sync_dir()?;
        Ok(Some(Blank { number, file }))
    }

    fn sync_dir(&self) -> io::Result<()> {
        if is_planted(Bug::NoDirectorySync) {
            return Ok(());
        }
        self.fs.sync_dir()
    }

    /// Removes the fingerprints of a segment that is finished.
    fn forget_ids(&self, number: u64) {
        if lock(&self.indexed).remove(&number).is_some() {
            // One that stays behind is removed at the next start.
            let _ = self.fs.remove(&ids_name(number));
        }
    }
}

/// False where a file that nobody needs is gone already: somebody removed it.
fn unless_gone(done: io::Result<()>, file: &str) -> io::Result<bool> {
    match done {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            tracing::warn!(file, "a finished segment was removed by somebody else");
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
