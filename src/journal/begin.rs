//! The segment that every start begins, with what the last one has left to be stored.
//!
//! What was read at a start may never have reached the disk: it is written again and synced before
//! anything else, and the head that makes it count comes last. A crash at any step leaves what the next
//! start understands.

use std::{
    io::{self, IoSlice},
    sync::Arc,
    time::Instant,
};

use super::{
    Shared,
    format::{ALIGN, CommitHead, ExtentHead, Kind, LaneHead, SegmentHead, data_bytes_needed, head_bytes},
    fs::File,
    recovery::Tail,
    segment::{self, Segment, Step, Walk, data_bytes, segment_name, write_all_at},
    state::{Blank, Kept, lock},
};

/// Begins a new segment, with what the last one has left to be stored. Where the disk has no room for
/// one, the last one stays the last, and nothing is accepted. Blank segments of another size than is
/// usual now are used up or removed.
pub(super) fn begin(
    shared: &Shared,
    lanes: &[LaneHead],
    last: Option<&Arc<Segment>>,
    tail: &Tail,
    other_blanks: Vec<(u64, Arc<dyn File>, u64)>,
) -> io::Result<()> {
    let left = match last {
        Some(last) => left_over(last, tail.end, lanes)?,
        None => Vec::new(),
    };
    let place = place_for(shared, &left, lanes.len(), &other_blanks)?;
    let taken = place.as_ref().map(|(blank, _)| blank.number);
    for (number, ..) in other_blanks.into_iter().filter(|(number, ..)| Some(*number) != taken) {
        shared.fs.remove(&segment_name(number))?;
    }
    let Some((blank, bytes)) = place else {
        if let Some(last) = last {
            last.file.sync_data()?;
        }
        tracing::warn!("the disk has no room for the journal; nothing is accepted until the store has taken enough");
        return Ok(());
    };
    // One without any records is replaced too: else each start would leave one more behind.
    let replaces = last.filter(|_| !left.is_empty() || !tail.has_records);
    let (previous, previous_first, previous_end) = match (replaces, last) {
        (Some(replaced), _) => (replaced.head.previous, replaced.head.previous_first, replaced.head.previous_end),
        (None, Some(last)) => (last.number(), last.head.first_commit, tail.end),
        (None, None) => (0, 0, 0),
    };
    let mut writer = lock(&shared.writer);
    // As the replaced segment found the lanes: what is left of it begins there or later.
    let begun = |lane: &LaneHead| match replaces.and_then(|replaced| replaced.head.lane(lane.lane)) {
        Some(before) => LaneHead { next: before.next, ..*lane },
        None if replaces.is_some() => LaneHead { next: 0, watermark: 0, ..*lane },
        None => *lane,
    };
    let head = SegmentHead {
        number: blank.number,
        salt: shared.salt()?,
        previous,
        previous_first,
        previous_end,
        first_commit: writer.commit,
        lanes: lanes.iter().map(begun).collect(),
    };
    let segment = Arc::new(Segment::new(head, blank.file, bytes));
    let mut at = segment.begin();
    let mut heads = Vec::new();
    for (extents, records) in &left {
        CommitHead::encode(&mut heads, segment.head.salt, writer.commit, extents);
        write_all_at(&*segment.file, &mut [IoSlice::new(&heads), IoSlice::new(records)], at)?;
        at += (heads.len() + records.len()).next_multiple_of(ALIGN as usize) as u64;
        writer.commit += 1;
    }
    // What it holds first, then the head that makes it count.
    segment.file.sync_data()?;
    segment.write_head()?;
    segment.file.sync_data()?;

    (writer.at, writer.current) = (at, Some(Arc::clone(&segment)));
    shared.room.change(writer.room_left(shared) as i64);
    drop(writer);
    let mut segments = lock(&shared.segments);
    if replaces.is_some()
        && let Some(replaced) = segments.live.pop_back()
    {
        if replaced.is_damaged() {
            let number = replaced.number();
            drop(segments);
            shared.fs.rename(&segment_name(number), &segment::corrupt_name(number))?;
            shared.fs.sync_dir()?;
            segments = lock(&shared.segments);
        } else if !tail.has_records && replaced.bytes == shared.options.segment_bytes {
            drop(segments);
            let blank = shared.blank_out(&replaced)?;
            segments = lock(&shared.segments);
            if let Some(blank) = blank {
                segments.blank.push_back(blank);
                shared.room.change(shared.usable_bytes() as i64);
            }
        } else {
            segments.kept.push_back(Kept { segment: replaced, since: Instant::now() });
        }
    }
    segments.live.push_back(segment);
    segments.synced = at;
    Ok(())
}

/// What a segment has left to be stored, commit by commit.
fn left_over(last: &Arc<Segment>, end: u64, lanes: &[LaneHead]) -> io::Result<Vec<(Vec<ExtentHead>, Vec<u8>)>> {
    let mut walk = Walk::new(Arc::clone(last));
    let (mut left, mut buffer) = (Vec::new(), Vec::new());
    loop {
        let (at, head) = match walk.step(end)? {
            Step::Commit { at, head } => (at, head),
            Step::Damage { .. } => continue,
            Step::End => return Ok(left),
        };
        let (mut extents, mut records) = (Vec::new(), Vec::new());
        for (offset, extent) in head.records().filter(|(_, extent)| extent.kind == Kind::Records) {
            let is_left = lanes.iter().any(|lane| lane.lane == extent.lane && extent.end() > lane.watermark);
            if is_left && walk.records(at + offset, extent, &mut buffer)? {
                extents.push(*extent);
                records.extend_from_slice(&buffer);
            }
        }
        if !extents.is_empty() {
            left.push((extents, records));
        }
    }
}

/// A blank segment that holds what is left; one of its own size where none of the usual size does, one of
/// another size where nothing else is to be had.
fn place_for(
    shared: &Shared,
    left: &[(Vec<ExtentHead>, Vec<u8>)],
    lanes: usize,
    other_blanks: &[(u64, Arc<dyn File>, u64)],
) -> io::Result<Option<(Blank, u64)>> {
    let needed: u64 = left
        .iter()
        .map(|(extents, records)| (CommitHead::head_bytes(extents.len()) + records.len()).next_multiple_of(8) as u64)
        .sum();
    let usual = shared.options.segment_bytes;
    if needed > data_bytes(usual, lanes) {
        let number = lock(&shared.segments).take_number();
        let bytes = data_bytes_needed(needed, lanes).max(2 * head_bytes(lanes));
        match shared.fs.create(&segment_name(number), bytes) {
            Ok(file) => {
                shared.fs.sync_dir()?;
                return Ok(Some((Blank { number, file }, bytes)));
            }
            Err(error) => tracing::warn!(%error, bytes, "the journal cannot make a segment"),
        }
    } else {
        if let Some(blank) = lock(&shared.segments).blank.pop_front() {
            shared.room.change(-(shared.usable_bytes() as i64));
            return Ok(Some((blank, usual)));
        }
        if let Some(blank) = shared.make()? {
            return Ok(Some((blank, usual)));
        }
        if let Some(blank) = shared.recycle()? {
            return Ok(Some((blank, usual)));
        }
    }
    let other = other_blanks.iter().find(|(_, _, bytes)| needed <= data_bytes(*bytes, lanes));
    Ok(other.map(|(number, file, bytes)| (Blank { number: *number, file: Arc::clone(file) }, *bytes)))
}
