//! What a request costs in allocations once all is warm, counted over all threads of the process.
//!
//! The measure is a hyper server that reads bodies and drops them: beyond what that one allocates, the
//! service may make three allocations a request, and none for an event. The client's threads are not
//! counted.

#![expect(unsafe_code, reason = "an allocator that counts is an allocator")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    convert::Infallible,
    fmt,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::ExitCode,
    sync::{
        Arc, Barrier,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use event_pipeline::{
    http,
    pipeline::{AckLevel, Options, Pipeline},
    storage::{Discard, Sqlite, Storage},
};
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::task::LocalSet;

/// Beyond hyper's own, for a request.
const PER_REQUEST_MAX: f64 = 3.0;
/// What is no allocation for each event: the buffers of a hundred of them may grow now and then.
const PER_EVENT_MAX: f64 = 0.02;
/// The same for the embedded store, where a batch is two jobs with three statements each, and an event one
/// with two: a constant for each job, which this measure deals out to the events.
const PER_EVENT_SQLITE_MAX: f64 = 0.05;
const BATCH: usize = 100;
/// Requests before the count begins, by all clients together.
const WARM_UP: usize = 2_000;
/// Requests that are counted.
const COUNTED: usize = 1_000;

/// The system's allocator, and how often it was asked for memory.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// Whether this thread belongs to the test and not to what it measures.
    static IS_APART: Cell<bool> = const { Cell::new(false) };
}

impl Counting {
    fn count() {
        if !IS_APART.get() {
            // Ordering: a statistic; it is read when the threads that count are known to rest.
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        }
    }
}

// SAFETY: every call goes to `System` with the arguments it came with, and returns what it returned;
// counting touches an atomic and a thread-local that needs neither memory nor a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count();
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::count();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::count();
        // SAFETY: as above.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> ExitCode {
    IS_APART.set(true);
    let mut within = true;
    for clients in [1, 8] {
        let hyper = hyper(clients);
        for (name, level) in [("queued", AckLevel::Queued), ("durable", AckLevel::Durable)] {
            let name = format!("{name}, clients: {clients}");
            within &= is_within(&name, hyper, service(Arc::new(Discard::default()), level, clients));
        }
    }
    // The embedded store: its statements are its own matter, its rows are not to cost anything.
    let dir = tempfile::tempdir().expect("a temporary directory");
    let sqlite = Sqlite::open(&dir.path().join("events.db")).expect("a new database");
    let stored = service(Arc::new(sqlite), AckLevel::Durable, 8);
    let per_event = (stored.batch - stored.single) / (BATCH - 1) as f64;
    say(format_args!(
        "sqlite, clients: 8: single {:.2}, batch {:.2}, an event {per_event:.3}",
        stored.single, stored.batch
    ));
    within &= per_event < PER_EVENT_SQLITE_MAX;
    if within { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn say(line: fmt::Arguments<'_>) {
    // Where nobody listens, the exit code says it.
    let _ = writeln!(io::stdout(), "{line}");
}

/// Allocations of a request.
#[derive(Clone, Copy)]
struct Cost {
    /// With one event.
    single: f64,
    /// With a batch of them.
    batch: f64,
}

fn is_within(name: &str, hyper: Cost, service: Cost) -> bool {
    let (single, batch) = (service.single - hyper.single, service.batch - hyper.batch);
    let per_event = (batch - single) / (BATCH - 1) as f64;
    let within = single <= PER_REQUEST_MAX && batch <= PER_REQUEST_MAX && per_event < PER_EVENT_MAX;
    say(format_args!(
        "{name}: single {:.2} (hyper {:.2}, beyond it {single:.2}), batch {:.2} (hyper {:.2}, beyond it {batch:.2}), \
         an event {per_event:.3}: {}",
        service.single,
        hyper.single,
        service.batch,
        hyper.batch,
        if within { "ok" } else { "TOO MANY" }
    ));
    within
}

/// What the service allocates, from the socket to the store.
fn service(storage: Arc<dyn Storage>, ack: AckLevel, clients: usize) -> Cost {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let options = Options { ack, ..Options::default() };
    let pipeline = Pipeline::builder(storage, dir.path()).options(options).start().expect("threads can be had");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let server = http::Server::start(listener, pipeline.clone(), http::Options::default()).expect("threads can be had");
    while !pipeline.store_health().up {
        thread::sleep(Duration::from_millis(1));
    }
    let mut sent = 0;
    let mut cost = |path, events| {
        let stored = |requests| {
            sent += (requests * events) as u64;
            wait_until(|| pipeline.metrics().events_processed >= sent);
        };
        allocations(server.address(), &request(path, events), clients, stored)
    };
    let cost = Cost { single: cost("/events", 1), batch: cost("/events/batch", BATCH) };
    server.stop(Duration::from_secs(5));
    pipeline.drain(Duration::from_secs(5));
    cost
}

/// What hyper allocates where the bodies are read and dropped, on one thread as ours are.
fn hyper(clients: usize) -> Cost {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a socket option");
    let address = listener.local_addr().expect("it is bound");
    // It serves until the process ends.
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("an event loop");
        LocalSet::new().block_on(&runtime, discard_bodies(listener));
    });
    Cost {
        single: allocations(address, &request("/events", 1), clients, drop),
        batch: allocations(address, &request("/events/batch", BATCH), clients, drop),
    }
}

async fn discard_bodies(listener: TcpListener) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("an event loop");
    while let Ok((socket, _)) = listener.accept().await {
        socket.set_nodelay(true).expect("a socket option");
        let service = service_fn(|request: Request<Incoming>| async move {
            let mut body = request.into_body();
            while let Some(Ok(frame)) = body.frame().await {
                drop(frame);
            }
            let mut response = Response::new(Full::new(Bytes::from_static(b"{}")));
            *response.status_mut() = StatusCode::ACCEPTED;
            Ok::<_, Infallible>(response)
        });
        let connection = http1::Builder::new()
            .half_close(true)
            .header_read_timeout(None)
            .max_headers(64)
            .max_header_size(16 << 10)
            .max_buf_size(64 << 10)
            .serve_connection(TokioIo::new(socket), service);
        tokio::task::spawn_local(connection);
    }
}

/// Sends `request` again and again; allocations of one, when all is warm. `rest` is told how many were
/// sent, and returns when the server is done with them.
fn allocations(address: SocketAddr, request: &[u8], clients: usize, mut rest: impl FnMut(usize)) -> f64 {
    let (warm_up, counted) = (WARM_UP / clients, COUNTED / clients);
    let (warm, begin, end) = (Barrier::new(clients + 1), Barrier::new(clients + 1), Barrier::new(clients + 1));
    thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                IS_APART.set(true);
                let mut stream = TcpStream::connect(address).expect("the server listens");
                stream.set_nodelay(true).expect("a socket option");
                let mut answer = vec![0; 64 << 10];
                (0..warm_up).for_each(|_| ask(&mut stream, request, &mut answer));
                warm.wait();
                begin.wait();
                (0..counted).for_each(|_| ask(&mut stream, request, &mut answer));
                end.wait();
            });
        }
        warm.wait();
        rest(warm_up * clients);
        // Ordering: see `Counting::count`.
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        begin.wait();
        end.wait();
        rest(counted * clients);
        (ALLOCATIONS.load(Ordering::Relaxed) - before) as f64 / (counted * clients) as f64
    })
}

/// One request and its answer.
fn ask(stream: &mut TcpStream, request: &[u8], answer: &mut [u8]) {
    stream.write_all(request).expect("the server reads");
    let mut read = 0;
    loop {
        let more = stream.read(&mut answer[read..]).expect("the server answers");
        assert!(more > 0, "the server closed the connection");
        read += more;
        let so_far = &answer[..read];
        let Some(head) = find(so_far, b"\r\n\r\n") else { continue };
        let length = find(so_far, b"content-length: ").map_or(0, |at| {
            let digits = so_far[at + 16..].iter().take_while(|byte| byte.is_ascii_digit());
            digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0'))
        });
        if read >= head + 4 + length {
            break;
        }
    }
    assert!(answer.starts_with(b"HTTP/1.1 202"), "{}", String::from_utf8_lossy(&answer[..read]));
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

fn wait_until(is_reached: impl Fn() -> bool) {
    let since = Instant::now();
    while !is_reached() {
        assert!(since.elapsed() < Duration::from_secs(60), "the store does not get what was acknowledged");
        thread::sleep(Duration::from_millis(1));
    }
}

/// A request with so many events, of about 230 bytes each, without ids.
fn request(path: &str, events: usize) -> Vec<u8> {
    let event = |n: usize| {
        format!(
            r#"{{"type":"user_action","source":"web","user_id":"user_{:05}","timestamp":"2025-01-15T10:30:00.123Z","data":{{"action":"purchase","value":{n}.5,"currency":"EUR","metadata":{{"page":"/checkout","session":"3b241101e2bb42558caf","step":3}}}}}}"#,
            n * 7919 % 100_000
        )
    };
    let body = match events {
        1 => event(0),
        _ => format!("[{}]", (0..events).map(event).collect::<Vec<_>>().join(",")),
    };
    let length = body.len();
    let head = "HTTP/1.1\r\nHost: test\r\nContent-Type: application/json";
    format!("POST {path} {head}\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}
