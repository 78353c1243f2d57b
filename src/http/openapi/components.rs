//! The parts that operations refer to: schemas of the code's own types, parameters, responses.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    super::{
        Options, ops,
        pages::PageDocument,
        problem, query,
        taken::{TakenBatch, TakenEvent},
    },
    responses::{self, reference},
};
use crate::{
    event::{EventType, Source, USER_ID_CHARS_MAX},
    metrics::Snapshot,
    pipeline::AckLevel,
};

/// An event as it is sent. A field that is `null` counts as missing; a field of another name, and one that stands
/// twice, is an error.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "the schema of what is read by a parser of its own")]
struct NewEvent {
    /// 36 characters with hyphens, in either case; made where it is missing. The store keeps one event of each id.
    id: Option<Uuid>,
    r#type: EventType,
    source: Source,
    /// RFC 3339 with a zone, from 1970-01-01T00:00:01Z to 2038-01-19T03:14:07Z; the time of receipt where it is
    /// missing. Leap seconds (`:60`) are refused.
    #[schemars(extend("format" = "date-time"), length(max = 255))]
    timestamp: Option<String>,
    /// No control characters.
    #[schemars(length(min = 1, max = USER_ID_CHARS_MAX), pattern(NO_CONTROLS))]
    user_id: Option<String>,
    /// Any object, kept as it is sent; `{}` where it is missing. At most 30 deep; its numbers fit into a double, its
    /// strings are Unicode without lone surrogates, its keys have at most 65,535 bytes.
    data: Option<Map<String, Value>>,
}

/// A text without control characters.
const NO_CONTROLS: &str = r"^[^\u0000-\u001f\u007f-\u009f]*$";

/// All components.
pub(super) fn components(options: &Options) -> Value {
    let settings = || SchemaSettings::draft2020_12().with(|settings| settings.definitions_path = SCHEMAS.into());
    let mut sent = settings().for_deserialize().into_generator();
    sent.subschema_for::<NewEvent>();
    sent.subschema_for::<AckLevel>();
    let mut answered = settings().for_serialize().into_generator();
    answered.subschema_for::<TakenEvent>();
    answered.subschema_for::<TakenBatch>();
    answered.subschema_for::<Snapshot>();
    answered.subschema_for::<PageDocument<'static>>();
    query::schemas(&mut answered);
    ops::schemas(&mut answered);
    problem::schemas(&mut answered);

    let mut schemas = sent.take_definitions(false);
    schemas.append(&mut answered.take_definitions(false));
    schemas.values_mut().for_each(list_names);
    schemas.values_mut().for_each(name_formats);
    schemas.insert("NewBatch".to_owned(), new_batch());
    schemas.insert("NewEvents".to_owned(), json!({
        "type": "array",
        "items": reference("schemas", "NewEvent"),
        "minItems": 1,
        "maxItems": options.max_batch_events,
        "description": "Events that are judged one by one: those that are not valid are listed in the answer, and do \
            not hold up the others.",
    }));
    json!({"schemas": schemas, "parameters": parameters(), "responses": responses::shared()})
}

const SCHEMAS: &str = "/components/schemas";

fn new_batch() -> Value {
    let events = || reference("schemas", "NewEvents");
    json!({
        "description": "An object with `events`, or a bare array.",
        "oneOf": [
            {
                "type": "object", "required": ["events"], "properties": {"events": events()},
                "additionalProperties": false,
            },
            events(),
        ],
    })
}

/// Writes names that were described one by one as one list: more tools know what that is.
fn list_names(schema: &mut Value) {
    let Some(Value::Array(described)) = schema.get("oneOf") else { return };
    let names: Vec<Value> = described.iter().filter_map(|name| name.get("const").cloned()).collect();
    if names.len() != described.len() {
        return;
    }
    let mut text = format!("{}\n", schema["description"].as_str().unwrap_or_default());
    for name in described {
        let line = [name["const"].as_str(), name["description"].as_str()].map(Option::unwrap_or_default);
        text.push_str(&format!("\n- `{}`: {}", line[0], line[1].replace('\n', " ")));
    }
    *schema = json!({"type": "string", "enum": names, "description": text.trim_start()});
}

/// Gives sizes the format that OpenAPI's registry has for them.
fn name_formats(schema: &mut Value) {
    match schema {
        Value::Object(members) => members.iter_mut().for_each(|(name, value)| match value {
            Value::String(format) if name == "format" && format == "uint" => "uint64".clone_into(format),
            value => name_formats(value),
        }),
        Value::Array(items) => items.iter_mut().for_each(name_formats),
        _ => {}
    }
}

fn parameters() -> Value {
    json!({
        "ack": {
            "name": "ack", "in": "query", "schema": reference("schemas", "AckLevel"),
            "description": "How far the events have come when the request is answered. The service's own setting \
                (`durable`, unless it was set up otherwise) where it is missing.",
        },
        "idempotencyKey": {
            "name": "Idempotency-Key", "in": "header",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
            "description": "Makes the ids of events that have none: of the key and of the event's place in the request, \
                the same for each try. 1 to 255 visible ASCII characters.",
            "example": "order-17",
        },
        "type": {
            "name": "type", "in": "query", "schema": reference("schemas", "EventType"),
            "description": "Only events of this type.",
        },
        "userId": {
            "name": "user_id", "in": "query",
            "schema": {"type": "string", "minLength": 1, "maxLength": USER_ID_CHARS_MAX, "pattern": NO_CONTROLS},
            "description": "Only events of this user: 1 to 50 characters, none of them a control character.",
        },
        "prefer": {
            "name": "Prefer", "in": "header", "schema": {"type": "string"},
            "description": "`return=minimal` (RFC 7240) leaves `ids` out of the answer; other preferences are ignored.",
            "example": "return=minimal",
        },
    })
}
