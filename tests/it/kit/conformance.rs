//! Holds answers against the OpenAPI document: whatever a client of the tests is told must be in it.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, PoisonError},
};

use event_pipeline::http::{Options, openapi_document};
use jsonschema::Validator;
use serde_json::Value;

use super::client::Answer;

/// So many answers of one operation and status are looked at in one process: loops send thousands alike.
const ALIKE_MAX: u32 = 100;

/// Given without a body where there is no request yet, or where the client has it already.
const BODILESS: [u16; 4] = [304, 400, 414, 431];

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let mut document = serde_json::from_str(&openapi_document(&Options::default())).unwrap();
    close(&mut document);
    document
});
static SEEN: Mutex<Option<HashMap<(String, u16), u32>>> = Mutex::new(None);
static VALIDATORS: Mutex<Option<HashMap<String, &'static Validator>>> = Mutex::new(None);

/// A field that is not documented shall be noticed here, though clients must bear one.
fn close(document: &mut Value) {
    for schema in document["components"]["schemas"].as_object_mut().unwrap().values_mut() {
        if schema["type"] == "object" && schema["additionalProperties"].is_null() {
            schema["additionalProperties"] = Value::Bool(false);
        }
    }
}

/// Checks the answer to a request, unless many like it were; the operation's id, where it is one of the document.
#[track_caller]
pub(crate) fn check(method: &str, target: &str, answer: &Answer) -> Option<&'static str> {
    let path = target.split('?').next().unwrap_or_default();
    let Some((template, operations)) = operations_of(path) else {
        if !answer.body.is_empty() {
            assert_eq!(answer.problem(), "not_found", "{method} {target}");
        }
        return None;
    };
    let get_for_head = if method == "HEAD" { "get" } else { &method.to_lowercase() };
    let Some(operation) = operations.get(get_for_head) else {
        match method {
            "OPTIONS" => assert_eq!(answer.status, 204, "{method} {target}"),
            _ => assert!([405, 503].contains(&answer.status), "{method} {target}: {answer:?}"),
        }
        return None;
    };
    let id = operation["operationId"].as_str();
    if !is_one_of_few(id.unwrap_or_default(), answer.status) {
        return id;
    }
    let told = format!("{method} {target}: {answer:?}");
    let pointer = format!("/paths/{}/{get_for_head}/responses/{}", template.replace('/', "~1"), answer.status);
    let pointer = resolved(pointer);
    let response = DOCUMENT.pointer(&pointer).unwrap_or_else(|| panic!("this status is not documented: {told}"));
    check_headers(&response["headers"], answer, &told);
    if method == "HEAD" || answer.body.is_empty() && BODILESS.contains(&answer.status) {
        return id;
    }
    let media_type = answer.header("content-type");
    let Some(content) = response["content"].get(media_type) else {
        let is_empty = answer.body.is_empty() && response["content"].is_null();
        assert!(is_empty, "this Content-Type is not documented: {told}");
        return id;
    };
    if content["schema"]["type"] != "string" {
        let pointer = format!("{pointer}/content/{}/schema", media_type.replace('/', "~1"));
        let errors: Vec<String> = validator(pointer)
            .iter_errors(&answer.json())
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{errors:#?}: {told}");
    }
    id
}

/// The paths of the document, exact ones before templates.
fn operations_of(path: &str) -> Option<(&'static str, &'static Value)> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    if let Some((path, operations)) = paths.get_key_value(path) {
        return Some((path, operations));
    }
    let is_like = |template: &str| {
        template.split_once("{id}").is_some_and(|(before, after)| {
            let middle = path.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
            middle.is_some_and(|id| !id.is_empty() && !id.contains('/'))
        })
    };
    paths.iter().find(|(template, _)| is_like(template)).map(|(template, operations)| (template.as_str(), operations))
}

fn is_one_of_few(id: &str, status: u16) -> bool {
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    let count = seen.get_or_insert_default().entry((id.to_owned(), status)).or_default();
    *count += 1;
    *count <= ALIKE_MAX
}

/// Where a response is that may only be referred to.
fn resolved(pointer: String) -> String {
    let reference = DOCUMENT.pointer(&pointer).and_then(|response| response["$ref"].as_str());
    reference.and_then(|reference| reference.strip_prefix('#')).map_or(pointer, str::to_owned)
}

fn check_headers(headers: &Value, answer: &Answer, told: &str) {
    for (name, header) in headers.as_object().into_iter().flatten() {
        let Some(value) = answer.headers.get(&name.to_lowercase()) else {
            assert!(header["required"] != true, "the header {name} is missing: {told}");
            continue;
        };
        let value = match header["schema"]["type"].as_str() {
            Some("integer") => serde_json::from_str(value).unwrap(),
            _ => Value::String(value.clone()),
        };
        assert!(jsonschema::is_valid(&header["schema"], &value), "the header {name}: {told}");
    }
}

fn validator(pointer: String) -> &'static Validator {
    let mut validators = VALIDATORS.lock().unwrap_or_else(PoisonError::into_inner);
    validators.get_or_insert_default().entry(pointer).or_insert_with_key(|pointer| {
        let mut schema = DOCUMENT.pointer(pointer).unwrap().clone();
        // It refers to them.
        schema["components"] = DOCUMENT["components"].clone();
        let options = jsonschema::draft202012::options().should_validate_formats(true);
        Box::leak(Box::new(options.build(&schema).unwrap()))
    })
}
