//! Answers that are no problem.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    header::{CONTENT_TYPE, HeaderValue},
};
use serde::Serialize;

pub(super) type Answer = Response<Full<Bytes>>;

/// JSON text.
pub(super) fn json(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
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
