//! Short words for journals in tests: what was sent, acknowledged and stored, by record.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use uuid::Uuid;

use super::{chance::Chance, fake_fs::FakeFs};
use crate::{
    event::{self, Event, EventType, Micros, Receipt, Source},
    journal::{Journal, Options, Pending, Reader, Recovered},
    metrics::JournalMetrics,
};

/// Segments that are soon full.
pub(super) fn options() -> Options {
    Options {
        segment_bytes: 64 << 10,
        max_bytes: 1 << 20,
        ready_bytes: 1,
        keep: Duration::from_secs(3600),
        keep_bytes: 128 << 10,
    }
}

/// True once in so many times.
pub(super) fn one_in(random: &mut Chance, times: usize) -> bool {
    random.below(times) == 0
}

/// Damages a file as `damage` does to its bytes, on the disk too.
pub(super) fn damage(fs: &FakeFs, name: &str, damage: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs.read_file(name);
    damage(&mut bytes);
    fs.truncate(name, bytes.len());
    fs.overwrite(name, 0, &bytes);
}

/// A record of event `n`, with so many bytes of data.
pub(super) fn record(n: u64, bytes: usize) -> Vec<u8> {
    let data = format!("{{\"x\":\"{}\"}}", "y".repeat(bytes));
    let mut out = Vec::new();
    let event = Event {
        id: Uuid::from_u128(u128::from(n)),
        kind: EventType::SensorData,
        source: Source::Web,
        user_id: None,
        timestamp: None,
        occurred: Micros(1),
        received: Micros(n as i64),
        receipt: Receipt(u128::from(n)),
        data: &data,
    };
    event::encode(&event, &mut out);
    out
}

/// The numbers of the events in a run of records.
pub(super) fn numbers(records: &[u8]) -> Vec<u64> {
    event::RecordReader::new(records).map(|event| event.unwrap().0.id.as_u128() as u64).collect()
}

/// A journal, open, and what its clients and its store know.
pub(super) struct World {
    pub(super) fs: FakeFs,
    pub(super) options: Options,
    pub(super) shards: usize,
    pub(super) open: Option<Open>,
    next: u64,
    /// For each user, here a shard's number at the time, what was acknowledged, in order.
    pub(super) sent: BTreeSet<u64>,
    pub(super) acked: BTreeSet<u64>,
    pub(super) stored: BTreeMap<u64, u32>,
    /// What readers said is lost.
    pub(super) lost: u64,
}

pub(super) struct Open {
    pub(super) journal: Journal,
    pub(super) readers: Vec<Reader>,
    pub(super) metrics: Arc<JournalMetrics>,
    pub(super) recovered: Recovered,
}

impl World {
    pub(super) fn new(shards: usize) -> Self {
        Self {
            fs: FakeFs::new(),
            options: options(),
            shards,
            open: None,
            next: 1,
            sent: BTreeSet::new(),
            acked: BTreeSet::new(),
            stored: BTreeMap::new(),
            lost: 0,
        }
    }

    /// Opens the journal; false where the file system crashes meanwhile.
    pub(super) fn open(&mut self) -> bool {
        let metrics = Arc::<JournalMetrics>::default();
        let opened = Journal::open(Arc::new(self.fs.clone()), self.options, self.shards, Arc::clone(&metrics));
        let (journal, recovered) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                assert!(self.fs.is_gone(), "{error}\n{}", self.fs.log());
                return false;
            }
        };
        let mut readers = journal.former_readers();
        readers.extend((0..self.shards).map(|shard| journal.reader(shard)));
        self.open = Some(Open { journal, readers, metrics, recovered });
        true
    }

    pub(super) fn journal(&self) -> &Journal {
        &self.open.as_ref().unwrap().journal
    }

    /// Commits so many records of so many bytes for a shard; whether they were acknowledged.
    pub(super) fn commit(&mut self, shard: usize, records: usize, bytes: usize) -> bool {
        let Some(open) = &self.open else { return false };
        let mut pending = Pending::default();
        let mut numbers = Vec::new();
        for _ in 0..records {
            let record = record(self.next, bytes);
            pending.push(&record, 1, 0);
            numbers.push(self.next);
            self.next += 1;
        }
        let cost = open.journal.cost(pending.bytes() as u64);
        if !open.journal.promise(cost) {
            return false;
        }
        pending.push(&[], 0, cost);
        self.sent.extend(&numbers);
        let acked = open.journal.commit(shard, &mut pending, |_| false).is_ok();
        if acked {
            self.acked.extend(numbers);
        }
        acked
    }

    /// Reads one extent of a lane and stores it, as a flusher does.
    pub(super) fn store_one(&mut self, lane: usize) -> bool {
        let Some(open) = &mut self.open else { return false };
        let reader = &mut open.readers[lane];
        let Ok(Some(extent)) = reader.next_extent(u64::MAX) else { return false };
        self.lost += extent.lost;
        for number in numbers(reader.records()).into_iter().skip(extent.skip as usize) {
            *self.stored.entry(number).or_default() += 1;
        }
        open.journal.advance(reader.lane(), extent.first + u64::from(extent.events));
        true
    }

    /// Stores everything there is.
    pub(super) fn store_all(&mut self) {
        for lane in 0..self.open.as_ref().unwrap().readers.len() {
            while self.store_one(lane) {}
        }
    }

    /// A keeper's look.
    pub(super) fn keep(&self) {
        if let Some(open) = &self.open {
            open.journal.keep(1);
        }
    }

    pub(super) fn write_watermarks(&self) {
        if let Some(open) = &self.open {
            open.journal.write_watermarks();
        }
    }

    /// The power goes, or the process is killed.
    pub(super) fn crash(&mut self, power_loss: Option<u64>) {
        self.open = None;
        self.fs = match power_loss {
            Some(seed) => self.fs.power_loss(seed),
            None => self.fs.kill(),
        };
    }

    /// Some of everything, as the seed says.
    pub(super) fn live(&mut self, random: &mut Chance, steps: usize) {
        for _ in 0..steps {
            if self.fs.is_gone() || self.open.is_none() {
                return;
            }
            let lanes = self.open.as_ref().map_or(0, |open| open.readers.len());
            match random.below(10) {
                0..=4 => {
                    let (shard, records) = (random.below(self.shards), 1 + random.below(30));
                    let bytes = if one_in(random, 20) { 70_000 } else { random.below(600) };
                    self.commit(shard, if bytes > 1000 { 1 } else { records }, bytes);
                }
                5..=7 => drop(self.store_one(random.below(lanes))),
                8 => self.write_watermarks(),
                _ => self.keep(),
            }
        }
    }

    /// After the last crash: everything acknowledged is stored, and nothing else than what was sent.
    #[track_caller]
    pub(super) fn assert_nothing_is_lost(&mut self, story: &str) {
        assert!(self.open(), "it always opens: {story}");
        self.store_all();
        let lost: Vec<_> = self.acked.iter().filter(|number| !self.stored.contains_key(*number)).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}; {story}\n{}", self.fs.log());
        assert!(self.stored.keys().all(|number| self.sent.contains(number)), "stored and never sent: {story}");
        let fresh = self.commit(0, 1, 10);
        if !fresh {
            // It was full: what is stored makes room.
            self.write_watermarks();
            self.keep();
            assert!(self.commit(0, 1, 10), "a fresh event passes: {story}\n{:?}", self.journal().figures());
        }
        self.store_all();
        assert_eq!(self.stored.get(&(self.next - 1)), Some(&1), "{story}");
    }
}
