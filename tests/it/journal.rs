//! The command `journal`: what an operator sees of the journal, and how rows that a store forgot come
//! back.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use mysql_async::prelude::Queryable as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::kit::{
    server::{Server, binary, run},
    store::Store,
    until,
};

/// A store that is never there.
const AWAY: &str = "mysql://nobody:s3cr3t@127.0.0.1:1/none";

/// Exit code, standard output, standard error.
fn journal(data_dir: &Path, store: &str, arguments: &[&str]) -> (i32, String, String) {
    let mut command = binary();
    command.arg("journal").args(arguments).arg("--data_dir").arg(data_dir.join("data"));
    run(command.args(["--store", store]))
}

/// Runs it, and it must succeed.
#[track_caller]
fn succeeds(data_dir: &Path, arguments: &[&str]) -> String {
    let (code, out, err) = journal(data_dir, "sqlite", arguments);
    assert_eq!(code, 0, "{arguments:?}: {out}{err}");
    out
}

#[track_caller]
fn document(data_dir: &Path, arguments: &[&str]) -> Value {
    let out = succeeds(data_dir, &[arguments, &["--json"]].concat());
    serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}"))
}

fn batch(users: std::ops::Range<usize>) -> String {
    let event =
        |n: usize| json!({"type": "sensor_data", "source": "web", "user_id": format!("u{n}"), "data": {"n": n}});
    json!({"events": users.map(event).collect::<Vec<_>>()}).to_string()
}

fn states(found: &Value) -> Vec<&str> {
    found["segments"].as_array().unwrap().iter().map(|segment| segment["state"].as_str().unwrap()).collect()
}

#[test]
fn what_is_not_stored_is_shown_and_what_the_store_forgot_comes_back() {
    let mut server = Server::start(&[("store", AWAY), ("ack", "durable"), ("shards", "2")]);
    let dir = Arc::clone(&server.data_dir);
    for n in 0..3 {
        assert_eq!(server.post("/events/batch", &batch(n * 100..(n + 1) * 100)).status, 202);
    }
    let found = document(dir.path(), &["inspect"]);
    assert_eq!((&found["unstored"], &found["records"], &found["damaged"]), (&json!(300), &json!(300), &json!(0)));
    assert!(found["oldest_unstored_received_at"].is_string(), "{found}");
    let text = succeeds(dir.path(), &["inspect"]);
    assert!(text.contains("300 events not stored, the oldest received 20"), "{text}");
    let lines = succeeds(dir.path(), &["inspect", "--records", "--unstored"]);
    let records: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records.len(), 300);
    let of_user = records.iter().find(|record| record["user_id"] == "u7").unwrap();
    assert_eq!((&of_user["data"], &of_user["state"]), (&json!({"n": 7}), &json!("unstored")));
    let (code, _, err) = journal(dir.path(), AWAY, &["replay"]);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("127.0.0.1:1") && !err.contains("s3cr3t"), "{err}");
    assert_eq!(server.stop(), Some(0));

    let server = Server::start_in(Arc::clone(&dir), &[("ack", "durable"), ("shards", "2")]);
    until("the backlog to be stored", || server.metric("current_queue_depth") == 0);
    until("the watermarks to be written", || document(dir.path(), &["inspect"])["unstored"] == 0);
    let found = document(dir.path(), &["inspect"]);
    assert_eq!(found["records"], 300, "each once, although the start wrote them again");
    assert!(states(&found).contains(&"current") && states(&found).contains(&"replaced"), "{found}");
    assert!(succeeds(dir.path(), &["inspect"]).contains(", everything is stored"));
    assert_eq!(succeeds(dir.path(), &["inspect", "--records", "--unstored"]), "");

    let before = Store::Sqlite.rows(&server);
    assert_eq!(before.len(), 300);
    let database = rusqlite::Connection::open(server.sqlite_path()).unwrap();
    database.execute("DELETE FROM processed_events WHERE user_id LIKE 'u1%'", []).unwrap();
    let dry = document(dir.path(), &["replay", "--since", "1h", "--dry-run"]);
    assert_eq!((&dry["read"], &dry["stored_anew"]), (&json!(300), &json!(111)));
    assert_eq!(Store::Sqlite.rows(&server).len(), 189, "a dry run stores nothing");
    for missing in [111, 0] {
        let done = document(dir.path(), &["replay", "--since", "1h"]);
        let counts =
            ["read", "stored_anew", "already_there", "refused", "untried"].map(|key| done[key].as_u64().unwrap());
        assert_eq!(counts, [300, missing, 300 - missing, 0, 0]);
    }
    let mut after = Store::Sqlite.rows(&server);
    assert_eq!(after.len(), 300);
    after.retain(|row| {
        let same = before.iter().find(|other| other.id == row.id).unwrap();
        (&row.processed_data, &row.user_id, &row.created_at) == (&same.processed_data, &same.user_id, &same.created_at)
    });
    assert_eq!(after.len(), 300, "the rows are what they were, receipt and all");
    assert_eq!(document(dir.path(), &["replay", "--until", "1h"])["read"], 0);
    assert_eq!(document(dir.path(), &["replay", "--since", "2100-01-01T00:00:00Z"])["read"], 0);
    assert_eq!(server.post("/events/batch?ack=stored", &batch(0..1)).status, 200, "the service goes on");
}

/// Runs SQL behind the service's back.
fn execute(store: &Store, server: &Server, sql: &str) {
    match store {
        Store::Sqlite => rusqlite::Connection::open(server.sqlite_path()).unwrap().execute_batch(sql).unwrap(),
        Store::MySql(database, runtime) => {
            runtime.block_on(async { database.conn().await.query_drop(sql).await.unwrap() });
        }
    }
}

#[test]
fn every_store_gets_back_what_it_forgot_and_nothing_twice() {
    for store in Store::all() {
        let server = Server::start(&[("store", &store.setting())]);
        for n in 0..12 {
            assert_eq!(server.post("/events/batch", &batch(n * 100..(n + 1) * 100)).status, 200);
        }
        execute(&store, &server, "DELETE FROM processed_events WHERE user_id LIKE 'u%7'");
        for missing in [120, 0] {
            let (code, out, err) = journal(server.data_dir.path(), &store.setting(), &["replay", "--since", "1h"]);
            let expected = format!("stored anew {missing}, already there {}, refused 0, untried 0", 1200 - missing);
            assert!(code == 0 && out.contains(&expected), "{}: {out}{err}", store.name());
        }
        assert_eq!(store.rows(&server).len(), 1200, "{}", store.name());
    }
}

#[test]
fn what_the_store_refuses_is_listed_and_its_neighbours_are_stored() {
    let server = Server::start(&[]);
    assert_eq!(server.post("/events/batch", &batch(0..50)).status, 200);
    let database = rusqlite::Connection::open(server.sqlite_path()).unwrap();
    database
        .execute_batch(
            "DELETE FROM processed_events; CREATE TRIGGER refuse BEFORE INSERT ON processed_events \
             WHEN NEW.user_id IN ('u7', 'u8') BEGIN SELECT RAISE(ABORT, 'not this user'); END",
        )
        .unwrap();
    let (code, out, err) = journal(server.data_dir.path(), "sqlite", &["replay"]);
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.contains("read 50 events: stored anew 48, already there 0, refused 2, untried 0"), "{out}");
    assert_eq!(out.lines().filter(|line| line.starts_with("refused ") && line.contains("not this user")).count(), 2);
    assert_eq!(Store::Sqlite.rows(&server).len(), 48);
}

#[test]
fn beside_a_server_under_load_nothing_looks_damaged() {
    let small = [
        ("journal.segment_bytes", "256KiB"),
        ("journal.max_bytes", "4MiB"),
        ("journal.keep_bytes", "1MiB"),
        ("http.max_body_bytes", "64KiB"),
        ("ack", "durable"),
    ];
    let server = Server::start(&small);
    let dir = server.data_dir.path();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for client in 0..4 {
            let (server, done) = (&server, &done);
            scope.spawn(move || {
                let (mut client_of, body) = (server.client(), batch(client * 100..(client + 1) * 100));
                while !done.load(Ordering::Relaxed) {
                    let status = client_of.post("/events/batch", &body).status;
                    assert!([202, 503].contains(&status), "{status}");
                }
            });
        }
        let ended = scope.spawn(|| {
            let mut looks = 0;
            until("segments to be used again and again", || {
                let found = document(dir, &["inspect"]);
                assert_eq!(found["damaged"], 0, "{found}");
                assert!(!states(&found).contains(&"headless"), "{found}");
                looks += 1;
                looks > 20 && found["segments"].as_array().unwrap().last().unwrap()["segment"].as_u64() > Some(20)
            });
            assert_eq!(document(dir, &["replay", "--dry-run", "--since", "1s"])["damaged"], 0);
        });
        let ended = ended.join();
        done.store(true, Ordering::Relaxed);
        ended.unwrap();
    });
    assert_eq!(server.get("/metrics").json()["journal"]["damaged_extents"], 0);
}

#[test]
fn wrong_usage_ends_with_2_and_a_missing_journal_with_1() {
    let dir = TempDir::new().unwrap();
    for arguments in [
        &[][..],
        &["inspect", "--segment", "1"],
        &["inspect", "--unstored"],
        &["inspect", "--records", "--json"],
        &["inspect", "--records", "--segment", "0"],
        &["replay", "--since", "yesterday"],
        &["replay", "--since", "1m", "--until", "10m"],
    ] {
        let (code, _, err) = journal(dir.path(), "sqlite", arguments);
        assert_eq!(code, 2, "{arguments:?}: {err}");
    }
    for arguments in [&["inspect"][..], &["inspect", "--records"], &["replay"]] {
        let (code, _, err) = journal(dir.path(), "sqlite", arguments);
        assert_eq!(code, 1, "{arguments:?}: {err}");
        assert!(err.contains("there is no journal") && err.contains("data_dir"), "{err}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was made");
    fs::create_dir_all(dir.path().join("data/journal")).unwrap();
    assert!(succeeds(dir.path(), &["inspect"]).contains("0 segments"));
    let (code, _, err) = journal(dir.path(), "sqlite", &["inspect", "--records", "--segment", "3"]);
    assert_eq!((code, err.contains("no segment 3")), (1, true), "{err}");
    let (code, _, err) = journal(dir.path(), "discard", &["replay"]);
    assert_eq!((code, err.contains("discard")), (1, true), "{err}");
    assert_eq!(fs::read_dir(dir.path().join("data")).unwrap().count(), 1, "nothing was made");
}
