//! What a look into a journal counts: its segments and its lanes.

use std::collections::BTreeMap;

use super::{Record, segment};
use crate::event::Micros;

/// What a segment is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SegmentState {
    /// It waits for its turn.
    Blank,
    /// The last one: it is written to, or was when the service ended.
    Current,
    /// Sealed, and something in it is not stored.
    Live,
    /// All of it is stored or dead-lettered; it stays for a replay.
    Stored,
    /// A start wrote anew what it had left to be stored.
    Replaced,
    /// Its head cannot be read: it was begun and never finished, or is damaged.
    Headless,
    /// It was set aside, for it is damaged.
    Corrupt,
    /// It was used again while it was read.
    Recycled,
}

impl SegmentState {
    /// Its name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Blank => "blank",
            Self::Current => "current",
            Self::Live => "live",
            Self::Stored => "stored",
            Self::Replaced => "replaced",
            Self::Headless => "headless",
            Self::Corrupt => "corrupt",
            Self::Recycled => "recycled",
        }
    }
}

/// What one segment holds. Records that a later segment holds again are counted there only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentFigures {
    /// Its number.
    pub(crate) number: u64,
    /// The file's name.
    pub(crate) file: String,
    /// Bytes of the file.
    pub(crate) bytes: u64,
    /// What it is there for.
    pub(crate) state: SegmentState,
    /// Number of its first commit, where it has a head.
    pub(crate) first_commit: Option<u64>,
    /// How many commits.
    pub(crate) commits: u64,
    /// How many records, by lane.
    pub(crate) records: BTreeMap<u32, u64>,
    /// How many of them are neither stored nor dead-lettered.
    pub(crate) unstored: u64,
    /// Bytes of its head and its commits.
    pub(crate) used_bytes: u64,
    /// Places that are damaged.
    pub(crate) damaged: u64,
    /// When the first event of its records was received.
    pub(crate) first_received: Option<Micros>,
    /// When the last one was.
    pub(crate) last_received: Option<Micros>,
}

/// Where a lane stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LaneFigures {
    /// Its number.
    pub(crate) lane: u32,
    /// The shard it belongs to, `None` where none does any more.
    pub(crate) shard: Option<u32>,
    /// Number of its next record.
    pub(crate) next: u64,
    /// All records before it are stored or dead-lettered.
    pub(crate) watermark: u64,
}

impl LaneFigures {
    /// How many records no watermark covers.
    pub(crate) fn unstored(&self) -> u64 {
        self.next.saturating_sub(self.watermark)
    }
}

/// What a journal holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inspection {
    /// All segments, by number.
    pub(crate) segments: Vec<SegmentFigures>,
    /// All lanes that the last segment knows.
    pub(crate) lanes: Vec<LaneFigures>,
    /// When the oldest event was received that is not stored.
    pub(crate) oldest_unstored: Option<Micros>,
}

impl Inspection {
    /// How many records no watermark covers.
    pub(crate) fn unstored(&self) -> u64 {
        self.lanes.iter().map(LaneFigures::unstored).sum()
    }

    /// How many records can be read.
    pub(crate) fn records(&self) -> u64 {
        self.segments.iter().flat_map(|segment| segment.records.values()).sum()
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Places that are damaged.
    pub(crate) fn damaged(&self) -> u64 {
        self.segments.iter().map(|segment| segment.damaged).sum()
    }
}

impl SegmentFigures {
    pub(super) fn new(number: u64, bytes: u64, state: SegmentState) -> Self {
        let is_aside = state == SegmentState::Corrupt;
        Self {
            number,
            file: if is_aside { segment::corrupt_name(number) } else { segment::segment_name(number) },
            bytes,
            state,
            first_commit: None,
            commits: 0,
            records: BTreeMap::new(),
            unstored: 0,
            used_bytes: 0,
            damaged: 0,
            first_received: None,
            last_received: None,
        }
    }

    pub(super) fn note(&mut self, record: &Record<'_>) {
        let received = record.event.received;
        *self.records.entry(record.lane).or_default() += 1;
        self.unstored += u64::from(!record.is_stored);
        self.first_received = Some(earlier(self.first_received, received));
        self.last_received = Some(self.last_received.map_or(received, |last| last.max(received)));
    }
}

/// The earlier of two times.
pub(super) fn earlier(one: Option<Micros>, other: Micros) -> Micros {
    one.map_or(other, |one| one.min(other))
}
