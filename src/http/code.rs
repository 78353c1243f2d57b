//! The codes of problems: part of the interface, and stable for ever.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::event::Code;

/// What is wrong with a request as a whole, or with the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub(super) enum RequestCode {
    /// The batch holds no event.
    EmptyBatch,
    /// No event of the batch is valid; `errors` says why, for each.
    NoValidEvent,
    /// The batch holds more events than one request may; `limit` says how many that are.
    TooManyEvents,
    /// The body has more bytes than one request may; `limit` says how many that are.
    BodyTooLarge,
    /// The body ended early, or its chunks are not well-formed.
    IncompleteBody,
    /// The body is not JSON by its `Content-Type`.
    UnsupportedMediaType,
    /// The body is compressed.
    UnsupportedContentCoding,
    /// A parameter or a header has a value that it cannot have; or a GET or HEAD request has a body.
    InvalidParameter,
    /// There is nothing at this path, or no event of this id.
    NotFound,
    /// The path does not answer to this method.
    MethodNotAllowed,
    /// The head or the body of the request came too slowly.
    Timeout,
    /// There are more events, bodies or connections at this moment than there may be.
    Overloaded,
    /// The journal has no room: the store takes less than comes in, or is away.
    JournalFull,
    /// The service is shutting down.
    Draining,
    /// The store is needed for the answer, and away.
    StoreUnavailable,
    /// A bug of the service.
    Internal,
}

impl RequestCode {
    fn as_str(self) -> &'static str {
        match self {
            Self::EmptyBatch => "empty_batch",
            Self::NoValidEvent => "no_valid_event",
            Self::TooManyEvents => "too_many_events",
            Self::BodyTooLarge => "body_too_large",
            Self::IncompleteBody => "incomplete_body",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::UnsupportedContentCoding => "unsupported_content_coding",
            Self::InvalidParameter => "invalid_parameter",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Timeout => "timeout",
            Self::Overloaded => "overloaded",
            Self::JournalFull => "journal_full",
            Self::Draining => "draining",
            Self::StoreUnavailable => "store_unavailable",
            Self::Internal => "internal",
        }
    }
}

/// The code of a problem: an event's, or the request's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ErrorCode(&'static str);

impl ErrorCode {
    /// The name as clients see it.
    pub(super) fn as_str(self) -> &'static str {
        self.0
    }
}

impl From<Code> for ErrorCode {
    fn from(code: Code) -> Self {
        Self(code.as_str())
    }
}

impl From<RequestCode> for ErrorCode {
    fn from(code: RequestCode) -> Self {
        Self(code.as_str())
    }
}

impl JsonSchema for ErrorCode {
    fn schema_name() -> Cow<'static, str> {
        "ErrorCode".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let both = [Code::json_schema(generator), RequestCode::json_schema(generator)];
        let names = both.iter().filter_map(|schema| schema.get("oneOf")?.as_array()).flatten();
        json_schema!({ "oneOf": names.collect::<Vec<_>>() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_has_the_names_that_clients_see() {
        let schema = ErrorCode::json_schema(&mut SchemaGenerator::default());
        let names: Vec<_> = schema.get("oneOf").and_then(|names| names.as_array()).unwrap().iter().collect();
        let has = |code: ErrorCode| names.iter().any(|name| name["const"] == code.as_str());
        assert_eq!(names.len(), 32);
        for code in [
            RequestCode::EmptyBatch,
            RequestCode::NoValidEvent,
            RequestCode::TooManyEvents,
            RequestCode::BodyTooLarge,
            RequestCode::IncompleteBody,
            RequestCode::UnsupportedMediaType,
            RequestCode::UnsupportedContentCoding,
            RequestCode::InvalidParameter,
            RequestCode::NotFound,
            RequestCode::MethodNotAllowed,
            RequestCode::Timeout,
            RequestCode::Overloaded,
            RequestCode::JournalFull,
            RequestCode::Draining,
            RequestCode::StoreUnavailable,
            RequestCode::Internal,
        ] {
            assert!(has(code.into()), "{code:?}");
        }
        assert!(has(Code::MalformedJson.into()) && has(Code::EventTooLarge.into()));
    }
}
