//! Looking into a journal without touching it: its segments, its lanes, and every record that is left.
//!
//! It works beside a running service and without: nothing is written, nothing locked. What it shows is
//! the journal of the moment at which it was looked at. Commits that are written meanwhile are left
//! out, and so is what the last segment holds behind its last whole commit. A segment that is used
//! again while it is read is told from a damaged one: its head is another then, and what was
//! read of it before passed every checksum.

use std::{collections::HashSet, io, sync::Arc};

mod figures;

pub(crate) use figures::{Inspection, LaneFigures, SegmentFigures, SegmentState};

use self::figures::earlier;
use super::{
    JournalError,
    format::{CommitHead, ExtentHead, HeadFound, Kind, LaneHead, SegmentHead},
    fs::Fs,
    recovery::{read_tail, take_replaced},
    segment::{self, FileKind, Segment, Step, Walk, read_head, read_name, segment_name},
};
use crate::event::{Event, Micros, decode};

/// How often the files are listed anew, where some of them changed while they were opened.
const LOOKS_MAX: usize = 8;

/// A journal as it was when it was looked at.
#[derive(Debug)]
pub(crate) struct View {
    /// Segments with a head, in the order in which they were written.
    parts: Vec<Part>,
    /// Files that hold no records, or none that are read.
    others: Vec<SegmentFigures>,
    lanes: Vec<LaneHead>,
}

/// A segment with a head.
#[derive(Debug)]
struct Part {
    segment: Arc<Segment>,
    state: SegmentState,
    /// Where its commits end; `None` where only a look can tell.
    end: Option<u64>,
    /// The head of the segment that replaced it, and holds again what was not stored then.
    replacement: Option<SegmentHead>,
}

/// A record and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    /// The segment's number.
    pub(crate) segment: u64,
    /// Its lane.
    pub(crate) lane: u32,
    /// Its number in the lane.
    pub(crate) number: u64,
    /// Whether a watermark covers it: it is stored or dead-lettered.
    pub(crate) is_stored: bool,
    /// Bytes of it.
    pub(crate) bytes: usize,
    /// What it holds.
    pub(crate) event: Event<'a>,
}

/// What a reading passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Passed {
    /// Places that are damaged.
    pub(crate) damaged: u64,
    /// Segments that were used again before they were read to their end.
    pub(crate) recycled: Vec<u64>,
}

/// One thing found on the way through a segment.
enum Piece<'a> {
    Commit(&'a CommitHead),
    Records(&'a ExtentHead, &'a [u8]),
    Damage,
}

impl View {
    /// Looks at the journal on `fs`.
    ///
    /// # Errors
    /// [`JournalError`] where a file cannot be read, or a later version wrote it.
    pub(crate) fn open(fs: &dyn Fs) -> Result<Self, JournalError> {
        let mut doubtful = HashSet::new();
        let mut looks = 0;
        loop {
            looks += 1;
            let look = Look::take(fs)?;
            // A file without a head may be on its way to another life. Seen twice, it is not.
            let is_certain = look.gone == 0 && look.headless.iter().all(|(number, _)| doubtful.contains(number));
            doubtful = look.headless.iter().map(|(number, _)| *number).collect();
            if !is_certain && looks < LOOKS_MAX {
                continue;
            }
            let view = Self::of(look)?;
            // All else follows from the last one.
            let is_recycled = match view.parts.last() {
                Some(last) => !last.has_its_head().map_err(JournalError::io("read", &last.name()))?,
                None => false,
            };
            if !is_recycled || looks >= LOOKS_MAX {
                return Ok(view);
            }
        }
    }

    fn of(mut look: Look) -> Result<Self, JournalError> {
        let replaced = take_replaced(&mut look.written);
        let (lanes, end) = match look.written.last() {
            Some(last) => settled(last).map_err(JournalError::io("read", &segment_name(last.number())))?,
            None => (Vec::new(), 0),
        };
        let mut parts = Vec::new();
        for (index, segment) in look.written.iter().enumerate() {
            let (state, end) = match look.written.get(index + 1) {
                None => (SegmentState::Current, Some(end)),
                Some(next) => {
                    let is_past =
                        |lane: &LaneHead| next.head.lane(lane.lane).is_none_or(|it| lane.watermark >= it.next);
                    let state = if lanes.iter().all(is_past) { SegmentState::Stored } else { SegmentState::Live };
                    (state, (next.head.previous_first == segment.head.first_commit).then_some(next.head.previous_end))
                }
            };
            parts.push(Part { segment: Arc::clone(segment), state, end, replacement: None });
        }
        let left_over = |segment| Part { segment, state: SegmentState::Replaced, end: None, replacement: None };
        parts.extend(replaced.into_iter().map(left_over));
        parts.sort_by_key(|part| part.segment.head.first_commit);
        for index in 0..parts.len() {
            let follows = |later: &&Part| later.segment.head.previous_first == parts[index].segment.head.previous_first;
            if parts[index].state == SegmentState::Replaced {
                parts[index].replacement = parts[index + 1..].iter().find(follows).map(|it| it.segment.head.clone());
            }
        }
        let mut others = look.others;
        let headless = look.headless.into_iter();
        others.extend(headless.map(|(number, bytes)| SegmentFigures::new(number, bytes, SegmentState::Headless)));
        Ok(Self { parts, others, lanes })
    }

    /// Bytes of commits that there are to be read.
    pub(crate) fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.end().saturating_sub(part.segment.begin())).sum()
    }

    /// Whether it has a segment of that number.
    pub(crate) fn has_segment(&self, number: u64) -> bool {
        let others = self.others.iter().map(|figures| figures.number);
        self.parts.iter().map(|part| part.segment.number()).chain(others).any(|other| other == number)
    }

    /// Reads everything through, and counts.
    ///
    /// # Errors
    /// [`JournalError`] where a file cannot be read.
    pub(crate) fn inspect(&self) -> Result<Inspection, JournalError> {
        let mut oldest_unstored: Option<Micros> = None;
        let mut segments = self.others.clone();
        for part in &self.parts {
            let mut figures = SegmentFigures::new(part.segment.number(), part.segment.bytes, part.state);
            figures.first_commit = Some(part.segment.head.first_commit);
            figures.used_bytes = part.segment.begin();
            let mut oldest_here: Option<Micros> = None;
            let is_whole = part.read(|piece| {
                match piece {
                    Piece::Damage => figures.damaged += 1,
                    Piece::Commit(head) => {
                        figures.commits += 1;
                        figures.used_bytes += head.padded_bytes();
                    }
                    Piece::Records(extent, records) => {
                        let records = self.each(part, extent, records, &mut |record: &Record<'_>| {
                            figures.note(record);
                            if !record.is_stored {
                                oldest_here = Some(earlier(oldest_here, record.event.received));
                            }
                            Ok::<(), JournalError>(())
                        })?;
                        figures.damaged += u64::from(!records);
                    }
                }
                Ok::<(), JournalError>(())
            })?;
            if !is_whole {
                (figures.state, figures.damaged) = (SegmentState::Recycled, 0);
            }
            if let Some(oldest) = oldest_here {
                oldest_unstored = Some(earlier(oldest_unstored, oldest));
            }
            segments.push(figures);
        }
        segments.sort_by_key(|figures| figures.number);
        let lane = |head: &LaneHead| LaneFigures {
            lane: head.lane,
            shard: head.shard,
            next: head.next,
            watermark: head.watermark,
        };
        Ok(Inspection { segments, lanes: self.lanes.iter().map(lane).collect(), oldest_unstored })
    }

    /// Shows every record, each once, the oldest segment first and in each lane's order; only those of the
    /// segment `only` where that is given.
    ///
    /// # Errors
    /// Where a file cannot be read, or what `visit` returned.
    pub(crate) fn records<E: From<JournalError>>(
        &self,
        only: Option<u64>,
        mut visit: impl FnMut(&Record<'_>) -> Result<(), E>,
    ) -> Result<Passed, E> {
        let mut passed = Passed::default();
        for part in self.parts.iter().filter(|part| only.is_none_or(|only| only == part.segment.number())) {
            let mut damaged = 0;
            let is_whole = part.read(|piece| {
                match piece {
                    Piece::Commit(_) => {}
                    Piece::Damage => damaged += 1,
                    Piece::Records(extent, records) => {
                        damaged += u64::from(!self.each(part, extent, records, &mut visit)?);
                    }
                }
                Ok::<(), E>(())
            })?;
            if is_whole {
                passed.damaged += damaged;
            } else {
                passed.recycled.push(part.segment.number());
            }
        }
        Ok(passed)
    }

    /// Shows the records of one extent; false where one of them cannot be decoded.
    fn each<E>(
        &self,
        part: &Part,
        extent: &ExtentHead,
        mut records: &[u8],
        visit: &mut impl FnMut(&Record<'_>) -> Result<(), E>,
    ) -> Result<bool, E> {
        // A lane that the last segment does not know any more is stored.
        let watermark = self.lanes.iter().find(|lane| lane.lane == extent.lane).map_or(u64::MAX, |lane| lane.watermark);
        for number in extent.first..extent.end() {
            let Ok((event, bytes)) = decode(records) else { return Ok(false) };
            records = &records[bytes..];
            visit(&Record {
                segment: part.segment.number(),
                lane: extent.lane,
                number,
                is_stored: number < watermark,
                bytes,
                event,
            })?;
        }
        Ok(true)
    }
}

impl Part {
    fn name(&self) -> String {
        segment_name(self.segment.number())
    }

    fn end(&self) -> u64 {
        self.end.unwrap_or_else(|| self.segment.end())
    }

    /// Goes through the segment; false where it was used again meanwhile: what was taken for damage is
    /// none then.
    fn read<E: From<JournalError>>(&self, mut on: impl FnMut(Piece<'_>) -> Result<(), E>) -> Result<bool, E> {
        let failed = |error| E::from(JournalError::io("read", &self.name())(error));
        let (mut walk, end, mut records) = (Walk::new(Arc::clone(&self.segment)), self.end(), Vec::new());
        loop {
            let (at, head) = match walk.step(end).map_err(failed)? {
                Step::Commit { at, head } => (at, head),
                Step::Damage { until, .. } => {
                    // Where its end is not known, what it ends with is no damage.
                    if self.end.is_some() || until < end {
                        on(Piece::Damage)?;
                    }
                    continue;
                }
                Step::End => break,
            };
            on(Piece::Commit(&head))?;
            for (offset, extent) in head.records().filter(|(_, extent)| extent.kind == Kind::Records) {
                if !walk.records(at + offset, extent, &mut records).map_err(failed)? {
                    on(Piece::Damage)?;
                } else if !self.is_written_again(extent) {
                    on(Piece::Records(extent, &records))?;
                }
            }
        }
        self.has_its_head().map_err(failed)
    }

    /// Whether the segment that replaced it has the extent, too.
    fn is_written_again(&self, extent: &ExtentHead) -> bool {
        let lane = self.replacement.as_ref().and_then(|head| head.lane(extent.lane));
        lane.is_some_and(|lane| extent.end() > lane.watermark)
    }

    /// A segment is not written to before its head is gone: as long as it has it, all that was read of
    /// it was its own.
    fn has_its_head(&self) -> io::Result<bool> {
        let found = read_head(&*self.segment.file, self.segment.bytes)?;
        Ok(matches!(found, HeadFound::Head(head) if head.salt == self.segment.head.salt))
    }
}

/// The files at one moment.
#[derive(Default)]
struct Look {
    written: Vec<Arc<Segment>>,
    /// Number and bytes of files that have no head of their own.
    headless: Vec<(u64, u64)>,
    others: Vec<SegmentFigures>,
    /// How many had another name, or none, when they were to be opened.
    gone: usize,
}

impl Look {
    fn take(fs: &dyn Fs) -> Result<Self, JournalError> {
        let mut look = Self::default();
        for (name, bytes) in fs.list().map_err(JournalError::io("list", "the files"))? {
            match read_name(&name) {
                Some((number, FileKind::Segment)) => match segment::open(fs, &name, bytes) {
                    Ok((file, HeadFound::Head(head))) if head.number == number => {
                        look.written.push(Arc::new(Segment::new(head, file, bytes)));
                    }
                    Ok((_, HeadFound::Blank)) => {
                        look.others.push(SegmentFigures::new(number, bytes, SegmentState::Blank));
                    }
                    Ok(_) => look.headless.push((number, bytes)),
                    Err(JournalError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => look.gone += 1,
                    Err(error) => return Err(error),
                },
                Some((number, FileKind::Corrupt)) => {
                    look.others.push(SegmentFigures::new(number, bytes, SegmentState::Corrupt));
                }
                Some((_, FileKind::Ids)) | None => {}
            }
        }
        look.written.sort_by_key(|segment| segment.head.first_commit);
        Ok(look)
    }
}

/// The lanes, and where the commits end, of a last segment that may be written to at this moment.
fn settled(last: &Arc<Segment>) -> io::Result<(Vec<LaneHead>, u64)> {
    // Up to its last good commit everything is on the disk. What the look took for damage before that
    // may have been written behind its back: a second one, that ends there, can tell.
    let end = read_tail(last)?.end;
    let bytes = (end + last.begin()).min(last.bytes);
    let up_to_there = Segment::new(last.head.clone(), Arc::clone(&last.file), bytes);
    let tail = read_tail(&Arc::new(up_to_there))?;
    Ok((tail.lanes, end))
}

#[cfg(test)]
mod tests;
