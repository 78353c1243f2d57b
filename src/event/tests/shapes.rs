//! Bodies as a whole: one event, a batch, a bare array, and what is none of them.

use super::kit::{BATCH, EVENTS_MAX, Short, event_with, is_fast, judge, judge_with, refused, rejected};
use crate::event::{Code, Parser, Shape};

fn events(count: usize) -> String {
    vec![event_with(r#""user_id":"ada""#); count].join(",")
}

#[test]
fn a_batch_is_an_object_with_events_or_a_bare_array() {
    for count in [1, 2, EVENTS_MAX] {
        let events = events(count);
        for body in [
            format!("[{events}]"),
            format!(" {{\n\"events\" :[ {events} ]}}\t"),
            format!(r#"{{"\u0065vents":[{events}]}}"#),
        ] {
            assert_eq!(judge(&body, BATCH).short(), Short::Taken(count));
            assert!(is_fast(&body, BATCH));
        }
    }
}

#[test]
fn a_batch_of_the_wrong_shape_is_refused_as_a_whole() {
    let one = events(1);
    let table = [
        ("{}".to_owned(), refused(Code::MissingField, "/events")),
        (r#"{"events":null}"#.to_owned(), refused(Code::MissingField, "/events")),
        (r#"{"events":{}}"#.to_owned(), refused(Code::InvalidData, "/events")),
        (r#"{"events":"[]"}"#.to_owned(), refused(Code::InvalidData, "/events")),
        (format!(r#"{{"events":[{one}],"events":[]}}"#), refused(Code::RepeatedField, "/events")),
        (format!(r#"{{"events":[{one}],"a/b":1}}"#), refused(Code::UnknownField, "/a~1b")),
        (format!(r#"{{"a":1e999,"events":[{one}]}}"#), refused(Code::UnknownField, "/a")),
        (one.clone(), refused(Code::UnknownField, "/type")),
        ("7".to_owned(), refused(Code::NotAnObject, "")),
        (r#""[]""#.to_owned(), refused(Code::NotAnObject, "")),
        ("[]".to_owned(), Short::Empty),
        (r#"{"events":[ ]}"#.to_owned(), Short::Empty),
        (format!("[{}]", events(EVENTS_MAX + 1)), Short::TooMany(EVENTS_MAX + 1)),
        (format!(r#"{{"events":[{}]}}"#, events(5 * EVENTS_MAX)), Short::TooMany(5 * EVENTS_MAX)),
        (format!(r#"{{"events":[{}],"x":1}}"#, events(5 * EVENTS_MAX)), refused(Code::UnknownField, "/x")),
        (format!("[{}", events(5 * EVENTS_MAX)), refused(Code::MalformedJson, "")),
    ];
    for (body, expected) in table {
        assert_eq!(judge(&body, BATCH).short(), expected, "{body:.100}");
    }
}

#[test]
fn one_event_is_an_object() {
    assert_eq!(judge(events(1), Shape::Single).short(), Short::Taken(1));
    for body in ["[]", "null", "1", r#""x""#, r#"[{"type":"user_action","source":"web"}]"#] {
        assert_eq!(judge(body, Shape::Single).short(), refused(Code::NotAnObject, ""), "{body}");
    }
    assert_eq!(judge(r#"{"events":[]}"#, Shape::Single).short(), rejected(Code::UnknownField, "/events"));
}

#[test]
fn a_fault_of_one_event_costs_that_event_alone() {
    let (deep, lone) = (super::kit::nested(2_000), r#"{"k":"\udead"}"#);
    let body = format!(
        r#"{{"events":[{good},{{"data":{lone}}},{good},{{"type":1e999}},{good},{},7,{good}]}}"#,
        super::kit::event_with_data(&deep),
        good = events(1),
    );
    let outcome = judge(&body, BATCH);
    let expected = [
        (1, Code::InvalidString, "/events/1/data"),
        (3, Code::NumberOutOfRange, "/events/3/type"),
        (5, Code::TooDeep, "/events/5/data"),
        (6, Code::NotAnObject, "/events/6"),
    ];
    let expected = expected.map(|(index, code, pointer)| (index, code, pointer.to_owned())).to_vec();
    assert_eq!(outcome.short(), Short::Rejected(expected));
    assert_eq!(outcome.taken.iter().map(|event| event.index).collect::<Vec<_>>(), [0, 2, 4, 7]);
}

#[test]
fn bad_grammar_is_named_with_its_place() {
    let table: [(&[u8], &str); 9] = [
        (b"", "expected a value at byte 0"),
        (b"  {\"a\":1,}", "expected a name in quotes at byte 9"),
        (b"{\"a\" 1}", "expected ':' at byte 5"),
        (b"[1 2]", "expected ',' or ']' at byte 3"),
        (b"{} x", "expected the end at byte 3"),
        (b"{\"a\":\"\xff\"}", "the text is not UTF-8 at byte 6"),
        (b"\xef\xbb\xbf{}", "the text begins with a byte order mark at byte 0"),
        (b"{\"a\":\"\n\"}", "a control character stands in a string at byte 6"),
        (b"{\"a\":\"\\x\"}", "an escape that JSON does not know stands at byte 6"),
    ];
    for (body, place) in table {
        for shape in [Shape::Single, BATCH] {
            let outcome = judge(body, shape);
            assert_eq!(outcome.short(), refused(Code::MalformedJson, ""));
            assert!(outcome.detail().ends_with(place), "{} is not {place}", outcome.detail());
        }
    }
}

#[test]
fn a_parser_forgets_the_body_before() {
    let mut parser = Parser::default();
    let large = super::kit::event_with_data(&format!(r#"{{"a":"{}"}}"#, "\\n".repeat(400_000)));
    let bodies = [&large, "{\"type\":\"user_action\",\"data\":{\"a\":\"", &events(1), "[[[", &large, &events(1), ""];
    for body in bodies {
        assert_eq!(judge_with(&mut parser, body, Shape::Single), judge(body, Shape::Single));
    }
}
