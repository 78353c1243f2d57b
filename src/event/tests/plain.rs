//! Which bodies are read once, where they lie; what is made of them, the [kit](super::kit) compares with the
//! other parsers each time.

use super::kit::{BATCH, EVENTS_MAX, event_with, event_with_data, is_plain, judge, nested};
use crate::event::Shape;

#[test]
fn what_clients_usually_send_is_plain() {
    let id = r#""id":"01a20bbd-7af1-77a8-8647-22e8122b999d""#;
    let events = [
        r#"{"type":"system_log","source":"system"}"#.to_owned(),
        event_with(&format!(r#"{id},"timestamp":"2026-01-15T10:30:00.123+02:00","user_id":"user_123","data":{{}}"#)),
        event_with(r#""id":null,"timestamp":null,"user_id":null,"data":null"#),
        event_with(r#""user_id":"Zoë 💧""#),
        event_with_data(r#"{"price":99.99,"n":-12,"zero":0,"big":123456789012345678901234567890,"on":true,"off":false}"#),
        event_with_data(r#"{"text":"a \"quoted\" path C:\\x\/y\n\t\r\b\f, ключ","list":[1,[],{},[null,{"a":[]}]]}"#),
        event_with_data(&nested(30)),
        event_with_data(&format!(r#"{{"long":"{}"}}"#, "x".repeat(100_000))),
        "{\n  \"type\" : \"user_action\" ,\r\n\t\"source\": \"web\", \"data\": { \"a\" : [ 1 , 2 ] , \"b\" : { } }\n}\n".to_owned(),
    ];
    for event in &events {
        assert!(is_plain(event, Shape::Single), "{event:.200}");
        let _ = judge(event, Shape::Single);
    }
    let all = events.join(" ,\n");
    for body in [format!("[{all}]"), format!(r#" {{ "events" : [ {all} ] }} "#)] {
        assert!(is_plain(&body, BATCH), "{body:.200}");
        let _ = judge(&body, BATCH);
    }
}

/// A body is looked at in blocks: what belongs together must be seen together, wherever their border runs.
#[test]
fn escapes_and_controls_are_found_at_every_place() {
    for length in 0..200 {
        let text = "x".repeat(length);
        for escaped in [r#"\""#, r"\\", r"\n"] {
            let event = event_with_data(&format!(r#"{{"{text}{escaped}":"{escaped}"}}"#));
            assert!(is_plain(&event, Shape::Single), "{event}");
            let _ = judge(&event, Shape::Single);
        }
        for wrong in ["\u{1}", "\n", r"\", r"\x"] {
            let event = event_with_data(&format!(r#"{{"text":"{text}{wrong}"}}"#));
            assert!(!is_plain(&event, Shape::Single), "{event}");
        }
    }
}

#[test]
fn a_plain_event_that_breaks_a_rule_is_judged_where_it_stands() {
    let bad = [
        r#"{"type":"click","source":"web"}"#,
        r#"{"type":"user_action"}"#,
        r#"{"type":"user_action","source":"web","user_id":""}"#,
        r#"{"type":"user_action","source":"web","id":"1","timestamp":"now"}"#,
    ];
    for event in bad {
        assert!(is_plain(event, Shape::Single), "{event}");
    }
    let body = format!("[{},{}]", bad.join(","), event_with(r#""user_id":"ada""#));
    let outcome = judge(&body, BATCH);
    assert!(is_plain(&body, BATCH));
    assert_eq!((outcome.taken.len(), outcome.taken[0].index), (1, 4));
}

#[test]
fn what_is_not_plain_is_left_to_the_others() {
    let event = event_with(r#""user_id":"ada""#);
    let not_plain = [
        // A wrong shape, or none.
        String::new(),
        "{}".to_owned(),
        "null".to_owned(),
        format!("{event}{event}"),
        format!("{event},"),
        format!("\u{feff}{event}"),
        event[..event.len() - 1].to_owned(),
        // Fields that are unknown, stand twice or have no value that a rule could read.
        event_with(r#""extra":1"#),
        event_with(r#""type":"user_action""#),
        event_with(r#""user_id":7"#),
        event_with(r#""data":"{}""#),
        event_with(r#""user_id":{}"#),
        // Escapes in what the rules read, and half characters.
        event_with(r#""user_id":"a\u0064a""#),
        event_with(r#""user_i\u0064":"ada""#),
        event_with_data(r#"{"a":"\ud83d\udca7"}"#),
        event_with_data(r#"{"a":"\x"}"#),
        event_with_data("{\"a\":\"\u{1}\"}"),
        event_with_data("{\"a\":\"a\nb\"}"),
        // Numbers that may be too large, or are none.
        event_with_data(r#"{"a":1e3}"#),
        event_with_data(r#"{"a":01}"#),
        event_with_data(r#"{"a":1.}"#),
        event_with_data(r#"{"a":-}"#),
        event_with_data(r#"{"a":+1}"#),
        event_with_data(&format!(r#"{{"a":{}}}"#, "1".repeat(301))),
        // Broken nesting, and too much of it.
        event_with_data(&nested(31)),
        event_with_data(r#"{"a":[1}"#),
        event_with_data(r#"{"a":[1,]}"#),
        event_with_data(r#"{"a":1,}"#),
        event_with_data(r#"{"a"}"#),
        event_with_data(r#"{"a":truly}"#),
        event_with_data(r#"{1:2}"#),
    ];
    for body in &not_plain {
        assert!(!is_plain(body, Shape::Single), "{body:.200}");
        let _ = judge(body, Shape::Single);
        let batch = format!("[{event},{body}]");
        assert!(!is_plain(&batch, BATCH), "{batch:.200}");
    }
    let many = vec![event.as_str(); EVENTS_MAX + 1].join(",");
    for body in
        ["[]".to_owned(), format!("[{many}]"), format!("[{event}"), format!(r#"{{"events":[{event}],"more":1}}"#)]
    {
        assert!(!is_plain(&body, BATCH), "{body:.200}");
    }
    assert!(!is_plain(&format!(r#"{{"event":[{event}]}}"#), BATCH));
}

#[test]
fn a_string_ends_where_it_ends_at_every_length_and_place() {
    for before in 0..9 {
        for length in 0..40 {
            for end in ["\"", "\\\"\"", "\\\\\"", "é\"", "\u{7f}\""] {
                let data = format!("{{{}\"a\":\"{}{end}}}", " ".repeat(before), "~".repeat(length));
                let body = event_with_data(&data);
                assert!(is_plain(&body, Shape::Single), "{body}");
                assert_eq!(judge(&body, Shape::Single).only().data, data);
            }
        }
    }
}
