//! Every case of the error table that can happen, over a real socket.

use serde_json::json;

use crate::kit::{
    client::{Answer, Client, request},
    server::Server,
    until,
};

const GOOD: &str = r#"{"type":"user_action","source":"web","user_id":"u","data":{}}"#;
const JSON: (&str, &str) = ("Content-Type", "application/json");

#[test]
fn an_invalid_event_is_refused_with_its_code_and_place() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let deep = format!(
        r#"{{"type":"user_action","source":"web","data":{}{}}}"#,
        r#"{"a":"#.repeat(31),
        "1".to_owned() + &"}".repeat(31)
    );
    for (body, code, pointer) in [
        (r#"{"source":"web"}"#, "missing_field", "/type"),
        (r#"{"type":"user_action"}"#, "missing_field", "/source"),
        (r#"{"type":null,"source":"web"}"#, "missing_field", "/type"),
        (r#"{"type":"click","source":"web"}"#, "invalid_type", "/type"),
        (r#"{"type":"user_action","source":"fax"}"#, "invalid_source", "/source"),
        (r#"{"type":"user_action","source":"web","id":"1"}"#, "invalid_id", "/id"),
        (r#"{"type":"user_action","source":"web","timestamp":"yesterday"}"#, "invalid_timestamp", "/timestamp"),
        (
            r#"{"type":"user_action","source":"web","timestamp":"2039-01-01T00:00:00Z"}"#,
            "timestamp_out_of_range",
            "/timestamp",
        ),
        (r#"{"type":"user_action","source":"web","user_id":""}"#, "invalid_user_id", "/user_id"),
        (r#"{"type":"user_action","source":"web","data":[1]}"#, "invalid_data", "/data"),
        (r#"{"type":"user_action","source":"web","data":{"a":1e999}}"#, "number_out_of_range", "/data"),
        (r#"{"type":"user_action","source":"web","data":{"a":"\ud800"}}"#, "invalid_string", "/data"),
        (deep.as_str(), "too_deep", "/data"),
        (r#"{"type":"user_action","source":"web","extra":1}"#, "unknown_field", "/extra"),
        (r#"{"type":"user_action","type":"user_action","source":"web"}"#, "repeated_field", "/type"),
    ] {
        let answer = client.post("/events", body);
        assert_eq!((answer.status, answer.problem().as_str()), (400, code), "{body}");
        let error = &answer.json()["errors"][0];
        assert_eq!(error["code"], code, "{body}");
        assert_eq!(error["index"], 0, "{body}");
        assert!(error["pointer"].as_str().unwrap().starts_with(pointer), "{error}");

        let batch = client.post("/events/batch", &format!(r#"{{"events":[{GOOD},{body}]}}"#));
        assert_eq!(batch.status, 200, "{}", batch.text());
        let batch = batch.json();
        assert_eq!((&batch["accepted"], &batch["rejected"]), (&json!(1), &json!(1)), "{batch}");
        assert_eq!(batch["errors"][0]["code"], code, "{batch}");
        assert!(batch["errors"][0]["pointer"].as_str().unwrap().starts_with(&format!("/events/1{pointer}")), "{batch}");
        assert!(batch["ids"][1].is_null());
    }
}

#[test]
fn a_body_that_holds_no_events_is_refused_as_a_whole() {
    let server = Server::start(&[]);
    let mut client = server.client();
    for (path, body, status, code) in [
        ("/events", "", 400, "malformed_json"),
        ("/events", "{", 400, "malformed_json"),
        ("/events", "{} x", 400, "malformed_json"),
        ("/events", "{\"a\":\"\u{1}\"}", 400, "malformed_json"),
        ("/events", "[]", 400, "not_an_object"),
        ("/events", "3", 400, "not_an_object"),
        ("/events/batch", "nope", 400, "malformed_json"),
        ("/events/batch", "[]", 400, "empty_batch"),
        ("/events/batch", r#"{"events":[]}"#, 400, "empty_batch"),
        ("/events/batch", "{}", 400, "missing_field"),
        ("/events/batch", r#"{"events":[],"more":1}"#, 400, "unknown_field"),
        ("/events/batch", r#"{"events":[],"events":[]}"#, 400, "repeated_field"),
        ("/events/batch", "[{}]", 400, "no_valid_event"),
        ("/events/batch", "\"text\"", 400, "not_an_object"),
    ] {
        let answer = client.post(path, body);
        assert_eq!((answer.status, answer.problem().as_str()), (status, code), "{path} {body}");
    }
    let invalid_utf8 = client.request("POST", "/events", &[JSON], b"{\"type\":\"\xff\"}");
    assert_eq!((invalid_utf8.status, invalid_utf8.problem().as_str()), (400, "malformed_json"));
    assert_eq!(server.metric("events_received"), 0);
}

#[test]
fn c5_a_batch_of_101_events_is_too_large_and_one_of_100_is_not() {
    let server = Server::start(&[]);
    let batch = |events: usize| format!("[{}]", vec![GOOD; events].join(","));
    let answer = server.post("/events/batch", &batch(101));
    assert_eq!((answer.status, answer.problem().as_str()), (413, "too_many_events"));
    assert_eq!(answer.json()["limit"], 100);
    assert_eq!(server.metric("events_received"), 0);
    assert_eq!(server.post("/events/batch", &batch(100)).json()["accepted"], 100);
}

#[test]
fn unknown_paths_and_wrong_methods_are_told_apart() {
    let server = Server::start(&[]);
    until("the store to be up", || server.get("/health").json()["status"] == "pass");
    for (method, path, status, code, allow) in [
        ("GET", "/nothing", 404, "not_found", ""),
        ("GET", "/events/", 404, "not_found", ""),
        ("POST", "/events/x/y", 404, "not_found", ""),
        ("GET", "/events/not-a-uuid", 404, "not_found", ""),
        ("GET", "/events/00000000-0000-4000-8000-000000000000", 404, "not_found", ""),
        ("DELETE", "/events", 405, "method_not_allowed", "GET, HEAD, POST, OPTIONS"),
        ("GET", "/events/batch", 405, "method_not_allowed", "POST, OPTIONS"),
        ("PUT", "/metrics", 405, "method_not_allowed", "GET, HEAD, OPTIONS"),
        ("BREW", "/health", 405, "method_not_allowed", "GET, HEAD, OPTIONS"),
    ] {
        let answer = server.client().request(method, path, &[], b"");
        assert_eq!(
            (answer.status, answer.problem().as_str(), answer.header("allow")),
            (status, code, allow),
            "{method} {path}"
        );
    }
}

#[test]
fn media_types_codings_and_parameters_that_are_not_understood_are_named() {
    let server = Server::start(&[]);
    let post = |path: &str, header: (&str, &str)| server.client().request("POST", path, &[header], GOOD.as_bytes());
    let check = |answer: Answer, status: u16, code: &str| {
        assert_eq!((answer.status, answer.problem().as_str()), (status, code), "{answer:?}");
        answer
    };
    let form =
        check(post("/events", ("Content-Type", "application/x-www-form-urlencoded")), 415, "unsupported_media_type");
    assert_eq!(form.header("accept"), "application/json");
    let gzip = check(post("/events", ("Content-Encoding", "gzip")), 415, "unsupported_content_coding");
    assert_eq!(gzip.header("accept-encoding"), "identity");
    check(post("/events?ack=maybe", JSON), 400, "invalid_parameter");
    check(post("/events", ("Idempotency-Key", &"k".repeat(256))), 400, "invalid_parameter");
    check(post("/events", ("Idempotency-Key", "")), 400, "invalid_parameter");
    assert_eq!(post("/events", ("Content-Encoding", "identity")).status, 200);
    assert_eq!(post("/events", ("Content-Type", "application/cloudevents+json")).status, 200);
    assert_eq!(post("/events?unknown=1", ("X-Any", "thing")).status, 200, "a missing media type means JSON");
}

#[test]
fn a_get_with_a_body_is_refused_and_the_connection_closed() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.send(request("GET", "/health", &[("Content-Length", "5")], b"hello")).unwrap();
    let answer = client.answer().unwrap();
    assert_eq!((answer.status, answer.problem().as_str()), (400, "invalid_parameter"));
    assert!(client.is_closed());
}

#[test]
fn requests_that_could_be_read_in_two_ways_are_not_served() {
    let server = Server::start(&[]);
    let event = format!("{:x}\r\n{GOOD}\r\n0\r\n\r\n", GOOD.len());
    for head in [
        "POST /events HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "POST /events HTTP/1.0\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST /events HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip, chunked, gzip\r\n\r\n",
        "POST /events HTTP/1.1\r\nHost: t\r\nContent-Length: x\r\n\r\n",
        "NONSENSE\r\n\r\n",
    ] {
        let mut client = server.client();
        client.send(head).unwrap();
        let _ = client.send(&event);
        let answer = client.answer().unwrap();
        assert_eq!(answer.status, 400, "{head}");
    }
    assert_eq!(server.metric("events_received"), 0);
}

#[test]
fn a_full_journal_sheds_with_retry_after_and_takes_nothing() {
    let server = Server::start(&[
        ("store", "mysql://nobody:none@127.0.0.1:1/none"),
        ("journal.segment_bytes", "64KiB"),
        ("journal.max_bytes", "1MiB"),
        ("http.max_body_bytes", "64KiB"),
    ]);
    let mut client = server.client();
    let batch = format!("[{}]", vec![GOOD; 100].join(","));
    let (mut taken, mut shed) = (0, 0);
    // The keeper makes room for a while: it is full when it stays so.
    let full = loop {
        let answer = client.post("/events/batch?ack=durable", &batch);
        match answer.status {
            202 => taken += 100,
            503 => {
                shed += 100;
                assert_eq!(answer.problem(), "journal_full");
                let journal = &server.get("/metrics").json()["journal"];
                if journal["bytes"].as_u64().unwrap() + (64 << 10) > 1 << 20 {
                    break answer;
                }
            }
            other => panic!("{other}: {}", answer.text()),
        }
    };
    let seconds: u64 = full.header("retry-after").parse().unwrap();
    assert!((1..=30).contains(&seconds));
    assert!(taken > 1000, "{taken}");
    assert_eq!((server.metric("events_received"), server.metric("events_shed")), (taken, shed));
    assert_eq!(server.metric("current_queue_depth"), taken);
    assert_eq!(server.get("/livez").status, 200);
}

#[test]
fn a_read_is_never_a_404_while_the_store_is_away() {
    let server = Server::start(&[("store", "mysql://nobody:none@127.0.0.1:1/none")]);
    let answer = server.get("/events/00000000-0000-4000-8000-000000000000");
    assert_eq!((answer.status, answer.problem().as_str()), (503, "store_unavailable"));
    assert!(!answer.header("retry-after").is_empty());
}

#[test]
fn c4_hostile_bodies_never_lead_to_a_5xx_or_a_hang() {
    let server = Server::start(&[("store", "discard")]);
    let mut client = server.client();
    let long = |text: &str, times: usize| text.repeat(times).into_bytes();
    for body in [
        long("[", 1_000_000),
        long("{\"a\":", 200_000),
        long("\"", 1_000_001),
        long("[{},", 200_000),
        long("\\", 1_000_000),
        long("1", 1_000_000),
        long("\u{0}", 1000),
        b"\xef\xbb\xbf{}".to_vec(),
        format!(r#"{{"type":"user_action","source":"web","data":{{"n":1{}}}}}"#, "0".repeat(500_000)).into_bytes(),
        format!(r#"{{"type":"user_action","source":"web","data":{{{}"z":1}}}}"#, r#""k":1,"#.repeat(100_000))
            .into_bytes(),
        format!(r#"{{"{}":1}}"#, "k".repeat(900_000)).into_bytes(),
    ] {
        for path in ["/events", "/events/batch"] {
            let answer = client.request("POST", path, &[JSON], &body);
            assert!(answer.status < 500, "{path}: {answer:?}");
            if answer.header("connection") == "close" {
                client = Client::connect(server.address());
            }
        }
    }
    assert_eq!(server.get("/livez").status, 200);
}
