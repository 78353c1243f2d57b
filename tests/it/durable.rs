//! Level `durable` as clients meet it: acknowledged by the journal, whatever the store does.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::kit::{
    server::{Server, binary, run},
    store::Store,
    until,
};

const AWAY: (&str, &str) = ("store", "mysql://nobody:none@127.0.0.1:1/none");
const DURABLE: (&str, &str) = ("ack", "durable");

fn event(id: u128) -> String {
    let id = uuid::Uuid::from_u128(id);
    format!(r#"{{"id":"{id}","type":"user_action","source":"web","user_id":"u","data":{{"a": 1.50}}}}"#)
}

fn path(id: u128) -> String {
    format!("/events/{}", uuid::Uuid::from_u128(id))
}

#[test]
fn durable_is_the_default() {
    let help = run(binary().arg("--help"));
    assert!(help.1.contains("[default: durable]"), "{}", help.1);
}

#[test]
fn an_event_is_durable_while_the_store_is_away_and_stored_when_it_is_back() {
    let mut server = Server::start(&[AWAY, DURABLE]);
    let mut client = server.client();
    let answer = client.post("/events", &event(1));
    assert_eq!((answer.status, &answer.json()["ack"]), (202, &json!("durable")));
    let repeated = client.post("/events", &event(1)).json();
    assert_eq!(repeated["duplicate"], json!(true), "an id that was seen lately");
    let batch = client.post("/events/batch?ack=stored", &format!("[{},{{}}]", event(2)));
    assert_eq!(batch.status, 202, "the store is away: {}", batch.text());
    assert_eq!((&batch.json()["ack"], &batch.json()["accepted"]), (&json!("durable"), &json!(1)));

    let read = client.get(&path(1)).json();
    assert_eq!(
        (&read["state"], &read["type"], &read["user_id"]),
        (&json!("durable"), &json!("user_action"), &json!("u"))
    );
    assert_eq!(read["data"], json!({"a": 1.5}));
    assert_eq!(client.get(&path(9)).status, 503, "it may be in the store");
    let health = client.get("/health").json();
    assert_eq!((&health["status"], &health["checks"]["journal"][0]["status"]), (&json!("warn"), &json!("pass")));
    until("the oldest event's age to be shown", || {
        server.get("/metrics").json()["journal"]["oldest_unstored_seconds"].as_f64() > Some(0.0)
    });

    server.signal("KILL");
    server.wait();
    let again = Server::start_in(Arc::clone(&server.data_dir), &[]);
    assert_eq!(again.metric("events_recovered"), 3);
    until("all to be stored", || again.metric("current_queue_depth") == 0);
    assert_eq!(Store::Sqlite.rows(&again).len(), 2, "the repeated one is one row");
    assert_eq!(again.get(&path(1)).json()["state"], "stored");
    assert_eq!(again.get(&path(9)).status, 404);
}

#[test]
fn an_event_that_the_store_refuses_is_dead_and_says_why() {
    // A table that somebody else made, and narrower than ours.
    let dir = Arc::new(tempfile::TempDir::new().unwrap());
    std::fs::create_dir(dir.path().join("data")).unwrap();
    let database = rusqlite::Connection::open(dir.path().join("data/events.db")).unwrap();
    database
        .execute_batch(
            "CREATE TABLE processed_events (id VARCHAR(36) NOT NULL PRIMARY KEY, type VARCHAR(11) NOT NULL,
             source VARCHAR(50) NOT NULL, user_id VARCHAR(50) CHECK (user_id <> 'bad'), processed_data JSON,
             processing_time_ms INT, created_at TIMESTAMP, processed_at TIMESTAMP);
             CREATE INDEX idx_type_created ON processed_events (type, created_at);
             CREATE INDEX idx_user_created ON processed_events (user_id, created_at);",
        )
        .unwrap();
    drop(database);
    let server = Server::start_in(dir, &[DURABLE]);
    let bad = event(1).replace(r#""u""#, r#""bad""#);
    let batch = server.post("/events/batch", &format!("[{},{bad},{}]", event(2), event(3)));
    assert_eq!((batch.status, &batch.json()["ack"]), (202, &json!("durable")));
    until("all to be settled", || server.metric("current_queue_depth") == 0);
    assert_eq!((server.metric("events_processed"), server.metric("events_failed")), (2, 1));
    let dead = server.get(&path(1)).json();
    assert_eq!((&dead["state"], &dead["data"]), (&json!("dead"), &json!({"a": 1.5})));
    assert_eq!(
        (&dead["dead"]["reason"], &dead["dead"]["code"]),
        (&json!("store_refused"), &json!("SQLITE_CONSTRAINT"))
    );
    let single = server.post("/events?ack=stored", &bad.replace("000000000001", "000000000007"));
    assert_eq!((single.status, &single.json()["ack"]), (200, &json!("dead")), "{}", single.text());
    let letters = &server.get("/metrics").json()["dead_letters"];
    assert_eq!(letters[0]["letters"], json!(2), "{letters}");
}

#[test]
fn a_second_process_on_the_same_directory_is_refused() {
    let server = Server::start(&[]);
    let mut second = binary();
    second.args(["serve", "--listen", "127.0.0.1:0", "--data_dir"]).arg(server.data_dir.path().join("data"));
    let (code, _, err) = run(&mut second);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("another process uses the data directory"), "{err}");
}

#[test]
fn the_law_holds_while_the_backlog_of_a_former_run_is_stored() {
    let mut server = Server::start(&[AWAY, DURABLE]);
    let batch = format!("[{}]", (0..100).map(|n| event(1000 + n)).collect::<Vec<_>>().join(","));
    for _ in 0..50 {
        assert_eq!(server.post("/events/batch", &batch).status, 202);
    }
    assert_eq!(server.stop(), Some(0));
    let again = Server::start_in(Arc::clone(&server.data_dir), &[DURABLE, ("shards", "3")]);
    let mut client = again.client();
    let number = |metrics: &Value, key: &str| metrics[key].as_u64().unwrap();
    loop {
        assert_eq!(client.post("/events/batch", &batch).status, 202);
        let metrics = client.get("/metrics").json();
        let came = number(&metrics, "events_received") + number(&metrics, "events_recovered");
        let left = number(&metrics, "events_processed") + number(&metrics, "events_failed");
        assert_eq!(number(&metrics, "events_recovered"), 5000);
        assert_eq!(came, left + number(&metrics, "current_queue_depth"), "{metrics}");
        if left > 5000 {
            break;
        }
    }
    until("all to be stored", || again.metric("current_queue_depth") == 0);
    assert_eq!(Store::Sqlite.rows(&again).len(), 100, "each id once");
}
