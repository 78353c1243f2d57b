//! `GET /events/{id}`: an event, and how far it has come.

use std::{borrow::Cow, collections::BTreeMap};

use hyper::{
    StatusCode,
    header::{CACHE_CONTROL, HeaderValue},
};
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Map, Value, value::RawValue};
use uuid::Uuid;

use super::{
    answer::{self, Answer},
    code::RequestCode,
    problem::Problem,
};
use crate::{
    event::{EventType, Micros},
    pipeline::{Found, JournaledEvent, Pipeline},
    storage::{
        StoreError, StoredEvent,
        dead_letters::{DeadLetter, Reason},
    },
};

/// An event as it is read: the fields it was sent with, what was made of it, and its state.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Event", extend("additionalProperties" = true))]
pub(super) struct Document<'a> {
    /// In lower case.
    id: Uuid,
    #[schemars(with = "EventType")]
    r#type: &'a str,
    /// One of those that an event may be sent with; a row that others wrote may have another.
    source: &'a str,
    /// `null` where it was sent without one.
    user_id: Option<&'a str>,
    #[serde(flatten)]
    #[schemars(with = "ProcessedData")]
    processed_data: Processed<'a>,
    /// How long after its receipt it was processed, in ms; once it is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    processing_time_ms: Option<i64>,
    /// Its own time: whole seconds, in UTC; once it is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    created_at: Option<String>,
    /// When it was processed: whole seconds, in UTC; once it is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    processed_at: Option<String>,
    /// How far it has come: `durable` is in the journal, on its way to the store.
    #[schemars(extend("enum" = ["durable", "stored", "dead"]))]
    state: &'static str,
    /// Why it was refused, where it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Dead<'static>")]
    dead: Option<Dead<'a>>,
}

/// `data`, `timestamp`, and what the processors made.
#[derive(Serialize)]
#[serde(untagged)]
enum Processed<'a> {
    /// The members of `processed_data`, in order of their names.
    Stored(BTreeMap<String, Box<RawValue>>),
    /// What is known of an event that was not processed, under the names that it will have in the store.
    AsSent {
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<&'a RawValue>,
        lag_ms: i64,
        receipt: Cow<'a, str>,
        received_at: String,
        timestamp: Cow<'a, str>,
    },
}

/// Why an event is dead.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Death")]
struct Dead<'a> {
    #[schemars(with = "Reason")]
    reason: &'static str,
    /// The store's own error number or name, or the processor's.
    code: &'a str,
    /// In the words of who refused it.
    detail: &'a str,
    /// How often it was tried.
    attempts: u32,
    /// When it was given up.
    #[schemars(extend("format" = "date-time"))]
    failed_at: String,
}

/// The members that the service's own processor makes, beside which others may stand. What others wrote into
/// the table may lack them.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "the schema of what is handed on as it is stored")]
struct ProcessedData {
    /// As it was sent.
    #[schemars(skip_serializing_if = "Option::is_none", with = "Map<String, Value>")]
    data: Option<Map<String, Value>>,
    /// As it was sent: RFC 3339 with a zone; or the time of receipt.
    #[schemars(skip_serializing_if = "Option::is_none", with = "String")]
    timestamp: Option<String>,
    /// When the service received it.
    #[schemars(skip_serializing_if = "Option::is_none", with = "String", extend("format" = "date-time"))]
    received_at: Option<String>,
    /// How long after its own time it was received, in ms; below zero where its clock is ahead.
    #[schemars(skip_serializing_if = "Option::is_none", with = "i64")]
    lag_ms: Option<i64>,
    /// Node and sequence: unique to this acceptance of the event.
    #[schemars(skip_serializing_if = "Option::is_none", with = "String", pattern("^[0-9a-f]{32}$"))]
    receipt: Option<String>,
}

/// The schemas of what is answered here.
pub(super) fn schemas(generator: &mut SchemaGenerator) {
    generator.subschema_for::<Document<'static>>();
}

/// Fields of [`Document`] that a processor's members must not stand beside.
const COLUMNS: [&str; 9] =
    ["id", "type", "source", "user_id", "processing_time_ms", "created_at", "processed_at", "state", "dead"];

/// Looks the event up.
pub(super) async fn event(pipeline: &Pipeline, id: &str) -> Result<Answer, Problem> {
    let not_found = || Problem::not_found("there is no event of this id");
    // Only the canonical form is ever stored; other forms of a UUID name nothing.
    let id = match Uuid::try_parse(id) {
        Ok(uuid) if id.len() == 36 => uuid,
        _ => return Err(not_found()),
    };
    let found = pipeline.find(id).await.map_err(|error| unavailable(pipeline, &error))?;
    let found = found.ok_or_else(not_found)?;
    let mut response = answer::value(
        StatusCode::OK,
        &match &found {
            Found::Stored(stored) => document(stored),
            Found::Durable(event) => journaled(event),
            Found::Dead(letter) => dead(letter),
        },
    );
    // What it says may be another thing in a moment.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn unavailable(pipeline: &Pipeline, error: &StoreError) -> Problem {
    let detail = format!("the store cannot be asked now ({}); the event may or may not be there", error.code());
    Problem::unavailable(RequestCode::StoreUnavailable, detail, pipeline.retry_after_s())
}

/// A stored event.
pub(super) fn document(stored: &StoredEvent) -> Document<'_> {
    let time = |seconds: Option<i64>| seconds.map(|seconds| Micros(seconds.saturating_mul(1_000_000)).to_string());
    Document {
        id: stored.id,
        r#type: &stored.kind,
        source: &stored.source,
        user_id: stored.user_id.as_deref(),
        processed_data: Processed::Stored(members(stored.processed_data.as_deref())),
        processing_time_ms: stored.processing_time_ms,
        created_at: time(stored.created_at_s),
        processed_at: time(stored.processed_at_s),
        state: "stored",
        dead: None,
    }
}

/// An event that is in the journal, as far as is known here.
pub(super) fn journaled(event: &JournaledEvent) -> Document<'_> {
    let lag_ms = (event.received.0 - event.occurred.0) / 1000;
    Document {
        id: event.id,
        r#type: event.kind,
        source: event.source,
        user_id: event.user_id.as_deref(),
        processed_data: as_sent(&event.data, &*event.timestamp, event.received, lag_ms, &*event.receipt),
        processing_time_ms: None,
        created_at: None,
        processed_at: None,
        state: "durable",
        dead: None,
    }
}

fn dead(letter: &DeadLetter) -> Document<'_> {
    let timestamp = letter.event.timestamp.clone().unwrap_or_else(|| letter.received.to_string());
    let lag_ms = (letter.received.0 - letter.occurred.0) / 1000;
    Document {
        id: letter.id,
        r#type: letter.event.kind.as_str(),
        source: letter.event.source.as_str(),
        user_id: letter.event.user_id.as_deref(),
        processed_data: as_sent(&letter.event.data, timestamp, letter.received, lag_ms, letter.receipt.to_string()),
        processing_time_ms: None,
        created_at: None,
        processed_at: None,
        state: "dead",
        dead: Some(Dead {
            reason: letter.reason.as_str(),
            code: &letter.code,
            detail: &letter.detail,
            attempts: letter.attempts,
            failed_at: letter.failed_at.to_string(),
        }),
    }
}

/// What is known of an event that was not processed, under the names that it will have in the store.
fn as_sent<'a>(
    data: &'a str,
    timestamp: impl Into<Cow<'a, str>>,
    received: Micros,
    lag_ms: i64,
    receipt: impl Into<Cow<'a, str>>,
) -> Processed<'a> {
    Processed::AsSent {
        // It was JSON when it was accepted; a member that were none would only be missing.
        data: serde_json::from_str(data).ok(),
        lag_ms,
        receipt: receipt.into(),
        received_at: received.to_string(),
        timestamp: timestamp.into(),
    }
}

/// The members of `processed_data`; a row that others wrote may have none, or no object.
fn members(processed_data: Option<&str>) -> BTreeMap<String, Box<RawValue>> {
    let Some(json) = processed_data else { return BTreeMap::new() };
    let mut members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(json).unwrap_or_default();
    members.retain(|name, _| !COLUMNS.contains(&name.as_str()));
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(processed_data: Option<&str>) -> StoredEvent {
        StoredEvent {
            id: Uuid::nil(),
            kind: "system_log".into(),
            source: "web".into(),
            user_id: None,
            processed_data: processed_data.map(Into::into),
            processing_time_ms: Some(3),
            created_at_s: Some(1),
            processed_at_s: None,
        }
    }

    #[test]
    fn what_was_processed_stands_beside_the_columns() {
        let row = stored(Some(r#"{"data":{"a":1e2},"state":"no","receipt":"x"}"#));
        let read = serde_json::to_string(&document(&row)).unwrap();
        assert!(read.contains(r#""data":{"a":1e2},"receipt":"x""#), "{read}");
        assert!(read.contains(r#""state":"stored""#) && !read.contains(r#""no""#), "{read}");
        assert!(read.contains(r#""created_at":"1970-01-01T00:00:01.000000Z""#), "{read}");
    }

    #[test]
    fn a_row_that_others_wrote_can_be_read() {
        for odd in [None, Some("[1]"), Some("not json")] {
            let row = stored(odd);
            assert!(serde_json::to_string(&document(&row)).unwrap().contains(r#""processing_time_ms":3"#));
        }
    }
}
