//! The dashboard: a page that runs nothing but what it brings, and the stream that it lives by.

use std::time::{Duration, Instant};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::kit::{events::Events, server::Server};

const GOOD: &str = r#"{"type":"user_action","source":"web","user_id":"u","data":{}}"#;

/// The next event of that name.
fn next(events: &mut Events, name: &str) -> Value {
    loop {
        let (found, data) = events.next();
        if found == name {
            return data;
        }
    }
}

/// What stands in the only element of that name.
fn inside<'a>(page: &'a str, element: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("<{element}>")).unwrap();
    let (text, rest) = rest.split_once(&format!("</{element}>")).unwrap();
    assert!(!rest.contains(&format!("<{element}")), "there is one {element}");
    text
}

#[test]
fn the_page_may_run_nothing_but_its_own_script() {
    let server = Server::start(&[]);
    let answer = server.get("/");
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/html; charset=utf-8"));
    let page = answer.text();
    let policy = answer.header("content-security-policy");
    let rules: Vec<&str> = policy.split("; ").collect();
    for (rule, element) in [("script-src", "script"), ("style-src", "style")] {
        let hash = STANDARD.encode(Sha256::digest(inside(&page, element)));
        assert!(rules.contains(&format!("{rule} 'sha256-{hash}'").as_str()), "{policy}");
    }
    for rule in ["default-src 'none'", "connect-src 'self'", "form-action 'none'", "frame-ancestors 'none'"] {
        assert!(rules.contains(&rule), "{policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    for outside in ["src=\"http", "href=\"http", "href=\"//", "src=\"//", "@import", "url(", " style=\"", " onclick"] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn a_page_that_is_known_is_not_sent_again() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let page = client.get("/");
    let tag = page.header("etag").to_owned();
    let known = client.request("GET", "/", &[("If-None-Match", &tag)], b"");
    assert_eq!((known.status, known.body.len(), known.header("etag")), (304, 0, tag.as_str()));
    let other = client.request("GET", "/", &[("If-None-Match", "\"other\"")], b"");
    assert_eq!((other.status, other.body == page.body), (200, true));
    let head = client.request("HEAD", "/", &[], b"");
    assert_eq!((head.status, head.header("content-length")), (200, page.header("content-length")));
    let refused = client.request("POST", "/", &[], b"");
    assert_eq!((refused.status, refused.header("allow")), (405, "GET, HEAD, OPTIONS"));
}

#[test]
fn the_stream_tells_metrics_and_health_every_second() {
    let server = Server::start(&[("shards", "2")]);
    let mut events = Events::open(&server, "/dashboard/stream");
    let first = next(&mut events, "metrics");
    assert_eq!((&first["events_received"], first["shards"].as_array().unwrap().len()), (&json!(0), 2));
    let health = next(&mut events, "health");
    assert_eq!(health["checks"]["shards"][0]["workers"], 2, "{health}");
    assert_eq!(
        health.as_object().unwrap().keys().len(),
        server.get("/health").json().as_object().unwrap().keys().len()
    );
    assert_eq!(server.post("/events", GOOD).status, 200);
    // At once, and then once a second: two of them at most have not heard of it.
    let later = (0..3).map(|_| next(&mut events, "metrics")).last().unwrap();
    assert_eq!((&later["events_received"], &later["events_processed"]), (&json!(1), &json!(1)));
    assert_eq!(next(&mut events, "health")["status"], "pass");
    let refused = server.client().request("POST", "/dashboard/stream", &[], b"");
    assert_eq!((refused.status, refused.header("allow")), (405, "GET, HEAD, OPTIONS"));
}

#[test]
fn the_stream_tells_problems_at_first_and_when_they_change() {
    let server = Server::start(&[]);
    let mut events = Events::open(&server, "/dashboard/stream");
    let none = next(&mut events, "problems");
    assert_eq!(none, json!({"dead_letters": [], "store_failure": null}));
    // Nothing changed, nothing is told.
    for expected in ["metrics", "health", "metrics", "health"] {
        assert_eq!(events.next().0, expected);
    }

    // The store takes no sensors any more.
    assert_eq!(server.post("/events", GOOD).status, 200);
    let store = rusqlite::Connection::open(server.sqlite_path()).unwrap();
    store
        .execute_batch(
            "CREATE TRIGGER refuse BEFORE INSERT ON processed_events WHEN NEW.type = 'sensor_data'
             BEGIN SELECT RAISE(ABORT, 'no sensors here'); END",
        )
        .unwrap();
    let bad = GOOD.replace("user_action", "sensor_data");
    let ids: Vec<Value> = (0..3).map(|_| server.post("/events", &bad).json()["id"].clone()).collect();
    let told = loop {
        let told = next(&mut events, "problems");
        if told["dead_letters"].as_array().unwrap().len() == ids.len() {
            break told;
        }
    };
    let letters = told["dead_letters"].as_array().unwrap();
    assert_eq!(letters.iter().rev().map(|letter| letter["id"].clone()).collect::<Vec<_>>(), ids, "the newest first");
    assert_eq!((&letters[0]["reason"], &letters[0]["code"]), (&json!("store_refused"), &json!("SQLITE_CONSTRAINT")));
    assert!(letters[0]["detail"].as_str().unwrap().contains("no sensors here"), "{told}");
    assert!(letters[0]["failed_at"].is_string());
}

#[test]
fn a_store_that_failed_is_told_of_without_its_password() {
    let server = Server::start(&[("store", "mysql://nobody:pass-word@127.0.0.1:1/none"), ("ack", "durable")]);
    let mut events = Events::open(&server, "/dashboard/stream");
    let failure = loop {
        let told = next(&mut events, "problems");
        if !told["store_failure"].is_null() {
            break told["store_failure"].clone();
        }
    };
    assert!(failure["code"].is_string() && failure["at"].is_string(), "{failure}");
    assert!(failure["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{failure}");
    assert!(!failure.to_string().contains("pass-word"), "{failure}");
}

#[test]
fn an_open_dashboard_does_not_hold_up_a_stop() {
    let mut server = Server::start(&[]);
    let mut events = Events::open(&server, "/dashboard/stream");
    next(&mut events, "health");
    let since = Instant::now();
    assert_eq!(server.stop(), Some(0));
    // Far less than the half of `shutdown.grace` that requests may take.
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    while let Some((name, _)) = events.try_next().unwrap() {
        assert!(["metrics", "health", "problems"].contains(&name.as_str()), "{name}");
    }
}
