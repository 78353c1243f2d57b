//! `GET /events/{id}`: what is stored of an event.

use std::collections::BTreeMap;

use hyper::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{
    answer::{self, Answer},
    problem::Problem,
};
use crate::{
    event::Micros,
    pipeline::Pipeline,
    storage::{StoreError, StoredEvent},
};

/// An event as it is read: the fields it was sent with, what was made of it, and its state.
#[derive(Serialize)]
struct Document<'a> {
    id: Uuid,
    r#type: &'a str,
    source: &'a str,
    user_id: Option<&'a str>,
    /// `data`, `timestamp`, and what the processors made.
    #[serde(flatten)]
    processed_data: BTreeMap<String, Box<RawValue>>,
    processing_time_ms: Option<i64>,
    created_at: Option<String>,
    processed_at: Option<String>,
    state: &'static str,
}

/// Fields of [`Document`] that a processor's members must not stand beside.
const COLUMNS: [&str; 8] =
    ["id", "type", "source", "user_id", "processing_time_ms", "created_at", "processed_at", "state"];

/// Looks the event up in the store.
pub(super) async fn event(pipeline: &Pipeline, id: &str) -> Result<Answer, Problem> {
    let not_found = || Problem::not_found("the store has no event of this id");
    // Only the canonical form is ever stored; other forms of a UUID name nothing.
    let id = match Uuid::try_parse(id) {
        Ok(uuid) if id.len() == 36 => uuid,
        _ => return Err(not_found()),
    };
    let stored = pipeline.fetch(id).await.map_err(|error| unavailable(pipeline, &error))?;
    let stored = stored.ok_or_else(not_found)?;
    Ok(answer::value(StatusCode::OK, &document(&stored)))
}

fn unavailable(pipeline: &Pipeline, error: &StoreError) -> Problem {
    let detail = format!("the store cannot be asked now ({}); the event may or may not be there", error.code());
    Problem::unavailable("store_unavailable", detail, pipeline.retry_after_s())
}

fn document(stored: &StoredEvent) -> Document<'_> {
    let time = |seconds: Option<i64>| seconds.map(|seconds| Micros(seconds.saturating_mul(1_000_000)).to_string());
    Document {
        id: stored.id,
        r#type: &stored.kind,
        source: &stored.source,
        user_id: stored.user_id.as_deref(),
        processed_data: members(stored.processed_data.as_deref()),
        processing_time_ms: stored.processing_time_ms,
        created_at: time(stored.created_at_s),
        processed_at: time(stored.processed_at_s),
        state: "stored",
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
