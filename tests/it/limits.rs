//! Slow, large, cut and clumsy requests.

use serde_json::json;

use crate::kit::{
    client::{Client, request},
    server::Server,
    until,
};

const GOOD: &str = r#"{"type":"user_action","source":"web","user_id":"u","data":{}}"#;

#[test]
fn a_body_beyond_the_limit_is_refused_before_it_is_sent() {
    let server = Server::start(&[("http.max_body_bytes", "1000"), ("http.max_batch_events", "10")]);
    let mut client = server.client();
    client.send("POST /events HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n").unwrap();
    let answer = client.answer().unwrap();
    assert_eq!((answer.status, answer.problem().as_str()), (413, "body_too_large"), "no 100 Continue came first");
    assert_eq!(answer.json()["limit"], 1000);

    let padding = "x".repeat(1000 - GOOD.len() - 9);
    let exact = format!(r#"{}"p":"{padding}"   }}}}"#, &GOOD[..GOOD.len() - 2]);
    assert_eq!(exact.len(), 1000);
    assert_eq!(server.post("/events", &exact).status, 200);
}

#[test]
fn an_endless_chunked_body_is_cut_at_the_limit() {
    let server = Server::start(&[("http.max_body_bytes", "10000")]);
    let mut client = server.client();
    client.send("POST /events HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    let chunk = format!("{:x}\r\n{}\r\n", 1000, " ".repeat(1000));
    for _ in 0..11 {
        if client.send(&chunk).is_err() {
            break;
        }
    }
    let answer = client.answer().unwrap();
    assert_eq!((answer.status, answer.problem().as_str()), (413, "body_too_large"));
    assert_eq!(answer.json()["limit"], 10_000);
}

#[test]
fn a_chunked_body_and_one_in_pieces_are_taken() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.send("POST /events HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    let (head, tail) = GOOD.split_at(20);
    client.send(format!("{:x}\r\n{head}\r\n", head.len())).unwrap();
    client.send(format!("{:x}\r\n{tail}\r\n0\r\n\r\n", tail.len())).unwrap();
    assert_eq!(client.answer().unwrap().status, 200);

    for byte in request("POST", "/events", &[], GOOD.as_bytes()) {
        client.send([byte]).unwrap();
    }
    assert_eq!(client.answer().unwrap().status, 200, "a byte at a time, on the same connection");
}

#[test]
fn expect_continue_is_answered_and_the_event_taken() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let head =
        format!("POST /events HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n", GOOD.len());
    client.send(head).unwrap();
    assert_eq!(client.answer().unwrap().status, 100);
    client.send(GOOD).unwrap();
    assert_eq!(client.answer().unwrap().status, 200);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let one = request("POST", "/events", &[], GOOD.as_bytes());
    let bad = request("POST", "/events", &[], b"{");
    let live = request("GET", "/livez", &[], b"");
    client.send([one.clone(), bad, live, one].concat()).unwrap();
    let statuses: Vec<u16> = (0..4).map(|_| client.answer().unwrap().status).collect();
    assert_eq!(statuses, [200, 400, 200, 200]);
}

#[test]
fn c3_a_slow_head_is_told_408_and_an_idle_connection_closed_without_a_word() {
    let server = Server::start(&[("http.header_timeout", "200ms"), ("http.idle_timeout", "600ms")]);
    let mut slow = server.client();
    slow.send("POST /eve").unwrap();
    let answer = slow.answer().unwrap();
    assert_eq!((answer.status, answer.problem().as_str(), answer.header("connection")), (408, "timeout", "close"));
    assert!(slow.is_closed());

    let mut silent = server.client();
    assert!(silent.is_closed(), "nothing was sent, nothing is answered");

    let mut used = server.client();
    assert_eq!(used.get("/livez").status, 200);
    assert!(used.is_closed());

    let mut second_head = server.client();
    assert_eq!(second_head.get("/livez").status, 200);
    second_head.send("GET /liv").unwrap();
    assert_eq!(second_head.answer().unwrap().status, 408);
}

#[test]
fn c3_a_slow_body_is_told_408() {
    let server = Server::start(&[("http.body_timeout", "200ms")]);
    let mut client = server.client();
    client.send("POST /events HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\n{\"type\"").unwrap();
    let answer = client.answer().unwrap();
    assert_eq!((answer.status, answer.problem().as_str()), (408, "timeout"));
    assert!(client.is_closed());
    assert_eq!(server.metric("events_received"), 0);
}

#[test]
fn a_client_that_leaves_in_the_middle_of_a_body_leaves_nothing() {
    let server = Server::start(&[]);
    for _ in 0..20 {
        let mut client = server.client();
        let mut bytes = request("POST", "/events", &[], GOOD.as_bytes());
        bytes.truncate(bytes.len() - 1);
        client.send(bytes).unwrap();
    }
    let mut half = server.client();
    half.send("POST /events HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\n{\"type\"").unwrap();
    half.finish();
    let answer = half.answer().unwrap();
    assert_eq!((answer.status, answer.problem().as_str()), (400, "incomplete_body"));
    assert_eq!(server.metric("events_received"), 0);
    assert_eq!(server.post("/events", GOOD).status, 200);
}

#[test]
fn events_of_a_client_that_does_not_wait_are_stored_all_the_same() {
    let server = Server::start(&[]);
    for _ in 0..20 {
        let mut client = server.client();
        client.send(request("POST", "/events", &[], GOOD.as_bytes())).unwrap();
        client.finish();
    }
    until("all to be stored", || server.metric("events_processed") == 20);
}

#[test]
fn one_connection_too_many_is_turned_away() {
    let server = Server::start(&[("http.max_connections", "2")]);
    let (mut first, mut second) = (server.client(), server.client());
    assert_eq!((first.get("/livez").status, second.get("/livez").status), (200, 200));
    let mut third = Client::connect(server.address());
    let answer = third.answer().unwrap();
    assert_eq!((answer.status, answer.problem().as_str()), (503, "overloaded"));
    assert!(!answer.header("retry-after").is_empty());
    drop(first);
    until("room for another", || {
        let mut client = server.client();
        client.send(request("GET", "/livez", &[], b"")).is_ok()
            && client.answer().is_ok_and(|answer| answer.status == 200)
    });
}

#[test]
fn a_head_with_too_many_fields_is_refused() {
    let server = Server::start(&[]);
    let fields: Vec<_> = (0..200).map(|n| format!("x-{n}")).collect();
    let fields: Vec<_> = fields.iter().map(|name| (name.as_str(), "1")).collect();
    assert_eq!(server.client().request("GET", "/livez", &fields, b"").status, 431);
    let long = "x".repeat(100_000);
    let mut client = server.client();
    let _ = client.send(request("GET", "/livez", &[("x-long", &long)], b""));
    assert_eq!(client.answer().unwrap().status, 431);
}

#[test]
fn a_page_may_post_from_an_allowed_origin() {
    let server = Server::start(&[("http.cors_origins", "https://shop.example")]);
    let mut client = server.client();
    let origin = ("Origin", "https://shop.example");
    let preflight = client.request("OPTIONS", "/events", &[origin, ("Access-Control-Request-Method", "POST")], b"");
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.header("access-control-allow-origin"), "https://shop.example");
    assert!(preflight.header("access-control-allow-methods").contains("POST"));
    assert!(preflight.header("access-control-allow-headers").contains("Content-Type"));
    let posted = client.request("POST", "/events", &[origin], GOOD.as_bytes());
    assert_eq!(posted.header("access-control-allow-origin"), "https://shop.example");
    let refused = client.request("POST", "/events", &[origin], b"{");
    assert_eq!(refused.header("access-control-allow-origin"), "https://shop.example", "pages can read errors too");
    let other = client.request("POST", "/events", &[("Origin", "https://other.example")], GOOD.as_bytes());
    assert_eq!(other.header("access-control-allow-origin"), "");
    assert_eq!(json!(other.status), json!(200), "it is the browser's part to keep the page from reading");
}
