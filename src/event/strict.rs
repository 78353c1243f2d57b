//! The slow way from a body to its events, and the one that has the last word.
//!
//! Reads bodies that the fast parsers do not take: those that are not JSON, those of a wrong
//! shape, and those in which a single event holds what no parser can make a value of. It works
//! on the untouched body, in several passes, each of them linear.

use super::Code;
use super::bench::{Bench, BodyError, Shape};
use super::rules::{Fault, Field, Fields, ObjectText, Value, overflows, pointer_to, quote};
use super::scan::{self, Malformed, Token};

/// Judges every event of `body`; where it fails, none was.
pub(super) fn judge(body: &[u8], shape: Shape, bench: &mut Bench<'_>) -> Result<(), BodyError> {
    let root = scan::check(body).map_err(malformed)?;
    match shape {
        Shape::Single if root.starts_with('{') => bench.judge_text(root),
        Shape::Single => return Err(refused(Code::NotAnObject, "", "the body must be one event, a JSON object")),
        Shape::Batch { events_max } => {
            let (pointer, array) = find_events(root)?;
            let events = scan::elements(array).count();
            if events == 0 {
                return Err(BodyError::Empty);
            }
            if events > events_max {
                return Err(BodyError::TooMany { events, events_max });
            }
            bench.root = Some(pointer);
            scan::elements(array).for_each(|event| bench.judge_text(event));
        }
    }
    Ok(())
}

fn malformed(at: Malformed) -> BodyError {
    let detail = format!("the body is not JSON: {} at byte {}", at.what, at.offset);
    refused(Code::MalformedJson, "", &detail)
}

fn refused(code: Code, pointer: &str, detail: &str) -> BodyError {
    BodyError::Refused { code, pointer: pointer.to_owned(), detail: detail.to_owned() }
}

/// The array of a batch, and the JSON pointer to it.
fn find_events(root: &str) -> Result<(&'static str, &str), BodyError> {
    if root.starts_with('[') {
        return Ok(("", root));
    }
    if !root.starts_with('{') {
        return Err(refused(Code::NotAnObject, "", "the body must be an object with events, or an array of them"));
    }
    let mut found = None;
    for (raw, value) in scan::members(root) {
        let mut name = String::new();
        if !scan::unescape(raw, &mut name) || name != "events" {
            let detail = format!("beside events, a batch has no field {}", quote(&name));
            return Err(refused(Code::UnknownField, &pointer_to(&name), &detail));
        }
        if found.replace(value).is_some() {
            return Err(refused(Code::RepeatedField, "/events", "the field \"events\" stands twice"));
        }
    }
    match found {
        None | Some("null") => Err(refused(Code::MissingField, "/events", "events is required")),
        Some(array) if array.starts_with('[') => Ok(("/events", array)),
        Some(_) => Err(refused(Code::InvalidData, "/events", "events must be an array")),
    }
}

impl Bench<'_> {
    fn judge_text(&mut self, event: &str) {
        if !event.starts_with('{') {
            return self.judge(Err(Fault::not_an_object()));
        }
        if let Err(fault) = check_values(event) {
            return self.judge(Err(fault));
        }
        // One member more than there are fields: then one of them is unknown or repeated.
        let members: Vec<_> = scan::members(event).take(Field::COUNT + 1).map(Member::new).collect();
        let mut fields = Fields::default();
        for member in &members {
            fields.put(&member.name, member.value());
        }
        self.judge(Ok(fields));
    }
}

/// Finds what has good grammar and yet is no value.
fn check_values(event: &str) -> Result<(), Fault> {
    let mut scratch = String::new();
    for (raw, value) in scan::members(event) {
        let mut name = String::new();
        if !scan::unescape(raw, &mut name) {
            return Err(Fault::of_event(Code::InvalidString, "the name of a field holds a lone surrogate"));
        }
        for token in scan::tokens(value) {
            scratch.clear();
            let (code, what) = match token {
                Token::Key(raw) | Token::Text(raw) if !scan::unescape(raw, &mut scratch) => {
                    (Code::InvalidString, "a string with a lone surrogate")
                }
                Token::Number(number) if overflows(number) => {
                    (Code::NumberOutOfRange, "a number that does not fit into a double")
                }
                _ => continue,
            };
            return Err(Fault::of_name(code, &name, format!("{} holds {what}", quote(&name))));
        }
    }
    Ok(())
}

/// A member of an event, with its strings unescaped.
struct Member<'a> {
    name: String,
    text: Option<String>,
    value: &'a str,
}

impl<'a> Member<'a> {
    fn new((raw, value): (&str, &'a str)) -> Self {
        let unescaped = |raw: &str| {
            let mut out = String::with_capacity(raw.len());
            scan::unescape(raw, &mut out).then_some(out)
        };
        let inside = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        Self { name: unescaped(raw).unwrap_or_default(), text: inside.and_then(unescaped), value }
    }

    fn value(&self) -> Value<'_> {
        match &self.text {
            Some(text) => Value::Text(text),
            None if self.value == "null" => Value::Missing,
            None if self.value.starts_with('{') => Value::Object(ObjectText { text: self.value, plain: false }),
            None => Value::Other,
        }
    }
}
