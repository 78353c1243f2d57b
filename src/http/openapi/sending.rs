//! The operations that take events.

use serde_json::{Value, json};

use super::{
    super::{
        Options,
        code::{ErrorCode, RequestCode},
        problem::Problem,
    },
    SENDING,
    responses::{answer, named, reference, refusal, with_shared},
};
use crate::{
    event::{BodyError, Code, Rejection, Shape},
    pipeline::Refused,
};

const ID: &str = "01a20bbd-7af1-77a8-8647-22e8122b999d";
const OTHER_ID: &str = "3b241101-e2bb-4255-8caf-4136c566a962";

/// What may be wrong with an event, but for one that is too large (413).
const OF_AN_EVENT: [Code; 14] = [
    Code::NotAnObject,
    Code::UnknownField,
    Code::RepeatedField,
    Code::MissingField,
    Code::InvalidId,
    Code::InvalidType,
    Code::InvalidSource,
    Code::InvalidTimestamp,
    Code::TimestampOutOfRange,
    Code::InvalidUserId,
    Code::InvalidData,
    Code::InvalidString,
    Code::NumberOutOfRange,
    Code::TooDeep,
];

/// What may be wrong with the body of a batch, beyond its events.
const OF_A_BATCH: [Code; 5] =
    [Code::NotAnObject, Code::UnknownField, Code::RepeatedField, Code::MissingField, Code::InvalidData];

/// `POST /events`
pub(super) fn one(options: &Options) -> Value {
    let invalid = |code, pointer, detail| {
        let rejections = vec![rejection(code, pointer, detail)];
        Problem::refused(Refused::NoValidEvent { rejections }, Shape::Single, 1)
    };
    let also: Vec<ErrorCode> = OF_AN_EVENT.into_iter().map(Into::into).chain([incomplete()]).collect();
    json!({
        "operationId": "postEvent",
        "tags": [SENDING],
        "summary": "Takes one event.",
        "description": "Answers when the event has reached the level that `ack` asks for. It is checked whole before \
            it is accepted; what is refused leaves nothing behind.",
        "parameters": [reference("parameters", "ack"), reference("parameters", "idempotencyKey")],
        "requestBody": {
            "required": true,
            "description": MEDIA_TYPES,
            "content": {"application/json": {
                "schema": reference("schemas", "NewEvent"),
                "examples": named(&json!({
                    "purchase": {
                        "type": "user_action", "source": "web", "user_id": "user_123",
                        "data": {"action": "purchase", "value": 99.99},
                    },
                    "measurement": {
                        "id": OTHER_ID, "type": "sensor_data", "source": "iot_device",
                        "timestamp": "2026-01-15T10:30:00.25+02:00", "data": {"temperature": 23.5},
                    },
                    "least": {"type": "system_log", "source": "system"},
                })),
            }},
        },
        "responses": with_shared(json!({
            "200": with_link(answer(
                "It is in the store; or the store or the processor refused it for good (`dead`). For `ack=stored` only.",
                "TakenEvent",
                &json!({"ack": {"enum": ["stored", "dead"]}}),
                &json!({
                    "stored": {"id": ID, "ack": "stored"},
                    "duplicate": {"id": ID, "ack": "stored", "duplicate": true},
                    "dead": {"id": ID, "ack": "dead", "code": "store_refused", "detail": "Data too long for column 'source' at row 1"},
                }),
            )),
            "202": with_link(answer(
                "It is accepted, and on its way to the store.",
                "TakenEvent",
                &json!({"ack": {"enum": ["queued", "durable"]}}),
                &json!({"durable": {"id": ID, "ack": "durable"}, "queued": {"id": ID, "ack": "queued"}}),
            )),
            "400": refusal(
                "The event is not valid, or the request is not. What is not HTTP is answered 400 without a body.",
                &[invalid(Code::InvalidType, "/type", WRONG_TYPE), malformed(), bad_ack()],
                &also,
            ),
            "413": refusal(
                "The body, or `data` in it, has too many bytes. Nothing was taken.",
                &[
                    Problem::body_too_large(options.max_body_bytes),
                    invalid(Code::EventTooLarge, "/data", "data has 5000000 bytes; at most 4194304 are taken"),
                ],
                &[],
            ),
            "415": unsupported(),
            "503": overloaded(),
        })),
    })
}

/// `POST /events/batch`
pub(super) fn batch(options: &Options) -> Value {
    let events_max = options.max_batch_events;
    let shape = Shape::Batch { events_max };
    let refused = |refused| Problem::refused(refused, shape, 1);
    let no_type = rejection(Code::MissingField, "/events/0/type", "type is required");
    let wrong_type = json!({"index": 2, "code": "invalid_type", "pointer": "/events/2/type", "detail": WRONG_TYPE});
    let also: Vec<ErrorCode> = OF_A_BATCH.into_iter().map(Into::into).chain([incomplete()]).collect();
    json!({
        "operationId": "postBatch",
        "tags": [SENDING],
        "summary": "Takes many events.",
        "description": "Every event is judged alone: good ones are taken, and `errors` says what is wrong with the \
            others. The good ones of a request are admitted together or not at all. Answers when all of them have \
            reached the level that `ack` asks for.",
        "parameters": [
            reference("parameters", "ack"),
            reference("parameters", "idempotencyKey"),
            reference("parameters", "prefer"),
        ],
        "requestBody": {
            "required": true,
            "description": MEDIA_TYPES,
            "content": {"application/json": {
                "schema": reference("schemas", "NewBatch"),
                "examples": named(&json!({
                    "object": {"events": [
                        {"type": "sensor_data", "source": "iot_device", "data": {"temperature": 23.5}},
                        {"type": "system_log", "source": "system", "data": {"level": "error"}},
                    ]},
                    "array": [{"type": "user_action", "source": "mobile", "user_id": "user_123"}],
                })),
            }},
        },
        "responses": with_shared(json!({
            "200": with_preference(answer(
                "At least one event was accepted, and all those are in the store, or dead. For `ack=stored` only.",
                "TakenBatch",
                &json!({"ack": {"enum": ["stored", "dead"]}}),
                &json!({
                    "stored": {
                        "ack": "stored", "received": 2, "accepted": 2, "duplicate": 1, "rejected": 0,
                        "ids": [ID, OTHER_ID], "errors": [],
                    },
                    "oneDead": {
                        "ack": "stored", "received": 2, "accepted": 2, "duplicate": 0, "rejected": 0,
                        "ids": [ID, OTHER_ID], "errors": [],
                        "dead": [{"index": 1, "id": OTHER_ID, "code": "store_refused", "detail": "Data too long for column 'source' at row 1"}],
                    },
                }),
            )),
            "202": with_preference(answer(
                "At least one event was accepted, and all those are on their way to the store.",
                "TakenBatch",
                &json!({"ack": {"enum": ["queued", "durable"]}}),
                &json!({
                    "oneRejected": {
                        "ack": "durable", "received": 3, "accepted": 2, "duplicate": 0, "rejected": 1,
                        "ids": [ID, OTHER_ID, null], "errors": [wrong_type],
                    },
                    "minimal": {
                        "ack": "durable", "received": 3, "accepted": 2, "duplicate": 0, "rejected": 1,
                        "errors": [wrong_type],
                    },
                }),
            )),
            "400": refusal(
                "No event was accepted: none is valid, or the body as a whole is not, or the request is not. What is \
                 not HTTP is answered 400 without a body.",
                &[
                    refused(Refused::NoValidEvent { rejections: vec![no_type] }),
                    refused(Refused::Body(BodyError::Empty)),
                    malformed(),
                    bad_ack(),
                ],
                &also,
            ),
            "413": refusal(
                "The batch has too many events, or the body too many bytes. Nothing was taken.",
                &[
                    refused(Refused::Body(BodyError::TooMany { events: events_max + 1, events_max })),
                    Problem::body_too_large(options.max_body_bytes),
                ],
                &[],
            ),
            "415": unsupported(),
            "503": overloaded(),
        })),
    })
}

const MEDIA_TYPES: &str = "JSON in UTF-8: `application/json`, `text/json`, any `…+json`, or no `Content-Type` at all. Not \
    compressed.";

const WRONG_TYPE: &str = "type must be user_action, sensor_data or system_log";

fn rejection(code: Code, pointer: &str, detail: &str) -> Rejection {
    Rejection { index: 0, code, pointer: pointer.to_owned(), detail: detail.to_owned() }
}

fn incomplete() -> ErrorCode {
    RequestCode::IncompleteBody.into()
}

fn malformed() -> Problem {
    let detail = "the body is not JSON: a value is expected at byte 8".to_owned();
    let error = BodyError::Refused { code: Code::MalformedJson, pointer: String::new(), detail };
    Problem::refused(Refused::Body(error), Shape::Single, 1)
}

fn bad_ack() -> Problem {
    Problem::bad_request(RequestCode::InvalidParameter, "`ack` is none of queued, durable, stored")
}

fn unsupported() -> Value {
    refusal(
        "The body is not JSON by its `Content-Type`, or it is compressed.",
        &[Problem::unsupported_media_type(), Problem::unsupported_content_coding()],
        &[],
    )
}

fn overloaded() -> Value {
    let retry_after_s = 12;
    let refusals = [Refused::Overloaded { retry_after_s }, Refused::JournalFull { retry_after_s }, Refused::Draining];
    refusal(
        "Not now. Nothing of the request was taken; send it again later.",
        &refusals.map(|refused| Problem::refused(refused, Shape::Single, retry_after_s)),
        &[],
    )
}

/// With the way to read the event.
fn with_link(mut response: Value) -> Value {
    response["links"] = json!({"event": {
        "operationId": "getEvent",
        "parameters": {"id": "$response.body#/id"},
        "description": "Says how far the event has come.",
    }});
    response
}

/// With the header that confirms `Prefer: return=minimal`.
fn with_preference(mut response: Value) -> Value {
    response["headers"] = json!({"Preference-Applied": {
        "description": "Where `ids` is left out as `Prefer` asks.",
        "schema": {"const": "return=minimal"},
    }});
    response
}
