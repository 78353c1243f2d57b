//! The parser against serde_json, which knows JSON by another author: both take a text or both
//! refuse it, and it means the same to both.
//!
//! They differ on purpose in two things: `data` more than 30 deep, and a zero with an exponent
//! that MySQL calls too big.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::kit::{BATCH, Short, cases, event_with_data, judge};
use crate::event::{Code, DATA_DEPTH_MAX, Shape};

/// An event as serde_json reads it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reference {
    #[serde(rename = "type")]
    kind: Option<Value>,
    source: Option<Value>,
    data: Option<Value>,
}

/// The event's `data`, if serde_json finds a good event in `body`.
fn reference(body: &[u8]) -> Option<Value> {
    let body = std::str::from_utf8(body).ok()?;
    // It would also take an array of the fields.
    let read: Reference = body.trim_start().starts_with('{').then(|| serde_json::from_str(body).ok())??;
    let data = read.data.unwrap_or_else(|| serde_json::json!({}));
    let good = read.kind? == "user_action" && read.source? == "web" && data.is_object();
    good.then_some(data)
}

fn is_json(body: &[u8]) -> bool {
    std::str::from_utf8(body).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

/// How deep `body` is nested, also where a repeated name hides it from serde_json.
fn depth(body: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth -= 1,
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

fn agree(body: &[u8]) -> Result<(), TestCaseError> {
    let outcome = judge(body, Shape::Single);
    let refused = matches!(outcome.short(), Short::Refused(Code::MalformedJson, _));
    prop_assert_eq!(refused, !is_json(body), "{}", String::from_utf8_lossy(body));
    let expected = reference(body);
    if let (Short::Rejected(faults), Some(_)) = (outcome.short(), &expected) {
        let zero = || String::from_utf8_lossy(body).to_lowercase().contains("0e");
        match faults[0].1 {
            Code::TooDeep if depth(body) > 1 + DATA_DEPTH_MAX => return Ok(()),
            Code::NumberOutOfRange if zero() => return Ok(()),
            _ => {}
        }
    }
    let kept = outcome.taken.first().map(|event| serde_json::from_str::<Value>(&event.data).unwrap());
    prop_assert_eq!(kept, expected, "{}", String::from_utf8_lossy(body));
    Ok(())
}

fn space() -> impl Strategy<Value = &'static str> {
    prop_oneof![8 => Just(""), 1 => select(vec![" ", "\n", "\t\r", "  \n "])]
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<u128>().prop_map(|number| number.to_string()),
        proptest::num::f64::NORMAL.prop_map(|number| format!("{number:e}")),
        "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?",
    ]
}

fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-z0-9 ,:{}\\[\\]]{0,20}",
        2 => "[^\\p{Cc}\"\\\\]{0,6}",
        2 => select(vec!["\\n", "\\\"", "\\\\", "\\/", "\\b", "\\f", "\\r", "\\t"]).prop_map(str::to_owned),
        2 => "\\\\u[0-9a-cA-C][0-9a-fA-F]{3}",
        1 => "\\\\u[dD][89abAB][0-9a-f]{2}\\\\u[dD][c-fC-F][0-9a-f]{2}",
    ];
    let pieces = vec(piece, 0..5);
    pieces.prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

fn member(value: BoxedStrategy<String>) -> impl Strategy<Value = String> {
    (space(), string(), space(), space(), value, space())
        .prop_map(|(a, name, b, c, value, d)| format!("{a}{name}{b}:{c}{value}{d}"))
}

fn object(value: BoxedStrategy<String>) -> impl Strategy<Value = String> {
    vec(member(value), 0..6).prop_map(|members| format!("{{{}}}", members.join(",")))
}

fn value() -> BoxedStrategy<String> {
    let literal = select(vec!["true", "false", "null", "[]", "{}", "[ ]", "{ }"]).prop_map(str::to_owned);
    let leaf = prop_oneof![literal, number(), string()];
    let value = leaf.prop_recursive(6, 64, 6, |inner| {
        let elements = vec((space(), inner.clone(), space()), 1..6);
        let array = elements.prop_map(|elements| {
            let elements: Vec<_> = elements.into_iter().map(|(a, value, b)| format!("{a}{value}{b}")).collect();
            format!("[{}]", elements.join(","))
        });
        prop_oneof![array, object(inner.boxed())]
    });
    let wrapped = (value.clone(), 0..40_usize)
        .prop_map(|(value, levels)| format!("{}{value}{}", "[".repeat(levels), "]".repeat(levels)));
    prop_oneof![8 => value, 1 => wrapped].boxed()
}

/// Small damage to a text.
#[derive(Clone, Debug)]
enum Damage {
    Replace(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let telling = select(b"{}[]\",:\\ue0123456789.-+E \ntrfn\x00\x1f\x7f\x80\xc3\xff".to_vec());
    let byte = prop_oneof![3 => telling, 1 => any::<u8>()];
    prop_oneof![
        (any::<Index>(), byte.clone()).prop_map(|(at, byte)| Damage::Replace(at, byte)),
        (any::<Index>(), vec(byte, 1..4)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        (any::<Index>(), 1..4_usize).prop_map(|(at, count)| Damage::Remove(at, count)),
        (any::<Index>(), 1..40_usize).prop_map(|(at, count)| Damage::Repeat(at, count)),
    ]
}

fn damaged(mut body: Vec<u8>, damages: &[Damage]) -> Vec<u8> {
    for damage in damages {
        let place = |at: &Index, count: usize| {
            let at = at.index(body.len().max(1)).min(body.len());
            at..(at + count).min(body.len())
        };
        match damage {
            Damage::Replace(at, byte) => {
                let place = place(at, 1);
                body[place].fill(*byte);
            }
            Damage::Insert(at, bytes) => {
                let place = place(at, 0);
                body.splice(place, bytes.iter().copied());
            }
            Damage::Remove(at, count) => {
                let place = place(at, *count);
                body.drain(place);
            }
            Damage::Repeat(at, count) => {
                let place = place(at, *count);
                let copy = body[place.clone()].to_vec();
                body.splice(place.start..place.start, copy);
            }
        }
    }
    body
}

/// What bodies are made of, and what only looks like it.
const TOKENS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\\u",
    "d800",
    "\\ud83d\\ude00",
    "e",
    "E+",
    "-",
    "0",
    "1",
    ".",
    "9e999",
    "true",
    "false",
    "null",
    "nul",
    " ",
    "\n",
    "\"a\"",
    "\"a\":",
    "\"data\":{",
    "\"type\":\"user_action\"",
    "\u{feff}",
    "\0",
];

fn event() -> impl Strategy<Value = String> {
    value().prop_map(|data| event_with_data(&data))
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn good_data_is_kept_byte_for_byte_and_means_the_same(data in object(value())) {
        let body = event_with_data(&data);
        agree(body.as_bytes())?;
        if let Some(event) = judge(&body, Shape::Single).taken.first() {
            prop_assert_eq!(&event.data, &data);
        }
    }

    #[test]
    fn data_of_any_type_is_judged_alike(data in value()) {
        agree(event_with_data(&data).as_bytes())?;
    }

    #[test]
    fn damaged_bodies_are_judged_alike(data in object(value()), damages in vec(damage(), 1..4)) {
        agree(&damaged(event_with_data(&data).into_bytes(), &damages))?;
    }

    #[test]
    fn every_event_of_a_batch_is_judged_as_it_is_alone(events in vec(prop_oneof![event(), value()], 1..5)) {
        let alone = events.iter().map(|event| judge(event, Shape::Single));
        let alone: Vec<_> = alone.flat_map(|outcome| outcome.taken).map(|event| event.data).collect();
        let outcome = judge(format!("{{\"events\":[{}]}}", events.join(" , ")), BATCH);
        let together: Vec<_> = outcome.taken.into_iter().map(|event| event.data).collect();
        prop_assert_eq!(together, alone);
    }

    #[test]
    fn token_soup_is_judged_alike(tokens in vec(select(TOKENS), 0..30)) {
        agree(tokens.concat().as_bytes())?;
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in vec(any::<u8>(), 0..300)) {
        agree(&bytes)?;
        judge(&bytes, BATCH);
    }
}

#[test]
fn numbers_at_the_edge_of_a_double_are_judged_alike() {
    let edges = [
        "1.7976931348623157e308",
        "1.7976931348623158e308",
        "1.797693134862315807e308",
        "1.797693134862315808e308",
        "1.7976931348623159e308",
        "-1.7976931348623159e308",
        "17976931348623157e292",
        "0.00017976931348623157e312",
        "0.00017976931348623159e312",
        "1e308",
        "1e309",
        "9e308",
        "10e307",
        "100000000000000000000000000000e280",
        "4.9e-324",
        "2.4e-324",
        "1e-99999999999999999999",
        "1e99999999999999999999",
        "123456789012345678901234567890",
        "-9223372036854775808",
        "-9223372036854775809",
        "18446744073709551615",
        "18446744073709551616",
        "-0",
        "0.1e1",
        "1E+05",
    ];
    let long = [format!("1{}", "0".repeat(308)), format!("1{}", "0".repeat(309)), format!("0.{}1", "0".repeat(400))];
    for number in edges.into_iter().chain(long.iter().map(String::as_str)) {
        agree(event_with_data(&format!("{{\"a\":[{number},{{\"b\":{number}}}]}}")).as_bytes()).unwrap();
    }
}
