//! A segment's file: its name, its head, and a walk over its commits.
//!
//! A walk reads forward from any commit, through a window of the file, and never beyond the end
//! that it is told. Where no commit stands although one should, it looks for the next good one and
//! says what it passed over. Every step goes forward, whatever the bytes are.

use std::{
    io::{self, IoSlice},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    JournalError,
    format::{ALIGN, CommitFound, CommitHead, ExtentHead, HeadFound, SegmentHead, head_bytes, mark, records_checksum},
    fs::{File, Fs},
};

const SEGMENT_SUFFIX: &str = ".segment";
const IDS_SUFFIX: &str = ".ids";
const CORRUPT_SUFFIX: &str = ".corrupt";
/// Sizes of heads that are looked for at a segment's end: enough for some thousand lanes.
const HEAD_UNITS_TRIED: u64 = 16;
/// How much is read at once.
const WINDOW_BYTES: usize = 64 << 10;

/// The name of a segment's file.
pub(super) fn segment_name(number: u64) -> String {
    format!("{number:020}{SEGMENT_SUFFIX}")
}

/// The name of the file with a segment's fingerprints.
pub(super) fn ids_name(number: u64) -> String {
    format!("{number:020}{IDS_SUFFIX}")
}

/// The name of a segment that is set aside.
pub(super) fn corrupt_name(number: u64) -> String {
    format!("{number:020}{CORRUPT_SUFFIX}")
}

/// Number and kind of a file of ours.
pub(super) fn read_name(name: &str) -> Option<(u64, FileKind)> {
    let (digits, kind) =
        [(SEGMENT_SUFFIX, FileKind::Segment), (IDS_SUFFIX, FileKind::Ids), (CORRUPT_SUFFIX, FileKind::Corrupt)]
            .into_iter()
            .find_map(|(suffix, kind)| Some((name.strip_suffix(suffix)?, kind)))?;
    let number = digits.parse().ok()?;
    (digits.len() == 20 && number > 0).then_some((number, kind))
}

/// What a file of ours holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    Segment,
    Ids,
    Corrupt,
}

/// A segment that has its head.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) head: SegmentHead,
    pub(super) file: Arc<dyn File>,
    /// The whole file.
    pub(super) bytes: u64,
    /// Damage was found in it: it is to be kept for a person to look at.
    pub(super) damaged: AtomicBool,
}

impl Segment {
    pub(super) fn new(head: SegmentHead, file: Arc<dyn File>, bytes: u64) -> Self {
        Self { head, file, bytes, damaged: AtomicBool::new(false) }
    }

    pub(super) fn number(&self) -> u64 {
        self.head.number
    }

    /// Where its first commit begins.
    pub(super) fn begin(&self) -> u64 {
        self.head.bytes()
    }

    /// Where its commits must end.
    pub(super) fn end(&self) -> u64 {
        data_end(self.bytes, self.head.lanes.len())
    }

    /// Notes that it is damaged; true for the first time.
    pub(super) fn note_damage(&self) -> bool {
        // Ordering: a flag that stands by itself.
        !self.damaged.swap(true, Ordering::Relaxed)
    }

    pub(super) fn is_damaged(&self) -> bool {
        // Ordering: a flag that stands by itself.
        self.damaged.load(Ordering::Relaxed)
    }

    /// Writes the head, at both its places; nothing is synced.
    pub(super) fn write_head(&self) -> io::Result<()> {
        let head = self.head.encode();
        write_all_at(&*self.file, &mut [IoSlice::new(&head)], self.end())?;
        write_all_at(&*self.file, &mut [IoSlice::new(&head)], 0)
    }
}

/// Where the commits of a segment of `bytes` bytes must end.
pub(super) fn data_end(bytes: u64, lanes: usize) -> u64 {
    bytes.saturating_sub(head_bytes(lanes)) / ALIGN * ALIGN
}

/// Bytes for commits in a segment of `bytes` bytes.
pub(super) fn data_bytes(bytes: u64, lanes: usize) -> u64 {
    data_end(bytes, lanes).saturating_sub(head_bytes(lanes))
}

/// Reads the head of a file of `bytes` bytes: the first one, or where that is damaged the last.
pub(super) fn read_head(file: &dyn File, bytes: u64) -> io::Result<HeadFound> {
    let begin = head_at(file, 0, None)?;
    if !matches!(begin, HeadFound::Damaged | HeadFound::Blank) {
        return Ok(begin);
    }
    // Its size is known from itself only: try them in turn.
    for units in 1..=HEAD_UNITS_TRIED {
        let size = units * head_bytes(0);
        if bytes > 2 * size
            && let found @ HeadFound::Head(_) = head_at(file, (bytes - size) / ALIGN * ALIGN, Some(size))?
        {
            return Ok(found);
        }
    }
    Ok(begin)
}

fn head_at(file: &dyn File, at: u64, size: Option<u64>) -> io::Result<HeadFound> {
    let unit = head_bytes(0);
    let mut head = vec![0; unit as usize];
    let read = read_full_at(file, &mut head, at)?;
    head.truncate(read);
    let announced = SegmentHead::announced_bytes(&head);
    if size.is_some() && announced != size {
        return Ok(HeadFound::Damaged);
    }
    if let Some(announced) = announced.filter(|announced| *announced > unit) {
        head.resize(announced as usize, 0);
        let read = read_full_at(file, &mut head, at)?;
        head.truncate(read);
    }
    Ok(SegmentHead::decode(&head))
}

/// Makes a segment blank: both heads are zeroed, and synced.
pub(super) fn make_blank(file: &dyn File, bytes: u64, lanes: usize) -> io::Result<()> {
    let zeros = vec![0; head_bytes(lanes) as usize];
    write_all_at(file, &mut [IoSlice::new(&zeros)], data_end(bytes, lanes))?;
    write_all_at(file, &mut [IoSlice::new(&zeros)], 0)?;
    file.sync_data()
}

/// Opens a segment and reads its head.
pub(super) fn open(fs: &dyn Fs, name: &str, bytes: u64) -> Result<(Arc<dyn File>, HeadFound), JournalError> {
    let file = fs.open(name).map_err(JournalError::io("open", name))?;
    let head = read_head(&*file, bytes).map_err(JournalError::io("read", name))?;
    if let HeadFound::Version(version) = head {
        return Err(JournalError::Version { file: name.to_owned(), version });
    }
    Ok((file, head))
}

/// A step of a [`Walk`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A commit that begins at `at`.
    Commit { at: u64, head: CommitHead },
    /// Bytes that are no commit, up to the next one or the end.
    Damage { from: u64, until: u64 },
    /// Nothing more.
    End,
}

/// A way through the commits of a segment.
#[derive(Debug)]
pub(super) struct Walk {
    segment: Arc<Segment>,
    at: u64,
    window: Vec<u8>,
    /// Where in the file the window begins.
    window_at: u64,
}

impl Walk {
    /// From the segment's first commit.
    pub(super) fn new(segment: Arc<Segment>) -> Self {
        let at = segment.begin();
        Self { segment, at, window: Vec::new(), window_at: 0 }
    }

    pub(super) fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// Where the next step begins.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// The next commit before `end`, where the segment's commits end.
    pub(super) fn step(&mut self, end: u64) -> io::Result<Step> {
        let from = self.at;
        while self.at < end {
            if let Some(head) = self.commit_at(self.at, end)? {
                if self.at > from {
                    return Ok(Step::Damage { from, until: self.at });
                }
                self.at = (from + head.padded_bytes()).min(end.next_multiple_of(ALIGN));
                return Ok(Step::Commit { at: from, head });
            }
            self.at = self.next_mark(self.at + ALIGN, end)?;
        }
        self.at = end.max(from);
        Ok(if from < end { Step::Damage { from, until: end } } else { Step::End })
    }

    fn commit_at(&mut self, at: u64, end: u64) -> io::Result<Option<CommitHead>> {
        let salt = self.segment.head.salt;
        let mut needed = super::format::COMMIT_HEAD_BYTES;
        loop {
            let bytes = self.window(at, needed, end)?;
            match CommitHead::decode(bytes, salt, end - at) {
                CommitFound::Commit(head) => return Ok(Some(head)),
                // Twice the same need: the file ends before the segment does.
                CommitFound::Needs(bytes) if bytes > needed => needed = bytes,
                CommitFound::Needs(_) | CommitFound::Nothing => return Ok(None),
            }
        }
    }

    /// Where the next mark of a commit stands, at `at` or behind it; `end` where there is none.
    fn next_mark(&mut self, mut at: u64, end: u64) -> io::Result<u64> {
        let mark = mark(self.segment.head.salt).to_le_bytes();
        while at < end {
            let bytes = self.window(at, WINDOW_BYTES, end)?;
            if bytes.len() < mark.len() {
                return Ok(end);
            }
            let found = bytes.chunks(ALIGN as usize).position(|place| place.starts_with(&mark));
            if let Some(places) = found {
                return Ok(at + places as u64 * ALIGN);
            }
            at += (bytes.len() as u64).next_multiple_of(ALIGN);
        }
        Ok(end)
    }

    /// The records of an extent whose records begin at `at`, into `out`, emptied before; false
    /// where they are not what was written.
    pub(super) fn records(&mut self, at: u64, extent: &ExtentHead, out: &mut Vec<u8>) -> io::Result<bool> {
        let bytes = extent.bytes as usize;
        out.clear();
        let in_window = usize::try_from(at.wrapping_sub(self.window_at)).ok().and_then(|skip| self.window.get(skip..));
        let have = in_window.unwrap_or_default();
        let have = &have[..have.len().min(bytes)];
        out.extend_from_slice(have);
        let from_window = out.len();
        out.resize(bytes, 0);
        let read = read_full_at(&*self.segment.file, &mut out[from_window..], at + from_window as u64)?;
        out.truncate(from_window + read);
        Ok(out.len() == bytes && records_checksum(out) == extent.checksum)
    }

    /// At least `bytes` bytes from `at`, or what there is before `end`. Bytes behind `end` are never
    /// read, for they may be written at this moment.
    fn window(&mut self, at: u64, bytes: usize, end: u64) -> io::Result<&[u8]> {
        let bytes = bytes.min(usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX));
        let skip = usize::try_from(at.wrapping_sub(self.window_at)).unwrap_or(usize::MAX);
        let has = self.window.len().checked_sub(skip).is_some_and(|has| has >= bytes);
        if !has {
            let length = bytes.max(WINDOW_BYTES).min(usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX));
            self.window.resize(length, 0);
            let read = read_full_at(&*self.segment.file, &mut self.window, at)?;
            self.window.truncate(read);
            self.window_at = at;
        }
        let skip = usize::try_from(at - self.window_at).unwrap_or(usize::MAX);
        Ok(self.window.get(skip..).unwrap_or_default())
    }
}

/// The record that begins at `at`, as long as it says.
pub(super) fn record_at(segment: &Segment, at: u64) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    read_full_at(&*segment.file, &mut length, at)?;
    let length = 4 + u64::from(u32::from_le_bytes(length));
    let mut record = vec![0; length.min(segment.bytes) as usize];
    let read = read_full_at(&*segment.file, &mut record, at)?;
    record.truncate(read);
    Ok(record)
}

/// Writes all of `parts`, however many calls that takes.
///
/// # Errors
/// What the system says; a write that takes nothing is an error too.
pub(super) fn write_all_at(file: &dyn File, parts: &mut [IoSlice<'_>], mut offset: u64) -> io::Result<()> {
    let mut left = parts;
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        match file.write_at(left, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                offset += written as u64;
                IoSlice::advance_slices(&mut left, written);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Fills `buffer` from `offset`; how many bytes there were before the file's end.
///
/// # Errors
/// What the system says.
pub(super) fn read_full_at(file: &dyn File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
