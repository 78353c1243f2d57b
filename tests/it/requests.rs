//! Request ids and traces: given back, made where there are none, and in the log.

use std::{collections::HashSet, time::Instant};

use serde_json::json;
use uuid::Uuid;

use crate::kit::{client::request, server::Server, until};

const GOOD: &str = r#"{"type":"user_action","source":"web","user_id":"u","data":{}}"#;
const AWAY: (&str, &str) = ("store", "mysql://nobody:nothing@127.0.0.1:1/eventdb");
const TRACE: (&str, &str) = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");

#[test]
fn an_id_of_the_client_is_given_back_on_every_answer() {
    let server = Server::start(&[]);
    let mut client = server.client();
    for (method, path, body, status) in [
        ("POST", "/events", GOOD, 200),
        ("POST", "/events/batch", "[]", 400),
        ("GET", "/metrics", "", 200),
        ("HEAD", "/health", "", 200),
        ("OPTIONS", "/events", "", 204),
        ("GET", "/events/00000000-0000-4000-8000-000000000000", "", 404),
        ("DELETE", "/events", "", 405),
    ] {
        let id = format!("{method}/{status}\"\\~");
        let answer = client.request(method, path, &[("X-Request-Id", &id)], body.as_bytes());
        assert_eq!((answer.status, answer.header("x-request-id")), (status, id.as_str()), "{method} {path}");
        if status >= 400 && method != "HEAD" {
            assert_eq!(answer.json()["request_id"], id);
        }
    }
}

#[test]
fn a_problem_without_an_id_gets_one_and_a_good_answer_none() {
    let server = Server::start(&[("http.header_timeout", "100ms")]);
    let mut client = server.client();
    assert_eq!(client.post("/events", GOOD).header("x-request-id"), "");
    let (long, spaced) = ("x".repeat(129), "a b".to_owned());
    let mut seen = HashSet::new();
    for headers in [&[][..], &[("X-Request-Id", long.as_str())], &[("X-Request-Id", spaced.as_str())]] {
        let answer = client.request("POST", "/events", headers, b"{");
        let id = answer.header("x-request-id").to_owned();
        assert_eq!(answer.json()["request_id"], id);
        assert_eq!(Uuid::parse_str(&id).unwrap().get_version_num(), 7);
        assert!(seen.insert(id), "each its own");
    }
    // Also those that never come to a route.
    let mut slow = server.client();
    slow.send("GET /").unwrap();
    let small = Server::start(&[("http.max_connections", "1")]);
    let mut first = small.client();
    assert_eq!(first.get("/livez").status, 200);
    let mut second = small.client();
    for answer in [slow.answer().unwrap(), second.answer().unwrap()] {
        assert_eq!(answer.json()["request_id"], answer.header("x-request-id"), "{answer:?}");
        assert_eq!(answer.header("x-request-id").len(), 36);
    }
}

#[test]
fn what_is_logged_of_a_request_has_its_id_and_trace() {
    let server = Server::start(&[("log.level", "info,event_pipeline::http=debug"), AWAY]);
    let mut client = server.client();
    assert_eq!(client.request("POST", "/events", &[("X-Request-Id", "one"), TRACE], b"{").status, 400);
    let bad_trace = ("traceparent", "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01");
    assert_eq!(client.request("GET", "/nothing", &[bad_trace], b"").status, 404);
    let id = "/events/00000000-0000-4000-8000-000000000000";
    assert_eq!(client.request("GET", id, &[("X-Request-Id", "three"), TRACE], b"").status, 503);
    until("three lines", || server.said("a request cannot be served now").len() == 1);
    let refused = server.said("a request was refused");
    let [bad, unknown] = refused.as_slice() else { panic!("{refused:#?}") };
    let unavailable = &server.said("a request cannot be served now")[0];
    for line in [bad, unavailable] {
        assert_eq!(line["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736", "{line}");
        assert_eq!(line["span_id"], "00f067aa0ba902b7", "{line}");
    }
    assert_eq!(
        (&bad["request_id"], &bad["code"], &bad["level"]),
        (&json!("one"), &json!("malformed_json"), &json!("DEBUG"))
    );
    assert_eq!((&unavailable["request_id"], &unavailable["level"]), (&json!("three"), &json!("WARN")));
    assert_eq!((&unavailable["method"], &unavailable["path"]), (&json!("GET"), &json!(id)));
    assert_eq!(unknown["request_id"].as_str().unwrap().len(), 36, "the id that was made");
    assert!(unknown.get("trace_id").is_none(), "{unknown}");
}

#[test]
fn refusals_of_bad_requests_are_not_logged_where_nobody_asked_for_it() {
    let mut server = Server::start(&[]);
    assert_eq!(server.post("/events", "{").status, 400);
    assert_eq!(server.stop(), Some(0));
    assert_eq!(server.said("a request was refused").len(), 0);
}

#[test]
fn a_flood_of_refusals_writes_some_lines_and_says_how_many_it_left_out() {
    const REQUESTS: u64 = 300;
    let mut server = Server::start(&[("log.level", "debug")]);
    let mut client = server.client();
    let since = Instant::now();
    for _ in 0..REQUESTS {
        client.send(request("POST", "/events", &[], b"{")).unwrap();
        assert_eq!(client.answer().unwrap().status, 400);
    }
    let windows = since.elapsed().as_secs() / 10 + 2;
    assert_eq!(server.stop(), Some(0));
    // The log is read by another thread.
    until("what was left out to be said", || {
        let left_out = server.said("lines were left out of the log");
        let left_out: u64 = left_out.iter().map(|line| line["lines"].as_u64().unwrap()).sum();
        let written = server.said("a request was refused").len() as u64;
        assert!(written <= 20 * windows, "{written} lines in {windows} windows");
        written + left_out == REQUESTS
    });
    assert_eq!(server.said("lines were left out of the log")[0]["of"], "a request was refused");
}
