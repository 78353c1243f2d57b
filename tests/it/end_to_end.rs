//! Events from HTTP to the table, on every store.

use std::{collections::HashMap, sync::Arc};

use serde_json::{Value, json};

use crate::kit::{server::Server, store::Store};

const SINGLE: &str = r#"{
    "type": "user_action", "source": "web", "user_id": "user_123",
    "data": {"action": "purchase", "value": 99.99}
}"#;
const BATCH: &str = r#"{"events": [
    {"type": "sensor_data", "source": "iot_device", "data": {"temperature": 23.5}},
    {"type": "system_log", "source": "system", "data": {"level": "error", "message": "Connection timeout"}}
]}"#;

#[test]
fn an_answer_has_headers_of_its_own_and_none_of_the_requests() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let sent = [("Content-Type", "application/json; charset=utf-8"), ("X-Secret", "s"), ("Prefer", "return=minimal")];
    for _ in 0..2 {
        for (path, body, own) in [
            ("/events", SINGLE, &["content-length", "content-type", "date"][..]),
            ("/events/batch", BATCH, &["content-length", "content-type", "date", "preference-applied"]),
        ] {
            let answer = client.request("POST", path, &sent, body.as_bytes());
            let mut names: Vec<_> = answer.headers.keys().map(String::as_str).collect();
            names.sort_unstable();
            assert_eq!((names.as_slice(), answer.header("content-type")), (own, "application/json"));
        }
    }
}

#[test]
fn end_to_end_pipeline() {
    for store in Store::all() {
        let mut server = Server::start(&[("store", &store.setting()), ("shards", "2")]);
        let single = server.post("/events", SINGLE);
        assert_eq!((single.status, &single.json()["ack"]), (200, &json!("stored")), "{}", store.name());
        let batch = server.post("/events/batch", BATCH);
        assert_eq!(batch.status, 200, "{}", batch.text());
        let batch = batch.json();
        assert_eq!(
            (&batch["received"], &batch["accepted"], &batch["duplicate"], &batch["rejected"], &batch["errors"]),
            (&json!(2), &json!(2), &json!(0), &json!(0), &json!([])),
        );

        let rows: HashMap<_, _> = store.rows(&server).into_iter().map(|row| (row.id.clone(), row)).collect();
        assert_eq!(rows.len(), 3, "{}", store.name());
        let purchase = &rows[single.json()["id"].as_str().unwrap()];
        assert_eq!((purchase.kind.as_str(), purchase.source.as_str()), ("user_action", "web"));
        assert_eq!(purchase.user_id.as_deref(), Some("user_123"));
        assert_eq!(purchase.processed_data["data"], json!({"action": "purchase", "value": 99.99}));
        let measured = &rows[batch["ids"][0].as_str().unwrap()];
        assert_eq!((measured.kind.as_str(), measured.user_id.as_deref()), ("sensor_data", None));
        assert_eq!(measured.processed_data["data"], json!({"temperature": 23.5}));
        for row in rows.values() {
            assert!(row.processing_time_ms >= 0 && row.processing_time_ms < 60_000, "{row:?}");
            // The event's own time is the time of receipt, in whole seconds.
            let received = row.processed_data["received_at"].as_str().unwrap();
            assert_eq!(row.created_at, received[..19].replace('T', " "), "{row:?}");
            assert!(row.processed_at >= row.created_at, "{row:?}");
        }

        let metrics = server.get("/metrics").json();
        assert_eq!((&metrics["events_received"], &metrics["events_processed"]), (&json!(3), &json!(3)));
        assert_eq!((&metrics["events_failed"], &metrics["current_queue_depth"]), (&json!(0), &json!(0)));
        assert_eq!(server.stop(), Some(0));

        let server = Server::start_in(Arc::clone(&server.data_dir), &[("store", &store.setting())]);
        let id = single.json()["id"].as_str().unwrap().to_owned();
        let read = server.get(&format!("/events/{id}"));
        assert_eq!((read.status, &read.json()["data"]["value"]), (200, &json!(99.99)), "after a restart");
        let again = SINGLE.replacen('{', &format!(r#"{{"id":"{id}","#), 1);
        assert_eq!(server.post("/events", &again).json()["duplicate"], true);
        assert_eq!(store.rows(&server).len(), 3);
    }
}

#[test]
fn what_is_at_the_edge_of_the_rules_is_stored_unchanged() {
    let nested = format!("{}1{}", r#"{"a":"#.repeat(30), "}".repeat(30));
    let bodies = [
        ("1970-01-01T00:00:01Z", "1970-01-01 00:00:01", "{}".to_owned()),
        ("2038-01-19T03:14:07.999999Z", "2038-01-19 03:14:07", "{}".to_owned()),
        ("2024-02-29T23:59:59-11:30", "2024-03-01 11:29:59", "{}".to_owned()),
        // A time that a daylight-saving zone leaves out.
        ("2025-03-30T02:30:00Z", "2025-03-30 02:30:00", "{}".to_owned()),
        ("2025-01-01T00:00:00Z", "2025-01-01 00:00:00", nested),
        ("2025-01-01T00:00:00Z", "2025-01-01 00:00:00", r#"{"zero":"\u0000","emoji":"🏠","quote":"\"\\"}"#.to_owned()),
        (
            "2025-01-01T00:00:00Z",
            "2025-01-01 00:00:00",
            r#"{"":{},"n":[1e-7,-0.5,9007199254740993,null,true]}"#.to_owned(),
        ),
    ];
    let user = "ü🏠".repeat(25);
    for store in Store::all() {
        let server = Server::start(&[("store", &store.setting())]);
        let mut client = server.client();
        for (timestamp, created_at, data) in &bodies {
            let body = format!(
                r#"{{"type":"system_log","source":"mobile","user_id":"{user}","timestamp":"{timestamp}","data":{data}}}"#
            );
            let answer = client.post("/events", &body);
            assert_eq!(answer.status, 200, "{}: {body}: {}", store.name(), answer.text());
            let id = answer.json()["id"].as_str().unwrap().to_owned();
            assert_eq!(answer.json()["ack"], "stored", "{}", answer.text());
            let row = store.rows(&server).into_iter().find(|row| row.id == id).unwrap();
            assert_eq!((&row.created_at, row.user_id.as_deref()), (&(*created_at).to_owned(), Some(user.as_str())));
            assert_eq!(row.processed_data["data"], serde_json::from_str::<Value>(data).unwrap(), "{}", store.name());
            assert_eq!(row.processed_data["timestamp"], *timestamp);
        }
    }
}
