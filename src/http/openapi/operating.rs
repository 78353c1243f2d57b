//! The operations for operators and their tools.

use serde_json::{Value, json};

use super::{
    super::{
        code::RequestCode,
        problem::{PROBLEM_JSON, Problem},
    },
    OPERATING,
    responses::{no_stream, reference, refusal, stream, with_shared},
};
use crate::metrics::{Elsewhere, Metrics, StoreSnapshot};

/// `GET /metrics`
pub(super) fn metrics() -> Value {
    let mut content = exposed();
    let store = StoreSnapshot { state: "up", ..StoreSnapshot::default() };
    let new = Metrics::new(1).snapshot(&|_| 0, Elsewhere { store, ..Elsewhere::default() });
    content["application/json"] = json!({
        "schema": reference("schemas", "Metrics"),
        "examples": {"new": {"summary": "A service that has just started.", "value": new}},
    });
    json!({
        "operationId": "getMetrics",
        "tags": [OPERATING],
        "summary": "Everything that is counted.",
        "description": "JSON, unless `Accept` asks for OpenMetrics 1.0 or for Prometheus's text format 0.0.4, as \
            Prometheus does. In every answer, under any load: events_received + events_recovered = events_processed + \
            events_failed + current_queue_depth.",
        "responses": with_shared(json!({
            "200": {"description": "The counters at one moment.", "headers": vary(), "content": content},
        })),
    })
}

/// `GET /metrics/prometheus`
pub(super) fn metrics_for_prometheus() -> Value {
    json!({
        "operationId": "getMetricsForPrometheus",
        "tags": [OPERATING],
        "summary": "The same for Prometheus's formats alone.",
        "description": "The text format 0.0.4, unless `Accept` prefers OpenMetrics 1.0: for scrapers that cannot be told \
            what to accept.",
        "responses": with_shared(json!({
            "200": {"description": "The counters at one moment.", "content": exposed()},
        })),
    })
}

/// `GET /health`
pub(super) fn health() -> Value {
    let content = |statuses: &[&str], example: Value| {
        let schema = json!({"allOf": [
            reference("schemas", "Health"),
            {"properties": {"status": {"enum": statuses}}},
        ]});
        json!({"application/health+json": {"schema": schema, "examples": {"example": {"value": example}}}})
    };
    let checks = |status: &str, store: &str, accepting: bool| {
        let health = if accepting { "pass" } else { "fail" };
        json!({
            "status": status,
            "version": env!("CARGO_PKG_VERSION"),
            "checks": {
                "journal": [{
                    "status": "pass", "componentType": "datastore", "accepting": true, "oldestUnstoredSeconds": 0.0,
                }],
                "store": [{
                    "status": if store == "up" { "pass" } else { "warn" }, "componentType": "datastore",
                    "state": store, "stateSeconds": 12,
                }],
                "shards": [{
                    "status": health, "componentType": "component", "workers": 2, "shards": 2, "accepting": accepting,
                }],
            },
        })
    };
    let mut failing = content(&["fail"], checks("fail", "up", false));
    failing[PROBLEM_JSON] = json!({"schema": reference("schemas", "Problem")});
    json!({
        "operationId": "getHealth",
        "tags": [OPERATING],
        "summary": "How the service and its parts are.",
        "description": "`warn` while the store is away and events wait in the journal, and where the journal was found \
            damaged; `fail` while no event can be accepted.",
        "responses": with_shared(json!({
            "200": {
                "description": "`pass` or `warn`: events are accepted.",
                "content": content(&["pass", "warn"], checks("warn", "down", true)),
            },
            "503": {
                "description": "`fail`: no event can be accepted. Or a problem: there are too many connections.",
                "content": failing,
            },
        })),
    })
}

/// `GET /livez`
pub(super) fn live() -> Value {
    json!({
        "operationId": "getLiveness",
        "tags": [OPERATING],
        "summary": "Whether the process runs.",
        "responses": with_shared(json!({"200": status("It does.", "alive")})),
    })
}

/// `GET /readyz`
pub(super) fn ready() -> Value {
    let unavailable = [
        (RequestCode::Draining, "the service is shutting down"),
        (RequestCode::JournalFull, "the journal has no room for more events"),
        (RequestCode::Overloaded, "no shard has room for more events"),
    ];
    json!({
        "operationId": "getReadiness",
        "tags": [OPERATING],
        "summary": "Whether events can be accepted.",
        "description": "The store need not be there: events wait for it in the journal.",
        "responses": with_shared(json!({
            "200": status("They can.", "ready"),
            "503": refusal(
                "They cannot at the moment.",
                &unavailable.map(|(code, detail)| Problem::unavailable(code, detail, 5)),
                &[],
            ),
        })),
    })
}

/// `GET /openapi.json`
pub(super) fn document() -> Value {
    json!({
        "operationId": "getOpenapi",
        "tags": [OPERATING],
        "summary": "This document.",
        "responses": with_shared(json!({
            "200": {
                "description": "OpenAPI 3.1.",
                "content": {"application/json": {"schema": {
                    "type": "object", "required": ["openapi", "info", "paths"],
                }}},
            },
        })),
    })
}

/// `GET /`
pub(super) fn dashboard() -> Value {
    json!({
        "operationId": "getDashboard",
        "tags": [OPERATING],
        "summary": "A page that shows how the service is, live.",
        "description": "It asks no other host for anything.",
        "parameters": [{
            "name": "If-None-Match", "in": "header", "schema": {"type": "string"},
            "description": "The `ETag` of the page that the browser has.",
        }],
        "responses": with_shared(json!({
            "200": {
                "description": "The page.",
                "headers": {"ETag": {"description": "Of this page.", "required": true, "schema": {"type": "string"}}},
                "content": {"text/html; charset=utf-8": {"schema": {"type": "string"}}},
            },
            "304": {"description": "The browser has it already. Without a body."},
        })),
    })
}

/// `GET /dashboard/stream`
pub(super) fn dashboard_stream() -> Value {
    let example = "id: 1795493296881\nevent: metrics\ndata: {\"events_received\":3, …}\n\nevent: health\ndata: \
        {\"status\":\"pass\", …}\n\nevent: problems\ndata: {\"dead_letters\":[],\"store_failure\":null}\n\n";
    json!({
        "operationId": "streamDashboard",
        "tags": [OPERATING],
        "summary": "What the dashboard shows, live.",
        "description": "Server-sent events without an end: once a second `metrics` and `health`, each as the operation \
            of that name answers it, and `problems` with the newest dead letters and the store's last failure, at first \
            and whenever they change. Made for the page of the same version, and may change with it.",
        "responses": with_shared(json!({ "200": stream("The stream.", example), "503": no_stream() })),
    })
}

/// A body that says one word.
fn status(description: &str, word: &str) -> Value {
    json!({
        "description": description,
        "content": {"application/json": {"schema": {
            "type": "object", "required": ["status"], "properties": {"status": {"const": word}},
        }}},
    })
}

/// The metrics in Prometheus's formats.
fn exposed() -> Value {
    let sample = "# HELP event_pipeline_events_received_total Events accepted since the start.\n\
        # TYPE event_pipeline_events_received_total counter\n\
        event_pipeline_events_received_total 3\n";
    let text = |example: &str| json!({"schema": {"type": "string"}, "examples": {"example": {"value": example}}});
    json!({
        "text/plain; version=0.0.4; charset=utf-8": text(sample),
        "application/openmetrics-text; version=1.0.0; charset=utf-8":
            text(&format!("{}# EOF\n", sample.replacen("received_total", "received", 2))),
    })
}

fn vary() -> Value {
    json!({"Vary": {"description": "Names `Accept`.", "required": true, "schema": {"type": "string"}}})
}
