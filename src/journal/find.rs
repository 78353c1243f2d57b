//! Looking an event up by its id, without any cost for those that are not looked up.
//!
//! A sealed segment that is not stored soon gets a file of fingerprints, sorted, made by the keeper:
//! a look-up is a search by halves in each. The few segments that have none yet are read through.
//! The files are a help and nothing more: one that is missing, or damaged, costs time only.

use std::{
    io::{self, IoSlice},
    sync::Arc,
    time::{Duration, Instant},
};

use uuid::Uuid;

use super::{
    Journal, Shared,
    format::Kind,
    fs::File,
    segment::{Segment, Step, Walk, ids_name, read_full_at, record_at, write_all_at},
    state::lock,
};
use crate::event::skim;

/// How long a sealed segment is live at least before fingerprints are made of it.
pub(super) const INDEX_AFTER: Duration = Duration::from_secs(1);

/// How long it is left at that where fingerprints cannot be written.
const INDEX_PAUSE: Duration = Duration::from_secs(60);
/// A fingerprint and where its record stands.
const ENTRY_BYTES: usize = 16;

/// The fingerprints of one segment, in their file.
#[derive(Clone, Debug)]
pub(super) struct Ids {
    file: Arc<dyn File>,
    entries: u64,
}

impl Journal {
    /// The record of the event of that id in a segment that is not finished: it is not stored yet, or
    /// was stored a moment ago.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub fn find(&self, id: Uuid) -> io::Result<Option<Vec<u8>>> {
        let places = lock(&self.shared.segments).newest_first();
        for place in places {
            let ids = lock(&self.shared.indexed).get(&place.segment.number()).cloned();
            let end = place.end.unwrap_or_else(|| place.segment.end());
            let record = match ids {
                Some(ids) => ids.find(id, &place.segment)?,
                None => read_through(&place.segment, end, id)?,
            };
            if record.is_some() {
                return Ok(record);
            }
        }
        Ok(None)
    }
}

/// Which segments have been sealed for a while.
#[derive(Debug)]
pub(super) struct SeenSealed {
    /// The newest that was sealed when the last period began.
    lasting: u64,
    /// The newest that was sealed when this period began.
    newest: u64,
    since: Instant,
}

impl Default for SeenSealed {
    fn default() -> Self {
        Self { lasting: 0, newest: 0, since: Instant::now() }
    }
}

impl SeenSealed {
    /// The newest sealed segment is this one now.
    fn note(&mut self, newest: u64, after: Duration) {
        if self.since.elapsed() >= after {
            self.lasting = self.newest;
            self.newest = self.newest.max(newest);
            self.since = Instant::now();
        }
    }
}

impl Shared {
    /// Makes the fingerprints of one segment that was sealed `after` ago or longer, if any lacks them.
    pub(super) fn index_sealed(&self, after: Duration) {
        if lock(&self.index_again_at).is_some_and(|at| Instant::now() < at) {
            return;
        }
        let (target, left) = {
            let segments = lock(&self.segments);
            let mut seen = lock(&self.seen_sealed);
            let indexed = lock(&self.indexed);
            let sealed = segments.live.len().saturating_sub(1);
            let mut lacking = (0..sealed).filter(|index| {
                let number = segments.live[*index].number();
                // What was sealed just now will mostly be stored before anybody asks.
                number <= seen.lasting && !indexed.contains_key(&number)
            });
            let target = lacking.next().and_then(|index| segments.at(segments.live[index].number()));
            let left = lacking.next().is_some();
            let newest = segments.live.iter().take(sealed).map(|segment| segment.number()).max();
            seen.note(newest.unwrap_or(0), after);
            (target, left)
        };
        let Some(place) = target else { return };
        let end = place.end.unwrap_or_else(|| place.segment.end());
        let number = place.segment.number();
        match self.make_ids(&place.segment, end) {
            Ok(ids) => {
                // Finished meanwhile: then nobody removes them but this.
                let is_live = lock(&self.segments).at(number).is_some();
                if is_live {
                    lock(&self.indexed).insert(number, ids);
                } else {
                    let _ = self.fs.remove(&ids_name(number));
                }
            }
            Err(error) => {
                tracing::debug!(%error, segment = number, "no fingerprints could be made; look-ups take longer");
                let _ = self.fs.remove(&ids_name(number));
                *lock(&self.index_again_at) = Some(Instant::now() + INDEX_PAUSE);
                return;
            }
        }
        if left {
            self.wake_keeper();
        }
    }

    fn make_ids(&self, segment: &Arc<Segment>, end: u64) -> io::Result<Ids> {
        let mut entries = Vec::new();
        each_record(segment, end, |at, id, _| {
            entries.push((fingerprint(id), at));
            false
        })?;
        entries.sort_unstable();
        let mut bytes = Vec::with_capacity(entries.len() * ENTRY_BYTES);
        for (fingerprint, at) in &entries {
            bytes.extend_from_slice(&fingerprint.to_le_bytes());
            bytes.extend_from_slice(&at.to_le_bytes());
        }
        let name = ids_name(segment.number());
        // One that a crash left behind may be anything.
        let _ = self.fs.remove(&name);
        let file = self.fs.create(&name, 0)?;
        write_all_at(&*file, &mut [IoSlice::new(&bytes)], 0)?;
        Ok(Ids { file, entries: entries.len() as u64 })
    }
}

impl Ids {
    fn entry(&self, index: u64) -> io::Result<(u64, u64)> {
        let mut bytes = [0; ENTRY_BYTES];
        read_full_at(&*self.file, &mut bytes, index * ENTRY_BYTES as u64)?;
        let number = |at: usize| u64::from_le_bytes(*bytes[at..].first_chunk().expect("an entry has two numbers"));
        Ok((number(0), number(8)))
    }

    fn find(&self, id: Uuid, segment: &Segment) -> io::Result<Option<Vec<u8>>> {
        let wanted = fingerprint(id);
        let (mut low, mut high) = (0, self.entries);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.entry(middle)?.0 < wanted { low = middle + 1 } else { high = middle }
        }
        while low < self.entries {
            let (fingerprint, at) = self.entry(low)?;
            if fingerprint != wanted {
                break;
            }
            let record = record_at(segment, at)?;
            if skim(&record).is_some_and(|(found, length)| found == id && length == record.len()) {
                return Ok(Some(record));
            }
            low += 1;
        }
        Ok(None)
    }
}

fn fingerprint(id: Uuid) -> u64 {
    // Ids may be chosen by clients: no more than their look-ups would suffer.
    let (high, low) = id.as_u64_pair();
    high.rotate_left(32) ^ low
}

/// Reads a segment through for one id.
fn read_through(segment: &Arc<Segment>, end: u64, id: Uuid) -> io::Result<Option<Vec<u8>>> {
    let mut record = None;
    each_record(segment, end, |_, found, bytes| {
        if found == id {
            record = Some(bytes.to_vec());
        }
        found == id
    })?;
    Ok(record)
}

/// Shows every record of a segment, with where it stands and its id, until `look` says that this is
/// enough.
fn each_record(segment: &Arc<Segment>, end: u64, mut look: impl FnMut(u64, Uuid, &[u8]) -> bool) -> io::Result<()> {
    let mut walk = Walk::new(Arc::clone(segment));
    let mut records = Vec::new();
    loop {
        let (at, head) = match walk.step(end)? {
            Step::Commit { at, head } => (at, head),
            Step::Damage { .. } => continue,
            Step::End => return Ok(()),
        };
        for (offset, extent) in head.records().filter(|(_, extent)| extent.kind == Kind::Records) {
            if !walk.records(at + offset, extent, &mut records)? {
                continue;
            }
            let mut done = 0;
            while let Some((id, length)) = skim(&records[done..]) {
                if look(at + offset + done as u64, id, &records[done..done + length]) {
                    return Ok(());
                }
                done += length;
            }
        }
    }
}
