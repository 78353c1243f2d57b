//! `GET /events/tail`: events as they become durable, for whoever looks on.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::kit::{events::Events, server::Server, until};

const AWAY: (&str, &str) = ("store", "mysql://nobody:none@127.0.0.1:1/none");
const DISCARD: (&str, &str) = ("store", "discard");
const DURABLE: (&str, &str) = ("ack", "durable");

fn event(kind: &str, user: &str, n: u64) -> Value {
    json!({"type": kind, "source": "web", "user_id": user, "data": {"n": n}})
}

fn batch(events: impl IntoIterator<Item = Value>) -> String {
    Value::from_iter(events).to_string()
}

/// A hundred events with so many bytes of text each.
fn large_batch(kind: &str, bytes: usize) -> String {
    let text = "x".repeat(bytes);
    batch((0..100).map(|n| {
        let mut event = event(kind, &format!("user-{}", n % 10), n);
        event["data"]["text"] = json!(text);
        event
    }))
}

/// User and number of an event that is seen.
fn user_and_number((name, seen): &(String, Value)) -> (&str, u64) {
    assert_eq!(name, "event", "{seen:?}");
    (seen["user_id"].as_str().unwrap(), seen["data"]["n"].as_u64().unwrap())
}

/// Sends events of `user` until the viewer, who sees no others, sees one.
fn is_seen(server: &Server, tail: &mut Events, user: &str) {
    until("an event to be seen", || {
        assert_eq!(server.post("/events", &event("user_action", user, 1).to_string()).status, 202);
        let seen = tail.next();
        seen.0 == "event" && user_and_number(&seen) == (user, 1)
    });
}

#[test]
fn a_viewer_sees_each_users_events_in_their_order() {
    let server = Server::start(&[("shards", "3"), DURABLE]);
    let mut tail = Events::open(&server, "/events/tail");
    let mut client = server.client();
    for round in 0..30 {
        let events = (0..9).map(|user| event("user_action", &format!("user-{user}"), round));
        assert_eq!(client.post("/events/batch", &batch(events)).status, 202);
    }
    let mut next = [0; 9];
    for _ in 0..270 {
        let seen = tail.next();
        let (user, n) = user_and_number(&seen);
        let user: usize = user.strip_prefix("user-").unwrap().parse().unwrap();
        assert_eq!(n, next[user], "user-{user}");
        next[user] += 1;
    }
    assert_eq!(next, [30; 9]);
}

#[test]
fn a_viewer_sees_only_what_its_filter_chooses() {
    let server = Server::start(&[("shards", "3"), DURABLE]);
    let mut of_type = Events::open(&server, "/events/tail?type=sensor_data");
    let mut of_user = Events::open(&server, "/events/tail?user_id=%D0%B4%D0%BE%D0%BC+1");
    let mut of_both = Events::open(&server, "/events/tail?user_id=%D0%B4%D0%BE%D0%BC+1&type=sensor_data");
    let mut of_other = Events::open(&server, "/events/tail?user_id=%D0%94%D0%9E%D0%9C+1");
    let mut client = server.client();
    let sent = [
        event("sensor_data", "дом 1", 0),
        event("user_action", "дом 1", 1),
        event("sensor_data", "other", 2),
        json!({"type": "sensor_data", "source": "web", "data": {"n": 3}}),
        event("system_log", "дом 12", 4),
        event("sensor_data", "дом 1", 5),
        // In upper case it is another user, who has this one only.
        event("system_log", "ДОМ 1", 6),
    ];
    for event in sent {
        assert_eq!(client.post("/events", &event.to_string()).status, 202);
    }
    let numbers = |tail: &mut Events, count: usize| {
        let numbers = (0..count).map(|_| tail.next().1["data"]["n"].as_u64().unwrap());
        let mut numbers = numbers.collect::<Vec<_>>();
        // Of different users, so in any order.
        numbers.sort_unstable();
        numbers
    };
    assert_eq!(numbers(&mut of_type, 4), [0, 2, 3, 5]);
    assert_eq!(numbers(&mut of_user, 3), [0, 1, 5]);
    assert_eq!(numbers(&mut of_both, 2), [0, 5]);
    assert_eq!(numbers(&mut of_other, 1), [6]);
}

#[test]
fn events_are_seen_while_the_store_is_away_and_look_as_they_do_when_read_by_id() {
    let server = Server::start(&[AWAY, DURABLE]);
    let mut tail = Events::open(&server, "/events/tail");
    let body = "{\"id\":\"3b241101-e2bb-4255-8caf-4136c566a962\",\"type\":\"sensor_data\",\"source\":\"iot_device\",\
                \"timestamp\":\"2025-01-15T10:30:00.25+02:00\",\"user_id\":\"дом 🏠\",\"data\":{\r\n  \"t\": 23.50,\n\
                \"list\":\r[1,{\"a\":null,\"text\":\"a\\nb\"}]\n}}";
    let answer = server.post("/events", body);
    assert_eq!((answer.status, &answer.json()["ack"]), (202, &json!("durable")));
    let (name, seen) = tail.next();
    assert_eq!((name.as_str(), &seen["state"]), ("event", &json!("durable")));
    assert_eq!(seen["data"], json!({"t": 23.5, "list": [1, {"a": null, "text": "a\nb"}]}));
    assert_eq!(seen, server.get("/events/3b241101-e2bb-4255-8caf-4136c566a962").json());
}

#[test]
fn a_viewer_that_stops_reading_is_told_what_it_missed_and_holds_up_nobody() {
    let server = Server::start(&[DISCARD, ("shards", "2"), DURABLE]);
    let mut slow = Events::open(&server, "/events/tail");
    let text = "x".repeat(1000);
    let mut client = server.client();
    // More than the system's buffers and the viewer's hold.
    for round in 0..200 {
        let events = (0..100).map(|n| {
            let mut event = event("user_action", &format!("user-{}", n % 10), round * 100 + n);
            event["data"]["text"] = json!(text);
            event
        });
        assert_eq!(client.post("/events/batch", &batch(events)).status, 202);
    }
    let mut quick = Events::open(&server, "/events/tail?user_id=quick");
    is_seen(&server, &mut quick, "quick");

    // Everything was either seen or missed, and one user's events are in order.
    let received = server.metric("events_received");
    let (mut seen, mut missed, mut last) = (0, 0, [None; 10]);
    while seen + missed < received {
        let next = slow.next();
        if next.0 == "missed" {
            missed += next.1["events"].as_u64().unwrap();
            continue;
        }
        seen += 1;
        let (user, n) = user_and_number(&next);
        if let Some(user) = user.strip_prefix("user-") {
            let last = &mut last[user.parse::<usize>().unwrap()];
            assert!(Some(n) > last.replace(n), "user-{user}: {n}");
        }
    }
    assert_eq!(seen + missed, received);
    assert!(seen > 0 && missed > 0, "{seen} seen, {missed} missed");
    is_seen(&server, &mut slow, "late");
}

#[test]
fn a_viewer_that_reads_nothing_for_long_is_cut_off_and_a_silent_stream_is_not() {
    let server = Server::start(&[DISCARD, ("http.idle_timeout", "500ms"), DURABLE]);
    let mut silent = Events::open(&server, "/events/tail?user_id=silent");
    let mut unread = Events::open(&server, "/events/tail?type=sensor_data");
    let since = Instant::now();
    let events = large_batch("sensor_data", 9000);
    until("the one that does not read to be cut off", || {
        assert_eq!(server.post("/events/batch", &events).status, 202);
        unread.is_broken()
    });
    until("the silent one to be older than that", || since.elapsed() > Duration::from_millis(1200));
    is_seen(&server, &mut silent, "silent");
}

#[test]
fn the_law_holds_and_every_viewer_sees_or_misses_all_under_load() {
    let server = Server::start(&[DISCARD, DURABLE]);
    let tails: Vec<_> = (0..10).map(|_| Events::open(&server, "/events/tail")).collect();
    let (is_enough, sent) = (AtomicBool::new(false), AtomicU64::new(u64::MAX));
    thread::scope(|scope| {
        for mut tail in tails {
            let sent = &sent;
            scope.spawn(move || {
                let (mut seen, mut missed) = (0, 0);
                while seen + missed < sent.load(Ordering::Relaxed) {
                    let (name, data) = tail.next();
                    match name.as_str() {
                        "missed" => missed += data["events"].as_u64().unwrap(),
                        _ => seen += 1,
                    }
                }
                assert_eq!(seen + missed, sent.load(Ordering::Relaxed), "{seen} seen, {missed} missed");
                assert!(seen > 0, "{missed} missed");
            });
        }
        let senders: Vec<_> = (0..4)
            .map(|sender| {
                let (server, is_enough) = (&server, &is_enough);
                scope.spawn(move || {
                    let mut client = server.client();
                    let mut sent = 0;
                    while !is_enough.load(Ordering::Relaxed) {
                        let events = (0..100).map(|n| event("user_action", &format!("{sender}-{}", n % 9), n));
                        assert_eq!(client.post("/events/batch", &batch(events)).status, 202);
                        sent += 100;
                    }
                    sent
                })
            })
            .collect();
        let mut client = server.client();
        for _ in 0..50 {
            let metrics = client.get("/metrics").json();
            let number = |key: &str| metrics[key].as_u64().unwrap();
            let left = number("events_processed") + number("events_failed") + number("current_queue_depth");
            assert_eq!(number("events_received") + number("events_recovered"), left, "{metrics}");
        }
        is_enough.store(true, Ordering::Relaxed);
        let before_last: u64 = senders.into_iter().map(|sender| sender.join().unwrap()).sum();
        sent.store(before_last + 1, Ordering::Relaxed);
        // Whoever has all before waits for this one.
        assert_eq!(client.post("/events", &event("user_action", "last", 0).to_string()).status, 202);
    });
}

#[test]
fn streams_end_when_the_service_stops_also_those_that_nobody_reads() {
    let mut server = Server::start(&[DISCARD, ("shutdown.grace", "20s"), DURABLE]);
    let mut read = Events::open(&server, "/events/tail?user_id=read");
    let _unread = Events::open(&server, "/events/tail?type=sensor_data");
    let mut client = server.client();
    let events = large_batch("sensor_data", 9000);
    // More than the system's buffers hold.
    for _ in 0..40 {
        assert_eq!(client.post("/events/batch", &events).status, 202);
    }
    is_seen(&server, &mut read, "read");
    let since = Instant::now();
    server.signal("TERM");
    while read.try_next().expect("the end of a whole answer").is_some() {}
    assert_eq!(server.wait().code(), Some(0));
    assert!(since.elapsed() < Duration::from_secs(5), "not at the end of the grace: {:?}", since.elapsed());
    let tells_of_cuts = |line: &Value| line.to_string().contains("connections were cut");
    assert!(!server.log().iter().any(tells_of_cuts), "{:#?}", server.log());
}

#[test]
fn one_stream_too_many_is_refused_until_another_has_ended() {
    let server = Server::start(&[]);
    let mut tails: Vec<_> = (0..64).map(|_| Events::open(&server, "/events/tail")).collect();
    let refused = server.get("/events/tail");
    assert_eq!((refused.status, refused.problem().as_str()), (503, "overloaded"));
    assert!((1..=30).contains(&refused.header("retry-after").parse::<u64>().unwrap()));
    assert_eq!(server.get("/livez").status, 200);
    tails.pop();
    let since = Instant::now();
    until("another to have its place", || server.get("/events/tail").status == 200);
    assert!(since.elapsed() < Duration::from_secs(5), "it is noticed at once that a client has left");
}

#[test]
fn unknown_parameters_and_other_methods_are_refused_and_head_has_the_head_alone() {
    let server = Server::start(&[]);
    let mut client = server.client();
    for query in ["type=click", "type=User_Action", "user_id=", "limit=3", "type=user_action&type=user_action"] {
        let answer = client.get(&format!("/events/tail?{query}"));
        assert_eq!((answer.status, answer.problem().as_str()), (400, "invalid_parameter"), "{query}");
    }
    let refused = server.post("/events/tail", "{}");
    assert_eq!((refused.status, refused.header("allow")), (405, "GET, HEAD, OPTIONS"));
    let options = client.request("OPTIONS", "/events/tail", &[], b"");
    assert_eq!((options.status, options.header("allow")), (204, "GET, HEAD, OPTIONS"));
    let head = client.request("HEAD", "/events/tail?type=user_action", &[], b"");
    assert_eq!((head.status, head.header("content-type")), (200, "text/event-stream"));
    assert_eq!(client.get("/livez").status, 200, "on the same connection");
}
