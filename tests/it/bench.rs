//! `event-pipeline bench`: what it counts is what happened.

use std::{
    collections::{BTreeSet, HashSet},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::kit::{
    server::{Server, binary, run},
    store::Store,
    until,
};

const KEYS: [&str; 20] = [
    "url",
    "loop",
    "connections",
    "batch",
    "event_bytes",
    "users",
    "ack",
    "ids",
    "rate",
    "seconds",
    "requests",
    "requests_per_second",
    "events_sent",
    "events_acknowledged",
    "events_rejected",
    "events_per_second",
    "responses",
    "errors",
    "latency_ms",
    "cpu_seconds",
];

/// `bench` against that address.
fn bench(address: SocketAddr, flags: &[&str]) -> Command {
    let mut command = binary();
    command.arg("bench").args(["--url", &format!("http://{address}")]).args(flags);
    command
}

/// `bench --verify` against a server, with that server's store.
fn verifying(server: &Server, store: &str, flags: &[&str]) -> Command {
    let mut command = bench(server.address(), flags);
    command.args(["--verify", "--store", store]).arg("--data_dir").arg(server.data_dir.path().join("data"));
    command
}

/// The result as JSON of a run that ends with 0.
fn result(command: &mut Command) -> Value {
    let (code, out, err) = run(command.arg("--json"));
    assert_eq!(code, 0, "{out}{err}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
}

/// What a service that is none does with a request.
enum Reply {
    Taken,
    TakenAfter(Duration),
    Refused,
    /// Closes the connection.
    Broken,
}

/// A service that does with each request, by its number from 0, what it is told.
struct Puppet {
    address: SocketAddr,
    requests: Arc<AtomicU64>,
}

impl Puppet {
    fn start(reply: impl Fn(u64) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, requests) = (listener.local_addr().unwrap(), Arc::new(AtomicU64::new(0)));
        let (count, reply) = (Arc::clone(&requests), Arc::new(reply));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (count, reply) = (Arc::clone(&count), Arc::clone(&reply));
                thread::spawn(move || serve(&stream, &count, &*reply));
            }
        });
        Self { address, requests }
    }
}

/// Until the client or the puppet closes the connection.
fn serve(stream: &TcpStream, count: &AtomicU64, reply: &dyn Fn(u64) -> Reply) {
    stream.set_nodelay(true).unwrap();
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if !matches!(reader.read_line(&mut line), Ok(1..)) {
                return;
            }
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(text) = line.strip_prefix("content-length: ") {
                length = text.parse().unwrap();
            }
            if line.is_empty() {
                break;
            }
        }
        if reader.read_exact(&mut vec![0; length]).is_err() {
            return;
        }
        let body = r#"{"id":"x","ack":"durable"}"#;
        let taken = format!("HTTP/1.1 202 Accepted\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let answer = match reply(count.fetch_add(1, Ordering::Relaxed)) {
            Reply::Taken => taken,
            Reply::TakenAfter(time) => {
                thread::sleep(time);
                taken
            }
            Reply::Refused => "HTTP/1.1 503 No\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n".to_owned(),
            Reply::Broken => return,
        };
        if writer.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

#[test]
fn everything_acknowledged_is_found_in_the_store() {
    for store in Store::all() {
        let server = Server::start(&[("store", &store.setting()), ("ack", "durable")]);
        for (ids, batch) in [("none", "100"), ("v7", "1")] {
            let flags = ["--events", "2050", "--batch", batch, "--ids", ids, "--users", "50", "--connections", "8"];
            let result = result(&mut verifying(&server, &store.setting(), &flags));
            let keys: BTreeSet<&str> = result.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(keys, KEYS.into_iter().chain(["verify"]).collect(), "{}", store.name());
            let verified = json!({"acknowledged": 2050, "stored": 2050, "lost": 0, "duplicated": 0});
            assert_eq!(result["verify"], verified, "{}", store.name());
            assert_eq!(
                (&result["ack"], &result["ids"], &result["loop"]),
                (&json!("durable"), &json!(ids), &json!("closed"))
            );
            assert_eq!((&result["events_sent"], &result["errors"]), (&json!(2050), &json!(0)));
            assert_eq!(result["responses"], json!({"202": result["requests"]}));
            for quantile in ["mean", "p50", "p90", "p99", "p999", "max"] {
                assert!(result["latency_ms"][quantile].as_f64().unwrap() > 0.0, "{quantile}: {result}");
            }
        }
        let rows = store.rows(&server);
        assert_eq!(rows.len(), 4100);
        let users: HashSet<&str> = rows.iter().filter_map(|row| row.user_id.as_deref()).collect();
        let kinds: HashSet<&str> = rows.iter().map(|row| row.kind.as_str()).collect();
        let sources: HashSet<&str> = rows.iter().map(|row| row.source.as_str()).collect();
        assert_eq!((users.len(), kinds.len(), sources.len()), (50, 3, 4));
        for user in users {
            assert_eq!(rows.iter().filter(|row| row.user_id.as_deref() == Some(user)).count(), 4100 / 50, "{user}");
        }
    }
}

#[test]
fn a_lost_and_a_doubled_row_are_found() {
    let server = Server::start(&[]);
    until("the table", || {
        let table = rusqlite::Connection::open(server.sqlite_path()).and_then(|database| {
            // A store that loses one event for good and has another one twice.
            database.execute_batch(
                "CREATE TRIGGER loses AFTER INSERT ON processed_events
                   WHEN json_extract(NEW.processed_data, '$.data.bench.n') = 1000000123
                   BEGIN DELETE FROM processed_events WHERE id = NEW.id; END;
                 CREATE TRIGGER doubles AFTER INSERT ON processed_events
                   WHEN json_extract(NEW.processed_data, '$.data.bench.n') = 1000000456
                   BEGIN INSERT INTO processed_events (id, type, source, processed_data)
                     VALUES (substr(NEW.id, 1, 24) || 'ffffffffffff', NEW.type, NEW.source, NEW.processed_data); END;",
            )
        });
        table.is_ok()
    });
    let (code, out, err) = run(&mut verifying(&server, "sqlite", &["--events", "1000"]));
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.contains("acknowledged 1,000, stored 999, lost 1, duplicated 1"), "{out}");
    assert!(out.contains("n 1000000123 of"), "the lost event is named: {out}");

    let (code, out, _) = run(verifying(&server, "sqlite", &["--events", "1000"]).arg("--json"));
    assert_eq!(code, 1, "{out}");
    let result: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(result["verify"], json!({"acknowledged": 1000, "stored": 999, "lost": 1, "duplicated": 1}));
}

/// Takes everything, the 20th request after a pause.
fn pausing() -> Puppet {
    Puppet::start(|request| match request {
        20 => Reply::TakenAfter(Duration::from_millis(300)),
        _ => Reply::Taken,
    })
}

#[test]
fn an_open_loop_keeps_its_rate_and_counts_from_when_a_request_was_due() {
    let flags = ["--connections", "1", "--batch", "1", "--rate", "200", "--duration", "1s"];
    let open = result(&mut bench(pausing().address, &flags));
    assert_eq!((&open["loop"], &open["rate"], &open["events_sent"]), (&json!("open"), &json!(200), &json!(200)));
    let seconds = open["seconds"].as_f64().unwrap();
    assert!((0.9..3.0).contains(&seconds), "{open}");
    // The pause held up the 60 requests behind it: 40 of the 200 for more than 100 ms.
    let latency = |result: &Value, quantile: &str| result["latency_ms"][quantile].as_f64().unwrap();
    assert!(latency(&open, "p90") > 100.0 && latency(&open, "max") >= 300.0, "{open}");

    let closed = result(&mut bench(pausing().address, &["--connections", "1", "--batch", "1", "--events", "1000"]));
    assert_eq!(closed["loop"], "closed");
    assert!(latency(&closed, "p99") < 100.0 && latency(&closed, "max") >= 300.0, "one request waited: {closed}");
}

#[test]
fn what_was_due_and_not_sent_is_told() {
    let slow = Puppet::start(|_| Reply::TakenAfter(Duration::from_millis(200)));
    let flags = ["--connections", "1", "--batch", "1", "--rate", "100", "--duration", "1s", "--json"];
    let (code, out, err) = run(&mut bench(slow.address, &flags));
    assert_eq!(code, 0, "{err}");
    let sent = serde_json::from_str::<Value>(&out).unwrap()["requests"].as_u64().unwrap();
    assert!(sent < 20, "{out}");
    assert!(err.contains(&format!("{} requests ", 100 - sent)), "{sent} were sent: {err}");
}

#[test]
fn a_refused_request_is_counted_by_its_status_and_not_acknowledged() {
    let busy = Puppet::start(|request| if request == 3 { Reply::Refused } else { Reply::Taken });
    let result = result(&mut bench(busy.address, &["--connections", "1", "--batch", "10", "--events", "100"]));
    assert_eq!(result["responses"], json!({"202": 9, "503": 1}));
    assert_eq!((&result["events_sent"], &result["events_acknowledged"]), (&json!(100), &json!(90)));
    assert_eq!(result["errors"], 0);
    let seconds = result["seconds"].as_f64().unwrap();
    assert!((1.0..7.0).contains(&seconds), "it waits when it is told to, but not long: {result}");
}

#[test]
fn a_broken_connection_is_an_error_and_opened_anew() {
    let frail = Puppet::start(|request| if request % 10 == 4 { Reply::Broken } else { Reply::Taken });
    let result = result(&mut bench(frail.address, &["--connections", "1", "--batch", "1", "--events", "50"]));
    assert_eq!((&result["requests"], &result["errors"]), (&json!(50), &json!(5)));
    assert_eq!((&result["responses"], &result["events_acknowledged"]), (&json!({"202": 45}), &json!(45)));
}

#[test]
fn an_interrupted_run_tells_what_it_has() {
    let puppet = Puppet::start(|_| Reply::Taken);
    let mut command = bench(puppet.address, &["--duration", "10m", "--connections", "2", "--json"]);
    let mut child: Child = command.stdout(Stdio::piped()).spawn().unwrap();
    until("some requests", || puppet.requests.load(Ordering::Relaxed) > 100);
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let result: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(result["requests"].as_u64().unwrap(), puppet.requests.load(Ordering::Relaxed));
    assert_eq!(result["errors"], 0);
}

#[test]
fn a_service_that_is_not_there_is_named() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (code, out, err) = run(&mut bench(free, &["--json"]));
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    assert!(err.contains(&format!("http://{free}")), "{err}");

    let broken = Puppet::start(|_| Reply::Broken);
    let (code, _, err) = run(&mut bench(broken.address, &["--events", "3"]));
    assert_eq!(code, 1, "{err}");
    assert!(err.contains(&format!("http://{}", broken.address)), "{err}");
}

#[test]
fn wrong_usage_ends_with_2_and_says_what_is_wrong() {
    for (flags, named) in [
        (&["--url", "https://127.0.0.1:1"][..], "--url https://127.0.0.1:1"),
        (&["--url", "127.0.0.1:8080"], "--url 127.0.0.1:8080"),
        (&["--ack", "fast"], "--ack"),
        (&["--events", "5", "--duration", "1s"], "--duration"),
        (&["--duration", "soon"], "--duration"),
        (&["--event-bytes", "100"], "--event-bytes 100"),
        (&["--event-bytes", "20000"], "http.max_body_bytes"),
        (&["--connections", "0"], "--connections"),
        (&["--verify", "--store", "discard"], "--verify"),
    ] {
        let (code, out, err) = run(binary().arg("bench").args(flags));
        assert_eq!((code, out.as_str()), (2, ""), "{flags:?}: {err}");
        assert!(err.contains(named), "{flags:?}: {err}");
    }
    let (code, help, _) = run(binary().args(["bench", "--help"]));
    assert_eq!(code, 0);
    assert!(help.contains("Examples:"), "{help}");
}
