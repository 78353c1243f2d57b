//! Steps of the hot path, for `scripts/instructions` to count their instructions.
//!
//! `instructions NAME TIMES` takes a step so many times, `instructions list` says which steps there are, and
//! how often each is taken to be counted. What a step takes beside the loop (a start, a first growth of
//! buffers) is in both of two counts, one of twice as many times, and not in their difference.

use std::{
    env, fmt,
    hint::black_box,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use event_pipeline::{
    event::{self, EventType, Micros, Parser, Receipt, Shape, Source},
    http,
    journal::{self, Journal, Pending, fs::Disk},
    pipeline::{self, AckLevel, Options, Pipeline, StandardProcessor},
    storage::{Batch, Discard, Row, Sqlite, Storage as _},
};
use uuid::Uuid;

#[path = "../../kit/mod.rs"]
mod kit;

use kit::{Shards, body, event_json, judge, records, slow_body};

/// The service's own: what it takes for memory counts.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A step: how it is called, how often it is taken to be counted, what it does.
type Step = (&'static str, usize, fn(usize, &Path));

const STEPS: [Step; 10] = [
    ("parse_1", 2_000, |times, _| parse(times, &body(1), 0)),
    ("parse_100", 50, |times, _| parse(times, &body(100), 0)),
    ("parse_100_slow_path", 50, |times, _| parse(times, &slow_body(100), 1)),
    ("place_100", 100, |times, _| place(times)),
    ("rows_100", 100, |times, _| rows(times)),
    ("commit_100", 200, commit),
    ("sqlite_1000", 5, sqlite),
    ("body_to_store_100", 100, body_to_store),
    ("request_1", 200, |times, dir| request(times, dir, "/events", &event_json(0))),
    ("request_100", 100, |times, dir| request(times, dir, "/events/batch", &body(100))),
];

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["list"] => STEPS.iter().for_each(|(name, times, _)| say(format_args!("{name} {times}"))),
        [name, times] => {
            let step = STEPS.iter().find(|step| step.0 == *name);
            let (Some((_, _, step)), Ok(times)) = (step, times.parse()) else {
                say(format_args!("{name} {times}: no such step, or no number; see `list`"));
                return ExitCode::FAILURE;
            };
            take(*step, times);
        }
        // What `cargo bench` calls, and `cargo test --benches`, is a check that they work.
        _ => STEPS.iter().for_each(|(_, _, step)| take(*step, 1)),
    }
    ExitCode::SUCCESS
}

fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn take(step: fn(usize, &Path), times: usize) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    step(times, dir.path());
}

/// A body is parsed and judged, and its events are encoded.
fn parse(times: usize, body: &str, rejected: usize) {
    let (mut parser, mut records) = (Parser::default(), Vec::new());
    for _ in 0..times {
        records.clear();
        let judged = judge(&mut parser, black_box(body), &mut |event| event::encode(event, &mut records));
        assert_eq!(judged, rejected);
        black_box(&records);
    }
}

/// Events are spread over shards, with their credits.
fn place(times: usize) {
    let (records, shards) = (records(100), Shards::new());
    (0..times).for_each(|_| shards.place(black_box(&records)));
}

/// Records become the rows of a batch.
fn rows(times: usize) {
    let records = records(100);
    let mut batch = Batch::with_capacity(100, 100 * 512);
    let now = Micros(1_760_000_000_001_000);
    for _ in 0..times {
        batch.clear();
        for item in event::RecordReader::new(black_box(&records)) {
            let (event, _) = item.expect("records that were just written");
            pipeline::add_row(&mut batch, &event, &StandardProcessor, now).expect("the processor refuses nothing");
        }
        black_box(&batch);
    }
}

/// A shard's records are committed.
fn commit(times: usize, dir: &Path) {
    let disk = Arc::new(Disk::open(dir).expect("a directory"));
    // No keeper runs: all are to fit into the first segments.
    let (journal, _) = Journal::open(disk, journal::Options::default(), 1, Arc::default()).expect("an empty directory");
    let (records, mut pending) = (records(100), Pending::default());
    for _ in 0..times {
        let cost = journal.cost(records.len() as u64);
        assert!(journal.promise(cost), "the first segments are full");
        pending.push(black_box(&records), 100, cost);
        let first = journal.commit(0, &mut pending, |_| false).expect("the disk takes it");
        journal.advance(0, first + 100);
        pending.clear(usize::MAX);
    }
}

/// Rows are stored in the embedded store: mostly its own work.
fn sqlite(times: usize, dir: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("an event loop");
    let store = Sqlite::open(&dir.join("events.db")).expect("a new database");
    runtime.block_on(store.migrate()).expect("a new table");
    let mut batch = Arc::new(Batch::default());
    for time in 0..times {
        let rows = Arc::get_mut(&mut batch).expect("the store lets go before it answers");
        rows.clear();
        (0..1000).for_each(|n| rows.push(&row(time * 1000 + n)));
        runtime.block_on(store.store(&batch, 0..1000)).expect("rows that fit");
    }
}

fn row(n: usize) -> Row<'static> {
    const DATA: &str = r#"{"data":{"action":"purchase","value":99.5,"currency":"EUR","metadata":{"page":"/checkout","step":3}},"timestamp":"2025-01-15T10:30:00.123Z","received_at":"2025-01-15T10:30:01.000000Z","lag_ms":877,"receipt":"00000000000000000000000000000001"}"#;
    Row {
        // In order, as a clock's are.
        id: Uuid::from_u128(0x0199_c000_0000_7000_8000_0000_0000_0000 + n as u128),
        kind: EventType::UserAction,
        source: Source::Web,
        user_id: Some("user_07919"),
        processed_data: DATA,
        processing_time_ms: 1,
        created_at_s: 1_736_937_000,
        processed_at_s: 1_736_937_001,
        receipt: Receipt(1),
    }
}

/// A body goes all the way to a store that drops it, over all threads.
fn body_to_store(times: usize, dir: &Path) {
    let pipeline = pipeline(dir);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("an event loop");
    let (body, mut intake) = (body(100), pipeline.intake());
    for _ in 0..times {
        let taken = intake.submit(black_box(body.as_bytes()), Shape::Batch { events_max: 100 }, AckLevel::Stored);
        runtime.block_on(taken.expect("there is room").ack.wait());
    }
    pipeline.drain(Duration::from_secs(60));
}

/// A request goes from a client's socket to its acknowledgement, and its events to the store, over all
/// threads.
fn request(times: usize, dir: &Path, path: &str, body: &str) {
    let pipeline = pipeline(dir);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let server = http::Server::start(listener, pipeline.clone(), http::Options::default()).expect("threads can be had");
    let mut stream = TcpStream::connect(server.address()).expect("the server listens");
    let head = "HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json";
    let request = format!("POST {path}?ack=stored {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let mut answer = [0; 16 << 10];
    for _ in 0..times {
        stream.write_all(request.as_bytes()).expect("the server reads");
        // It is sent whole, and small.
        let read = stream.read(&mut answer).expect("the server answers");
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..read]));
    }
    drop(stream);
    server.stop(Duration::from_secs(60));
    pipeline.drain(Duration::from_secs(60));
}

/// One with a shard, and with a store that drops everything.
fn pipeline(dir: &Path) -> Pipeline {
    let options = Options { shards: 1, ..Options::default() };
    Pipeline::builder(Arc::new(Discard::default()), dir).options(options).start().expect("threads can be had")
}
