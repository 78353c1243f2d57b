//! Reading stored events page by page, on every store.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use event_pipeline::storage::{Sqlite, Storage as _};
use serde_json::{Value, json};

use crate::kit::{
    client::{Answer, Client},
    server::Server,
    store::Store,
};

#[path = "../kit/pages.rs"]
mod suite;

const TYPES: [&str; 3] = ["user_action", "sensor_data", "system_log"];
const SOURCES: [&str; 3] = ["web", "iot_device", "system"];
/// Texts that collations take for one another.
const USERS: [Option<&str>; 5] = [None, Some("ada"), Some("Ada"), Some("ada "), Some("a+b&c=d%")];

/// An event of that number; thousands share a second.
fn event(number: usize) -> Value {
    json!({
        "type": TYPES[number % 3],
        "source": SOURCES[number / 3 % 3],
        "user_id": USERS[number / 9 % 5],
        "timestamp": format!("2026-01-15T10:30:{:02}.{:03}Z", number / 45 % 4, number % 1000),
        "data": {"n": number},
    })
}

fn post(client: &mut Client, numbers: std::ops::Range<usize>) {
    let events: Vec<Value> = numbers.map(event).collect();
    let answer = client.post("/events/batch", &json!(events).to_string());
    assert_eq!((answer.status, &answer.json()["ack"]), (200, &json!("stored")), "{}", answer.text());
}

/// The events of all pages.
fn pages(client: &mut Client, filter: &str, limit: usize) -> Vec<Value> {
    let (mut events, mut cursor) = (Vec::new(), String::new());
    for number in 0.. {
        assert!(number < 10_000, "the pages of {filter} never end");
        let page = client.get(&format!("/events?limit={limit}&{filter}{cursor}"));
        assert_eq!(page.status, 200, "{filter}: {}", page.text());
        let page = page.json();
        let found = page["events"].as_array().unwrap();
        assert!(found.len() <= limit);
        events.extend_from_slice(found);
        match &page["next_cursor"] {
            Value::Null => break,
            next => cursor = format!("&cursor={}", next.as_str().unwrap()),
        }
    }
    events
}

fn number(event: &Value) -> usize {
    event["data"]["n"].as_u64().unwrap() as usize
}

type Wanted = fn(usize) -> bool;

#[test]
fn ten_thousand_events_are_paged_by_every_filter_each_once_while_writing_goes_on() {
    const STORED: usize = 10_000;
    let filters: [(&str, Wanted); 12] = [
        ("", |_| true),
        ("type=sensor_data", |n| n % 3 == 1),
        ("user_id=ada", |n| n / 9 % 5 == 1),
        ("user_id=ada+", |n| n / 9 % 5 == 3),
        ("user_id=a%2Bb%26c%3Dd%25", |n| n / 9 % 5 == 4),
        ("source=web", |n| n / 3 % 3 == 0),
        ("source=mobile", |_| false),
        ("from=2026-01-15T10:30:01Z&to=2026-01-15T10:30:03Z", |n| (1..3).contains(&(n / 45 % 4))),
        ("from=2026-01-15T12:30:02.5+02:00", |n| n / 45 % 4 == 3),
        ("type=system_log&source=iot_device", |n| n % 3 == 2 && n / 3 % 3 == 1),
        ("type=system_log&user_id=Ada", |n| n % 3 == 2 && n / 9 % 5 == 2),
        ("type=user_action&user_id=Ada&source=system&to=2026-01-15T10:30:02Z", |n| {
            n % 3 == 0 && n / 9 % 5 == 2 && n / 3 % 3 == 2 && n / 45 % 4 < 2
        }),
    ];
    for store in Store::all() {
        let server = Server::start(&[("store", &store.setting())]);
        let mut client = server.client();
        (0..STORED / 100).for_each(|batch| post(&mut client, batch * 100..(batch + 1) * 100));
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut client = server.client();
                for batch in STORED / 20.. {
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                    post(&mut client, batch * 20..(batch + 1) * 20);
                }
            });
            for (index, (filter, is_wanted)) in filters.iter().enumerate() {
                let events = pages(&mut client, filter, [1000, 271][index % 2]);
                let told = format!("{}: {filter}", store.name());
                let numbers: HashSet<usize> = events.iter().map(number).collect();
                assert_eq!(numbers.len(), events.len(), "{told}: an event is there twice");
                let missing: Vec<_> = (0..STORED).filter(|n| is_wanted(*n) && !numbers.contains(n)).collect();
                assert!(missing.is_empty(), "{told}: {missing:?}");
                assert!(numbers.iter().all(|n| is_wanted(*n)), "{told}: an event of others");
                // Within a second, the embedded store has them in the order in which they were stored.
                let id = |event: &Value| (!matches!(store, Store::Sqlite)).then(|| event["id"].to_string());
                let order = |event: &Value| (event["created_at"].to_string(), id(event));
                let stored: Vec<_> = events.iter().filter(|event| number(event) < STORED).map(order).collect();
                assert!(stored.is_sorted_by(|one, next| one >= next), "{told}: not newest first");
            }
            done.store(true, Ordering::Relaxed);
        });
        assert!(server.metric("events_processed") > STORED as u64, "nothing was written meanwhile");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_stores_pages_are_those_of_every_store() {
    let directory = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&directory.path().join("one.db")).unwrap();
    store.migrate().await.unwrap();
    suite::every_row_is_on_one_page_while_writing_goes_on(Arc::new(store), false).await;
    let store = Sqlite::open(&directory.path().join("other.db")).unwrap();
    store.migrate().await.unwrap();
    suite::a_page_that_found_nothing_ends_and_goes_on(&store).await;
}

#[test]
fn a_page_has_the_documents_that_single_events_have() {
    for store in Store::all() {
        let server = Server::start(&[("store", &store.setting())]);
        let mut client = server.client();
        post(&mut client, 0..7);
        let page = client.get("/events?limit=3");
        assert_eq!((page.header("content-type"), page.header("cache-control")), ("application/json", "no-store"));
        assert_eq!(page.json().as_object().unwrap().keys().collect::<Vec<_>>(), ["events", "next_cursor"]);
        let mut events = pages(&mut client, "", 3);
        assert_eq!(events[..3], page.json()["events"].as_array().unwrap()[..]);
        for event in &events {
            assert_eq!(*event, client.get(&format!("/events/{}", event["id"].as_str().unwrap())).json());
        }
        events.sort_by_key(number);
        assert_eq!(events.iter().map(number).collect::<Vec<_>>(), (0..7).collect::<Vec<_>>());
        assert_eq!(events[4]["timestamp"], "2026-01-15T10:30:00.004Z");

        let head = client.request("HEAD", "/events?limit=3", &[], b"");
        assert_eq!((head.status, head.header("cache-control")), (200, "no-store"));
        assert_eq!(head.header("content-length"), page.header("content-length"));
        // A hundred where nothing is said.
        post(&mut client, 7..107);
        assert_eq!(client.get("/events").json()["events"].as_array().unwrap().len(), 100);
    }
}

#[test]
fn a_page_of_large_events_is_short_and_goes_on() {
    for store in Store::all() {
        let server = Server::start(&[("store", &store.setting())]);
        let mut client = server.client();
        for number in 0..7 {
            let data = json!({"n": number, "text": "x".repeat(900_000)});
            let event = json!({"type": "user_action", "source": "web", "data": data});
            assert_eq!(client.post("/events", &event.to_string()).status, 200);
        }
        let first = client.get("/events").json();
        assert_eq!(first["events"].as_array().unwrap().len(), 4, "{}", store.name());
        assert!(first["next_cursor"].is_string());
        let numbers: HashSet<usize> = pages(&mut client, "", 100).iter().map(number).collect();
        assert_eq!(numbers.len(), 7);
    }
}

#[test]
fn what_a_page_cannot_be_asked_for_is_refused_by_name() {
    let server = Server::start(&[]);
    let mut client = server.client();
    post(&mut client, 0..3);
    let next = |client: &mut Client, query: &str| client.get(query).json()["next_cursor"].as_str().unwrap().to_owned();
    let cursor = next(&mut client, "/events?limit=1");
    let of_type = next(&mut client, "/events?limit=1&from=2026-01-01T00:00:00Z");
    let refused = |answer: Answer, named: &str| {
        assert_eq!((answer.status, answer.problem().as_str()), (400, "invalid_parameter"), "{named}");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(&format!("`{named}`")), "{named}: {detail}");
    };
    for (query, named) in [
        ("type=click", "type"),
        ("type=", "type"),
        ("source=Web", "source"),
        ("user_id=", "user_id"),
        ("user_id=%ff", "user_id"),
        ("from=2026-01-15", "from"),
        ("to=2026-01-15T10:30:00", "to"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=1&limit=1", "limit"),
        ("offset=1", "offset"),
        ("Type=user_action", "Type"),
        ("cursor=", "cursor"),
        ("cursor=AAAA", "cursor"),
        (&format!("cursor={of_type}"), "cursor"),
        (&format!("cursor={cursor}x"), "cursor"),
        (&format!("cursor={cursor}&type=user_action"), "cursor"),
    ] {
        refused(client.get(&format!("/events?{query}")), named);
    }
    // Another limit is no other filter.
    assert_eq!(client.get(&format!("/events?limit=9&cursor={cursor}")).json()["events"].as_array().unwrap().len(), 2);
    assert_eq!(client.get("/events?to=1960-01-01T00:00:00Z").json(), json!({"events": [], "next_cursor": null}));
    assert_eq!(client.get("/events?").status, 200);
}

#[test]
fn the_path_answers_to_reads_and_writes() {
    let server = Server::start(&[("store", "discard")]);
    let mut client = server.client();
    assert_eq!(client.get("/events").json(), json!({"events": [], "next_cursor": null}));
    assert_eq!(client.request("OPTIONS", "/events", &[], b"").header("allow"), "GET, HEAD, POST, OPTIONS");
    let with_body = client.request("GET", "/events", &[("Content-Length", "2")], b"{}");
    assert_eq!((with_body.status, with_body.problem().as_str()), (400, "invalid_parameter"));
}

#[test]
fn a_page_is_never_empty_because_the_store_is_away() {
    let server = Server::start(&[("store", "mysql://nobody:none@127.0.0.1:1/none")]);
    let answer = server.get("/events");
    assert_eq!((answer.status, answer.problem().as_str()), (503, "store_unavailable"));
    assert!(!answer.header("retry-after").is_empty());

    let server = Server::start(&[]);
    post(&mut server.client(), 0..3);
    std::fs::rename(server.sqlite_path(), server.data_dir.path().join("elsewhere.db")).unwrap();
    let answer = server.get("/events?type=user_action");
    assert_eq!((answer.status, answer.problem().as_str()), (503, "store_unavailable"));
    std::fs::rename(server.data_dir.path().join("elsewhere.db"), server.sqlite_path()).unwrap();
    assert_eq!(server.get("/events").json()["events"].as_array().unwrap().len(), 3);
}
