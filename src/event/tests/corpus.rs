//! Hostile bodies, each with what becomes of it as a single event.
//!
//! Only what [`super::validation`] and [`super::shapes`] do not say already: broken grammar, odd
//! but good grammar, and text that a careless parser reads otherwise.

use super::kit::{Short, refused, rejected};
use crate::event::Code;

/// A body's bytes and what they come to.
pub(super) type Case = (&'static [u8], Short);

/// A good event up to its `data`, which follows.
macro_rules! data {
    ($data:literal) => {
        concat!(r#"{"type":"user_action","source":"web","data":"#, $data).as_bytes()
    };
}

/// Bodies that are not JSON.
const MALFORMED: &[&[u8]] = &[
    b" ",
    b"\0",
    b"{",
    b"}",
    b"]",
    b"{]",
    b"[}",
    b"{{}}",
    b"{,}",
    b"{\"a\"}",
    b"{\"a\":}",
    b"{\"a\":1 \"b\":2}",
    b"{\"a\":1,,\"b\":2}",
    b"{a:1}",
    b"{'a':1}",
    b"{1:1}",
    b"{null:1}",
    b"{\"a\":1}}",
    b"{\"a\":1}{}",
    b"{\"a\":1},",
    b"{\"a\":1}//",
    b"/**/{\"a\":1}",
    b"{\"a\":1}\0",
    b"{\"a\":1}\x0c",
    b"\x0b{\"a\":1}",
    b"\xc2\xa0{\"a\":1}",
    b"{\"a\":\xe2\x80\xa81}",
    b"\xff\xfe{\0}\0",
    b"{\"\xc0\xaf\":1}",
    b"{\"a\":\"\xed\xa0\x80\"}",
    b"{\"a\":\"\xf4\x90\x80\x80\"}",
    b"{\"a\":\"\xe2\x82\"}",
    b"{\"a\":\"\x1f\"}",
    b"{\"a\t\":1}",
    b"{\"a\":\"\\\"}",
    b"{\"a\":\"\\u12\"}",
    b"{\"a\":\"\\u+123\"}",
    b"{\"a\":\"\\U0041\"}",
    b"{\"a\":\"\\ud800\\u12\"}",
    b"{\"a\":\"\\'\"}",
    b"{\"a\":\"\\\n\"}",
    b"{\"a\":01}",
    b"{\"a\":-}",
    b"{\"a\":-01}",
    b"{\"a\":+1}",
    b"{\"a\":.5}",
    b"{\"a\":1.}",
    b"{\"a\":1.e5}",
    b"{\"a\":1e}",
    b"{\"a\":1e+}",
    b"{\"a\":1e5.5}",
    b"{\"a\":0x1F}",
    b"{\"a\":1_000}",
    b"{\"a\":--1}",
    b"{\"a\":1-1}",
    b"{\"a\":NaN}",
    b"{\"a\":Infinity}",
    b"{\"a\":-Infinity}",
    b"{\"a\":True}",
    b"{\"a\":nul}",
    b"{\"a\":nulll}",
    b"{\"a\":truefalse}",
    b"{\"a\":undefined}",
    b"{\"a\":\"x\"\"y\"}",
    b"{\"a\":[1,]}",
    b"{\"a\":[,1]}",
    b"{\"a\":[1:2]}",
    data!(r#"{"a":[}]}"#),
    data!(r#"{"a":{]}}"#),
    data!(r#"{"a":"\ud800"}"#),
    data!(r#"{"a":1e999}"#),
    data!(r#"{"a":1}}}"#),
    data!(r#"{"a":"\ud800","b":01}}"#),
    data!(r#"{"a":1e999,"b":tru}}"#),
];

/// Bodies that are good events, however odd.
const TAKEN: &[&[u8]] = &[
    data!("{}}\r\n\t "),
    data!("{\"\":\"\"}}"),
    data!(r#"{"}":"{","]":"[","\"":"\\"}}"#),
    data!(r#"{"a":"},\"data\":{"}}"#),
    data!(r#"{"data":{"data":{}}}}"#),
    data!(r#"{"a":"\\\\\\"}}"#),
    data!(r#"{"a":"\\u12"}}"#),
    data!(r#"{"a":"\\ud800"}}"#),
    data!(r#"{"\ud83d\ude00":"\uD83D\uDE00"}}"#),
    data!(r#"{"a":"\u0000\u001f\u007f\uffff\ufffe"}}"#),
    data!(r#"{"a":"\/\b\f\n\r\t\""}}"#),
    data!("{\"a\":\"\u{7f}\u{85}\u{2028}\u{feff}\u{10ffff}\"}}"),
    data!(r#"{"a":[-0,0.0,-0.0e-0,0E0,1E+2,1e-999]}}"#),
    data!(r#"{"a":[18446744073709551615,18446744073709551616,-9223372036854775809]}}"#),
    data!(r#"{"a":0.00000000000000000000000000000000000000000000000000000000000000000001e300}}"#),
    data!(r#"{"a":[[],{},[[]],[{}],{"b":[]}]}}"#),
    data!(r#"{"a":1,"a":{"a":2,"a":3}}}"#),
    data!(r#"{"__proto__":{"constructor":null}}}"#),
    data!(r#"{"$serde_json::private::RawValue":"x"}}"#),
    data!(r#"{"a'; DROP TABLE processed_events; --":1}}"#),
    br#"{"data":{"type":1,"type":2},"type":"user_action","source":"web"}"#,
    br#"{"type":"user_action","data":{"x":[1,2,{"y":"z"}]},"source":"web","user_id":" "}"#,
    b"\r\n{\"type\"\t:\n\"user_action\"\r,\t\"source\" : \"web\" }",
    "{\"type\":\"user_action\",\"source\":\"web\",\"user_id\":\"\u{202e}\u{200b}\u{feff}💧\"}".as_bytes(),
];

/// Bodies that are JSON, but no good event.
fn rejected_bodies() -> Vec<Case> {
    vec![
        (br#"{"type":"user_action\u0000","source":"web"}"#, rejected(Code::InvalidType, "/type")),
        ("{\"type\":\"user_action\",\"source\":\"ｗｅｂ\"}".as_bytes(), rejected(Code::InvalidSource, "/source")),
        (br#"{"type\u0000":"user_action","source":"web"}"#, rejected(Code::UnknownField, "/type\0")),
        (br#"{"type":"user_action","source":"web","source":"web"}"#, rejected(Code::RepeatedField, "/source")),
        (br#"{"type":{"type":"user_action"},"source":"web"}"#, rejected(Code::InvalidType, "/type")),
        (data!(r#"[{"a":{}}]}"#), rejected(Code::InvalidData, "/data")),
        (data!(r#""{\"a\":1}"}"#), rejected(Code::InvalidData, "/data")),
        (data!(r#"{"a":"\ud800\\udc00"}}"#), rejected(Code::InvalidString, "/data")),
        (data!(r#"{"a":"\ud800\n\udc00"}}"#), rejected(Code::InvalidString, "/data")),
        (data!(r#"{"a":"\ud800\udb00"}}"#), rejected(Code::InvalidString, "/data")),
        (data!(r#"{"a":"\ud800\u0041"}}"#), rejected(Code::InvalidString, "/data")),
        (data!(r#"{"a":"\ud83d\ude00\ude00"}}"#), rejected(Code::InvalidString, "/data")),
        (data!(r#"{"a":[1,-1e+0000309]}}"#), rejected(Code::NumberOutOfRange, "/data")),
        (data!(r#"{"a":1e18446744073709551617}}"#), rejected(Code::NumberOutOfRange, "/data")),
        (data!(r#"{"a":1.7976931348623159e308}}"#), rejected(Code::NumberOutOfRange, "/data")),
        (data!(r#"{"a":1e999}},"data":{"#), refused(Code::MalformedJson, "")),
        (br#"{"data":{"a":"\udfff"},"data":{}}"#, rejected(Code::InvalidString, "/data")),
        (br#"{"\ud800":1e999,"type":7}"#, rejected(Code::InvalidString, "")),
    ]
}

/// All of them.
pub(super) fn bodies() -> Vec<Case> {
    let malformed = MALFORMED.iter().map(|body| (*body, refused(Code::MalformedJson, "")));
    let taken = TAKEN.iter().map(|body| (*body, Short::Taken(1)));
    malformed.chain(taken).chain(rejected_bodies()).collect()
}
