//! Many clients at once: every event counted, stored once, unchanged; the law at every moment.

use std::{
    collections::{HashMap, HashSet},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::kit::{server::Server, store::Store};

const CLIENTS: usize = 8;
const BATCHES: usize = 125;
const BATCH: usize = 100;

/// What one client sent and was told.
#[derive(Default)]
struct Ledger {
    /// By id: the event as it must be stored.
    events: HashMap<String, Value>,
    accepted: usize,
    duplicates: usize,
    rejected: usize,
}

/// The `n`th event of a client; of every three, one is a duplicate of an earlier one or invalid.
fn event(client: usize, n: usize) -> (Value, bool) {
    let kinds = ["user_action", "sensor_data", "system_log"];
    let sources = ["web", "mobile", "iot_device", "system"];
    let fresh = |n: usize| {
        json!({
            "id": Uuid::from_u128(0x4000_8000_0000_0000_0000 | (client as u128) << 96 | n as u128),
            "type": kinds[n % 3],
            "source": sources[n % 4],
            "user_id": format!("user-{}", n % 97),
            "timestamp": format!("2025-{:02}-{:02}T{:02}:30:{:02}.{:03}+02:00", n % 12 + 1, n % 28 + 1, n % 24, n % 60, n % 1000),
            "data": {"client": client, "n": n, "text": "Grüße \u{1F3E0} \"\\", "list": [n as f64 / 8.0, null, {"deep": [n]}]},
        })
    };
    match n % 6 {
        2 => (fresh(n.saturating_sub(2 + n % 500 / 6 * 6)), true),
        5 => {
            let mut bad = fresh(n);
            bad["type"] = json!("no such type");
            (bad, false)
        }
        _ => (fresh(n), true),
    }
}

/// When it happened, as the table has it.
fn created_at(timestamp: &str) -> String {
    // All timestamps here are +02:00.
    let hour: u32 = timestamp[11..13].parse().unwrap();
    let day: u32 = timestamp[8..10].parse().unwrap();
    let (day, hour) = if hour >= 2 { (day, hour - 2) } else { (day - 1, hour + 22) };
    if day == 0 {
        let month: u32 = timestamp[5..7].parse().unwrap();
        let last_days = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let (year, month) = if month == 1 { (2024, 12) } else { (2025, month - 1) };
        return format!("{year}-{month:02}-{:02} {hour:02}{}", last_days[month as usize - 1], &timestamp[13..19]);
    }
    format!("{}-{day:02} {hour:02}{}", &timestamp[..7], &timestamp[13..19])
}

fn send_all(server: &Server, client: usize) -> Ledger {
    let mut connection = server.client();
    let mut ledger = Ledger::default();
    for batch in 0..BATCHES {
        let events: Vec<_> = (0..BATCH).map(|n| event(client, batch * BATCH + n)).collect();
        let body = json!({"events": events.iter().map(|(event, _)| event).collect::<Vec<_>>()});
        let answer = connection.post("/events/batch?ack=stored", &body.to_string());
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answer = answer.json();
        assert_eq!(answer["ack"], "stored");
        let valid = events.iter().filter(|(_, valid)| *valid).count();
        assert_eq!((&answer["accepted"], &answer["rejected"]), (&json!(valid), &json!(BATCH - valid)));
        let mut fresh = 0;
        for (event, _) in events.into_iter().filter(|(_, valid)| *valid) {
            let id = event["id"].as_str().unwrap().to_owned();
            fresh += usize::from(ledger.events.insert(id, event).is_none());
        }
        assert_eq!(answer["duplicate"], json!(valid - fresh), "what was stored before is a duplicate");
        ledger.accepted += valid;
        ledger.duplicates += valid - fresh;
        ledger.rejected += BATCH - valid;
    }
    ledger
}

#[test]
fn a_hundred_thousand_events_of_eight_clients_are_stored_exactly() {
    for store in Store::all() {
        let server = Server::start(&[("store", &store.setting())]);
        let done = AtomicBool::new(false);
        let ledgers: Vec<Ledger> = thread::scope(|scope| {
            let law = scope.spawn(|| watch_the_law(&server, &done));
            let clients: Vec<_> = (0..CLIENTS)
                .map(|client| {
                    scope.spawn({
                        let server = &server;
                        move || send_all(server, client)
                    })
                })
                .collect();
            let ledgers = clients.into_iter().map(|client| client.join().unwrap()).collect();
            done.store(true, Ordering::Relaxed);
            assert!(law.join().unwrap() > 10, "the law was watched under load");
            ledgers
        });

        let sum = |count: fn(&Ledger) -> usize| ledgers.iter().map(count).sum::<usize>();
        let (accepted, duplicates, rejected) =
            (sum(|ledger| ledger.accepted), sum(|ledger| ledger.duplicates), sum(|ledger| ledger.rejected));
        assert_eq!(accepted + rejected, CLIENTS * BATCHES * BATCH);
        assert!(duplicates > 10_000 && rejected > 10_000, "{duplicates} duplicates, {rejected} rejected");
        let metrics = server.get("/metrics").json();
        for (key, count) in [
            ("events_received", accepted),
            ("events_processed", accepted),
            ("events_duplicate", duplicates),
            ("events_rejected", rejected),
            ("events_failed", 0),
            ("events_shed", 0),
            ("current_queue_depth", 0),
        ] {
            assert_eq!(metrics[key], json!(count), "{}: {key}", store.name());
        }

        let mut expected: HashMap<String, Value> = ledgers.into_iter().flat_map(|ledger| ledger.events).collect();
        assert_eq!(expected.len(), accepted - duplicates);
        let mut receipts = HashSet::new();
        for row in store.rows(&server) {
            let event = expected.remove(&row.id).unwrap_or_else(|| panic!("stored twice or never sent: {row:?}"));
            assert_eq!((&json!(row.kind), &json!(row.source)), (&event["type"], &event["source"]));
            assert_eq!(json!(row.user_id), event["user_id"]);
            assert_eq!(row.processed_data["data"], event["data"]);
            assert_eq!(row.processed_data["timestamp"], event["timestamp"]);
            assert_eq!(row.created_at, created_at(event["timestamp"].as_str().unwrap()), "{row:?}");
            assert!(receipts.insert(row.processed_data["receipt"].to_string()), "a receipt is of one acceptance");
        }
        assert!(expected.is_empty(), "{}: {} events are not stored", store.name(), expected.len());
    }
}

fn watch_the_law(server: &Server, done: &AtomicBool) -> usize {
    let mut connection = server.client();
    let mut seen = 0;
    while !done.load(Ordering::Relaxed) {
        let metrics = connection.get("/metrics").json();
        let number = |key: &str| metrics[key].as_u64().unwrap();
        assert_eq!(
            number("events_received") + number("events_recovered"),
            number("events_processed") + number("events_failed") + number("current_queue_depth"),
            "{metrics}"
        );
        seen += 1;
    }
    seen
}
