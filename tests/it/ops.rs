//! What operators ask: metrics, health, liveness, readiness, and what one event became.

use serde_json::json;

use crate::kit::server::Server;

const GOOD: &str = r#"{"type":"user_action","source":"web","user_id":"u","data":{}}"#;

#[test]
fn metrics_have_the_eight_keys_and_the_law_holds() {
    let server = Server::start(&[("shards", "3")]);
    assert_eq!(server.post("/events", GOOD).status, 200);
    assert_eq!(server.post("/events", "{}").status, 400);
    let answer = server.get("/metrics");
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    let metrics = answer.json();
    for key in [
        "events_received",
        "events_processed",
        "events_failed",
        "average_processing_latency_ms",
        "current_queue_depth",
        "active_workers",
        "events_per_second",
        "uptime_seconds",
    ] {
        assert!(metrics[key].is_number(), "{key}: {metrics}");
    }
    assert_eq!(
        (
            &metrics["events_received"],
            &metrics["events_processed"],
            &metrics["events_rejected"],
            &metrics["active_workers"]
        ),
        (&json!(1), &json!(1), &json!(1), &json!(3)),
    );
    assert_eq!(metrics["shards"].as_array().unwrap().len(), 3);
    assert_eq!(metrics["acknowledgement_ms"]["count"], 1);
    assert_eq!(metrics["storing_ms"]["count"], 1);
}

#[test]
fn prometheus_reads_the_same_counts_in_its_own_formats() {
    let server = Server::start(&[("shards", "2")]);
    assert_eq!(server.post("/events", GOOD).status, 200);
    assert_eq!(server.post("/events", "{}").status, 400);
    let mut client = server.client();
    let open_metrics =
        ("Accept", "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2");
    let text = ("Accept", "text/plain;version=0.0.4;q=1,*/*;q=0.1");
    for (path, accept, media_type) in [
        ("/metrics", open_metrics, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        ("/metrics", text, "text/plain; version=0.0.4; charset=utf-8"),
        ("/metrics/prometheus", ("Accept", "*/*"), "text/plain; version=0.0.4; charset=utf-8"),
        ("/metrics/prometheus", open_metrics, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
    ] {
        let answer = client.request("GET", path, &[accept], b"");
        assert_eq!((answer.status, answer.header("content-type")), (200, media_type), "{path}");
        let exposed = answer.text();
        assert_eq!(exposed.ends_with("# EOF\n"), media_type.starts_with("application/"), "{exposed}");
        for sample in [
            "event_pipeline_events_received_total 1",
            "event_pipeline_events_recovered_total 0",
            "event_pipeline_events_processed_total 1",
            "event_pipeline_events_failed_total 0",
            "event_pipeline_current_queue_depth 0",
            "event_pipeline_events_rejected_total 1",
            "event_pipeline_active_workers 2",
            "event_pipeline_store_up 1",
            "event_pipeline_shard_depth_events{shard=\"1\"} 0",
            "event_pipeline_acknowledgement_seconds_count 1",
            "event_pipeline_storing_seconds_bucket{le=\"+Inf\"} 1",
        ] {
            assert!(exposed.lines().any(|line| line == sample), "{sample} is not among\n{exposed}");
        }
    }
    assert_eq!(client.get("/metrics").header("vary"), "accept");
}

#[test]
fn health_passes_with_the_store_and_warns_without_it() {
    let server = Server::start(&[]);
    assert_eq!(server.post("/events", GOOD).status, 200);
    let healthy = server.get("/health");
    assert_eq!((healthy.status, healthy.header("content-type")), (200, "application/health+json"));
    let healthy = healthy.json();
    assert_eq!((&healthy["status"], &healthy["checks"]["store"][0]["state"]), (&json!("pass"), &json!("up")));
    assert!(healthy["version"].is_string());

    let server = Server::start(&[("store", "mysql://nobody:pass-word@127.0.0.1:1/none")]);
    assert_eq!(server.post("/events?ack=queued", GOOD).status, 202);
    crate::kit::until("the store to be known as down", || {
        server.get("/health").json()["checks"]["store"][0]["state"] == "down"
    });
    let warned = server.get("/health");
    assert_eq!((warned.status, &warned.json()["status"]), (200, &json!("warn")));
    assert!(!warned.text().contains("pass-word"), "{}", warned.text());
    assert!(server.log().iter().all(|line| !line.to_string().contains("pass-word")));
    assert_eq!(server.get("/readyz").status, 200, "there is room for events");
}

#[test]
fn head_is_answered_where_get_is() {
    let server = Server::start(&[]);
    let mut client = server.client();
    for path in ["/metrics", "/health", "/livez", "/readyz"] {
        let head = client.request("HEAD", path, &[], b"");
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        assert!(head.header("content-length").parse::<u64>().unwrap() > 0, "{path}");
    }
    assert_eq!(client.request("OPTIONS", "/metrics", &[], b"").header("allow"), "GET, HEAD, OPTIONS");
}

#[test]
fn a_stored_event_can_be_read_back() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let body = r#"{"id":"3B241101-E2BB-4255-8CAF-4136C566A962","type":"sensor_data","source":"iot_device",
        "timestamp":"2025-01-15T10:30:00.25+02:00","user_id":"дом 🏠","data":{"t":23.50,"list":[1,{"a":null}]}}"#;
    let stored = client.post("/events", body);
    let id = "3b241101-e2bb-4255-8caf-4136c566a962";
    assert_eq!(stored.json(), json!({"id": id, "ack": "stored"}));
    for spelt in [id.to_owned(), id.to_uppercase()] {
        let read = client.get(&format!("/events/{spelt}"));
        assert_eq!(read.status, 200);
        let event = read.json();
        assert_eq!(event["id"], id);
        assert_eq!((&event["type"], &event["source"]), (&json!("sensor_data"), &json!("iot_device")));
        assert_eq!((&event["user_id"], &event["state"]), (&json!("дом 🏠"), &json!("stored")));
        assert_eq!(event["timestamp"], "2025-01-15T10:30:00.25+02:00");
        assert_eq!(event["data"], json!({"t":23.5,"list":[1,{"a":null}]}));
        assert_eq!(event["created_at"], "2025-01-15T08:30:00.000000Z");
    }
    let again = client.post("/events", body);
    assert_eq!(again.json(), json!({"id": id, "ack": "stored", "duplicate": true}));
}

#[test]
fn an_idempotency_key_and_a_preference_are_honoured() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let batch = format!("[{GOOD},{GOOD}]");
    let headers = [("Idempotency-Key", "order-17")];
    let first = client.request("POST", "/events/batch", &headers, batch.as_bytes()).json();
    let again = client.request("POST", "/events/batch", &headers, batch.as_bytes()).json();
    assert_eq!(first["ids"], again["ids"]);
    assert_eq!((&first["duplicate"], &again["duplicate"]), (&json!(0), &json!(2)));
    let minimal = client.request("POST", "/events/batch", &[("Prefer", "return=minimal")], batch.as_bytes());
    assert_eq!(minimal.header("preference-applied"), "return=minimal");
    assert!(minimal.json().get("ids").is_none());
}
