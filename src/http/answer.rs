//! Answers that are no problem.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    HeaderMap, Response, StatusCode,
    header::{CONTENT_TYPE, HeaderValue},
};
use serde::Serialize;

pub(super) type Answer = Response<Full<Bytes>>;

/// JSON text, in the request's own map of headers, emptied: hyper makes the next request's out of it,
/// so that neither allocates.
pub(super) fn json_in(mut headers: HeaderMap, status: StatusCode, text: impl Into<Bytes>) -> Answer {
    headers.clear();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// JSON text.
pub(super) fn json(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    json_in(HeaderMap::new(), status, text)
}

/// A value as JSON.
pub(super) fn value(status: StatusCode, value: &impl Serialize) -> Answer {
    json(status, serde_json::to_vec(value).expect("our own answers have a form in JSON"))
}

/// Nothing.
pub(super) fn no_content() -> Answer {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
