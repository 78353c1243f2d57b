//! What a request is answered whose events were taken.
//!
//! Written by hand: the ids of a batch are most of the work of its answer.

use hyper::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    event::{Rejection, Shape},
    pipeline::{AckLevel, Reached},
    storage::dead_letters::Reason,
};

/// The answer to one event, as [`write_single`] writes it.
#[derive(JsonSchema)]
#[schemars(description = "The answer to one event.")]
#[expect(dead_code, reason = "the schema of what is written by hand")]
pub(super) struct TakenEvent {
    /// The event's id: the one that it was sent with, in lower case, or one that was made.
    id: Uuid,
    ack: Acknowledged,
    /// The id was seen before; not there where it was not. The event is taken like any other, and the store keeps
    /// the first. Exact at `stored`; at `durable` known for ids that the client chose and that were seen lately.
    #[schemars(skip_serializing_if = "Option::is_none", with = "bool", extend("const" = true))]
    duplicate: Option<bool>,
    /// With `dead`: who refused it.
    #[schemars(skip_serializing_if = "Option::is_none", with = "Reason")]
    code: Option<Reason>,
    /// With `dead`: why, in the words of who refused it.
    #[schemars(skip_serializing_if = "Option::is_none", with = "String")]
    detail: Option<String>,
}

/// The answer to a batch, as [`write_batch`] writes it: received = accepted + rejected.
#[derive(JsonSchema)]
#[schemars(description = "The answer to a batch: received = accepted + rejected.")]
#[expect(dead_code, reason = "the schema of what is written by hand")]
pub(super) struct TakenBatch {
    /// The lowest level that an accepted event reached which is not dead.
    ack: Acknowledged,
    /// How many events the body holds.
    received: usize,
    /// How many of them were accepted: at least one.
    #[schemars(range(min = 1))]
    accepted: usize,
    /// How many of the accepted ones have an id that was seen before.
    duplicate: usize,
    /// How many are not valid, and were not accepted; `errors` says why.
    rejected: usize,
    /// For each event of the request its id, `null` where it was rejected. Left out with `Prefer: return=minimal`.
    #[schemars(skip_serializing_if = "Option::is_none", with = "Vec<Option<Uuid>>")]
    ids: Option<Vec<Option<Uuid>>>,
    /// Each event that was rejected.
    errors: Vec<Rejection>,
    /// At `stored`: each accepted event that the store or the processor refused for good.
    #[schemars(skip_serializing_if = "Option::is_none", with = "Vec<Dead<'static>>")]
    dead: Option<Vec<Dead<'static>>>,
}

/// How far an event has come.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[expect(dead_code, reason = "the schema of what is written by hand")]
enum Acknowledged {
    /// In the shard's memory queue.
    Queued,
    /// Synced to this node's journal: it will be in the store exactly once, or among the dead letters.
    Durable,
    /// Committed in the store.
    Stored,
    /// The store or the processor refused it for good.
    Dead,
}

/// An accepted event that was refused for good.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DeadEvent")]
struct Dead<'a> {
    /// The event's place in its request, counted from 0.
    index: usize,
    /// Left out with `Prefer: return=minimal`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Uuid")]
    id: Option<Uuid>,
    /// Who refused it.
    #[schemars(with = "Reason")]
    code: &'static str,
    /// Why, in the words of who refused it.
    detail: &'a str,
}

/// The events of a batch.
#[derive(Debug)]
pub(super) struct Events<'a> {
    /// How many the body holds.
    pub(super) received: usize,
    /// The accepted ones' ids with their indexes, in order.
    pub(super) accepted: &'a [(usize, Uuid)],
    /// The others, in order.
    pub(super) rejections: &'a [Rejection],
}

/// The status of the answer.
pub(super) fn status(shape: Shape, reached: &Reached) -> StatusCode {
    let is_dead = shape == Shape::Single && !reached.outcome.dead.is_empty();
    if is_dead || reached.level == AckLevel::Stored { StatusCode::OK } else { StatusCode::ACCEPTED }
}

/// The answer to one event.
pub(super) fn write_single(text: &mut Vec<u8>, id: Uuid, reached: &Reached) {
    text.extend_from_slice(b"{\"id\":");
    write_id(text, id);
    if let Some(dead) = reached.outcome.dead.first() {
        text.extend_from_slice(b",\"ack\":\"dead\"");
        write_value(text, "code", &dead.code);
        write_value(text, "detail", &dead.detail);
    } else {
        text.extend_from_slice(b",\"ack\":\"");
        text.extend_from_slice(reached.level.as_str().as_bytes());
        text.push(b'"');
        if !reached.outcome.duplicates.is_empty() {
            text.extend_from_slice(b",\"duplicate\":true");
        }
    }
    text.push(b'}');
}

/// The answer to a batch; `is_minimal` leaves the ids out.
pub(super) fn write_batch(text: &mut Vec<u8>, events: &Events<'_>, reached: &Reached, is_minimal: bool) {
    let outcome = &reached.outcome;
    let none_lives = outcome.dead.len() == events.accepted.len();
    text.extend_from_slice(b"{\"ack\":\"");
    text.extend_from_slice(if none_lives { "dead" } else { reached.level.as_str() }.as_bytes());
    text.push(b'"');
    write_number(text, "received", events.received);
    write_number(text, "accepted", events.accepted.len());
    write_number(text, "duplicate", outcome.duplicates.len());
    write_number(text, "rejected", events.rejections.len());
    if !is_minimal {
        write_ids(text, events);
    }
    write_value(text, "errors", &events.rejections);
    if !outcome.dead.is_empty() {
        let id = |index| events.accepted.iter().find(|(accepted, _)| *accepted == index).map(|(_, id)| *id);
        let dead = outcome.dead.iter().map(|dead| Dead {
            index: dead.index,
            id: id(dead.index).filter(|_| !is_minimal),
            code: dead.code,
            detail: &dead.detail,
        });
        write_value(text, "dead", &dead.collect::<Vec<_>>());
    }
    text.push(b'}');
}

/// For each event of the request its id, `null` where it was rejected.
fn write_ids(text: &mut Vec<u8>, events: &Events<'_>) {
    text.extend_from_slice(b",\"ids\":[");
    let mut accepted = events.accepted.iter().peekable();
    for index in 0..events.received {
        if index > 0 {
            text.push(b',');
        }
        match accepted.next_if(|(accepted, _)| *accepted == index) {
            Some((_, id)) => write_id(text, *id),
            None => text.extend_from_slice(b"null"),
        }
    }
    text.push(b']');
}

fn write_id(text: &mut Vec<u8>, id: Uuid) {
    text.push(b'"');
    text.extend_from_slice(id.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
    text.push(b'"');
}

fn write_name(text: &mut Vec<u8>, name: &str) {
    text.extend_from_slice(b",\"");
    text.extend_from_slice(name.as_bytes());
    text.extend_from_slice(b"\":");
}

fn write_number(text: &mut Vec<u8>, name: &str, number: usize) {
    write_name(text, name);
    text.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn write_value(text: &mut Vec<u8>, name: &str, value: &impl Serialize) {
    write_name(text, name);
    serde_json::to_writer(text, value).expect("our own answers have a form in JSON");
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        event::Code,
        pipeline::{DeadEvent, Outcome},
    };

    fn parsed(write: impl FnOnce(&mut Vec<u8>)) -> Value {
        let mut text = Vec::new();
        write(&mut text);
        serde_json::from_slice(&text).unwrap()
    }

    fn dead(index: usize) -> DeadEvent {
        DeadEvent { index, code: "store_refused", detail: "the \"row\"".to_owned() }
    }

    #[test]
    fn one_event_is_answered_with_its_id_and_level() {
        let reached = Reached { level: AckLevel::Durable, outcome: Outcome::default() };
        let answer = parsed(|text| write_single(text, Uuid::from_u128(1), &reached));
        assert_eq!(answer, json!({"id": "00000000-0000-0000-0000-000000000001", "ack": "durable"}));
        let outcome = Outcome { duplicates: vec![0], dead: Vec::new() };
        let answer = parsed(|text| write_single(text, Uuid::nil(), &Reached { level: AckLevel::Stored, outcome }));
        assert_eq!((&answer["ack"], &answer["duplicate"]), (&json!("stored"), &json!(true)));
        let reached =
            Reached { level: AckLevel::Stored, outcome: Outcome { duplicates: Vec::new(), dead: vec![dead(0)] } };
        let answer = parsed(|text| write_single(text, Uuid::nil(), &reached));
        assert_eq!(
            (&answer["ack"], &answer["code"], &answer["detail"]),
            (&json!("dead"), &json!("store_refused"), &json!("the \"row\""))
        );
    }

    #[test]
    fn a_batch_is_answered_with_an_id_or_null_for_each_event() {
        let rejections = [Rejection {
            index: 1,
            code: Code::InvalidType,
            pointer: "/events/1/type".to_owned(),
            detail: "no \"such\" type".to_owned(),
        }];
        let accepted = [(0, Uuid::from_u128(1)), (2, Uuid::from_u128(2))];
        let events = Events { received: 3, accepted: &accepted, rejections: &rejections };
        let outcome = Outcome { duplicates: vec![0], dead: vec![dead(2)] };
        let reached = Reached { level: AckLevel::Stored, outcome };
        let answer = parsed(|text| write_batch(text, &events, &reached, false));
        let [one, two] = [1, 2].map(|id| Uuid::from_u128(id).to_string());
        assert_eq!(
            answer,
            json!({
                "ack": "stored", "received": 3, "accepted": 2, "duplicate": 1, "rejected": 1, "ids": [one, null, two],
                "errors": [{"index": 1, "code": "invalid_type", "pointer": "/events/1/type", "detail": "no \"such\" type"}],
                "dead": [{"index": 2, "id": two, "code": "store_refused", "detail": "the \"row\""}],
            })
        );
        let minimal = parsed(|text| write_batch(text, &events, &reached, true));
        assert!(minimal.get("ids").is_none() && minimal["dead"][0].get("id").is_none(), "{minimal}");
    }
}
