//! L and C: too many clients, clumsy ones, and a single event.

use std::{
    sync::{Barrier, Mutex},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use uuid::Uuid;

use crate::{
    kit::{client::request, server::Server, store::Store, until},
    load::{Dice, Habits},
    machine::say,
    rig::{Rig, level, rounds},
};

#[test]
fn l1_overload_is_refused_quickly_and_memory_stays_flat() {
    let habits = Habits { writers: 32, events_per_s: 0, batch_max: 100, levels: &[""] };
    let mut rig = Rig::with_habits("L1", Store::Sqlite, &habits);
    rig.set("queue.max_events", "200");
    rig.set("journal.max_bytes", "8MiB");
    rig.start();
    let store = rig.hold_store();
    let (warm, end) = if rounds(1) > 1 { (20, 120) } else { (2, 5) };
    let (since, mut low, mut high) = (Instant::now(), u64::MAX, 0);
    while since.elapsed() < Duration::from_secs(end) {
        // A store that is there a third of the time.
        thread::sleep(Duration::from_millis(200));
        store.execute_batch("ROLLBACK").unwrap();
        thread::sleep(Duration::from_millis(100));
        store.execute_batch("BEGIN IMMEDIATE").unwrap();
        if since.elapsed().as_secs() >= warm {
            let resident = rig.resident_kib();
            (low, high) = (low.min(resident), high.max(resident));
        }
    }
    drop(store);
    assert!(high < 400 << 10, "{high} KiB are too much for 8 MiB of journal and 32 clients");
    assert!(rounds(1) == 1 || high < low + low / 4, "{low} KiB have become {high}");
    rig.rounds += 1;
    let seen = rig.finish();
    let p99 = |times: &Mutex<Vec<Duration>>| {
        let mut times = times.lock().unwrap().clone();
        times.sort_unstable();
        times[(times.len() - 1) * 99 / 100]
    };
    let refused: usize = seen.refused.lock().unwrap().values().sum();
    assert!(refused > 0, "32 clients were no overload");
    let (refusal, acceptance) = (p99(&seen.refused_after), p99(&seen.accepted_after));
    say(&format!("L1: {refused} requests refused, p99 {refusal:?}; p99 of the accepted {acceptance:?}; {high} KiB"));
    assert!(refusal < Duration::from_millis(500), "a refusal took {refusal:?}");
    assert!(acceptance < Duration::from_secs(3), "an acceptance took {acceptance:?}");
}

#[test]
fn l3_one_event_and_then_silence_is_in_the_store_soon() {
    let server = Server::start(&[("batch.linger", "100ms")]);
    let answer = server.post("/events", r#"{"type":"system_log","source":"system"}"#);
    assert!(matches!(answer.status, 200 | 202), "{answer:?}");
    let since = Instant::now();
    until("the event in the store", || Store::Sqlite.rows(&server).len() == 1);
    assert!(since.elapsed() < Duration::from_secs(1), "it took {:?}", since.elapsed());
}

#[test]
fn c1_one_id_a_hundred_times_at_once_is_one_row() {
    for store in Store::all() {
        let server = Server::start(&[("store", &store.setting()), ("ack", &level())]);
        let (id, together) = (Uuid::now_v7(), Barrier::new(100));
        let event = json!({"id": id, "type": "user_action", "source": "web", "data": {"same": true}}).to_string();
        thread::scope(|scope| {
            for _ in 0..100 {
                scope.spawn(|| {
                    let mut client = server.client();
                    together.wait();
                    let answer = client.post("/events", &event);
                    assert!(matches!(answer.status, 200 | 202), "{answer:?}");
                    assert_eq!(answer.json()["id"], json!(id));
                });
            }
        });
        until("all of it settled", || server.metric("current_queue_depth") == 0);
        assert_eq!(server.metric("events_processed"), 100, "{}", store.name());
        assert_eq!(server.metric("events_duplicate"), 99, "{}", store.name());
        let ids: Vec<String> = store.rows(&server).into_iter().map(|row| row.id).collect();
        assert_eq!(ids, [id.to_string()], "{}", store.name());
    }
}

#[test]
fn c2_of_a_batch_whose_client_leaves_all_is_stored_or_nothing() {
    const EVENTS: usize = 20;
    let server = Server::start(&[("ack", &level())]);
    let mut dice = Dice::new();
    let batches = 100 * rounds(1).min(20);
    let mut whole = 0;
    for batch in 0..batches {
        let event = |n: usize| json!({"type": "user_action", "source": "web", "user_id": format!("user-{n}"), "data": {"batch": batch}});
        let body = json!((0..EVENTS).map(event).collect::<Vec<_>>()).to_string();
        let mut bytes = request("POST", "/events/batch", &[], body.as_bytes());
        match dice.below(2) {
            0 => bytes.truncate(dice.below(bytes.len() as u64) as usize),
            _ => whole += 1,
        }
        let mut client = server.client();
        // The server may close a connection that ends in the middle of a request.
        let _ = client.send(bytes);
    }
    until("the last to be read", || server.metric("events_received") as usize == whole * EVENTS);
    until("all of it settled", || server.metric("current_queue_depth") == 0);
    let mut rows_of = vec![0; batches];
    for row in Store::Sqlite.rows(&server) {
        rows_of[row.processed_data["data"]["batch"].as_u64().unwrap() as usize] += 1;
    }
    assert!(rows_of.iter().all(|rows| *rows == 0 || *rows == EVENTS), "half a batch: {rows_of:?}");
    assert_eq!(rows_of.iter().filter(|rows| **rows == EVENTS).count(), whole);
}
