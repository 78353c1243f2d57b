//! Opening a journal: what is there is found, judged, and made good, and it always opens.
//!
//! Only the last segment is read; those before it were synced before it began. Its torn tail is cut,
//! damage in its middle is passed over, and what it has left to be stored is written again into a new
//! segment and synced: what was read may never have reached the disk. A crash at any step here
//! leaves what the next start understands.

use std::{
    collections::HashSet,
    io,
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;

use super::{
    JournalError, Options, Shared, WITHHELD,
    begin::begin,
    commit::Writer,
    format::{CommitHead, ExtentHead, HeadFound, Kind, LaneHead, head_bytes, mark},
    fs::{File, Fs},
    keeper::Call,
    segment::{self, FileKind, Segment, Step, Walk, read_full_at, read_name, segment_name},
    state::{Blank, Kept, Lane, Segments},
};
use crate::{
    metrics::JournalMetrics,
    sync::{Room, WriteGroup},
};

/// A head that is zeroed without knowing its size is taken to have as many lanes.
const LANES_ASSUMED: usize = 2048;

/// What a start found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// For each shard, how many events no watermark covers; what former shards left is the first one's.
    pub events: Vec<u64>,
    /// Bytes behind the last good commit, of one that was interrupted.
    pub torn_bytes: u64,
    /// Places that are damaged.
    pub damaged: u64,
    /// How long it took.
    pub took: Duration,
}

/// What the files are.
#[derive(Default)]
struct Files {
    /// Those with a head, in the order in which they were written.
    written: Vec<Arc<Segment>>,
    blank: Vec<(u64, Arc<dyn File>, u64)>,
    /// Neither blank nor with a head of their own.
    headless: Vec<Headless>,
    next_number: u64,
}

struct Headless {
    number: u64,
    file: Arc<dyn File>,
    bytes: u64,
    /// It has the head of another segment.
    is_misnamed: bool,
}

/// The last segment, read through.
#[derive(Default)]
pub(super) struct Tail {
    pub(super) lanes: Vec<LaneHead>,
    pub(super) end: u64,
    /// Whether it has any records, stored or not.
    pub(super) has_records: bool,
    /// The number after the last commit's.
    commit: u64,
    torn_bytes: u64,
    damaged: u64,
}

pub(super) fn open(
    fs: Arc<dyn Fs>,
    options: Options,
    shards: usize,
    metrics: Arc<JournalMetrics>,
) -> Result<(Shared, Recovered), JournalError> {
    let since = Instant::now();
    // Many shards have large heads: most of a segment is still for commits.
    let segment_bytes = options.segment_bytes.max(8 * head_bytes(2 * shards));
    let options = Options { segment_bytes, ..options };
    let mut files = look(&*fs)?;
    let kept = take_replaced(&mut files.written);
    let mut recovered = Recovered::default();
    set_aside_headless(&*fs, &mut files, &mut recovered)?;

    let last = files.written.last().cloned();
    let tail = match &last {
        Some(last) => read_tail(last).map_err(JournalError::io("read", &segment_name(last.number())))?,
        None => Tail { commit: 1, ..Tail::default() },
    };
    recovered.torn_bytes = tail.torn_bytes;
    recovered.damaged += tail.damaged;
    if let Some(last) = &last
        && tail.damaged > 0
    {
        last.note_damage();
    }
    let heads = assign_lanes(&tail.lanes, shards);
    let lanes: Box<[Lane]> = heads.iter().map(Lane::new).collect();
    recovered.events = vec![0; shards];
    for (index, head) in heads.iter().enumerate() {
        // What former shards left is the first shard's.
        recovered.events[if index < shards { index } else { 0 }] += head.next - head.watermark;
    }

    let now = Instant::now();
    let mut segments = Segments {
        live: files.written.into(),
        synced: tail.end,
        kept: kept.into_iter().map(|segment| Kept { segment, since: now }).collect(),
        next_number: files.next_number,
        ..Segments::default()
    };
    let (usual, other_blanks): (Vec<_>, Vec<_>) =
        files.blank.into_iter().partition(|(_, _, bytes)| *bytes == options.segment_bytes);
    segments.blank.extend(usual.into_iter().map(|(number, file, _)| Blank { number, file }));
    let blanks = segments.blank.len() as u64;
    let writer = Writer {
        current: None,
        at: tail.end,
        // One is left out, so that whatever replaces a segment without commits is newer than it.
        commit: tail.commit + 1,
        next: heads.iter().map(|head| head.next).collect(),
        written: heads.iter().map(|head| head.watermark).collect(),
        written_at: Instant::now(),
        heads: Vec::new(),
        extents: Vec::new(),
    };
    let shared = Shared {
        fs,
        options,
        keeping: ArcSwap::from_pointee(options.keeping()),
        shards,
        lanes,
        segments: Mutex::new(segments),
        writer: Mutex::new(writer),
        group: WriteGroup::new(shards + 1),
        room: Room::new(),
        metrics,
        indexed: Mutex::default(),
        seen_sealed: Mutex::default(),
        index_again_at: Mutex::new(None),
        keeper: Mutex::new(Call::default()),
        keeper_called: Condvar::new(),
    };
    shared.room.change(blanks as i64 * shared.usable_bytes() as i64 - (WITHHELD * shared.usable_bytes()) as i64);
    begin(&shared, &heads, last.as_ref(), &tail, other_blanks)
        .map_err(JournalError::io("begin a segment in", "the journal"))?;
    recovered.took = since.elapsed();
    Ok((shared, recovered))
}

/// Reads the names and heads of all files.
fn look(fs: &dyn Fs) -> Result<Files, JournalError> {
    let mut files = Files { next_number: 1, ..Files::default() };
    // A name that a killed process has just changed is seen and not yet durable: what is written under
    // it must not lose it.
    fs.sync_dir().map_err(JournalError::io("sync", "the directory"))?;
    let listed = fs.list().map_err(JournalError::io("list", "the files"))?;
    for (name, bytes) in listed {
        let Some((number, kind)) = read_name(&name) else { continue };
        files.next_number = files.next_number.max(number + 1);
        match kind {
            FileKind::Corrupt => {}
            FileKind::Ids => {
                // Made anew where they are wanted. What cannot be removed is in nobody's way.
                let _ = fs.remove(&name);
            }
            FileKind::Segment => {
                let (file, head) = segment::open(fs, &name, bytes)?;
                match head {
                    HeadFound::Head(head) if head.number == number => {
                        files.written.push(Arc::new(Segment::new(head, file, bytes)));
                    }
                    HeadFound::Blank => files.blank.push((number, file, bytes)),
                    head => {
                        let is_misnamed = matches!(head, HeadFound::Head(_));
                        files.headless.push(Headless { number, file, bytes, is_misnamed });
                    }
                }
            }
        }
    }
    files.written.sort_by_key(|segment| segment.head.first_commit);
    files.blank.sort_by_key(|(number, ..)| *number);
    Ok(files)
}

/// Takes out the segments, in the order in which they were written, that a later one replaced: both
/// follow the same one.
pub(super) fn take_replaced(written: &mut Vec<Arc<Segment>>) -> Vec<Arc<Segment>> {
    let mut followed = HashSet::new();
    let (mut live, mut replaced) = (Vec::new(), Vec::new());
    for segment in written.drain(..).rev() {
        if followed.insert(segment.head.previous_first) { live.push(segment) } else { replaced.push(segment) }
    }
    live.reverse();
    replaced.reverse();
    *written = live;
    replaced
}

/// A file without a readable head was either begun and never finished, by a crash, and then nothing in
/// it counts; or it is damaged, and is set aside.
fn set_aside_headless(fs: &dyn Fs, files: &mut Files, recovered: &mut Recovered) -> Result<(), JournalError> {
    for Headless { number, file, bytes, is_misnamed } in std::mem::take(&mut files.headless) {
        let name = segment_name(number);
        let is_followed = files.written.iter().any(|segment| segment.head.previous == number);
        if is_followed || is_misnamed {
            recovered.damaged += 1;
            tracing::error!(file = name, "the journal is damaged: a segment lacks its head; the file is kept");
            let aside = segment::corrupt_name(number);
            fs.rename(&name, &aside).map_err(JournalError::io("rename", &name))?;
            fs.sync_dir().map_err(JournalError::io("sync", "the directory"))?;
            continue;
        }
        tracing::warn!(file = name, "a segment was begun and never finished; it is made blank");
        // As large as any head, for it is not known how large that one was.
        segment::make_blank(&*file, bytes, LANES_ASSUMED).map_err(JournalError::io("write", &name))?;
        files.blank.push((number, file, bytes));
    }
    Ok(())
}

/// Reads the last segment through: its commits, and where they end.
pub(super) fn read_tail(last: &Arc<Segment>) -> io::Result<Tail> {
    let mut walk = Walk::new(Arc::clone(last));
    let (end, mut records) = (last.end(), Vec::new());
    let mut tail =
        Tail { lanes: last.head.lanes.clone(), end: walk.at(), commit: last.head.first_commit, ..Tail::default() };
    // A head that was written anew may name a lane's next record as it was long before its watermark.
    apply(&mut tail.lanes, &[]);
    // What is no good commit, behind the last good one: only what follows tells what it is.
    let (mut doubts, mut doubtful): (u64, Vec<CommitHead>) = (0, Vec::new());
    loop {
        match walk.step(end)? {
            Step::End => break,
            Step::Damage { from, until } if until < end => {
                doubts += 1;
                tracing::debug!(segment = last.number(), from, until, "no commit where one should be");
            }
            Step::Damage { .. } => {}
            Step::Commit { at, head } => {
                let mut is_good = true;
                for (offset, extent) in head.records().filter(|(_, extent)| extent.kind == Kind::Records) {
                    is_good &= walk.records(at + offset, extent, &mut records)?;
                }
                if !is_good {
                    doubts += 1;
                    doubtful.push(head);
                    continue;
                }
                // A good commit behind it: what was in doubt is damage, not a torn tail.
                tail.damaged += std::mem::take(&mut doubts);
                for head in doubtful.drain(..).chain([head]) {
                    tail.has_records |= head.extents.iter().any(|extent| extent.kind == Kind::Records);
                    apply(&mut tail.lanes, &head.extents);
                    tail.commit = head.number + 1;
                }
                tail.end = walk.at();
            }
        }
    }
    tail.torn_bytes = torn_bytes(last, &tail, end)?;
    Ok(tail)
}

/// Bytes of a commit that was begun where the good ones end, 0 where none was. What is left of the
/// segment's former life has another mark, and lower numbers.
fn torn_bytes(last: &Segment, tail: &Tail, end: u64) -> io::Result<u64> {
    let mut head = [0; 16];
    let read = read_full_at(&*last.file, &mut head, tail.end)?;
    let is_ours = head.starts_with(&mark(last.head.salt).to_le_bytes()) || head[8..] == tail.commit.to_le_bytes();
    if read < head.len() || !is_ours || tail.end >= end {
        return Ok(0);
    }
    let length = u64::from(u32::from_le_bytes([head[4], head[5], head[6], head[7]]));
    Ok(length.clamp(1, end - tail.end))
}

fn apply(lanes: &mut [LaneHead], extents: &[ExtentHead]) {
    for extent in extents {
        let Some(lane) = lanes.iter_mut().find(|lane| lane.lane == extent.lane) else { continue };
        match extent.kind {
            Kind::Records => lane.next = lane.next.max(extent.end()),
            Kind::Watermark => lane.watermark = lane.watermark.max(extent.first),
        }
    }
    for lane in lanes {
        // A watermark is never past what there is, unless what there was is damaged.
        lane.next = lane.next.max(lane.watermark);
    }
}

/// The lanes of `shards` shards: the ones they had, or new ones where their number is another now.
/// Lanes that no shard has any more follow, as long as they are not stored.
fn assign_lanes(found: &[LaneHead], shards: usize) -> Vec<LaneHead> {
    let of_shard = |shard: usize| found.iter().find(|lane| lane.shard == u32::try_from(shard).ok());
    let had = found.iter().filter(|lane| lane.shard.is_some()).count();
    let is_same = had == shards && (0..shards).all(|shard| of_shard(shard).is_some());
    let mut lanes: Vec<LaneHead> = if is_same {
        (0..shards).filter_map(of_shard).copied().collect()
    } else {
        let first = found.iter().map(|lane| lane.lane + 1).max().unwrap_or(0);
        let shards = 0..u32::try_from(shards).unwrap_or(u32::MAX);
        shards.map(|shard| LaneHead { lane: first + shard, shard: Some(shard), next: 0, watermark: 0 }).collect()
    };
    let is_former = |lane: &&LaneHead| (!is_same || lane.shard.is_none()) && lane.watermark < lane.next;
    let mut former: Vec<_> = found.iter().filter(is_former).map(|lane| LaneHead { shard: None, ..*lane }).collect();
    // The oldest first: that is the order in which they are stored.
    former.sort_unstable_by_key(|lane| lane.lane);
    lanes.append(&mut former);
    lanes
}
