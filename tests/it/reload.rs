//! SIGHUP: settings that can change do, all or none, and requests see them whole.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use event_pipeline::config::{Reload, SETTINGS};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::kit::{
    Over,
    client::{Client, request},
    server::{Server, binary},
    until,
};

const GOOD: &str = r#"{"type":"user_action","source":"web","user_id":"u","data":{}}"#;
/// A store that is not there.
const AWAY: (&str, &str) = ("store", "mysql://nobody:nothing@127.0.0.1:1/eventdb");
const RELOADED: &str = "settings reloaded";
const REFUSED: &str = "the settings are not reloaded; the running ones stay";

/// A service whose settings are all in a file.
struct Service {
    server: Server,
    file: PathBuf,
    settings: BTreeMap<String, String>,
    reloads: usize,
}

impl Service {
    fn start(settings: &[(&str, &str)]) -> Self {
        let dir = Arc::new(TempDir::new().unwrap());
        let data_dir = dir.path().join("data").display().to_string();
        let own = [("listen", "127.0.0.1:0"), ("log.format", "json"), ("ack", "stored"), ("data_dir", &data_dir)];
        let settings: BTreeMap<_, _> =
            own.iter().chain(settings).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let file = dir.path().join("settings.toml");
        write(&file, &settings);
        let mut command = binary();
        command.arg("--config").arg(&file);
        let server = Server::spawn(command, dir).unwrap_or_else(|log| panic!("it did not start: {log:#?}"));
        Self { server, file, settings, reloads: 0 }
    }

    /// Writes the file anew with these values instead, and has it read; what the log says of it.
    fn reload(&mut self, changes: &[(&str, &str)]) -> Vec<Value> {
        self.settings.extend(changes.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        write(&self.file, &self.settings);
        self.read_again()
    }

    fn read_again(&mut self) -> Vec<Value> {
        let before = self.server.log().len();
        self.server.signal("HUP");
        self.reloads += 1;
        let is_outcome = |line: &&Value| [RELOADED, REFUSED].iter().any(|said| line.to_string().contains(said));
        until("the reload to be over", || self.server.log().iter().filter(is_outcome).count() == self.reloads);
        self.server.log().split_off(before)
    }
}

fn write(file: &PathBuf, settings: &BTreeMap<String, String>) {
    let lines: Vec<String> = settings.iter().map(|(key, value)| format!("{key} = '{value}'\n")).collect();
    fs::write(file, lines.concat()).unwrap();
}

/// Another value than the default, or than a service here starts with.
fn another(key: &str) -> &'static str {
    match key {
        "listen" => "127.0.0.1:1",
        "data_dir" => "/var/lib/another",
        "store" => "discard",
        "shards" => "3",
        "ack" => "queued",
        "ack_timeout" => "1500ms",
        "batch.max_events" => "17",
        "batch.max_bytes" => "3KiB",
        "batch.linger" => "7ms",
        "queue.max_events" => "1234",
        "queue.max_bytes" => "5MiB",
        "journal.segment_bytes" => "16MiB",
        "journal.max_bytes" => "4GiB",
        "journal.keep" => "3h",
        "journal.keep_bytes" => "2MiB",
        "http.max_batch_events" => "99",
        "http.max_body_bytes" => "1000",
        "http.max_connections" => "123",
        "http.header_timeout" => "2s",
        "http.body_timeout" => "3m",
        "http.idle_timeout" => "4s",
        "http.cors_origins" => "https://a.example",
        "shutdown.grace" => "5s",
        "shutdown.drain_delay" => "250ms",
        "log.level" => "debug",
        "log.format" => "text",
        other => panic!("{other} needs another value here, and a test of what changes"),
    }
}

#[test]
fn every_setting_changes_with_a_reload_or_is_said_to_need_a_restart() {
    let mut service = Service::start(&[]);
    let first = service.settings.clone();
    for setting in SETTINGS {
        let (key, new) = (setting.key, another(setting.key));
        let lines = service.reload(&[(key, new)]);
        let said = |message: &str| {
            let lines = lines.iter().filter(|line| line["message"] == message);
            lines.map(|line| (line["key"].clone(), line["new"].clone())).collect::<Vec<_>>()
        };
        let (changed, waiting) = (said("a setting changes"), said("a setting changes with a restart only"));
        let this = vec![(json!(key), json!(new))];
        match setting.reload {
            Reload::Live => assert_eq!((changed, waiting), (this, vec![]), "{lines:#?}"),
            Reload::Restart => assert_eq!((changed, waiting), (vec![], this), "{lines:#?}"),
        }
        let outcome = lines.iter().map(Value::to_string).find(|line| line.contains(RELOADED)).unwrap();
        assert!(outcome.contains(key), "{outcome}");
        service.settings.clone_from(&first);
        write(&service.file, &first);
        service.read_again();
        assert_eq!(service.server.get("/livez").status, 200, "{key}: it goes on where it was");
    }
    assert_eq!(service.server.post("/events", GOOD).json()["ack"], "stored", "the first values are back");
}

#[test]
fn what_is_wrong_is_said_and_nothing_changes() {
    let mut service = Service::start(&[("http.max_batch_events", "5")]);
    let refused = |service: &mut Service, text: &str, named: &str| {
        fs::write(&service.file, text).unwrap();
        let lines = service.read_again();
        assert!(lines.iter().all(|line| line["target"] != "event_pipeline::cli::reload" || line["message"] == REFUSED));
        let line = lines.iter().find(|line| line["message"] == REFUSED).unwrap();
        assert_eq!(line["level"], "ERROR");
        assert!(line["error"].as_str().unwrap().contains(named), "{line}");
    };
    let good = fs::read_to_string(&service.file).unwrap();
    refused(&mut service, &good.replace("'5'", "'6'").replace("'stored'", "'soon'"), "setting `ack`");
    refused(&mut service, &good.replace("'5'", "'6'").replace("max_batch", "max_btch"), "`http.max_batch_events`?");
    let larger = format!("{good}http.max_body_bytes = '64MiB'\nqueue.max_bytes = '128MiB'\n");
    refused(&mut service, &larger, "running, and changed by a restart only");
    refused(&mut service, "[", "line 1");
    let six = format!("[{}]", [GOOD; 6].join(","));
    assert_eq!(service.server.post("/events/batch", &six).json()["limit"], 5);
    service.reload(&[("http.max_batch_events", "6")]);
    assert_eq!(service.server.post("/events/batch", &six).status, 200);
}

#[test]
fn a_password_is_not_told_and_a_reload_without_news_says_so() {
    let mut service = Service::start(&[AWAY]);
    let outcome = |lines: Vec<Value>| {
        let line = lines.into_iter().find(|line| line["message"] == RELOADED).unwrap();
        (line["changed"].clone(), line["needs_restart"].clone())
    };
    assert_eq!(outcome(service.read_again()), (json!("none"), json!("none")));
    let lines = service.reload(&[("store", "mysql://nobody:s3cr3t-new@127.0.0.1:1/eventdb")]);
    assert_eq!(outcome(lines), (json!("none"), json!("store")));
    assert!(!format!("{:?}", service.server.log()).contains("s3cr3t"));
}

#[test]
fn limits_and_levels_hold_from_the_next_request_on() {
    let mut service = Service::start(&[AWAY, ("ack_timeout", "1h")]);
    let mut client = service.server.client();
    let three = format!("[{}]", [GOOD; 3].join(","));
    let level = |client: &mut Client| client.post("/events/batch", &three).json()["ack"].clone();

    service.reload(&[("ack", "durable")]);
    assert_eq!(level(&mut client), "durable");
    service.reload(&[("ack", "queued")]);
    assert_eq!(level(&mut client), "queued");
    service.reload(&[("ack", "stored"), ("ack_timeout", "20ms")]);
    assert_eq!(level(&mut client), "durable", "it does not wait for an hour");

    service.reload(&[("http.max_batch_events", "2")]);
    let answer = client.post("/events/batch", &three);
    assert_eq!((answer.status, &answer.json()["limit"]), (413, &json!(2)));
    service.reload(&[("http.max_body_bytes", "100")]);
    assert_eq!(client.post("/events", GOOD).status, 202);
    let answer = client.post("/events/batch", &three);
    assert_eq!((answer.status, &answer.json()["limit"]), (413, &json!(100)));

    service.reload(&[("http.cors_origins", "https://shop.example")]);
    let mut client = service.server.client();
    let answer = client.request("GET", "/livez", &[("Origin", "https://shop.example")], b"");
    assert_eq!(answer.header("access-control-allow-origin"), "https://shop.example");

    service.reload(&[("http.max_connections", "1")]);
    let mut other = Client::connect(service.server.address());
    assert_eq!(other.answer().unwrap().problem(), "overloaded");
    assert_eq!(client.get("/livez").status, 200, "the one that was there stays");
}

#[test]
fn times_hold_for_connections_that_come_and_for_requests_that_begin() {
    let long = [("http.header_timeout", "1h"), ("http.body_timeout", "1h"), ("http.idle_timeout", "1h")];
    let mut service = Service::start(&long);
    let mut begun = service.server.client();
    begun.send("GET /livez HTTP/1.1\r\n").unwrap();

    service.reload(&[("http.header_timeout", "50ms")]);
    let mut client = service.server.client();
    client.send("GET /li").unwrap();
    assert_eq!(client.answer().unwrap().problem(), "timeout");

    service.reload(&[("http.header_timeout", "1h"), ("http.body_timeout", "50ms")]);
    let mut client = service.server.client();
    client.send("POST /events HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\n{").unwrap();
    assert_eq!(client.answer().unwrap().problem(), "timeout");

    let mut client = service.server.client();
    assert_eq!(client.get("/livez").status, 200);
    service.reload(&[("http.idle_timeout", "50ms")]);
    assert_eq!(client.get("/livez").status, 200);
    assert!(client.is_closed(), "after the next request the new time runs");
    assert!(service.server.client().is_closed());

    begun.send("Host: t\r\n\r\n").unwrap();
    assert_eq!(begun.answer().unwrap().status, 200, "what had begun keeps its times");
}

#[test]
fn batches_that_wait_leave_by_the_new_settings() {
    for change in [("batch.max_events", "1"), ("batch.max_bytes", "1"), ("batch.linger", "0s")] {
        let mut service = Service::start(&[("batch.linger", "1m"), ("ack_timeout", "1h")]);
        let mut client = service.server.client();
        client.send(request("POST", "/events", &[], GOOD.as_bytes())).unwrap();
        until("the event to wait", || service.server.metric("current_queue_depth") == 1);
        service.reload(&[change]);
        assert_eq!(client.answer().unwrap().json()["ack"], "stored", "{change:?}");
    }
}

#[test]
fn the_journal_keeps_what_the_new_settings_say() {
    for change in [("journal.keep", "0s"), ("journal.keep_bytes", "0")] {
        let mut service = Service::start(&[
            ("journal.segment_bytes", "64KiB"),
            ("journal.max_bytes", "4MiB"),
            ("journal.keep", "1h"),
            ("http.max_body_bytes", "64KiB"),
        ]);
        let batch = format!("[{}]", [GOOD; 100].join(","));
        let mut client = service.server.client();
        let kept = |client: &mut Client| client.get("/metrics").json()["journal"]["kept_segments"].as_u64().unwrap();
        until("segments to be kept", || {
            assert_eq!(client.post("/events/batch", &batch).status, 200);
            kept(&mut client) >= 3
        });
        service.reload(&[change]);
        until("them to be let go", || kept(&mut client) == 0);
    }
}

#[test]
fn it_stops_by_the_new_settings() {
    let mut service = Service::start(&[("shutdown.grace", "1h")]);
    let mut unfinished = service.server.client();
    let bytes = request("POST", "/events", &[], GOOD.as_bytes());
    unfinished.send(&bytes[..bytes.len() - 10]).unwrap();
    // Another connection's answer shows that the head was read.
    assert_eq!(service.server.get("/livez").status, 200);
    service.reload(&[("shutdown.grace", "100ms"), ("shutdown.drain_delay", "1s")]);
    let mut client = service.server.client();
    service.server.signal("TERM");
    until("readiness to end", || client.get("/readyz").status == 503);
    assert_eq!(client.post("/events", GOOD).status, 200, "it serves on for the delay");
    // Within the patience of these tests.
    assert_eq!(service.server.wait().code(), Some(0));
}

#[test]
fn the_log_says_more_and_in_another_form_from_now_on() {
    let mut service = Service::start(&[]);
    let refuse = |service: &Service| assert_eq!(service.server.post("/events", "{").status, 400);
    let said = |service: &Service| {
        let log = service.server.log();
        log.into_iter().filter(|line| line.to_string().contains("a request was refused")).collect::<Vec<_>>()
    };
    refuse(&service);
    service.reload(&[("log.level", "warn,event_pipeline=debug")]);
    assert_eq!(said(&service), Vec::<Value>::new(), "what came before was not logged");
    refuse(&service);
    until("a line", || said(&service).len() == 1);
    assert!(said(&service)[0].is_object());
    service.reload(&[("log.format", "text")]);
    refuse(&service);
    until("a line of text", || said(&service).len() == 2);
    assert!(said(&service)[1].as_str().unwrap().contains("code=\"malformed_json\""));
}

#[test]
fn what_has_begun_is_served_by_the_old_settings_to_its_end() {
    let mut service = Service::start(&[("ack", "queued"), ("http.cors_origins", "https://a.example"), AWAY]);
    let mut client = service.server.client();
    let body = format!("[{GOOD},{GOOD}]");
    let length = body.len();
    let head = "POST /events/batch HTTP/1.1\r\nHost: t\r\nOrigin: https://a.example\r\nExpect: 100-continue\r\n";
    client.send(format!("{head}Content-Length: {length}\r\n\r\n")).unwrap();
    assert_eq!(client.answer().unwrap().status, 100, "it waits for the body");
    service.reload(&[
        ("ack", "durable"),
        ("http.max_batch_events", "1"),
        ("http.max_body_bytes", "100"),
        ("http.cors_origins", "https://b.example"),
        ("http.body_timeout", "1ms"),
    ]);
    client.send(&body).unwrap();
    let old = client.answer().unwrap();
    assert_eq!((old.status, &old.json()["ack"]), (202, &json!("queued")));
    assert_eq!(old.header("access-control-allow-origin"), "https://a.example");
    let new = client.request("POST", "/events", &[("Origin", "https://b.example")], GOOD.as_bytes());
    assert_eq!((new.status, &new.json()["ack"]), (202, &json!("durable")), "the next one, on the same connection");
    assert_eq!(new.header("access-control-allow-origin"), "https://b.example");
}

/// In both sets a batch is acknowledged at a level that the other set does not have for it.
#[test]
fn a_request_sees_the_old_settings_or_the_new_ones_as_a_whole() {
    let sets = [
        [("http.max_batch_events", "10"), ("ack", "queued"), ("http.cors_origins", "https://ten.example")],
        [("http.max_batch_events", "20"), ("ack", "durable"), ("http.cors_origins", "https://twenty.example")],
    ];
    let settings: Vec<_> = sets[0].iter().copied().chain([("store", "discard")]).collect();
    let mut service = Service::start(&settings);
    let fifteen = format!("[{}]", [GOOD; 15].join(","));
    let (done, refused, taken) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let address = service.server.address();
    thread::scope(|scope| {
        for origin in ["https://ten.example", "https://twenty.example"] {
            let (done, refused, taken, fifteen) = (&done, &refused, &taken, &fifteen);
            scope.spawn(move || {
                let mut client = Client::connect(address);
                while !done.load(Ordering::Relaxed) {
                    let answer = client.request("POST", "/events/batch", &[("Origin", origin)], fifteen.as_bytes());
                    let is_allowed = answer.headers.contains_key("access-control-allow-origin");
                    let seen = (answer.status, answer.json()["ack"].clone(), answer.json()["limit"].clone());
                    let (set, count) = match seen {
                        (413, Value::Null, limit) if limit == 10 => ("https://ten.example", refused),
                        (202, ack, Value::Null) if ack == "durable" => ("https://twenty.example", taken),
                        mixed => panic!("of both sets: {mixed:?}"),
                    };
                    assert_eq!(is_allowed, set == origin, "of both sets: {seen:?}", seen = answer.text());
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let _over = Over(&done);
        for round in 1..=60 {
            service.reload(&sets[round % 2]);
        }
    });
    let (refused, taken) = (refused.into_inner(), taken.into_inner());
    assert!(refused > 0 && taken > 0, "both sets were in use: {refused}, {taken}");
}
