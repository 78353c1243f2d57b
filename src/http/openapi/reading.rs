//! The operations that read events.

use serde_json::{Value, json};

use super::{
    super::{code::RequestCode, pages::LIMIT, problem::Problem},
    READING,
    responses::{answer, no_stream, reference, refusal, stream, with_shared},
};
use crate::storage::page::PAGE_EVENTS_MAX;

/// `GET /events/{id}`
pub(super) fn by_id() -> Value {
    json!({
        "operationId": "getEvent",
        "tags": [READING],
        "summary": "One event, and how far it has come.",
        "description": "Looks in the store, among the dead letters, and in this node's journal. An event that was \
            acknowledged as `queued` may not be there for a moment.",
        "parameters": [{
            "name": "id", "in": "path", "required": true, "schema": {"type": "string", "format": "uuid"},
            "description": "36 characters with hyphens, in either case. No other text is the id of an event.",
        }],
        "responses": with_shared(json!({
            "200": answer("The event. Not to be cached: its state may change.", "Event", &Value::Null, &json!({
                "stored": stored(),
                "durable": {
                    "id": ID, "type": "user_action", "source": "web", "user_id": "user_123",
                    "data": {"action": "purchase", "value": 99.99}, "timestamp": TIME, "received_at": TIME, "lag_ms": 0,
                    "receipt": RECEIPT, "state": "durable",
                },
                "dead": {
                    "id": ID, "type": "system_log", "source": "system", "user_id": null,
                    "data": {}, "timestamp": TIME, "received_at": TIME, "lag_ms": 0, "receipt": RECEIPT, "state": "dead",
                    "dead": {
                        "reason": "store_refused", "code": "1406",
                        "detail": "Data too long for column 'source' at row 1", "attempts": 1, "failed_at": TIME,
                    },
                },
            })),
            "404": refusal(
                "There is no event of this id.",
                &[Problem::not_found("there is no event of this id")],
                &[],
            ),
            "503": unavailable(),
        })),
    })
}

/// `GET /events`
pub(super) fn page() -> Value {
    let detail = "`limit` is not a number from 1 to 1000";
    json!({
        "operationId": "listEvents",
        "tags": [READING],
        "summary": "Stored events, newest first, a page at a time.",
        "description": "Ask without a `cursor` first, and then with the `next_cursor` of each answer until that is \
            `null`: pages may be short, or empty, before that. Texts are compared exactly. Events that are not stored \
            yet, or dead, are on no page. A parameter of another name, or one that is given twice, is an error.",
        "parameters": [
            reference("parameters", "type"),
            reference("parameters", "userId"),
            {
                "name": "source", "in": "query", "schema": reference("schemas", "Source"),
                "description": "Only events of this source.",
            },
            {
                "name": "from", "in": "query", "schema": {"type": "string", "format": "date-time"},
                "description": "Only events whose own time is this or later: RFC 3339 with a zone.",
            },
            {
                "name": "to", "in": "query", "schema": {"type": "string", "format": "date-time"},
                "description": "Only events whose own time is before this.",
            },
            {
                "name": "limit", "in": "query",
                "schema": {"type": "integer", "minimum": 1, "maximum": PAGE_EVENTS_MAX, "default": LIMIT},
                "description": "Most events of the page.",
            },
            {
                "name": "cursor", "in": "query", "schema": {"type": "string"},
                "description": "Where the page begins: the `next_cursor` of the one before, as it was given. Everything \
                    else stays as it was in that request.",
            },
        ],
        "responses": with_shared(json!({
            "200": answer("The page. Not to be cached.", "EventPage", &Value::Null, &json!({
                "last": {"events": [stored()], "next_cursor": null},
                "empty": {"events": [], "next_cursor": null},
            })),
            "400": refusal(
                "A parameter has a value that it cannot have, or is not known. Or the request has a body. What is not \
                 HTTP is answered 400 without a body.",
                &[Problem::bad_request(RequestCode::InvalidParameter, detail)],
                &[],
            ),
            "503": unavailable(),
        })),
    })
}

/// `GET /events/tail`
pub(super) fn tail() -> Value {
    let event = "event: event\ndata: {\"id\":\"01a20bbd-7af1-77a8-8647-22e8122b999d\",\"type\":\"system_log\", …}\n\n";
    let wrong_type = "`type` is none of user_action, sensor_data, system_log";
    json!({
        "operationId": "tailEvents",
        "tags": [READING],
        "summary": "Events as they become durable, live.",
        "description": "Server-sent events without an end: `event`, whose data is an `Event` that is `durable`, and \
            `missed` with `{\"events\": n}` where a client was too slow for so many. Begins with the events from now \
            on; a comment every 15 s says that the stream is alive.",
        "parameters": [reference("parameters", "type"), reference("parameters", "userId")],
        "responses": with_shared(json!({
            "200": stream("The stream.", &format!(": connected\n\n{event}event: missed\ndata: {{\"events\":417}}\n\n")),
            "400": refusal(
                "A parameter has a value that it cannot have, or is not known. Or the request has a body. What is not \
                 HTTP is answered 400 without a body.",
                &[Problem::bad_request(RequestCode::InvalidParameter, wrong_type)],
                &[],
            ),
            "503": no_stream(),
        })),
    })
}

const ID: &str = "01a20bbd-7af1-77a8-8647-22e8122b999d";
const TIME: &str = "2026-11-24T04:08:16.881151Z";
const RECEIPT: &str = "e6711627fc3c3d3d0001000000000001";

fn stored() -> Value {
    let second = "2026-11-24T04:08:16.000000Z";
    json!({
        "id": ID, "type": "user_action", "source": "web", "user_id": "user_123",
        "data": {"action": "purchase", "value": 99.99}, "timestamp": TIME, "received_at": TIME, "lag_ms": 0,
        "receipt": RECEIPT, "processing_time_ms": 0, "created_at": second, "processed_at": second, "state": "stored",
    })
}

fn unavailable() -> Value {
    let detail = "the store cannot be asked now (2002); the event may or may not be there";
    refusal(
        "The store cannot be asked, and no other answer would be sure; or there are too many connections.",
        &[Problem::unavailable(RequestCode::StoreUnavailable, detail, 3)],
        &[RequestCode::Overloaded.into()],
    )
}
