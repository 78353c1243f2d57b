//! From a client's socket to the store, in one process: `cargo bench --bench end_to_end`.
//!
//! First, how many events a second the batch endpoint takes at the levels `queued` and `durable` into a
//! store that discards, in turns. Then, where `TEST_MYSQL_URL` names a server, how the service compares with a loader
//! that does nothing but insert: the same rows, prepared statements of 512 rows, four
//! connections. Both run in turns, so that what else the machine does falls on both alike; the
//! ratio of the medians is what counts.

use std::{
    env, fmt,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use event_pipeline::{
    http,
    pipeline::{AckLevel, Options, Pipeline},
    storage::{Discard, MySql, Storage},
};
use mysql_async::{Conn, Opts, Value, prelude::Queryable as _};
use uuid::Uuid;

const BATCH: usize = 100;
const CLIENTS: usize = 16;
/// Rows that the loader inserts with one statement.
const LOADER_ROWS: usize = 512;
const LOADER_CONNECTIONS: usize = 4;
const ROUNDS: usize = 5;

fn main() {
    // What `cargo test --benches` calls is a check that it works, not a measurement.
    let measures = env::args().any(|argument| argument == "--bench");
    let events = if measures { 3_000_000 } else { 10_000 };
    let (mut queued, mut durable) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        queued.push(service_rate(Arc::new(Discard::default()), AckLevel::Queued, events));
        durable.push(service_rate(Arc::new(Discard::default()), AckLevel::Durable, events));
    }
    let (queued, durable) = (median(queued), median(durable));
    say(format_args!(
        "batch endpoint, discard, {events} events: queued {} events/s, durable {}: {:.2} of it (medians of {ROUNDS})",
        show(queued),
        show(durable),
        durable / queued
    ));
    match env::var("TEST_MYSQL_URL") {
        Ok(url) => compare_with_a_loader(&url, if measures { 200_000 } else { 2_000 }),
        Err(_) => say(format_args!("LEFT OUT: the comparison with a loader, for TEST_MYSQL_URL is not set")),
    }
}

fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn show(rate: f64) -> String {
    format!("{:.0}", rate)
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// Events a second from the first byte sent until the last event is in the store.
fn service_rate(storage: Arc<dyn Storage>, ack: AckLevel, events: usize) -> f64 {
    let options = Options { ack, ..Options::default() };
    let dir = tempfile::tempdir().expect("a temporary directory");
    let pipeline = Pipeline::builder(storage, dir.path()).options(options).start().expect("threads can be had");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let server = http::Server::start(listener, pipeline.clone(), http::Options::default()).expect("threads can be had");
    // The table is prepared, and the connections are there, before the clock runs.
    while !pipeline.store_health().up {
        thread::sleep(Duration::from_millis(1));
    }
    let (address, left) = (server.address(), AtomicU64::new((events / BATCH) as u64));
    let since = Instant::now();
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let left = &left;
            scope.spawn(move || send(address, client, left));
        }
    });
    while pipeline.metrics().events_processed < events as u64 {
        thread::sleep(Duration::from_micros(200));
    }
    let rate = events as f64 / since.elapsed().as_secs_f64();
    server.stop(Duration::from_secs(5));
    pipeline.drain(Duration::from_secs(5));
    rate
}

/// Sends batches on one connection until none is left; a shed one is sent again.
fn send(address: SocketAddr, client: usize, left: &AtomicU64) {
    let mut stream = BufReader::new(TcpStream::connect(address).expect("the server listens"));
    stream.get_ref().set_nodelay(true).expect("a socket option");
    let body = body(client);
    let request = format!(
        "POST /events/batch HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut answer = Vec::new();
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
        while ask(&mut stream, request.as_bytes(), &mut answer) != 202 {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

fn ask(stream: &mut BufReader<TcpStream>, request: &[u8], answer: &mut Vec<u8>) -> u16 {
    stream.get_mut().write_all(request).expect("the server reads");
    let (mut status, mut length, mut line) = (0, 0, String::new());
    loop {
        line.clear();
        stream.read_line(&mut line).expect("the server answers");
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().unwrap_or(0),
            Some(_) => {}
            None if line.starts_with("HTTP/") => {
                status = line.get(9..12).and_then(|code| code.parse().ok()).unwrap_or(0)
            }
            None => break,
        }
    }
    answer.resize(length, 0);
    stream.read_exact(answer).expect("the answer's body");
    status
}

fn data(n: usize) -> String {
    format!(
        r#"{{"action":"purchase","value":{}.5,"currency":"EUR","metadata":{{"page":"/checkout","session":"3b241101e2bb42558caf","step":3}}}}"#,
        n % 1000
    )
}

fn body(client: usize) -> String {
    let event = |n: usize| {
        let user = (client * BATCH + n) * 7919 % 100_000;
        format!(
            r#"{{"type":"user_action","source":"web","user_id":"user_{user:05}","timestamp":"2025-01-15T10:30:00.123Z","data":{}}}"#,
            data(n)
        )
    };
    format!("[{}]", (0..BATCH).map(event).collect::<Vec<_>>().join(","))
}

fn compare_with_a_loader(url: &str, events: usize) {
    let runtime = tokio::runtime::Runtime::new().expect("threads can be had");
    let database = format!("eventdb_{}", Uuid::now_v7().simple());
    let (server, _) = url.rsplit_once('/').expect("a database in the URL");
    let own_url = format!("{server}/{database}");
    runtime.block_on(execute(url, &format!("CREATE DATABASE {database}")));
    let store = || Arc::new(MySql::new(own_url.parse().expect("a URL"), 4)) as Arc<dyn Storage>;
    runtime.block_on(async { store().migrate().await.expect("the table is made") });
    let (mut of_loader, mut of_service) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        runtime.block_on(execute(&own_url, "TRUNCATE processed_events"));
        of_loader.push(runtime.block_on(loader_rate(&own_url, events)));
        runtime.block_on(execute(&own_url, "TRUNCATE processed_events"));
        of_service.push(service_rate(store(), AckLevel::Durable, events));
        say(format_args!(
            "round {round}: loader {} rows/s, service {} events/s",
            show(of_loader[round]),
            show(of_service[round])
        ));
    }
    runtime.block_on(execute(url, &format!("DROP DATABASE {database}")));
    let (loader, service) = (median(of_loader), median(of_service));
    say(format_args!(
        "end to end, {events} events: service {} ÷ loader {} = {:.2}",
        show(service),
        show(loader),
        service / loader
    ));
}

async fn execute(url: &str, statement: &str) {
    let mut conn = Conn::new(Opts::from_url(url).expect("a URL")).await.expect("a server");
    conn.query_drop(statement).await.expect("the server does it");
    conn.disconnect().await.expect("the server lets go");
}

/// Rows a second of prepared multi-row inserts, and of nothing else.
async fn loader_rate(url: &str, events: usize) -> f64 {
    let values = vec!["(?,?,?,?,?,?,?,?)"; LOADER_ROWS].join(",");
    let statement = format!(
        "INSERT INTO processed_events (id,type,source,user_id,processed_data,processing_time_ms,created_at,processed_at) \
         VALUES {values} ON DUPLICATE KEY UPDATE id = id"
    );
    let mut conns = Vec::new();
    for _ in 0..LOADER_CONNECTIONS {
        let mut conn = Conn::new(Opts::from_url(url).expect("a URL")).await.expect("a server");
        conn.query_drop("SET time_zone = '+00:00'").await.expect("a time zone");
        let statement = conn.prep(&statement).await.expect("a statement");
        conns.push((conn, statement));
    }
    let since = Instant::now();
    let statements = events.div_ceil(LOADER_ROWS);
    let tasks: Vec<_> = conns
        .into_iter()
        .enumerate()
        .map(|(first, (mut conn, statement))| {
            tokio::spawn(async move {
                for _ in (first..statements).step_by(LOADER_CONNECTIONS) {
                    let rows: Vec<Value> = (0..LOADER_ROWS).flat_map(row).collect();
                    conn.exec_drop(&statement, rows).await.expect("rows that fit");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("the loader does not fail");
    }
    (statements * LOADER_ROWS) as f64 / since.elapsed().as_secs_f64()
}

fn row(n: usize) -> [Value; 8] {
    let processed = format!(
        r#"{{"data":{},"timestamp":"2025-01-15T10:30:00.123Z","received_at":"2025-01-15T10:30:01.000000Z","lag_ms":877,"receipt":"00000000000000000000000000000000"}}"#,
        data(n)
    );
    [
        Value::from(Uuid::now_v7().to_string()),
        Value::from("user_action"),
        Value::from("web"),
        Value::from(format!("user_{:05}", n * 7919 % 100_000)),
        Value::from(processed),
        Value::from(1),
        Value::from("2025-01-15 10:30:00"),
        Value::from("2025-01-15 10:30:01"),
    ]
}
