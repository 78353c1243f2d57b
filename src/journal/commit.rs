//! Commits: what all shards have, written with one write and made durable with one sync.
//!
//! The leader of the write group alone comes here. Nothing is published, and so nothing can be read
//! or acknowledged, before the sync returned. After any error the state is what nobody knows:
//! the group fails, and nothing is ever acknowledged again.

use std::{
    io::{self, IoSlice},
    sync::Arc,
    time::{Duration, Instant},
};

use smallvec::SmallVec;

use super::{
    Shared,
    format::{ALIGN, CommitHead, ExtentHead, Kind, LaneHead, SegmentHead, data_bytes_needed, records_checksum},
    segment::{Segment, segment_name, write_all_at},
    state::{Blank, lock},
};
use crate::planted::{Bug, is_planted};

/// How old the watermarks in the journal may be when a commit passes by.
const WATERMARKS_EVERY: Duration = Duration::from_millis(250);

/// A page of the system's cache.
const PAGE: u64 = 4096;
static ZEROS: [u8; (ALIGN + PAGE) as usize] = [0; (ALIGN + PAGE) as usize];

/// What one shard has for the next commit. Cleared and filled again, it allocates only while it
/// grows.
#[derive(Debug, Default)]
pub struct Pending {
    records: Vec<u8>,
    events: u32,
    /// Room that admission has taken for it.
    promised: u64,
    checksum: u32,
    /// Number of its first record, known when it is committed.
    first: u64,
    /// Writes the watermarks, however old those in the journal are.
    with_watermarks: bool,
}

impl Pending {
    /// Adds a run of records, for which `promised` bytes of room were taken.
    pub fn push(&mut self, records: &[u8], events: usize, promised: u64) {
        self.records.extend_from_slice(records);
        self.events += u32::try_from(events).expect("a commit has far fewer events than u32 holds");
        self.promised += promised;
    }

    /// The records, one after another.
    pub fn records(&self) -> &[u8] {
        &self.records
    }

    /// Bytes of the records.
    pub fn bytes(&self) -> usize {
        self.records.len()
    }

    /// How many records.
    pub fn events(&self) -> u32 {
        self.events
    }

    /// Empties it and keeps its buffer, unless that has become very large.
    pub fn clear(&mut self, kept_bytes_max: usize) {
        self.records.clear();
        self.records.shrink_to(kept_bytes_max);
        (self.events, self.promised, self.with_watermarks) = (0, 0, false);
    }

    /// Nothing but the watermarks.
    pub(super) fn watermarks() -> Self {
        Self { with_watermarks: true, ..Self::default() }
    }

    /// Number of the first record.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// To be called by its owner, so that the leader need not.
    pub(super) fn seal(&mut self) {
        self.checksum = records_checksum(&self.records);
    }
}

/// Where the next commit goes. Belongs to the leader.
#[derive(Debug)]
pub(super) struct Writer {
    /// The segment that is written to; `None` where none could be had yet.
    pub(super) current: Option<Arc<Segment>>,
    pub(super) at: u64,
    /// The next commit's number.
    pub(super) commit: u64,
    /// For each lane the number of its next record.
    pub(super) next: Box<[u64]>,
    /// For each lane the watermark that the journal has.
    pub(super) written: Box<[u64]>,
    pub(super) written_at: Instant,
    pub(super) heads: Vec<u8>,
    pub(super) extents: Vec<ExtentHead>,
}

impl Writer {
    /// Writes and syncs what the members of the group have, in as few commits as hold it.
    pub(super) fn write(&mut self, shared: &Shared, members: &mut [(usize, Pending)]) -> io::Result<()> {
        let mut rest = members;
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = rest.iter().take_while(|(_, pending)| {
                bytes += pending.bytes() as u64;
                bytes <= shared.commit_bytes_max()
            });
            // One alone always goes: where it is larger than any segment, it gets one of its own.
            let (now, later) = rest.split_at_mut(fits.count().max(1));
            self.commit(shared, now)?;
            rest = later;
        }
        Ok(())
    }

    fn commit(&mut self, shared: &Shared, members: &mut [(usize, Pending)]) -> io::Result<()> {
        let forced = members.iter().any(|(_, pending)| pending.with_watermarks);
        self.gather(shared, members, forced);
        if self.extents.is_empty() {
            return Ok(());
        }
        let bytes: usize = members.iter().map(|(_, pending)| pending.bytes()).sum();
        let padded = (CommitHead::head_bytes(self.extents.len()) + bytes).next_multiple_of(ALIGN as usize) as u64;
        let room_before = self.room_left(shared);
        let blanks_used = self.make_place(shared, padded)?;
        let Some(current) = self.current.clone() else {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "the journal has no segment to write to"));
        };

        CommitHead::encode(&mut self.heads, current.head.salt, self.commit, &self.extents);
        // On to the end of a page, with what is there anyway or is not needed: else the system would have to
        // read the page first.
        let end = self.at + padded;
        let rest_of_page = end.next_multiple_of(PAGE).min(current.end()) - end;
        let padding = padded as usize - self.heads.len() - bytes + rest_of_page as usize;
        let padding = &ZEROS[..padding];
        let mut parts = SmallVec::<[IoSlice<'_>; 16]>::new();
        parts.push(IoSlice::new(&self.heads));
        parts.extend(members.iter().map(|(_, pending)| IoSlice::new(&pending.records)));
        parts.push(IoSlice::new(padding));
        write_all_at(&*current.file, &mut parts, self.at)?;
        drop(parts);
        let since = Instant::now();
        sync(&current)?;
        shared.metrics.committed(since.elapsed(), padded, members.iter().map(|(_, pending)| pending.events).sum());

        self.at += padded;
        self.commit += 1;
        self.publish(shared, members);
        let promised: u64 = members.iter().map(|(_, pending)| pending.promised).sum();
        let used = room_before as i64 + blanks_used as i64 - self.room_left(shared) as i64;
        shared.room.change(promised as i64 - used);
        Ok(())
    }

    /// The extents of the next commit; numbers its records.
    fn gather(&mut self, shared: &Shared, members: &mut [(usize, Pending)], forced: bool) {
        self.extents.clear();
        for (lane, pending) in members.iter_mut().filter(|(_, pending)| pending.events > 0) {
            pending.first = self.next[*lane];
            self.extents.push(ExtentHead {
                lane: shared.lanes[*lane].number,
                kind: Kind::Records,
                records: pending.events,
                bytes: u32::try_from(pending.records.len()).expect("a commit is bounded far below 4 GiB"),
                first: pending.first,
                checksum: pending.checksum,
            });
        }
        if !forced && self.written_at.elapsed() < WATERMARKS_EVERY {
            return;
        }
        self.written_at = Instant::now();
        for (lane, written) in shared.lanes.iter().zip(&mut self.written) {
            // What this shows was stored before it is written: the store's answer came first.
            let stored = lane.stored.get();
            if stored != *written {
                *written = stored;
                self.extents.push(ExtentHead::watermark(lane.number, stored));
            }
        }
    }

    /// Has room for `padded` bytes at `self.at`, in the next segment where this one has none; the
    /// room of the blank segments that it took.
    fn make_place(&mut self, shared: &Shared, padded: u64) -> io::Result<u64> {
        if self.current.as_ref().is_some_and(|current| self.at + padded <= current.end()) {
            return Ok(0);
        }
        let lanes = shared.lanes.len();
        let own = padded > super::segment::data_bytes(shared.options.segment_bytes, lanes);
        let mut blanks_used = 1;
        let (blank, bytes) = if own {
            let bytes = data_bytes_needed(padded, lanes);
            let (blank, gave_way) = make_own(shared, bytes)?;
            blanks_used = gave_way;
            (blank, bytes)
        } else {
            let blank = lock(&shared.segments).blank.pop_front();
            let blank = blank.ok_or_else(|| {
                io::Error::new(io::ErrorKind::StorageFull, "no blank segment is left, although room was promised")
            })?;
            (blank, shared.options.segment_bytes)
        };
        let (previous, previous_first, previous_end) = match &self.current {
            Some(current) => (current.number(), current.head.first_commit, self.at),
            None => {
                let segments = lock(&shared.segments);
                let last = segments.live.back();
                last.map_or((0, 0, 0), |last| (last.number(), last.head.first_commit, segments.synced))
            }
        };
        // One is left out: no two segments begin with the same number, even where one stays empty.
        self.commit += 1;
        let head = SegmentHead {
            number: blank.number,
            salt: shared.salt()?,
            previous,
            previous_first,
            previous_end,
            first_commit: self.commit,
            lanes: self.lane_heads(shared),
        };
        let segment = Arc::new(Segment::new(head, blank.file, bytes));
        // The commit's own sync makes the head durable too: before, nothing in here counts.
        segment.write_head()?;
        self.at = segment.begin();
        self.current = Some(Arc::clone(&segment));
        let mut segments = lock(&shared.segments);
        segments.synced = segment.begin();
        segments.live.push_back(segment);
        drop(segments);
        shared.wake_keeper();
        Ok(blanks_used * shared.usable_bytes())
    }

    fn lane_heads(&self, shared: &Shared) -> Vec<LaneHead> {
        let of = shared.lanes.iter().zip(self.next.iter().zip(&self.written));
        of.map(|(lane, (next, written))| LaneHead {
            lane: lane.number,
            shard: lane.shard,
            next: *next,
            watermark: *written,
        })
        .collect()
    }

    /// What the sync made durable may be read, and acknowledged.
    fn publish(&mut self, shared: &Shared, members: &[(usize, Pending)]) {
        lock(&shared.segments).synced = self.at;
        for extent in &self.extents {
            let index = shared.lanes.iter().position(|lane| lane.number == extent.lane);
            if let (Kind::Watermark, Some(index)) = (extent.kind, index) {
                shared.lanes[index].durable.advance(extent.first);
            }
        }
        for (lane, pending) in members.iter().filter(|(_, pending)| pending.events > 0) {
            self.next[*lane] += u64::from(pending.events);
            shared.lanes[*lane].synced.advance(self.next[*lane]);
        }
    }

    /// Bytes of the present segment that admission may still promise: those at its end that a commit
    /// might not fit into are none.
    pub(super) fn room_left(&self, shared: &Shared) -> u64 {
        let Some(current) = &self.current else { return 0 };
        current.end().saturating_sub(self.at).saturating_sub(shared.hole_bytes_max())
    }
}

/// A segment of its own for a commit that no other holds, and how many blank ones gave way to it: the
/// room that was promised to it was theirs.
fn make_own(shared: &Shared, bytes: u64) -> io::Result<(Blank, u64)> {
    let number = lock(&shared.segments).take_number();
    let mut gave_way = 0;
    loop {
        let in_use = lock(&shared.segments).bytes(shared.options.segment_bytes);
        let made = if in_use + bytes > shared.options.max_bytes {
            Err(io::ErrorKind::QuotaExceeded.into())
        } else {
            shared.fs.create(&segment_name(number), bytes)
        };
        let error: io::Error = match made {
            Ok(file) => {
                file.sync_data()?;
                shared.fs.sync_dir()?;
                return Ok((Blank { number, file }, gave_way));
            }
            Err(error) => error,
        };
        let is_full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        let blank = if is_full { lock(&shared.segments).blank.pop_back() } else { None };
        let Some(blank) = blank else { return Err(error) };
        shared.fs.remove(&segment_name(blank.number))?;
        gave_way += 1;
    }
}

fn sync(segment: &Segment) -> io::Result<()> {
    if is_planted(Bug::AckBeforeSync) {
        return Ok(());
    }
    let synced = segment.file.sync_data();
    if synced.is_err() && is_planted(Bug::GoOnAfterFailedSync) {
        return segment.file.sync_data();
    }
    synced
}
