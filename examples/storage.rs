//! A store of one's own, a file with a line for each event: `cargo run --example storage`.
//!
//! It shows what a store has to promise: a call stores all of its rows or none; a row that is there stays
//! as it is; and an error says what to do next. The rest, waiting, retrying, and going on where it was
//! after a restart, is the pipeline's. Here the disk is away at first.

use std::{
    collections::HashMap,
    error::Error,
    fs::{File, OpenOptions},
    io::{self, BufRead as _, BufReader, Write as _},
    ops::Range,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use event_pipeline::{
    Uuid,
    event::Shape,
    pipeline::{AckLevel, Found, Pipeline},
    storage::{Batch, BoxFuture, Limits, Storage, StoreError, Stored, StoredEvent},
};
use serde_json::{Value, json};

/// Events as lines of JSON, and where each of them is.
struct Lines {
    kept: Arc<Mutex<Kept>>,
    /// For the example: whether the disk is there.
    up: AtomicBool,
}

struct Kept {
    file: File,
    /// Bytes of whole lines; what a failed call has left behind them does not count.
    length: u64,
    events: HashMap<Uuid, Value>,
}

impl Lines {
    fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).read(true).open(path)?;
        let (mut events, mut length) = (HashMap::new(), 0);
        let mut reader = BufReader::new(&file);
        let mut line = String::new();
        // The last line may be torn: the process ended while it was written, and nobody was told of it.
        while reader.read_line(&mut line)? > 0 && line.ends_with('\n') {
            let event: Value = serde_json::from_str(&line)?;
            let id = event["id"].as_str().and_then(|id| id.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
            length += line.len() as u64;
            events.insert(id, event);
            line.clear();
        }
        file.set_len(length)?;
        Ok(Self { kept: Arc::new(Mutex::new(Kept { file, length, events })), up: AtomicBool::new(true) })
    }
}

impl Kept {
    /// All of the rows, or none.
    fn store(&mut self, batch: &Batch, rows: Range<usize>) -> io::Result<Stored> {
        let (mut lines, mut added, mut stored) = (Vec::new(), HashMap::new(), Stored::default());
        for index in rows {
            let row = batch.row(index);
            let receipt = row.receipt.to_string();
            match self.events.get(&row.id).or_else(|| added.get(&row.id)) {
                // Stored by an attempt whose answer was lost: this one is no duplicate.
                Some(there) if there["receipt"] == receipt => continue,
                Some(_) => {
                    stored.duplicates.push(index);
                    continue;
                }
                None => {}
            }
            let event = json!({
                "id": row.id, "type": row.kind.as_str(), "source": row.source.as_str(), "user_id": row.user_id,
                "processed_data": row.processed_data, "receipt": receipt,
            });
            writeln!(lines, "{event}")?;
            added.insert(row.id, event);
        }
        let written = self.file.write_all(&lines).and_then(|()| self.file.sync_all());
        if let Err(error) = written {
            self.file.set_len(self.length)?;
            return Err(error);
        }
        self.length += lines.len() as u64;
        self.events.extend(added);
        Ok(stored)
    }
}

impl Storage for Lines {
    fn store<'a>(&'a self, batch: &'a Arc<Batch>, rows: Range<usize>) -> BoxFuture<'a, Result<Stored, StoreError>> {
        Box::pin(async move {
            self.health().await?;
            // Files block, and these threads are for all shards.
            let (kept, batch) = (Arc::clone(&self.kept), Arc::clone(batch));
            let storing = tokio::task::spawn_blocking(move || {
                kept.lock().unwrap_or_else(PoisonError::into_inner).store(&batch, rows)
            });
            storing.await.map_err(io::Error::other).flatten().map_err(|error| transient(&error))
        })
    }

    fn fetch(&self, id: Uuid) -> BoxFuture<'_, Result<Option<StoredEvent>, StoreError>> {
        let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
        let event = self.kept.lock().unwrap_or_else(PoisonError::into_inner).events.get(&id).map(|event| StoredEvent {
            id,
            kind: text(&event["type"]).unwrap_or_default(),
            source: text(&event["source"]).unwrap_or_default(),
            user_id: text(&event["user_id"]),
            processed_data: text(&event["processed_data"]),
            processing_time_ms: None,
            created_at_s: None,
            processed_at_s: None,
        });
        Box::pin(async { Ok(event) })
    }

    fn health(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        // Ordering: a flag that stands by itself.
        let up = self.up.load(Ordering::Relaxed);
        Box::pin(async move { if up { Ok(()) } else { Err(transient(&io::Error::other("the disk is away"))) } })
    }

    fn limits(&self) -> Limits {
        // A sync costs the same for one row and for many.
        Limits { rows_max: 10_000, ..Limits::default() }
    }
}

/// Nothing is stored, and waiting helps: an error that is not known to be the fault of a row never is one.
fn transient(error: &io::Error) -> StoreError {
    StoreError::Transient { code: format!("{:?}", error.kind()), message: error.to_string() }
}

const EVENT: &str = r#"{"id":"0199c000-0000-7000-8000-00000000000a","type":"system_log","source":"system"}"#;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("events.jsonl");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let id: Uuid = EVENT[7..43].parse()?;

    // A store that is away holds nobody up: the journal takes the event, and says so.
    let store = Arc::new(Lines::open(&path)?);
    store.up.store(false, Ordering::Relaxed);
    let pipeline = Pipeline::builder(store.clone(), dir.path()).start()?;
    let taken = pipeline.intake().submit(EVENT.as_bytes(), Shape::Single, AckLevel::Durable)?;
    assert_eq!(runtime.block_on(taken.ack.wait()).level, AckLevel::Durable);
    assert!(matches!(runtime.block_on(pipeline.find(id))?, Some(Found::Durable(_))));

    // Back again, it gets what waited.
    store.up.store(true, Ordering::Relaxed);
    let again = pipeline.intake().submit(EVENT.as_bytes(), Shape::Single, AckLevel::Stored)?;
    let reached = runtime.block_on(again.ack.wait());
    assert_eq!((reached.level, reached.outcome.duplicates.as_slice()), (AckLevel::Stored, [0].as_slice()));
    assert_eq!(pipeline.drain(Duration::from_secs(10)).unstored, 0);

    // What it has is there for the next start.
    let pipeline = Pipeline::builder(Arc::new(Lines::open(&path)?), dir.path()).start()?;
    let Some(Found::Stored(row)) = runtime.block_on(pipeline.find(id))? else { return Err("it is gone".into()) };
    assert_eq!(row.kind, "system_log");
    pipeline.drain(Duration::from_secs(10));
    let lines = std::fs::read_to_string(&path)?;
    assert_eq!(lines.lines().count(), 1, "two acceptances of an event are one row");
    write!(io::stdout(), "{lines}")?;
    Ok(())
}

#[test]
fn it_runs_to_its_end() {
    main().unwrap();
}
