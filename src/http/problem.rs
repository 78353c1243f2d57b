//! Problem details (RFC 9457): every answer that is not a success, in one form.

use hyper::{
    Response, StatusCode,
    header::{ACCEPT, ACCEPT_ENCODING, ALLOW, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER},
};
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use smallvec::SmallVec;

use super::{
    answer::{Answer, Body},
    code::{ErrorCode, RequestCode},
    request_id::REQUEST_ID,
};
use crate::{
    event::{BodyError, Code, DATA_BYTES_MAX, Rejection, Shape},
    pipeline::Refused,
};

/// The media type of every problem.
pub(super) const PROBLEM_JSON: &str = "application/problem+json";

/// A refusal, or a failure, as the client sees it. Boxed, so that the good path does not carry
/// room for it.
#[derive(Debug)]
pub(super) struct Problem(Box<Content>);

#[derive(Debug)]
struct Content {
    status: StatusCode,
    code: ErrorCode,
    detail: String,
    pointer: String,
    limit: Option<u64>,
    errors: Vec<Rejection>,
    headers: SmallVec<[(HeaderName, HeaderValue); 2]>,
}

/// Why a request was refused (RFC 9457).
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
struct Document<'a> {
    /// `urn:event-pipeline:problem:` and the code.
    #[schemars(pattern("^urn:event-pipeline:problem:[a-z_]+$"))]
    r#type: String,
    /// What the status is called.
    title: &'a str,
    /// The status of the answer.
    #[schemars(range(min = 400, max = 599))]
    status: u16,
    /// What is wrong, for programs.
    #[schemars(with = "ErrorCode")]
    code: &'a str,
    /// What is wrong, for people.
    #[schemars(length(min = 1))]
    detail: &'a str,
    /// The same as `detail`, for clients that look for it here.
    #[schemars(length(min = 1))]
    message: &'a str,
    /// Where, when it is one place of a body that was refused as a whole: a JSON pointer (RFC 6901).
    #[serde(skip_serializing_if = "str::is_empty")]
    pointer: &'a str,
    /// How many may be had, where there were too many.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    limit: Option<u64>,
    /// Each event that was refused.
    #[serde(skip_serializing_if = "<[Rejection]>::is_empty")]
    errors: &'a [Rejection],
    /// The request's `X-Request-Id`, or one that was made for it: the log names it too.
    #[schemars(length(min = 1, max = 128))]
    request_id: &'a str,
}

/// The schemas of what is answered here.
pub(super) fn schemas(generator: &mut SchemaGenerator) {
    generator.subschema_for::<Document<'static>>();
}

impl Problem {
    /// A problem without anything particular to its kind.
    pub(super) fn new(status: StatusCode, code: impl Into<ErrorCode>, detail: impl Into<String>) -> Self {
        Self(Box::new(Content {
            status,
            code: code.into(),
            detail: detail.into(),
            pointer: String::new(),
            limit: None,
            errors: Vec::new(),
            headers: SmallVec::new(),
        }))
    }

    pub(super) fn bad_request(code: impl Into<ErrorCode>, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, RequestCode::NotFound, detail)
    }

    pub(super) fn method_not_allowed(allow: &'static str) -> Self {
        let detail = format!("this path answers to {allow}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, RequestCode::MethodNotAllowed, detail)
            .with(ALLOW, HeaderValue::from_static(allow))
    }

    /// Load or a store that is away: the client should come back.
    pub(super) fn unavailable(code: impl Into<ErrorCode>, detail: impl Into<String>, retry_after_s: u64) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).with(RETRY_AFTER, HeaderValue::from(retry_after_s))
    }

    pub(super) fn body_too_large(limit: usize) -> Self {
        let detail = format!("the body has more than the {limit} bytes that one request may have");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, RequestCode::BodyTooLarge, detail).limit(limit)
    }

    pub(super) fn unsupported_media_type() -> Self {
        let detail = "the body must be JSON: send `Content-Type: application/json`, or none at all";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, RequestCode::UnsupportedMediaType, detail)
            .with(ACCEPT, HeaderValue::from_static("application/json"))
    }

    pub(super) fn unsupported_content_coding() -> Self {
        let detail = "the body must not be compressed: no content coding but identity is understood";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, RequestCode::UnsupportedContentCoding, detail)
            .with(ACCEPT_ENCODING, HeaderValue::from_static("identity"))
    }

    /// The client was too slow; the connection ends with the answer.
    pub(super) fn timeout(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, RequestCode::Timeout, detail).close()
    }

    /// A bug of ours.
    pub(super) fn internal() -> Self {
        let detail = "the service failed on this request; it is a bug, and the log has more";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, RequestCode::Internal, detail)
    }

    /// What the pipeline says to a request of which it took nothing.
    pub(super) fn refused(refused: Refused, shape: Shape, retry_after_s: u64) -> Self {
        let detail = refused.to_string();
        match refused {
            Refused::Body(error) => Self::body(error),
            Refused::NoValidEvent { mut rejections } => match (shape, rejections.first_mut()) {
                (Shape::Single, Some(rejection)) => {
                    let detail = rejection.detail.clone();
                    let problem = match rejection.code {
                        Code::EventTooLarge => {
                            Self::new(StatusCode::PAYLOAD_TOO_LARGE, rejection.code, detail).limit(DATA_BYTES_MAX)
                        }
                        code => Self::bad_request(code, detail),
                    };
                    problem.errors(rejections)
                }
                _ => {
                    let detail = "no event of the batch is valid; `errors` says why, for each";
                    Self::bad_request(RequestCode::NoValidEvent, detail).errors(rejections)
                }
            },
            Refused::JournalFull { retry_after_s } => {
                Self::unavailable(RequestCode::JournalFull, detail, retry_after_s)
            }
            Refused::Overloaded { retry_after_s } => Self::unavailable(RequestCode::Overloaded, detail, retry_after_s),
            Refused::Draining => Self::unavailable(RequestCode::Draining, detail, retry_after_s),
        }
    }

    fn body(error: BodyError) -> Self {
        match error {
            BodyError::Refused { code, pointer, detail } => {
                let mut problem = Self::bad_request(code, detail);
                problem.0.pointer = pointer;
                problem
            }
            BodyError::Empty => Self::bad_request(RequestCode::EmptyBatch, "the batch holds no event"),
            BodyError::TooMany { events, events_max } => {
                let detail = format!("the batch holds {events} events; one request may hold {events_max}");
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, RequestCode::TooManyEvents, detail).limit(events_max)
            }
        }
    }

    /// The connection ends with this answer.
    pub(super) fn close(self) -> Self {
        self.with(CONNECTION, HeaderValue::from_static("close"))
    }

    fn limit(mut self, limit: usize) -> Self {
        self.0.limit = Some(limit as u64);
        self
    }

    fn errors(mut self, errors: Vec<Rejection>) -> Self {
        self.0.errors = errors;
        self
    }

    fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    pub(super) fn status(&self) -> StatusCode {
        self.0.status
    }

    pub(super) fn code(&self) -> ErrorCode {
        self.0.code
    }

    pub(super) fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The headers that belong to this problem.
    pub(super) fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.0.headers
    }

    /// The body, as the answer to the request of that id.
    pub(super) fn document(&self, request_id: &HeaderValue) -> Vec<u8> {
        let Content { status, code, detail, pointer, limit, errors, .. } = self.0.as_ref();
        let document = Document {
            r#type: format!("urn:event-pipeline:problem:{}", code.as_str()),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            code: code.as_str(),
            detail,
            message: detail,
            pointer,
            limit: *limit,
            errors,
            request_id: request_id.to_str().unwrap_or_default(),
        };
        serde_json::to_vec(&document).expect("a struct of strings and numbers has a form in JSON")
    }

    /// The answer to the request of that id.
    pub(super) fn into_response(self, request_id: HeaderValue) -> Answer {
        let mut response = Response::new(Body::from(self.document(&request_id)));
        *response.status_mut() = self.0.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        headers.insert(REQUEST_ID, request_id);
        for (name, value) in self.0.headers {
            headers.insert(name, value);
        }
        response
    }

    /// The whole answer as bytes, for a connection that hyper does not serve (any more).
    pub(super) fn into_raw(mut self, request_id: HeaderValue) -> Vec<u8> {
        let document = self.document(&request_id);
        self.0.headers.push((REQUEST_ID, request_id));
        let mut raw = format!(
            "HTTP/1.1 {} {}\r\ncontent-type: {PROBLEM_JSON}\r\ncontent-length: {}\r\n",
            self.0.status.as_str(),
            self.0.status.canonical_reason().unwrap_or("Error"),
            document.len()
        )
        .into_bytes();
        for (name, value) in &self.0.headers {
            raw.extend_from_slice(name.as_str().as_bytes());
            raw.extend_from_slice(b": ");
            raw.extend_from_slice(value.as_bytes());
            raw.extend_from_slice(b"\r\n");
        }
        raw.extend_from_slice(b"\r\n");
        raw.extend_from_slice(&document);
        raw
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raw_problem_is_a_whole_http_answer() {
        let raw = Problem::timeout("too slow").into_raw(HeaderValue::from_static("id-1"));
        let raw = String::from_utf8(raw).unwrap();
        let (head, body) = raw.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{head}");
        assert!(head.contains("connection: close"), "{head}");
        assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
        let document: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(document["type"], "urn:event-pipeline:problem:timeout");
        assert_eq!(document["code"], "timeout");
        assert_eq!(document["message"], document["detail"]);
        assert_eq!(document["status"], 408);
        assert!(head.contains("x-request-id: id-1") && document["request_id"] == "id-1", "{raw}");
    }
}
