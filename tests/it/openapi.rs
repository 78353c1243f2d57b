//! The document of the interface and the service say the same. Beyond what is here, every answer that the other
//! tests get is held against it (`kit/conformance.rs`).

use std::collections::BTreeSet;

use event_pipeline::http::{Options, openapi_document};
use serde_json::Value;

use crate::kit::{
    client::{Answer, Client, request},
    conformance,
    server::Server,
    until,
};

const GOOD: &str = r#"{"type":"user_action","source":"web","user_id":"u","data":{}}"#;
const NOWHERE: (&str, &str) = ("store", "mysql://nobody:none@127.0.0.1:1/none");

#[test]
fn the_document_is_served_with_the_limits_that_are_set() {
    let server = Server::start(&[]);
    let answer = server.get("/openapi.json");
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.text(), openapi_document(&Options::default()));
    let server = Server::start(&[("http.max_batch_events", "7")]);
    assert_eq!(server.get("/openapi.json").json()["components"]["schemas"]["NewEvents"]["maxItems"], 7);
}

/// What was answered, by operation and status.
#[derive(Default)]
struct Told(BTreeSet<(String, u16)>);

impl Told {
    /// Sends a request, checks the answer, and notes it.
    fn ask(&mut self, server: &Server, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut client = server.client();
        client.send(request(method, path, headers, body)).unwrap();
        self.note(method, path, client.answer().unwrap())
    }

    fn note(&mut self, method: &str, path: &str, answer: Answer) -> Answer {
        if let Some(operation) = conformance::check(method, path, &answer) {
            self.0.insert((operation.to_owned(), answer.status));
        }
        answer
    }
}

#[test]
fn every_documented_status_is_given_and_is_as_documented() {
    let document: Value = serde_json::from_str(&openapi_document(&Options::default())).unwrap();
    let mut told = Told::default();
    let server = Server::start(&[("http.header_timeout", "300ms"), ("http.body_timeout", "300ms")]);
    until("the store to be up", || server.get("/health").json()["status"] == "pass");
    let full = Server::start(&[("http.max_connections", "1")]);
    let mut only = full.client();
    assert_eq!(only.get("/livez").status, 200);
    let mut documented = BTreeSet::new();
    for (template, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let operation_id = operation["operationId"].as_str().unwrap();
            let statuses = operation["responses"].as_object().unwrap().keys();
            // A 500 would be a bug, 405 is of the methods that are not documented, and hyper says 431 before 414.
            let given =
                statuses.map(|status| status.parse().unwrap()).filter(|status| ![405, 414, 500].contains(status));
            documented.extend(given.map(|status: u16| (operation_id.to_owned(), status)));
            let path = template.replace("{id}", "00000000-0000-4000-8000-000000000000");
            everywhere(&mut told, &server, &method.to_uppercase(), &path);
            let turned_away = Client::connect(full.address()).answer().unwrap();
            assert_eq!(told.note(&method.to_uppercase(), &path, turned_away).status, 503);
        }
    }
    well(&mut told, &server);
    badly(&mut told, &server);
    in_need(&mut told);
    let missing: Vec<_> = documented.difference(&told.0).collect();
    assert!(missing.is_empty(), "documented, and not seen: {missing:?}");
}

/// The statuses that every operation has.
fn everywhere(told: &mut Told, server: &Server, method: &str, path: &str) {
    let many: Vec<String> = (0..200).map(|n| format!("x-{n}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "1")).collect();
    assert_eq!(told.ask(server, method, path, &many, b"").status, 431);
    let refused = server.client().request("BREW", path, &[], b"");
    assert_eq!((refused.status, refused.problem().as_str()), (405, "method_not_allowed"));
    assert!(refused.header("allow").contains(method), "{method} {path}");
    let mut slow = server.client();
    slow.send(format!("{method} {path} HTT")).unwrap();
    assert_eq!(told.note(method, path, slow.answer().unwrap()).status, 408);
    let mut nonsense = server.client();
    nonsense.send(format!("{method} {path} HTTP/1.1\r\nHost: t\r\nContent-Length: x\r\n\r\n")).unwrap();
    assert_eq!(told.note(method, path, nonsense.answer().unwrap()).status, 400);
}

fn well(told: &mut Told, server: &Server) {
    for ack in ["queued", "durable", "stored"] {
        told.ask(server, "POST", &format!("/events?ack={ack}"), &[("Idempotency-Key", ack)], GOOD.as_bytes());
        let mixed = format!(r#"{{"events":[{GOOD},{{}},3,{GOOD}]}}"#);
        told.ask(server, "POST", &format!("/events/batch?ack={ack}"), &[], mixed.as_bytes());
        told.ask(
            server,
            "POST",
            &format!("/events/batch?ack={ack}"),
            &[("Prefer", "return=minimal")],
            mixed.as_bytes(),
        );
    }
    let again = told.ask(server, "POST", "/events", &[("Idempotency-Key", "stored")], GOOD.as_bytes());
    assert_eq!(again.json()["duplicate"], true);
    let id = again.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(told.ask(server, "GET", &format!("/events/{id}"), &[], b"").status, 200);
    for path in ["/events", "/events?user_id=u&limit=1", "/events/tail", "/events/tail?type=user_action"] {
        assert_eq!(told.ask(server, "GET", path, &[], b"").status, 200, "{path}");
    }
    let open_metrics = ("Accept", "application/openmetrics-text");
    for (path, headers) in
        [("/metrics", &[][..]), ("/metrics", &[open_metrics]), ("/metrics", &[("Accept", "text/plain")])]
    {
        assert_eq!(told.ask(server, "GET", path, headers, b"").status, 200);
    }
    let page = told.ask(server, "GET", "/", &[], b"");
    assert_eq!(told.ask(server, "GET", "/", &[("If-None-Match", page.header("etag"))], b"").status, 304);
    for path in ["/dashboard/stream", "/metrics/prometheus", "/health", "/livez", "/readyz", "/openapi.json"] {
        assert_eq!(told.ask(server, "GET", path, &[], b"").status, 200, "{path}");
    }
}

fn badly(told: &mut Told, server: &Server) {
    let long_data = format!(r#"{{"type":"user_action","source":"web","data":{{"a":"{}"}}}}"#, "x".repeat(1 << 20));
    for path in ["/events", "/events/batch"] {
        for body in ["", "{", "[]", "[{}]", r#"{"events":3}"#, r#"{"events":[],"more":1}"#, r#"{"type":"user_action"}"#]
        {
            assert_eq!(told.ask(server, "POST", path, &[], body.as_bytes()).status, 400, "{path} {body}");
        }
        assert_eq!(told.ask(server, "POST", &format!("{path}?ack=no"), &[], GOOD.as_bytes()).status, 400);
        assert_eq!(told.ask(server, "POST", path, &[("Idempotency-Key", "")], GOOD.as_bytes()).status, 400);
        assert_eq!(told.ask(server, "POST", path, &[("Content-Type", "text/csv")], GOOD.as_bytes()).status, 415);
        assert_eq!(told.ask(server, "POST", path, &[("Content-Encoding", "br")], GOOD.as_bytes()).status, 415);
        assert_eq!(told.ask(server, "POST", path, &[], long_data.as_bytes()).status, 413);
    }
    let many = format!("[{}]", vec![GOOD; 101].join(","));
    assert_eq!(told.ask(server, "POST", "/events/batch", &[], many.as_bytes()).status, 413);
    assert_eq!(told.ask(server, "GET", "/events/00000000-0000-4000-8000-000000000000", &[], b"").status, 404);
    for path in
        ["/events?limit=0", "/events?more=1", "/events?cursor=x", "/events/tail?type=click", "/events/tail?limit=1"]
    {
        assert_eq!(told.ask(server, "GET", path, &[], b"").problem(), "invalid_parameter", "{path}");
    }
    let mut client = server.client();
    client.send(request("GET", "/health", &[("Content-Length", "5")], b"hello")).unwrap();
    assert_eq!(told.note("GET", "/health", client.answer().unwrap()).problem(), "invalid_parameter");
}

/// Where the store is away, and where the journal is full.
fn in_need(told: &mut Told) {
    let server = Server::start(&[
        NOWHERE,
        ("ack", "durable"),
        ("journal.segment_bytes", "64KiB"),
        ("journal.max_bytes", "1MiB"),
        ("http.max_body_bytes", "64KiB"),
    ]);
    let read = told.ask(&server, "GET", "/events/00000000-0000-4000-8000-000000000000", &[], b"");
    assert_eq!(read.problem(), "store_unavailable");
    assert_eq!(told.ask(&server, "GET", "/events", &[], b"").problem(), "store_unavailable");
    let durable = told.ask(&server, "POST", "/events", &[], GOOD.as_bytes()).json();
    let read = told.ask(&server, "GET", &format!("/events/{}", durable["id"].as_str().unwrap()), &[], b"");
    assert_eq!(read.json()["state"], "durable");
    let batch = format!("[{}]", vec![GOOD; 100].join(","));
    until("the journal to be full", || {
        told.ask(&server, "POST", "/events/batch", &[], batch.as_bytes());
        told.ask(&server, "POST", "/events", &[], GOOD.as_bytes()).status == 503
            && told.ask(&server, "GET", "/readyz", &[], b"").status == 503
    });
    assert_eq!(told.ask(&server, "GET", "/health", &[], b"").status, 503);
    assert_eq!(told.ask(&server, "GET", "/metrics", &[], b"").status, 200);
}
