//! Why an event was refused: a code that never changes, a place, and a sentence that helps.

use serde::{Serialize, Serializer};

/// What is wrong with one event. The names are part of the interface and stable for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    /// The body is not JSON, or not UTF-8.
    MalformedJson,
    /// An event, or the body, is not a JSON object.
    NotAnObject,
    /// A field that the model does not have.
    UnknownField,
    /// A field that stands twice.
    RepeatedField,
    /// A required field is missing or null.
    MissingField,
    /// `id` is not a UUID of 36 characters.
    InvalidId,
    /// `type` is none of the three.
    InvalidType,
    /// `source` is none of the four.
    InvalidSource,
    /// `timestamp` is not RFC 3339 with a zone.
    InvalidTimestamp,
    /// `timestamp` lies outside of what a MySQL TIMESTAMP holds.
    TimestampOutOfRange,
    /// `user_id` is empty, too long, not a string, or holds a control character.
    InvalidUserId,
    /// `data` is not an object, or has a key that is too long.
    InvalidData,
    /// A string that is not Unicode: a lone surrogate.
    InvalidString,
    /// A number that no double holds.
    NumberOutOfRange,
    /// `data` is nested too deep.
    TooDeep,
    /// The event has more bytes than a store takes.
    EventTooLarge,
    /// A rule of a [`Validator`](super::Validator), by the name that it has for clients.
    Own(&'static str),
}

impl Code {
    /// The name as clients see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MalformedJson => "malformed_json",
            Self::NotAnObject => "not_an_object",
            Self::UnknownField => "unknown_field",
            Self::RepeatedField => "repeated_field",
            Self::MissingField => "missing_field",
            Self::InvalidId => "invalid_id",
            Self::InvalidType => "invalid_type",
            Self::InvalidSource => "invalid_source",
            Self::InvalidTimestamp => "invalid_timestamp",
            Self::TimestampOutOfRange => "timestamp_out_of_range",
            Self::InvalidUserId => "invalid_user_id",
            Self::InvalidData => "invalid_data",
            Self::InvalidString => "invalid_string",
            Self::NumberOutOfRange => "number_out_of_range",
            Self::TooDeep => "too_deep",
            Self::EventTooLarge => "event_too_large",
            Self::Own(name) => name,
        }
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

/// One event that was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rejection {
    /// The event's place in its request, counted from 0.
    pub index: usize,
    /// What is wrong.
    pub code: Code,
    /// Where: a JSON pointer (RFC 6901) into the request's body.
    pub pointer: String,
    /// A sentence for the person who sent it.
    pub detail: String,
}
