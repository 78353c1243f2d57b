//! The server with a pipeline whose validator does what a test wants: panics, or does not return.

use std::{
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, OnceLock},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;
use tracing_subscriber::{filter::LevelFilter, fmt::MakeWriter};

use super::{Options, Server};
use crate::{
    event::{Event, Refusal, Validator},
    pipeline::Pipeline,
    storage::Discard,
};

/// Longer than any step of a test takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Panics on events of one user, and holds those of another.
struct Wayward(Arc<(Mutex<bool>, Condvar)>);

impl Validator for Wayward {
    fn validate(&self, event: &Event<'_>) -> Result<(), Refusal> {
        match event.user_id {
            Some("panics") => panic!("the validator panics"),
            Some("hangs") => drop(self.0.1.wait_while(self.0.0.lock().unwrap(), |is_held| *is_held).unwrap()),
            _ => {}
        }
        Ok(())
    }
}

/// A running server and what it is made of.
struct Scene {
    server: Server,
    pipeline: Pipeline,
    held: Arc<(Mutex<bool>, Condvar)>,
    _dir: TempDir,
}

impl Scene {
    fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let held = Arc::new((Mutex::new(true), Condvar::new()));
        let validator = Wayward(Arc::clone(&held));
        let pipeline = Pipeline::builder(Arc::new(Discard::default()), dir.path()).validator(validator);
        let pipeline = pipeline.start().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Server::start(listener, pipeline.clone(), Options::default()).unwrap();
        Self { server, pipeline, held, _dir: dir }
    }

    fn release(&self) {
        *self.held.0.lock().unwrap() = false;
        self.held.1.notify_all();
    }

    /// Sends one event of that user; the connection that the answer will come on.
    fn send(&self, user: &str, headers: &str) -> TcpStream {
        let body = format!(r#"{{"type":"user_action","source":"web","user_id":"{user}"}}"#);
        let mut stream = TcpStream::connect(self.server.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let length = body.len();
        let head = format!("POST /events HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: {length}\r\n");
        stream.write_all(format!("{head}{headers}\r\n{body}").as_bytes()).unwrap();
        stream
    }

    fn end(self) {
        self.release();
        self.server.stop(PATIENCE);
        self.pipeline.drain(PATIENCE);
    }
}

fn read(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// All that the process's tests log, a JSON object a line.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for &Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> &'a Self {
        self
    }
}

impl Log {
    /// The log of all tests of this process: ingest threads have no other.
    fn of_all() -> &'static Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        LOG.get_or_init(|| {
            let log = Self::default();
            let lines = tracing_subscriber::fmt().json().flatten_event(true).with_max_level(LevelFilter::ERROR);
            lines.with_writer(log.clone()).try_init().unwrap();
            log
        })
    }

    /// The lines about the request of that id.
    fn of_request(&self, id: &str) -> Vec<Value> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["request_id"] == id).collect()
    }
}

#[test]
fn a_panic_costs_its_request_and_is_logged_with_its_trace() {
    let log = Log::of_all();
    let scene = Scene::start();
    let trace = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\nX-Request-Id: panic-1\r\n";
    let answer = read(scene.send("panics", trace));
    assert!(answer.starts_with("HTTP/1.1 500 ") && answer.contains("x-request-id: panic-1\r\n"), "{answer}");
    assert!(answer.ends_with(r#""request_id":"panic-1"}"#), "{answer}");
    let lines = log.of_request("panic-1");
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!((&line["message"], &line["panic"]), (&"a request failed".into(), &"the validator panics".into()));
    assert_eq!((&line["method"], &line["path"], &line["status"]), (&"POST".into(), &"/events".into(), &500.into()));
    assert_eq!(line["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(line["span_id"], "00f067aa0ba902b7");
    assert!(read(scene.send("good", "")).starts_with("HTTP/1.1 202 "), "the next one is served");
    scene.end();
}

#[test]
fn a_server_whose_thread_hangs_does_not_answer() {
    let scene = Scene::start();
    let pulse = scene.server.pulse();
    assert!(pulse.answers(PATIENCE));
    let waiting = scene.send("hangs", "");
    let since = Instant::now();
    while pulse.answers(Duration::from_millis(50)) {
        assert!(since.elapsed() < PATIENCE, "a thread that hangs is not noticed");
    }
    assert!(scene.pipeline.workers_answer(PATIENCE), "the shards go on");
    scene.release();
    assert!(read(waiting).starts_with("HTTP/1.1 202 "));
    assert!(pulse.answers(PATIENCE), "it is noticed, too, that it runs again");
    scene.end();
}
