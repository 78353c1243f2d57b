//! What a look into a journal shows: of one that lies there, of one that is written to, of a damaged one.

use std::{
    os::unix::fs::FileExt as _,
    path::Path,
    sync::{Arc, Mutex},
};

use super::*;
use crate::{
    event::{EventType, Receipt, Source, encode},
    journal::{
        Journal, Options, Pending,
        fs::{Disk, File},
    },
    metrics::JournalMetrics,
};

const SEGMENT_BYTES: u64 = 64 << 10;

fn options() -> Options {
    Options {
        segment_bytes: SEGMENT_BYTES,
        max_bytes: 16 * SEGMENT_BYTES,
        ready_bytes: SEGMENT_BYTES,
        keep_bytes: 3 * SEGMENT_BYTES,
        ..Options::default()
    }
}

fn journal(dir: &Path, shards: usize) -> Journal {
    Journal::open(Arc::new(Disk::open(dir).unwrap()), options(), shards, Arc::new(JournalMetrics::default())).unwrap().0
}

fn event(number: u64) -> Event<'static> {
    let time = Micros(1_000_000 + i64::try_from(number).unwrap());
    Event {
        id: uuid::Uuid::from_u128(u128::from(number)),
        kind: EventType::SensorData,
        source: Source::System,
        user_id: None,
        timestamp: None,
        occurred: time,
        received: time,
        receipt: Receipt(u128::from(number)),
        data: "{}",
    }
}

/// Commits the events of these numbers, one commit.
fn write(journal: &Journal, shard: usize, numbers: std::ops::Range<u64>) {
    let mut records = Vec::new();
    let events = usize::try_from(numbers.end - numbers.start).unwrap();
    numbers.for_each(|number| encode(&event(number), &mut records));
    assert!(journal.promise(journal.cost(records.len() as u64)));
    let mut pending = Pending::default();
    pending.push(&records, events, journal.cost(records.len() as u64));
    journal.commit(shard, &mut pending, |_| false).unwrap();
}

fn view(dir: &Path) -> View {
    View::open(&Disk::for_reading(dir).unwrap()).unwrap()
}

/// Lane, number and whether it is stored of every record.
fn records(dir: &Path) -> (Vec<(u32, u64, bool)>, Passed) {
    let mut records = Vec::new();
    let passed = view(dir).records(None, |record| {
        records.push((record.lane, record.number, record.is_stored));
        Ok::<(), JournalError>(())
    });
    (records, passed.unwrap())
}

#[test]
fn what_was_committed_is_shown_and_nothing_is_changed() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path(), 2);
    write(&journal, 0, 0..5);
    write(&journal, 1, 5..8);
    journal.advance(0, 2);
    journal.write_watermarks();
    let names = || -> Vec<_> {
        let files = std::fs::read_dir(dir.path()).unwrap().map(Result::unwrap);
        files.map(|file| (file.file_name(), std::fs::read(file.path()).unwrap())).collect()
    };
    let before = names();
    let found = view(dir.path()).inspect().unwrap();
    assert_eq!(found.lanes[0], LaneFigures { lane: 0, shard: Some(0), next: 5, watermark: 2 });
    assert_eq!(found.lanes[1], LaneFigures { lane: 1, shard: Some(1), next: 3, watermark: 0 });
    assert_eq!((found.unstored(), found.records(), found.damaged()), (6, 8, 0));
    assert_eq!(found.oldest_unstored, Some(event(2).received));
    let current = found.segments.iter().find(|segment| segment.state == SegmentState::Current).unwrap();
    assert_eq!((current.commits, current.unstored), (3, 6));
    assert_eq!(current.records, [(0, 5), (1, 3)].into());
    assert_eq!((current.first_received, current.last_received), (Some(event(0).received), Some(event(7).received)));
    let (shown, passed) = records(dir.path());
    assert_eq!(shown[..5], [(0, 0, true), (0, 1, true), (0, 2, false), (0, 3, false), (0, 4, false)]);
    assert_eq!((shown.len(), passed), (8, Passed::default()));
    assert!(before == names(), "nothing is changed");
    let reading = Disk::for_reading(dir.path()).unwrap();
    for refused in [reading.create("x", 1).err(), reading.remove("x").err(), reading.rename("x", "y").err()] {
        assert_eq!(refused.unwrap().kind(), io::ErrorKind::ReadOnlyFilesystem);
    }
}

#[test]
fn a_record_that_a_start_wrote_again_is_shown_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = journal(dir.path(), 1);
    write(&first, 0, 0..4);
    write(&first, 0, 4..9);
    first.advance(0, 5);
    first.write_watermarks();
    for round in 0..3 {
        first = journal(dir.path(), 1);
        let (shown, _) = records(dir.path());
        assert_eq!(shown, (0..9).map(|number| (0, number, number < 5)).collect::<Vec<_>>(), "{round}");
    }
    let found = view(dir.path()).inspect().unwrap();
    let replaced = found.segments.iter().filter(|segment| segment.state == SegmentState::Replaced);
    assert_eq!(replaced.map(|segment| segment.records.values().sum()).collect::<Vec<u64>>(), [4, 0, 0]);
    assert_eq!((found.unstored(), found.records()), (4, 9));
    drop(first);
    // Another number of shards: what is left belongs to none.
    drop(journal(dir.path(), 2));
    let lanes = view(dir.path()).inspect().unwrap().lanes;
    assert_eq!(
        lanes.iter().map(|lane| (lane.lane, lane.shard)).collect::<Vec<_>>(),
        [(1, Some(0)), (2, Some(1)), (0, None)]
    );
    assert_eq!(records(dir.path()).0.iter().filter(|(_, _, is_stored)| !is_stored).count(), 4);
}

#[test]
fn segments_are_live_until_all_in_them_is_stored_and_then_kept() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path(), 1);
    let states = || -> Vec<_> { view(dir.path()).inspect().unwrap().segments.iter().map(|it| it.state).collect() };
    for part in 0..10 {
        journal.keep(1);
        write(&journal, 0, part * 100..(part + 1) * 100);
    }
    let count = |state| states().into_iter().filter(|other| *other == state).count();
    assert!(count(SegmentState::Live) > 0 && count(SegmentState::Stored) == 0 && count(SegmentState::Current) == 1);
    assert!(count(SegmentState::Blank) > 0);
    journal.advance(0, 1000);
    journal.write_watermarks();
    assert!(count(SegmentState::Stored) > 0 && count(SegmentState::Live) == 0, "{:?}", states());
    journal.keep(1);
    let (kept, passed) = records(dir.path());
    assert!(kept.len() >= 200 && kept.iter().all(|(_, _, is_stored)| *is_stored), "{}", kept.len());
    assert_eq!(passed, Passed::default());
}

#[test]
fn damage_is_counted_and_what_is_around_it_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path(), 1);
    (0..5).for_each(|part| write(&journal, 0, part * 10..(part + 1) * 10));
    let seen = view(dir.path());
    let part = seen.parts.last().unwrap();
    let mut walk = Walk::new(Arc::clone(&part.segment));
    walk.step(part.end()).unwrap();
    let at = walk.at();
    let file = std::fs::OpenOptions::new().write(true).open(dir.path().join(part.name())).unwrap();
    // In the head of the second commit, then in the records of the third.
    file.write_all_at(&[0xee; 4], at + 8).unwrap();
    let (shown, passed) = records(dir.path());
    assert_eq!(
        shown.iter().map(|(_, number, _)| *number).collect::<Vec<_>>(),
        (0..10).chain(20..50).collect::<Vec<_>>()
    );
    assert_eq!(passed, Passed { damaged: 1, recycled: vec![] });
    let length = walk.step(part.end()).map(|_| walk.at() - at).unwrap();
    file.write_all_at(&[0xee; 4], at + length + 100).unwrap();
    let (shown, passed) = records(dir.path());
    assert_eq!((shown.len(), passed.damaged), (30, 2));
    let found = view(dir.path()).inspect().unwrap();
    assert_eq!((found.damaged(), found.records(), found.unstored()), (2, 30, 50));
}

/// A disk on which segments are used again between the first list and the files' opening.
#[derive(Debug)]
struct Hasty {
    disk: Disk,
    /// The first list.
    list: Mutex<Option<Vec<(String, u64)>>>,
    /// A name, and the file that is found under it the first time.
    file: Mutex<Option<(String, String)>>,
}

impl Fs for Hasty {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        self.list.lock().unwrap().take().map_or_else(|| self.disk.list(), Ok)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let mut file = self.file.lock().unwrap();
        match file.take_if(|(changed, _)| changed == name) {
            Some((_, other)) => self.disk.open(&other),
            None => self.disk.open(name),
        }
    }

    fn create(&self, _: &str, _: u64) -> io::Result<Arc<dyn File>> {
        unreachable!("nothing is changed")
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        unreachable!("nothing is changed")
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        unreachable!("nothing is changed")
    }

    fn sync_dir(&self) -> io::Result<()> {
        unreachable!("nothing is changed")
    }

    fn free_bytes(&self) -> io::Result<u64> {
        unreachable!("nothing is changed")
    }
}

#[test]
fn files_that_change_while_they_are_opened_are_looked_at_again() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path(), 1);
    let write_all = |parts: std::ops::Range<u64>| {
        for part in parts {
            journal.keep(1);
            write(&journal, 0, part * 100..(part + 1) * 100);
            journal.advance(0, (part + 1) * 100);
            journal.write_watermarks();
        }
    };
    write_all(0..10);
    let list = Disk::for_reading(dir.path()).unwrap().list().unwrap();
    write_all(10..60);
    let now = view(dir.path()).inspect().unwrap();
    let names: Vec<&str> = now.segments.iter().map(|segment| segment.file.as_str()).collect();
    assert!(list.iter().any(|(name, _)| !names.contains(&name.as_str())), "some were used again meanwhile");
    let used: Vec<_> = now.segments.iter().filter(|it| it.state != SegmentState::Blank).collect();
    for (list, file) in [(Some(list), None), (None, Some((used[0].file.clone(), used[1].file.clone())))] {
        let disk = Disk::for_reading(dir.path()).unwrap();
        let hasty = Hasty { disk, list: Mutex::new(list), file: Mutex::new(file) };
        assert_eq!(View::open(&hasty).unwrap().inspect().unwrap(), now);
    }
    // What is the same at every look is what it is.
    let path = dir.path().join(&used[1].file);
    std::fs::copy(dir.path().join(&used[0].file), path).unwrap();
    let states = view(dir.path()).inspect().unwrap().segments;
    assert_eq!(states.iter().filter(|segment| segment.state == SegmentState::Headless).count(), 1);
}

#[test]
fn what_is_used_again_while_it_is_read_is_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    // Larger than what is read at once.
    let options = Options { segment_bytes: 4 * SEGMENT_BYTES, max_bytes: 64 * SEGMENT_BYTES, ..options() };
    let disk = Arc::new(Disk::open(dir.path()).unwrap());
    let (journal, _) = Journal::open(disk, options, 1, Arc::new(JournalMetrics::default())).unwrap();
    journal.keep(1);
    for part in 0..4 {
        write(&journal, 0, part * 900..(part + 1) * 900);
    }
    let seen = view(dir.path());
    let oldest = Arc::clone(&seen.parts[0].segment);
    let mut shown = 0;
    let passed = seen.records(Some(oldest.number()), |_| {
        shown += 1;
        // Its head is gone, and something else stands where its commits stood.
        let path = dir.path().join(segment_name(oldest.number()));
        let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        file.write_all_at(&vec![0x11; 4 * SEGMENT_BYTES as usize], 0).unwrap();
        Ok::<(), JournalError>(())
    });
    assert_eq!((shown, passed.unwrap()), (900, Passed { damaged: 0, recycled: vec![oldest.number()] }));
    let figures = seen.inspect().unwrap().segments;
    let figures = figures.iter().find(|figures| figures.number == oldest.number()).unwrap();
    assert_eq!((figures.state, figures.damaged), (SegmentState::Recycled, 0));
}
