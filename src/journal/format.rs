//! The journal's bytes: heads of segments, commits and extents, as `docs/JOURNAL.md` has them.
//!
//! Everything here is pure: bytes in, bytes out. What is not exactly what was written is told from
//! what was, with a checksum, and nothing here panics on any bytes.

use smallvec::SmallVec;

/// Where commits may begin: at multiples of this.
pub(super) const ALIGN: u64 = 8;
/// Bytes of a commit's head, without the heads of its extents.
pub(super) const COMMIT_HEAD_BYTES: usize = 24;
/// Bytes of an extent's head.
pub(super) const EXTENT_HEAD_BYTES: usize = 32;

const MAGIC: &[u8; 8] = b"evpipejl";
const VERSION: u32 = 1;
const HEAD_UNIT_BYTES: usize = 4096;
const HEAD_FIXED_BYTES: usize = 64;
const LANE_BYTES: usize = 24;
const CHECKSUM_BYTES: usize = 4;
const NO_SHARD: u32 = u32::MAX;
/// Most lanes that a head is believed to have: a damaged count must not make anybody allocate.
const LANES_MAX: usize = 1 << 16;

/// A lane as a segment found it when it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LaneHead {
    pub(super) lane: u32,
    /// The shard it belongs to, `None` where none does any more.
    pub(super) shard: Option<u32>,
    /// Number of its next record.
    pub(super) next: u64,
    pub(super) watermark: u64,
}

/// What a segment begins, and ends, with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SegmentHead {
    pub(super) number: u64,
    pub(super) salt: u64,
    /// The segment before this one, 0 where there is none.
    pub(super) previous: u64,
    /// Where that one's commits end.
    pub(super) previous_end: u64,
    pub(super) first_commit: u64,
    pub(super) lanes: Vec<LaneHead>,
}

/// What the place of a segment's head holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HeadFound {
    /// Zeros only: the segment waits for its turn.
    Blank,
    Head(SegmentHead),
    /// A later version of this program wrote it.
    Version(u32),
    /// None of these.
    Damaged,
}

/// Bytes that a head with so many lanes takes.
pub(super) fn head_bytes(lanes: usize) -> u64 {
    let needed = HEAD_FIXED_BYTES + lanes * LANE_BYTES + CHECKSUM_BYTES;
    (needed.div_ceil(HEAD_UNIT_BYTES) * HEAD_UNIT_BYTES) as u64
}

/// Bytes of a file that has one commit of `padded` bytes, in whole units.
pub(super) fn data_bytes_needed(padded: u64, lanes: usize) -> u64 {
    (padded + 2 * head_bytes(lanes)).next_multiple_of(HEAD_UNIT_BYTES as u64)
}

impl SegmentHead {
    /// Bytes that it takes, twice.
    pub(super) fn bytes(&self) -> u64 {
        head_bytes(self.lanes.len())
    }

    pub(super) fn lane(&self, lane: u32) -> Option<&LaneHead> {
        self.lanes.iter().find(|head| head.lane == lane)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let bytes = self.bytes() as usize;
        let mut out = Vec::with_capacity(bytes);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&(bytes as u32).to_le_bytes());
        for number in [self.number, self.salt, self.previous, self.previous_end, self.first_commit] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&(self.lanes.len() as u32).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        for lane in &self.lanes {
            out.extend_from_slice(&lane.lane.to_le_bytes());
            out.extend_from_slice(&lane.shard.unwrap_or(NO_SHARD).to_le_bytes());
            out.extend_from_slice(&lane.next.to_le_bytes());
            out.extend_from_slice(&lane.watermark.to_le_bytes());
        }
        out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
        out.resize(bytes, 0);
        out
    }

    /// Reads a head from `bytes`: all that a file begins with, or the last ones of it.
    pub(super) fn decode(bytes: &[u8]) -> HeadFound {
        if bytes.iter().all(|byte| *byte == 0) {
            return HeadFound::Blank;
        }
        Self::parse(bytes).unwrap_or(HeadFound::Damaged)
    }

    /// Bytes of the head that `bytes` begin with, where they look like one.
    pub(super) fn announced_bytes(bytes: &[u8]) -> Option<u64> {
        let announced = u64::from(u32_at(bytes, 12)?);
        let plausible = bytes.starts_with(MAGIC)
            && announced > 0
            && announced.is_multiple_of(HEAD_UNIT_BYTES as u64)
            && announced <= head_bytes(LANES_MAX);
        plausible.then_some(announced)
    }

    fn parse(bytes: &[u8]) -> Option<HeadFound> {
        let announced = Self::announced_bytes(bytes)?;
        let lanes = u32_at(bytes, 56)? as usize;
        if lanes > LANES_MAX || head_bytes(lanes) != announced {
            return None;
        }
        let end = HEAD_FIXED_BYTES + lanes * LANE_BYTES;
        if u32_at(bytes, end)? != crc32c::crc32c(bytes.get(..end)?) {
            return None;
        }
        let version = u32_at(bytes, 8)?;
        if version != VERSION {
            return Some(HeadFound::Version(version));
        }
        let lane = |index: usize| {
            let at = HEAD_FIXED_BYTES + index * LANE_BYTES;
            let shard = u32_at(bytes, at + 4)?;
            Some(LaneHead {
                lane: u32_at(bytes, at)?,
                shard: (shard != NO_SHARD).then_some(shard),
                next: u64_at(bytes, at + 8)?,
                watermark: u64_at(bytes, at + 16)?,
            })
        };
        let head = Self {
            number: u64_at(bytes, 16)?,
            salt: u64_at(bytes, 24)?,
            previous: u64_at(bytes, 32)?,
            previous_end: u64_at(bytes, 40)?,
            first_commit: u64_at(bytes, 48)?,
            lanes: (0..lanes).map(lane).collect::<Option<_>>()?,
        };
        Some(HeadFound::Head(head))
    }
}

/// What an extent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Records of a lane.
    Records,
    /// A lane's watermark.
    Watermark,
}

/// What a commit says of one of its extents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ExtentHead {
    pub(super) lane: u32,
    pub(super) kind: Kind,
    /// How many records.
    pub(super) records: u32,
    /// Bytes of them.
    pub(super) bytes: u32,
    /// Number of the first record; the watermark itself where it is one.
    pub(super) first: u64,
    /// Of the records.
    pub(super) checksum: u32,
}

impl ExtentHead {
    /// A lane's watermark.
    pub(super) fn watermark(lane: u32, watermark: u64) -> Self {
        Self { lane, kind: Kind::Watermark, records: 0, bytes: 0, first: watermark, checksum: 0 }
    }

    /// Number of the record after its last.
    pub(super) fn end(&self) -> u64 {
        self.first.saturating_add(u64::from(self.records))
    }
}

/// What a commit begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CommitHead {
    pub(super) number: u64,
    /// Bytes of the whole commit, without padding.
    pub(super) bytes: u64,
    pub(super) extents: SmallVec<[ExtentHead; 4]>,
}

/// What stands where a commit may begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CommitFound {
    Commit(CommitHead),
    /// So many bytes are needed to tell.
    Needs(usize),
    /// No commit of this segment.
    Nothing,
}

impl CommitHead {
    /// Bytes of its head and of its extents' heads.
    pub(super) fn head_bytes(extents: usize) -> usize {
        COMMIT_HEAD_BYTES + extents * EXTENT_HEAD_BYTES
    }

    /// How far the next commit is, at the least.
    pub(super) fn padded_bytes(&self) -> u64 {
        self.bytes.next_multiple_of(ALIGN)
    }

    /// Where the records of each extent of records begin, counted from the commit's first byte.
    pub(super) fn records(&self) -> impl Iterator<Item = (u64, &ExtentHead)> {
        let mut at = Self::head_bytes(self.extents.len()) as u64;
        self.extents.iter().map(move |extent| {
            let begin = at;
            at += u64::from(extent.bytes);
            (begin, extent)
        })
    }

    /// Writes the heads of a commit of these extents into `out`, emptied before; the records follow
    /// in the same order.
    pub(super) fn encode(out: &mut Vec<u8>, salt: u64, number: u64, extents: &[ExtentHead]) {
        let heads = Self::head_bytes(extents.len());
        let bytes = heads + extents.iter().map(|extent| extent.bytes as usize).sum::<usize>();
        out.clear();
        out.extend_from_slice(&mark(salt).to_le_bytes());
        out.extend_from_slice(&u32::try_from(bytes).expect("a commit is bounded far below 4 GiB").to_le_bytes());
        out.extend_from_slice(&number.to_le_bytes());
        out.extend_from_slice(&(extents.len() as u32).to_le_bytes());
        out.extend_from_slice(&[0; CHECKSUM_BYTES]);
        for extent in extents {
            let kind: u32 = match extent.kind {
                Kind::Records => 1,
                Kind::Watermark => 2,
            };
            for number in [extent.lane, kind, extent.records, extent.bytes] {
                out.extend_from_slice(&number.to_le_bytes());
            }
            out.extend_from_slice(&extent.first.to_le_bytes());
            out.extend_from_slice(&extent.checksum.to_le_bytes());
            out.extend_from_slice(&[0; 4]);
        }
        let checksum = checksum(salt, out);
        out[20..24].copy_from_slice(&checksum.to_le_bytes());
    }

    /// Whether a commit of the segment with this salt begins with `bytes`; it has at most `room`
    /// bytes.
    pub(super) fn decode(bytes: &[u8], salt: u64, room: u64) -> CommitFound {
        Self::parse(bytes, salt, room).unwrap_or(CommitFound::Nothing)
    }

    fn parse(bytes: &[u8], salt: u64, room: u64) -> Option<CommitFound> {
        if room < COMMIT_HEAD_BYTES as u64 {
            return None;
        }
        if bytes.len() < COMMIT_HEAD_BYTES {
            return Some(CommitFound::Needs(COMMIT_HEAD_BYTES));
        }
        if u32_at(bytes, 0)? != mark(salt) {
            return None;
        }
        let whole = u64::from(u32_at(bytes, 4)?);
        let extents = u32_at(bytes, 16)? as usize;
        let heads = extents.checked_mul(EXTENT_HEAD_BYTES)?.checked_add(COMMIT_HEAD_BYTES)?;
        if whole > room || heads as u64 > whole {
            return None;
        }
        let Some(heads) = bytes.get(..heads) else { return Some(CommitFound::Needs(heads)) };
        if u32_at(heads, 20)? != checksum(salt, heads) {
            return None;
        }
        let extent = |index: usize| {
            let at = COMMIT_HEAD_BYTES + index * EXTENT_HEAD_BYTES;
            Some(ExtentHead {
                lane: u32_at(heads, at)?,
                kind: match u32_at(heads, at + 4)? {
                    1 => Kind::Records,
                    2 => Kind::Watermark,
                    _ => return None,
                },
                records: u32_at(heads, at + 8)?,
                bytes: u32_at(heads, at + 12)?,
                first: u64_at(heads, at + 16)?,
                checksum: u32_at(heads, at + 24)?,
            })
        };
        let extents = (0..extents).map(extent).collect::<Option<SmallVec<_>>>()?;
        let number = u64_at(heads, 8)?;
        Some(CommitFound::Commit(Self { number, bytes: whole, extents }))
    }
}

/// Begins every commit of a segment; never 0.
pub(super) fn mark(salt: u64) -> u32 {
    salt as u32 | 1
}

/// The checksum of an extent's records.
pub(super) fn records_checksum(records: &[u8]) -> u32 {
    crc32c::crc32c(records)
}

/// The checksum of a commit's heads: of all but itself.
fn checksum(salt: u64, heads: &[u8]) -> u32 {
    let checksum = crc32c::crc32c(&salt.to_le_bytes());
    let checksum = crc32c::crc32c_append(checksum, &heads[..20]);
    crc32c::crc32c_append(checksum, &heads[COMMIT_HEAD_BYTES..])
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(lanes: u32) -> SegmentHead {
        let lane = |lane: u32| LaneHead { lane, shard: (lane > 0).then_some(lane), next: 9, watermark: 4 };
        let lanes = (0..lanes).map(lane).collect();
        SegmentHead { number: 7, salt: 0xfeed_0000_0000_0002, previous: 6, previous_end: 8192, first_commit: 99, lanes }
    }

    #[test]
    fn a_head_is_read_back_and_every_flipped_byte_of_it_is_noticed() {
        for lanes in [0, 1, 3, 400] {
            let head = head(lanes);
            let mut bytes = head.encode();
            assert_eq!(bytes.len() as u64, head.bytes());
            assert_eq!(SegmentHead::decode(&bytes), HeadFound::Head(head));
            let used = HEAD_FIXED_BYTES + lanes as usize * LANE_BYTES + CHECKSUM_BYTES;
            for at in (0..used).step_by(if lanes > 100 { 17 } else { 1 }) {
                bytes[at] ^= 0x40;
                assert_eq!(SegmentHead::decode(&bytes), HeadFound::Damaged, "byte {at}");
                bytes[at] ^= 0x40;
            }
        }
        assert_eq!(SegmentHead::decode(&[0; 4096]), HeadFound::Blank);
    }

    #[test]
    fn another_version_is_told_from_damage() {
        let mut bytes = head(1).encode();
        bytes[8] = 2;
        let end = HEAD_FIXED_BYTES + LANE_BYTES;
        let checksum = crc32c::crc32c(&bytes[..end]).to_le_bytes();
        bytes[end..end + 4].copy_from_slice(&checksum);
        assert_eq!(SegmentHead::decode(&bytes), HeadFound::Version(2));
    }

    #[test]
    fn a_commit_is_read_back_and_only_with_its_own_salt() {
        let extent = |lane, bytes| ExtentHead { lane, kind: Kind::Records, records: 2, bytes, first: 5, checksum: 1 };
        let extents = [extent(0, 10), ExtentHead::watermark(1, 44), extent(1, 30)];
        let mut heads = Vec::new();
        CommitHead::encode(&mut heads, 2, 17, &extents);
        let CommitFound::Commit(commit) = CommitHead::decode(&heads, 2, 4096) else { panic!("it is a commit") };
        assert_eq!((commit.number, commit.bytes), (17, heads.len() as u64 + 40));
        assert_eq!(commit.extents.as_slice(), extents);
        let begins: Vec<_> = commit.records().map(|(at, _)| at - heads.len() as u64).collect();
        assert_eq!(begins, [0, 10, 10]);
        assert_eq!(CommitHead::decode(&heads, 4, 4096), CommitFound::Nothing, "another salt");
        assert_eq!(CommitHead::decode(&heads, 2, commit.bytes - 1), CommitFound::Nothing, "no room");
        assert_eq!(CommitHead::decode(&heads[..30], 2, 4096), CommitFound::Needs(heads.len()));
        assert_eq!(CommitHead::decode(&heads[..3], 2, 4096), CommitFound::Needs(COMMIT_HEAD_BYTES));
        assert_eq!(CommitHead::decode(&[0; 64], 2, 4096), CommitFound::Nothing);
        for at in 0..heads.len() {
            let mut bent = heads.clone();
            bent[at] ^= 0x10;
            assert!(!matches!(CommitHead::decode(&bent, 2, 4096), CommitFound::Commit(_)), "byte {at}");
        }
    }
}
