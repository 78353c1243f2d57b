//! Responses: those that refuse are made of the very problems that the service answers with.

use std::collections::BTreeSet;

use hyper::{
    StatusCode,
    header::{ACCEPT, ACCEPT_ENCODING, ALLOW, HeaderName, HeaderValue, RETRY_AFTER},
};
use serde_json::{Map, Value, json};

use super::super::{
    code::{ErrorCode, RequestCode},
    problem::{PROBLEM_JSON, Problem},
    sse,
};

/// The headers of problems: how they are spelt, what they say, and what they hold.
fn headers() -> [(HeaderName, &'static str, &'static str, Value); 4] {
    let text = || json!({"type": "string"});
    let seconds = json!({"type": "integer", "minimum": 1, "maximum": 30});
    [
        (ALLOW, "Allow", "The methods that the path answers to.", text()),
        (ACCEPT, "Accept", "With `unsupported_media_type`: what is taken.", text()),
        (ACCEPT_ENCODING, "Accept-Encoding", "With `unsupported_content_coding`: what is understood.", text()),
        (RETRY_AFTER, "Retry-After", "After how many seconds another try is worthwhile.", seconds),
    ]
}

/// What a component of this name is referred to by.
pub(super) fn reference(kind: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{kind}/{name}") })
}

/// A response with one JSON body of the schema `name`, narrowed by `narrow`, and examples by name.
pub(super) fn answer(description: &str, name: &str, narrow: &Value, examples: &Value) -> Value {
    let schema = match narrow {
        Value::Null => reference("schemas", name),
        narrow => json!({"allOf": [reference("schemas", name), {"properties": narrow}]}),
    };
    json!({
        "description": description,
        "content": {"application/json": {"schema": schema, "examples": named(examples)}},
    })
}

/// Values by name as OpenAPI wants its examples.
pub(super) fn named(examples: &Value) -> Value {
    let examples = examples.as_object().into_iter().flatten();
    examples.map(|(name, value)| (name.clone(), json!({ "value": value }))).collect::<Map<_, _>>().into()
}

/// The refusals of one status: `problems` are its examples, and `also` are more codes that it has.
pub(super) fn refusal(description: &str, problems: &[Problem], also: &[ErrorCode]) -> Value {
    let codes: BTreeSet<&str> =
        problems.iter().map(Problem::code).chain(also.iter().copied()).map(ErrorCode::as_str).collect();
    let status = problems.first().map_or(0, |problem| problem.status().as_u16());
    let example = HeaderValue::from_static("01a20bbd-7af1-77a8-8647-22e8122b999d");
    let body = |problem: &Problem| -> Value {
        serde_json::from_slice(&problem.document(&example)).expect("a problem's own document is JSON")
    };
    let examples: Map<_, _> =
        problems.iter().map(|problem| (problem.code().as_str().to_owned(), json!({"value": body(problem)}))).collect();
    let mut sent = Map::new();
    let request_id = json!({"type": "string", "minLength": 1, "maxLength": 128});
    let meaning = "The request's own `X-Request-Id`, or one that was made for it: the log names it too.";
    // What is no HTTP is answered 400 before there is a request.
    let always = status != StatusCode::BAD_REQUEST.as_u16();
    sent.insert("X-Request-Id".to_owned(), json!({"description": meaning, "required": always, "schema": request_id}));
    for (name, spelt, meaning, schema) in headers() {
        let has = |problem: &&Problem| problem.headers().iter().any(|(header, _)| *header == name);
        let having = problems.iter().filter(has).count();
        if having > 0 {
            let always = having == problems.len() && also.is_empty();
            sent.insert(spelt.to_owned(), json!({"description": meaning, "required": always, "schema": schema}));
        }
    }
    let schema = json!({"allOf": [
        reference("schemas", "Problem"),
        {"properties": {"status": {"const": status}, "code": {"enum": codes}}},
    ]});
    let mut response = json!({
        "description": description,
        "content": {PROBLEM_JSON: {"schema": schema, "examples": examples}},
    });
    if !sent.is_empty() {
        response["headers"] = sent.into();
    }
    response
}

/// A response that goes on: server-sent events.
pub(super) fn stream(description: &str, example: &str) -> Value {
    json!({
        "description": description,
        "content": {"text/event-stream": {
            "schema": {"type": "string"}, "examples": {"example": {"value": example}},
        }},
    })
}

/// The refusal where there may be no more streams.
pub(super) fn no_stream() -> Value {
    refusal("There are as many streams, or connections, as there may be.", &[sse::too_many()], &[])
}

/// The refusals that every operation has, or that every one without a body has: by name.
pub(super) fn shared() -> Value {
    let get_only = "GET, HEAD, OPTIONS";
    json!({
        "BadRequest": refusal(
            "The request has a body. What is not HTTP is answered 400 without a body.",
            &[Problem::bad_request(RequestCode::InvalidParameter, "a GET or HEAD request has no body")],
            &[],
        ),
        "MethodNotAllowed": refusal(
            "For other methods than those of this path, which `Allow` names.",
            &[Problem::method_not_allowed(get_only)],
            &[],
        ),
        "Timeout": refusal(
            "The head or the body of the request came too slowly. The connection is closed.",
            &[Problem::timeout("the head of the request did not arrive in time")],
            &[],
        ),
        "UriTooLong": {"description": "Path and query are too long. Without a body; this version answers 431 before it comes to that."},
        "HeadTooLarge": {"description": "The head of the request has more than 64 fields or 16 KiB. Without a body."},
        "Internal": refusal("A bug of the service; nothing else is answered so.", &[Problem::internal()], &[]),
        "TooManyConnections": refusal(
            "There are as many connections as there may be. Nothing of the request was read.",
            &[Problem::unavailable(RequestCode::Overloaded, "the service has as many connections as it may have", 1)],
            &[],
        ),
    })
}

/// An operation's responses: its own, and those that every operation has.
pub(super) fn with_shared(own: Value) -> Value {
    let shared = [
        (StatusCode::BAD_REQUEST, "BadRequest"),
        (StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
        (StatusCode::REQUEST_TIMEOUT, "Timeout"),
        (StatusCode::URI_TOO_LONG, "UriTooLong"),
        (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "HeadTooLarge"),
        (StatusCode::INTERNAL_SERVER_ERROR, "Internal"),
        (StatusCode::SERVICE_UNAVAILABLE, "TooManyConnections"),
    ];
    let mut responses: Map<_, _> =
        shared.into_iter().map(|(status, name)| (status.as_str().to_owned(), reference("responses", name))).collect();
    if let Value::Object(own) = own {
        responses.extend(own);
    }
    responses.into()
}
