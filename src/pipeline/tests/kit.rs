//! A store that is told what to do, and short words for the rest.

use std::{
    collections::{HashMap, HashSet},
    ops::{Deref, Range},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::{BoxFuture, FutureExt as _};
use tempfile::TempDir;
use tokio::sync::watch;
use uuid::Uuid;

use super::gated_disk::{Gate, GatedDisk};
use crate::{
    event::Shape,
    journal,
    pipeline::{Ack, AckLevel, BatchOptions, Builder, Options, Pipeline, Reached, Refused, Taken},
    storage::{BadRow, Batch, Limits, Migration, Page, PageQuery, Storage, StoreError, Stored, StoredEvent},
    sync::Amount,
};

/// Longer than any step of a test takes; a test that waits so long has failed.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A store in memory that can be held, taken down, and told which rows to refuse.
#[derive(Debug)]
pub(super) struct FakeStore {
    rows: Mutex<Rows>,
    up: watch::Sender<bool>,
    open: watch::Sender<bool>,
    pub(super) calls: AtomicUsize,
    names_bad_rows: bool,
}

#[derive(Debug, Default)]
struct Rows {
    receipts: HashMap<Uuid, crate::event::Receipt>,
    /// `user_id` and `processed_data` in the order of the calls.
    handed_over: Vec<(Option<String>, String)>,
    refused_users: HashSet<String>,
}

impl FakeStore {
    pub(super) fn new() -> Arc<Self> {
        Self::that_names_bad_rows(false)
    }

    /// Whether its refusals say which row is bad.
    pub(super) fn that_names_bad_rows(names_bad_rows: bool) -> Arc<Self> {
        Arc::new(Self {
            rows: Mutex::default(),
            up: watch::Sender::new(true),
            open: watch::Sender::new(true),
            calls: AtomicUsize::new(0),
            names_bad_rows,
        })
    }

    /// Calls wait until the store is released.
    pub(super) fn hold(&self) {
        self.open.send_replace(false);
    }

    pub(super) fn release(&self) {
        self.open.send_replace(true);
    }

    /// Calls fail until the store is mended.
    pub(super) fn take_down(&self) {
        self.up.send_replace(false);
    }

    pub(super) fn mend(&self) {
        self.up.send_replace(true);
    }

    pub(super) fn refuse_user(&self, user: &str) {
        self.rows.lock().unwrap().refused_users.insert(user.to_owned());
    }

    pub(super) fn stored(&self) -> usize {
        self.rows.lock().unwrap().receipts.len()
    }

    /// `data.n` of this user's events, in the order in which they were handed over.
    pub(super) fn handed_over(&self, user: &str) -> Vec<u64> {
        let number = |data: &str| -> u64 {
            serde_json::from_str::<serde_json::Value>(data).unwrap()["data"]["n"].as_u64().unwrap()
        };
        let rows = self.rows.lock().unwrap();
        let of_user = rows.handed_over.iter().filter(|(of, _)| of.as_deref() == Some(user));
        of_user.map(|(_, data)| number(data)).collect()
    }

    pub(super) fn processed_data(&self) -> Vec<String> {
        self.rows.lock().unwrap().handed_over.iter().map(|(_, data)| data.clone()).collect()
    }
}

impl Storage for FakeStore {
    fn store<'a>(&'a self, batch: &'a Arc<Batch>, range: Range<usize>) -> BoxFuture<'a, Result<Stored, StoreError>> {
        async move {
            self.calls.fetch_add(1, Ordering::Relaxed);
            self.open.subscribe().wait_for(|open| *open).await.unwrap();
            if !*self.up.borrow() {
                return Err(StoreError::Transient { code: "down".into(), message: "taken down".into() });
            }
            let mut rows = self.rows.lock().unwrap();
            let refused = |row: &usize| batch.row(*row).user_id.is_some_and(|user| rows.refused_users.contains(user));
            if let Some(row) = range.clone().find(refused) {
                let row = self.names_bad_rows.then_some(row);
                return Err(StoreError::BadRow(BadRow { row, code: "1366".into(), message: "refused".into() }));
            }
            let mut stored = Stored::default();
            for index in range {
                let row = batch.row(index);
                rows.handed_over.push((row.user_id.map(ToOwned::to_owned), row.processed_data.to_owned()));
                if *rows.receipts.entry(row.id).or_insert(row.receipt) != row.receipt {
                    stored.duplicates.push(index);
                }
            }
            Ok(stored)
        }
        .boxed()
    }

    fn fetch(&self, _id: Uuid) -> BoxFuture<'_, Result<Option<StoredEvent>, StoreError>> {
        async { Ok(None) }.boxed()
    }

    fn page(&self, _query: PageQuery) -> BoxFuture<'_, Result<Page, StoreError>> {
        async {
            self.open.subscribe().wait_for(|open| *open).await.unwrap();
            Ok(Page::default())
        }
        .boxed()
    }

    fn health(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        let up = *self.up.borrow();
        let down = || StoreError::Transient { code: "down".into(), message: "taken down".into() };
        async move { up.then_some(()).ok_or_else(down) }.boxed()
    }

    fn migrate(&self) -> BoxFuture<'_, Result<Migration, StoreError>> {
        async { Ok(Migration::Unchanged) }.boxed()
    }

    fn limits(&self) -> Limits {
        Limits { rows_max: 64, bytes_max: 1 << 20, in_flight: 1 }
    }
}

pub(super) fn options(shards: usize) -> Options {
    Options {
        journal: journal::Options { segment_bytes: 1 << 20, ..journal::Options::default() },
        shards,
        ack: AckLevel::Stored,
        ack_timeout: PATIENCE,
        batch: BatchOptions { max_events: 32, max_bytes: 1 << 20, linger: Duration::from_millis(1) },
        queue: Amount { events: 10_000, bytes: 16 << 20 },
    }
}

/// A journal that is soon full, and turns its segments over often.
pub(super) fn small_journal() -> journal::Options {
    journal::Options {
        segment_bytes: 64 << 10,
        max_bytes: 1 << 20,
        ready_bytes: 64 << 10,
        keep: Duration::from_secs(60),
        keep_bytes: 128 << 10,
    }
}

/// A pipeline with a directory of its own, which goes with it.
#[derive(Debug)]
pub(super) struct Started {
    pipeline: Pipeline,
    dir: TempDir,
}

impl Deref for Started {
    type Target = Pipeline;

    fn deref(&self) -> &Pipeline {
        &self.pipeline
    }
}

impl Started {
    /// Where it keeps its journal and its dead letters.
    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.pipeline.drain(Duration::ZERO);
    }
}

pub(super) fn start(store: &Arc<FakeStore>, options: Options) -> Started {
    start_with(store, options, |builder| builder)
}

/// Starts with more than options.
pub(super) fn start_with(store: &Arc<FakeStore>, options: Options, more: impl FnOnce(Builder) -> Builder) -> Started {
    let dir = tempfile::tempdir().unwrap();
    let builder = Pipeline::builder(Arc::clone(store) as Arc<dyn Storage>, dir.path()).options(options);
    Started { pipeline: more(builder).start().unwrap(), dir }
}

/// A pipeline whose journal is as slow as the gate makes it.
pub(super) fn start_gated(store: &Arc<FakeStore>, options: Options) -> (Started, Arc<Gate>) {
    let mut gate = None;
    let started = start_with(store, options, |builder| {
        let (disk, its_gate) = GatedDisk::open(&builder.dir().join("gated"));
        gate = Some(its_gate);
        builder.fs(disk)
    });
    (started, gate.unwrap())
}

/// One event as JSON, with `n` in its data.
pub(super) fn event(user: &str, n: u64) -> String {
    format!(r#"{{"type":"user_action","source":"web","user_id":"{user}","data":{{"n":{n}}}}}"#)
}

/// A batch's body.
pub(super) fn batch(events: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", events.into_iter().collect::<Vec<_>>().join(","))
}

/// Sends a body at a level, handed over at once.
pub(super) fn send(pipeline: &Pipeline, body: &str, level: AckLevel) -> Result<Taken, Refused> {
    pipeline.intake().submit(body.as_bytes(), Shape::Batch { events_max: 10_000 }, level)
}

pub(super) fn wait(ack: Ack) -> Reached {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(ack.wait())
}

/// Waits for a condition.
pub(super) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < PATIENCE, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A user of each shard: found by asking where an event goes.
pub(super) fn user_of_shard(pipeline: &Pipeline, shard: usize) -> String {
    let shards = pipeline.inner.shards.len();
    let lands_there = |user: &String| pipeline.inner.identity.shard_of(&of_user(user), shards) == shard;
    (0..).map(|n| format!("user-{n}")).find(lands_there).unwrap()
}

fn of_user(user: &str) -> crate::event::Event<'_> {
    let now = crate::event::Micros(0);
    crate::event::Event {
        id: Uuid::nil(),
        kind: crate::event::EventType::UserAction,
        source: crate::event::Source::Web,
        user_id: Some(user),
        timestamp: None,
        occurred: now,
        received: now,
        receipt: crate::event::Receipt(0),
        data: "{}",
    }
}
