//! The reader of one lane: the records that are not stored, in order, from the watermark to what is
//! synced, then on as more comes.
//!
//! It reads the heads of all commits and, of the records, its own. Damage is passed over, never
//! silently: the segment is set aside when it is done, and the records that are missing are known by
//! their numbers and told with the next extent.

use std::{io, sync::Arc};

use super::{
    Shared,
    format::{CommitHead, Kind},
    segment::{Segment, Step, Walk, record_at, segment_name},
    state::{Place, lock},
};

/// The reader of one lane.
#[derive(Debug)]
pub(crate) struct Reader {
    shared: Arc<Shared>,
    /// Which of `shared.lanes`.
    lane: usize,
    /// Number of the next record wanted.
    next: u64,
    /// Where it reads, once it has begun.
    reading: Option<(Walk, Place)>,
    /// The commit at hand: where it begins, and which of its extents is looked at next.
    commit: Option<(u64, CommitHead, usize)>,
    records: Vec<u8>,
    /// Where in the file the records begin.
    records_at: u64,
}

/// A run of a lane's records, which stand in [`Reader::records`] until the next is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Number of the first record.
    pub(crate) first: u64,
    /// How many there are.
    pub(crate) events: u32,
    /// How many before `first`, and behind what was read before, are lost to damage.
    pub(crate) lost: u64,
    /// How many of the records to pass over: they are done already.
    pub(crate) skip: u32,
}

/// Where the records of an extent stand in the journal, to be read again while they are not stored.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    segment: Arc<Segment>,
    at: u64,
}

impl Origin {
    /// The record that begins so many bytes behind the extent's first.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub(crate) fn record(&self, offset: u32) -> io::Result<Vec<u8>> {
        record_at(&self.segment, self.at + u64::from(offset))
    }
}

/// What a look at one commit found.
enum Found {
    Extent { first: u64, events: u32 },
    Nothing,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, lane: usize) -> Self {
        let next = shared.lanes[lane].stored.get();
        Self { shared, lane, next, reading: None, commit: None, records: Vec::new(), records_at: 0 }
    }

    /// Which lane it reads, for [`super::Journal::advance`].
    pub(crate) fn lane(&self) -> usize {
        self.lane
    }

    /// Number of the next record wanted.
    pub(crate) fn position(&self) -> u64 {
        self.next
    }

    /// The records of the extent that was read last.
    pub(crate) fn records(&self) -> &[u8] {
        &self.records
    }

    /// Where they stand in the journal.
    pub(crate) fn origin(&self) -> Option<Origin> {
        let (walk, _) = self.reading.as_ref()?;
        Some(Origin { segment: Arc::clone(walk.segment()), at: self.records_at })
    }

    /// The next extent before record number `limit`, where a commit ends; `None` where there is none
    /// now.
    ///
    /// # Errors
    /// Where a file cannot be read: try again later.
    pub(crate) fn next_extent(&mut self, limit: u64) -> io::Result<Option<Extent>> {
        // What is synced later is left for the next call.
        let synced = self.shared.lanes[self.lane].synced.get().min(limit);
        while self.next < synced {
            match self.look()? {
                Some(Found::Extent { first, events }) => {
                    let (lost, skip) = (first.saturating_sub(self.next), self.next.saturating_sub(first));
                    self.next = first + u64::from(events);
                    let skip = u32::try_from(skip).unwrap_or(u32::MAX);
                    return Ok(Some(Extent { first, events, lost, skip }));
                }
                Some(Found::Nothing) => {}
                None if self.next < synced => {
                    // Everything was read, and records that were synced are not there.
                    let (first, lost) = (synced, synced - self.next);
                    self.next = synced;
                    self.records.clear();
                    return Ok(Some(Extent { first, events: 0, lost, skip: 0 }));
                }
                None => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Looks at one more commit, or one more extent; `None` where nothing is left to be looked at.
    fn look(&mut self) -> io::Result<Option<Found>> {
        if let Some(found) = self.look_at_commit()? {
            return Ok(Some(found));
        }
        let Some((walk, place)) = &mut self.reading else {
            let lane = self.shared.lanes[self.lane].number;
            let begin = lock(&self.shared.segments).first_with(lane, self.next);
            self.reading = begin.map(|place| (Walk::new(Arc::clone(&place.segment)), place));
            return Ok(self.reading.as_ref().map(|_| Found::Nothing));
        };
        let end = place.end.unwrap_or_else(|| place.segment.end());
        match walk.step(end)? {
            Step::Commit { at, head } => self.commit = Some((at, head, 0)),
            Step::Damage { from, until } => {
                let is_end = place.end.is_none() && until == end;
                // One that was finished meanwhile may have another life already: it has nothing for this
                // lane, whose records would have kept it.
                let now = lock(&self.shared.segments).at(place.segment.number());
                let is_live = now.is_some_and(|now| Arc::ptr_eq(&now.segment, &place.segment));
                if is_live && !is_end {
                    note_damage(&self.shared, &place.segment, from, until);
                }
            }
            Step::End => return Ok(self.go_on().then_some(Found::Nothing)),
        }
        Ok(Some(Found::Nothing))
    }

    /// The lane's next extent in the commit at hand.
    fn look_at_commit(&mut self) -> io::Result<Option<Found>> {
        let Some((at, head, index)) = &mut self.commit else { return Ok(None) };
        let number = self.shared.lanes[self.lane].number;
        let own =
            head.records().enumerate().skip(*index).find(|(_, (_, extent))| {
                extent.lane == number && extent.kind == Kind::Records && extent.end() > self.next
            });
        let Some((found, (offset, extent))) = own else {
            self.commit = None;
            return Ok(Some(Found::Nothing));
        };
        let (extent, begin) = (*extent, *at + offset);
        let Some((walk, _)) = &mut self.reading else { return Ok(None) };
        if walk.records(begin, &extent, &mut self.records)? {
            (*index, self.records_at) = (found + 1, begin);
            return Ok(Some(Found::Extent { first: extent.first, events: extent.records }));
        }
        *index = found + 1;
        let until = begin + u64::from(extent.bytes);
        note_damage(&self.shared, &Arc::clone(walk.segment()), begin, until);
        Ok(Some(Found::Nothing))
    }

    /// Goes on to more of this segment or to the next one; false where there is none yet.
    fn go_on(&mut self) -> bool {
        let Some((walk, place)) = &mut self.reading else { return false };
        let number = place.segment.number();
        let segments = lock(&self.shared.segments);
        match segments.at(number) {
            // It was not sealed when last looked at, or more is synced by now.
            Some(now) if now.end != place.end || now.is_sealed != place.is_sealed => {
                *place = now;
                return true;
            }
            Some(now) if !now.is_sealed => return false,
            Some(_) => {}
            // It is finished, and so are all before the next live one.
            None => {
                let lane = self.shared.lanes[self.lane].number;
                self.reading = segments
                    .first_with(lane, self.next)
                    .filter(|place| place.segment.head.first_commit > walk.segment().head.first_commit)
                    .map(|place| (Walk::new(Arc::clone(&place.segment)), place));
                return self.reading.is_some();
            }
        }
        let Some(next) = segments.after(number) else { return false };
        *walk = Walk::new(Arc::clone(&next.segment));
        *place = next;
        true
    }
}

/// Says once a segment that it is damaged.
fn note_damage(shared: &Shared, segment: &Segment, from: u64, until: u64) {
    shared.metrics.damaged_extent();
    if segment.note_damage() {
        let file = segment_name(segment.number());
        tracing::error!(file, from, until, "the journal is damaged; what can be read is stored, the file is kept");
    }
}
