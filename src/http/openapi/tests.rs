//! The document by itself: it is whole, its examples are what its schemas say, and its event is the parser's.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    event::{ContractOnly, Micros, Parser, Receipt, Shape, Stamp},
    http::{Options, openapi_document},
};

fn document() -> Value {
    serde_json::from_str(&openapi_document(&Options::default())).unwrap()
}

/// Judges by `schema`, which may refer to the document's components. Formats count.
fn validator(document: &Value, schema: &Value) -> jsonschema::Validator {
    let mut schema = schema.clone();
    schema["components"] = document["components"].clone();
    jsonschema::draft202012::options().should_validate_formats(true).build(&schema).unwrap()
}

/// Every value in the document, with the path to it.
fn each<'a>(value: &'a Value, path: &str, see: &mut dyn FnMut(&str, &'a Value)) {
    see(path, value);
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| each(value, &format!("{path}/{name}"), see)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, value)| each(value, &format!("{path}/{at}"), see))
        }
        _ => {}
    }
}

#[test]
fn the_copy_in_docs_is_the_document() {
    let copy = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json")).unwrap_or_default();
    assert!(
        copy == openapi_document(&Options::default()),
        "docs/openapi.json is stale; renew it: cargo run --example openapi > docs/openapi.json"
    );
}

#[test]
fn every_reference_leads_somewhere_and_every_component_is_used() {
    let document = document();
    let mut used = BTreeSet::new();
    each(&document, "", &mut |path, value| {
        if let Some(reference) = value["$ref"].as_str() {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{path}: {reference}");
            used.insert(pointer.to_owned());
        }
    });
    for (kind, components) in document["components"].as_object().unwrap() {
        for name in components.as_object().unwrap().keys() {
            assert!(used.contains(&format!("/components/{kind}/{name}")), "nothing refers to {name} of the {kind}");
        }
    }
}

#[test]
fn every_operation_says_what_it_is_and_has_every_shared_status() {
    let mut names = BTreeSet::new();
    for (path, operations) in document()["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            for text in ["operationId", "summary"] {
                assert!(operation[text].as_str().is_some_and(|text| !text.is_empty()), "{method} {path}: {text}");
            }
            assert!(names.insert(operation["operationId"].to_string()), "{}", operation["operationId"]);
            assert_eq!(operation["tags"].as_array().unwrap().len(), 1, "{method} {path}");
            for status in ["400", "405", "408", "414", "431", "500", "503"] {
                assert!(operation["responses"][status].is_object(), "{method} {path}: {status}");
            }
        }
    }
}

#[test]
fn every_code_of_the_interface_is_in_the_document_and_each_that_is_given_in_a_response() {
    let document = document();
    let text = document.to_string();
    let listed: Vec<&str> = CODES.split_whitespace().collect();
    assert_eq!(listed.len(), 37);
    for code in &listed {
        assert!(text.contains(code), "{code}");
    }
    let names = |schema: &Value| -> BTreeSet<String> {
        schema["enum"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    let given = names(&document["components"]["schemas"]["ErrorCode"]);
    let elsewhere = ["ack_unavailable", "unauthorized", "quota_exceeded", "processing_failed", "store_refused"];
    let expected = listed.iter().filter(|code| !elsewhere.contains(code)).map(ToString::to_string);
    assert_eq!(given, expected.collect());

    let mut in_responses = BTreeSet::new();
    each(&document, "", &mut |_, value| {
        let code = &value["properties"]["code"];
        if value["properties"]["status"]["const"].is_u64() {
            in_responses.append(&mut names(code));
        }
    });
    assert_eq!(in_responses, given);
}

/// The codes of the interface, stable for ever.
const CODES: &str = "malformed_json not_an_object unknown_field repeated_field missing_field invalid_id invalid_type \
    invalid_source invalid_timestamp timestamp_out_of_range invalid_user_id invalid_data invalid_string \
    number_out_of_range too_deep event_too_large empty_batch no_valid_event too_many_events body_too_large \
    incomplete_body store_refused processing_failed store_unavailable unsupported_media_type \
    unsupported_content_coding invalid_parameter ack_unavailable not_found method_not_allowed timeout unauthorized \
    quota_exceeded overloaded journal_full draining internal";

#[test]
fn every_example_is_what_its_schema_says() {
    let document = document();
    let mut seen = 0;
    each(&document, "", &mut |path, value| {
        let Some(examples) = value["examples"].as_object().filter(|_| value["schema"].is_object()) else { return };
        let validator = validator(&document, &value["schema"]);
        for (name, example) in examples {
            let errors: Vec<_> = validator.iter_errors(&example["value"]).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{path} {name}: {errors:#?}");
            seen += 1;
        }
    });
    assert!(seen > 30, "{seen}");
}

#[test]
fn the_schema_takes_the_events_that_the_parser_takes() {
    struct Nothing;
    impl Stamp for Nothing {
        fn received(&self) -> Micros {
            Micros(1_000_000)
        }
        fn id(&mut self, _: usize, _: Option<&str>) -> Uuid {
            Uuid::nil()
        }
        fn receipt(&mut self) -> Receipt {
            Receipt(0)
        }
    }
    let document = document();
    let schema = validator(&document, &json!({"$ref": "#/components/schemas/NewEvent"}));
    let mut parser = Parser::default();
    let mut verdicts = BTreeMap::from([(true, 0), (false, 0)]);
    let fields = [
        (
            "id",
            vec![
                json!("3B241101-E2BB-4255-8CAF-4136C566A962"),
                json!("3b241101e2bb42558caf4136c566a962"),
                json!(""),
                json!(7),
            ],
        ),
        ("type", vec![json!("user_action"), json!("system_log"), json!("click"), json!("User_action"), json!(1)]),
        ("source", vec![json!("iot_device"), json!("fax"), json!({})]),
        (
            "timestamp",
            vec![
                json!("2026-01-15T10:30:00Z"),
                json!("2025-01-15T10:30:00.25+02:00"),
                json!("2026-01-15"),
                json!("2026-02-30T10:30:00Z"),
                json!("2026-01-15T10:30:00"),
                json!(""),
                json!(0),
            ],
        ),
        (
            "user_id",
            vec![
                json!("u"),
                json!("дом 🏠"),
                json!("x".repeat(50)),
                json!("🏠".repeat(50)),
                json!("x".repeat(51)),
                json!(""),
                json!("a\nb"),
                json!("a\n"),
                json!("\u{7f}"),
                json!("\u{85}"),
                json!(1),
            ],
        ),
        ("data", vec![json!({}), json!({"a": [1, null, {"b": "c"}]}), json!([]), json!("{}"), json!(false)]),
        ("extra", vec![json!(1)]),
    ];
    let mut judge = |event: &Value| {
        let body = event.to_string();
        let judged = parser.judge(body.as_bytes(), Shape::Single, &mut Nothing, &ContractOnly, &mut |_, _| {});
        let takes = judged.is_ok_and(|judged| judged.rejections.is_empty());
        assert_eq!(schema.is_valid(event), takes, "{event}");
        *verdicts.entry(takes).or_default() += 1;
    };
    let good = json!({"type": "sensor_data", "source": "system"});
    for event in [good.clone(), json!({"type": "sensor_data"}), json!({"source": "web"}), json!([]), json!(null)] {
        judge(&event);
    }
    for (field, values) in fields {
        for value in values.into_iter().chain([Value::Null]).filter(|value| !(field == "extra" && value.is_null())) {
            let mut event = good.clone();
            event[field] = value;
            judge(&event);
        }
    }
    assert!(verdicts.values().all(|count| *count > 10), "{verdicts:?}");
}
