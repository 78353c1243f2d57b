//! The OpenAPI 3.1 document of `GET /openapi.json`, for people and for the tools that make clients.
//!
//! Its schemas are derived from the types that the answers are written from, or that stand beside the code
//! which writes them by hand; its refusals are problems that the service itself makes. What is said here and
//! what is answered are held against each other by `tests/it/openapi.rs`.
//!
//! It is put together once, when the server starts, since it names limits that can be set.

use serde::Serialize;
use serde_json::{Value, json};

use super::Options;

mod components;
mod operating;
mod reading;
mod responses;
mod sending;

#[cfg(test)]
mod tests;

/// The document, in the order in which people read it.
#[derive(Serialize)]
struct Document {
    openapi: &'static str,
    info: Value,
    servers: Value,
    security: Value,
    tags: Value,
    paths: Value,
    components: Value,
}

/// The OpenAPI document of a service with these limits: JSON text that people can read, too.
///
/// A copy with the default limits is in `docs/openapi.json`.
pub fn document(options: &Options) -> String {
    let document = Document {
        openapi: "3.1.0",
        info: json!({
            "title": "event-pipeline",
            "summary": "Takes events and stores every one of them, exactly once.",
            "description": include_str!("introduction.md"),
            "license": {"name": "MIT", "identifier": "MIT"},
            "version": env!("CARGO_PKG_VERSION"),
        }),
        servers: json!([{"url": "/", "description": "The service that this document comes from."}]),
        security: json!([]),
        tags: json!([
            {"name": SENDING, "description": "Events in."},
            {"name": READING, "description": "Events out: by id, a page at a time, and live."},
            {"name": OPERATING, "description": "For operators, their tools and load balancers."},
        ]),
        paths: json!({
            "/events": {"get": reading::page(), "post": sending::one(options)},
            "/events/batch": {"post": sending::batch(options)},
            "/events/tail": {"get": reading::tail()},
            "/events/{id}": {"get": reading::by_id()},
            "/metrics": {"get": operating::metrics()},
            "/metrics/prometheus": {"get": operating::metrics_for_prometheus()},
            "/health": {"get": operating::health()},
            "/livez": {"get": operating::live()},
            "/readyz": {"get": operating::ready()},
            "/openapi.json": {"get": operating::document()},
            "/": {"get": operating::dashboard()},
            "/dashboard/stream": {"get": operating::dashboard_stream()},
        }),
        components: components::components(options),
    };
    let mut text = serde_json::to_string_pretty(&document).expect("strings, numbers and maps have a form in JSON");
    text.push('\n');
    text
}

const SENDING: &str = "Sending";
const READING: &str = "Reading";
const OPERATING: &str = "Operating";
