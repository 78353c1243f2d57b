//! The rules of one event, each with the code and the pointer that its breach gives.

use super::kit::{
    BATCH, RECEIVED, Short, event_with, event_with_data, is_fast, judge, judge_by, made_id, nested, rejected,
};
use crate::event::{Code, DATA_BYTES_MAX, Event, EventType, KEY_BYTES_MAX, Micros, Refusal, Shape, Source, Validator};

const ID: &str = "0190a6b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b";

/// One event and what it comes to, alone, in a batch and in a bare array.
fn expect(event: &str, rejection: Option<(Code, &str)>) {
    let Some((code, pointer)) = rejection else {
        assert_eq!(judge(event, Shape::Single).short(), Short::Taken(1), "{event:.200}");
        assert_eq!(judge(format!("[{event}]"), BATCH).short(), Short::Taken(1), "{event:.200}");
        return;
    };
    let alone = if event.starts_with('{') { rejected(code, pointer) } else { Short::Refused(code, String::new()) };
    assert_eq!(judge(event, Shape::Single).short(), alone, "{event:.200}");
    let second = |root: &str| Short::Rejected(vec![(1, code, format!("{root}/1{pointer}"))]);
    let good = event_with(r#""data":{}"#);
    assert_eq!(judge(format!("[{good},{event},{good}]"), BATCH).short(), second(""), "{event:.200}");
    let wrapped = format!(r#"{{ "events" : [ {good} , {event} , {good} ] }}"#);
    assert_eq!(judge(wrapped, BATCH).short(), second("/events"), "{event:.200}");
}

#[test]
fn event_validation() {
    let good = [
        r#"{"type":"user_action","source":"web"}"#.to_owned(),
        r#"{"source":"mobile","type":"sensor_data","data":{}}"#.to_owned(),
        r#"{"type":"system_log","source":"iot_device","id":null,"timestamp":null,"user_id":null,"data":null}"#
            .to_owned(),
        r#"{"\u0074ype":"user\u005faction","source":"system"}"#.to_owned(),
        event_with(&format!(r#""id":"{ID}""#)),
        event_with(&format!(r#""id":"{}""#, ID.to_uppercase())),
        event_with(r#""id":"00000000-0000-0000-0000-000000000000""#),
        event_with(r#""timestamp":"2026-01-15T10:30:00Z""#),
        event_with(&format!(r#""user_id":"{}""#, "x".repeat(50))),
        event_with(&format!(r#""user_id":"{}""#, "💧".repeat(50))),
        event_with(r#""user_id":"\ud83d\udca7 \"a\\b""#),
        event_with_data(r#"{"nul":"\u0000","pair":"\ud83d\udca7","a":1,"a":2}"#),
        event_with_data(
            r#"{"tiny":1e-400,"zero":0.0,"zeros":[0e308,-0.00E+310,0e-999],"large":1.7976931348623157e308}"#,
        ),
        event_with_data(r#"{"long":123456789012345678901234567890}"#),
        event_with_data(&nested(30)),
        event_with_data(&format!(r#"{{"{}":1}}"#, "k".repeat(KEY_BYTES_MAX))),
        event_with_data(&format!(r#"{{"{}":1}}"#, r"\u0041".repeat(KEY_BYTES_MAX))),
        event_with_data(&format!(r#"{{"a":"{}"}}"#, "x".repeat(DATA_BYTES_MAX - 8))),
    ];
    for event in &good {
        expect(event, None);
        assert!(is_fast(event, Shape::Single), "{event:.200}");
    }

    let all_fields = format!(r#""id":"{ID}","timestamp":null,"user_id":"ada","data":{{}}"#);
    let long_name = "n".repeat(65);
    let bad = [
        ("1".to_owned(), Code::NotAnObject, ""),
        ("null".to_owned(), Code::NotAnObject, ""),
        (r#""text""#.to_owned(), Code::NotAnObject, ""),
        (r#"[{"a":[1,{}]}]"#.to_owned(), Code::NotAnObject, ""),
        ("{}".to_owned(), Code::MissingField, "/type"),
        (event_with(r#""extra":1"#), Code::UnknownField, "/extra"),
        (event_with(&format!(r#"{all_fields},"last":1"#)), Code::UnknownField, "/last"),
        (event_with(&format!(r#"{all_fields},"id":null"#)), Code::RepeatedField, "/id"),
        (event_with(r#""a/b~c":{"x":[[]]}"#), Code::UnknownField, "/a~1b~0c"),
        (event_with(r#""":[]"#), Code::UnknownField, "/"),
        (event_with(r#""Type":null"#), Code::UnknownField, "/Type"),
        (event_with(&format!(r#""{long_name}":1"#)), Code::UnknownField, ""),
        (event_with(r#""type":"user_action""#), Code::RepeatedField, "/type"),
        (event_with(r#""data":null,"data":{}"#), Code::RepeatedField, "/data"),
        (event_with(r#""u\u0073er_id":"a","user_id":"a""#), Code::RepeatedField, "/user_id"),
        (r#"{"source":"web"}"#.to_owned(), Code::MissingField, "/type"),
        (r#"{"type":null,"source":"web"}"#.to_owned(), Code::MissingField, "/type"),
        (r#"{"type":"user_action"}"#.to_owned(), Code::MissingField, "/source"),
        (r#"{"type":"user_action","source":null}"#.to_owned(), Code::MissingField, "/source"),
        (r#"{"type":"click","source":"web"}"#.to_owned(), Code::InvalidType, "/type"),
        (r#"{"type":"User_action","source":"web"}"#.to_owned(), Code::InvalidType, "/type"),
        (r#"{"type":0,"source":"web"}"#.to_owned(), Code::InvalidType, "/type"),
        (r#"{"type":{},"source":"web"}"#.to_owned(), Code::InvalidType, "/type"),
        (r#"{"type":"user_action","source":"web "}"#.to_owned(), Code::InvalidSource, "/source"),
        (r#"{"type":"user_action","source":["web"]}"#.to_owned(), Code::InvalidSource, "/source"),
        (event_with(r#""id":"""#), Code::InvalidId, "/id"),
        (event_with(r#""id":7"#), Code::InvalidId, "/id"),
        (event_with(r#""id":"0190a6b27c3d7e4f8a5b6c7d8e9f0a1b""#), Code::InvalidId, "/id"),
        (event_with(r#""id":"{0190a6b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b}""#), Code::InvalidId, "/id"),
        (event_with(r#""id":"0190a6b27-c3d-7e4f-8a5b-6c7d8e9f0a1b""#), Code::InvalidId, "/id"),
        (event_with(r#""id":"0190a6b2-7c3d-7e4f-8a5b-6c7d8e9f0a1g""#), Code::InvalidId, "/id"),
        (event_with(r#""id":" 190a6b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b""#), Code::InvalidId, "/id"),
        (event_with(r#""timestamp":"yesterday""#), Code::InvalidTimestamp, "/timestamp"),
        (event_with(r#""timestamp":1768473000"#), Code::InvalidTimestamp, "/timestamp"),
        (event_with(r#""timestamp":"2026-01-15T10:30:00""#), Code::InvalidTimestamp, "/timestamp"),
        (event_with(r#""timestamp":"2038-01-19T03:14:08Z""#), Code::TimestampOutOfRange, "/timestamp"),
        (event_with(r#""user_id":"""#), Code::InvalidUserId, "/user_id"),
        (event_with(r#""user_id":7"#), Code::InvalidUserId, "/user_id"),
        (event_with(r#""user_id":"a\u0000""#), Code::InvalidUserId, "/user_id"),
        (event_with(r#""user_id":"a\nb""#), Code::InvalidUserId, "/user_id"),
        (event_with("\"user_id\":\"a\u{7f}\""), Code::InvalidUserId, "/user_id"),
        (event_with("\"user_id\":\"a\u{85}\""), Code::InvalidUserId, "/user_id"),
        (event_with(&format!(r#""user_id":"{}""#, "x".repeat(51))), Code::InvalidUserId, "/user_id"),
        (event_with(&format!(r#""user_id":"{}""#, "é".repeat(51))), Code::InvalidUserId, "/user_id"),
        (event_with_data("[]"), Code::InvalidData, "/data"),
        (event_with_data(r#""{}""#), Code::InvalidData, "/data"),
        (event_with_data("false"), Code::InvalidData, "/data"),
        (
            event_with_data(&format!(r#"{{"a":[{{"{}":1}}]}}"#, "k".repeat(KEY_BYTES_MAX + 1))),
            Code::InvalidData,
            "/data",
        ),
        (event_with_data(&nested(31)), Code::TooDeep, "/data"),
        (event_with_data(&nested(100)), Code::TooDeep, "/data"),
        (event_with_data(&format!(r#"{{"a":{}{}}}"#, "[".repeat(30), "]".repeat(30))), Code::TooDeep, "/data"),
        (event_with_data(&format!(r#"{{"a":"{}"}}"#, "x".repeat(DATA_BYTES_MAX - 7))), Code::EventTooLarge, "/data"),
        (event_with_data(r#"{"a":"\ud800"}"#), Code::InvalidString, "/data"),
        (event_with_data(r#"{"a":["\udc00\ud800"]}"#), Code::InvalidString, "/data"),
        (event_with_data(r#"{"\uDBFFx":1}"#), Code::InvalidString, "/data"),
        (event_with(r#""user_id":"\ud83dA""#), Code::InvalidString, "/user_id"),
        (event_with(r#""\ud83d":1"#), Code::InvalidString, ""),
        (event_with(r#""extra":"\ud83d\ud83d""#), Code::InvalidString, "/extra"),
        (event_with_data(r#"{"a":1e309}"#), Code::NumberOutOfRange, "/data"),
        (event_with_data(r#"{"a":[0,-1E+400]}"#), Code::NumberOutOfRange, "/data"),
        (event_with_data(&format!(r#"{{"a":{}}}"#, "9".repeat(400))), Code::NumberOutOfRange, "/data"),
        (event_with_data(r#"{"a":0e309}"#), Code::NumberOutOfRange, "/data"),
        (event_with_data(r#"{"a":-0.000e99999999999999999999}"#), Code::NumberOutOfRange, "/data"),
        (event_with(r#""id":1e999"#), Code::NumberOutOfRange, "/id"),
    ];
    for (event, code, pointer) in &bad {
        expect(event, Some((*code, pointer)));
    }
}

#[test]
fn of_several_faults_the_first_is_named() {
    let value_before_name = event_with(r#""extra":1,"data":{"a":1e999}"#);
    expect(&value_before_name, Some((Code::NumberOutOfRange, "/data")));
    expect(r#"{"type":1,"b":1,"a":1}"#, Some((Code::UnknownField, "/b")));
    expect(r#"{"data":[],"source":"x","type":"x"}"#, Some((Code::InvalidType, "/type")));
    expect(r#"{"a":1,"type":1,"type":2}"#, Some((Code::UnknownField, "/a")));
}

#[test]
fn an_event_is_taken_as_it_was_sent() {
    let body = format!(
        " {{ \"data\" :\t{{ \"b\" : [1.50,\"\\u00e9\"] , \"a\":{{}}  }}\r\n, \"id\":\"{}\",\"type\":\"sensor_data\",\
         \"source\":\"iot_device\",\"user_id\":\"J\\u00f6rg\",\"timestamp\":\"2026-01-15t12:30:00.5+02:00\"}} ",
        ID.to_uppercase()
    );
    let outcome = judge(&body, Shape::Single);
    let event = outcome.only();
    assert_eq!(event.id.to_string(), ID);
    assert_eq!((event.kind, event.source), (EventType::SensorData, Source::IotDevice));
    assert_eq!(event.user_id.as_deref(), Some("Jörg"));
    assert_eq!(event.timestamp.as_deref(), Some("2026-01-15t12:30:00.5+02:00"));
    assert_eq!(event.occurred, Micros(1_768_473_000_500_000));
    assert_eq!(event.received, RECEIVED);
    assert_eq!(event.data, r#"{ "b" : [1.50,"\u00e9"] , "a":{}  }"#);
}

#[test]
fn what_is_missing_is_made_on_receipt() {
    let outcome = judge(r#"[{"type":"system_log","source":"system"},{"source":"web","type":"system_log"}]"#, BATCH);
    assert_eq!(outcome.taken.len(), 2);
    for (index, event) in outcome.taken.iter().enumerate() {
        assert_eq!((event.index, event.id), (index, made_id(index)));
        assert_eq!((event.occurred, &event.timestamp, &event.user_id), (RECEIVED, &None, &None));
        assert_eq!(event.data, "{}");
    }
    assert_ne!(outcome.taken[0].receipt, outcome.taken[1].receipt);
}

#[test]
fn a_clients_words_are_repeated_short_and_harmless() {
    let name = format!(r"\u001b]0;\n{}", "é".repeat(5_000));
    let outcome = judge(event_with(&format!(r#""{name}":1"#)), Shape::Single);
    assert!(outcome.detail().chars().count() < 120, "{}", outcome.detail());
    assert!(!outcome.detail().contains(char::is_control), "{}", outcome.detail());
    let wrapped = judge(format!(r#"{{"{name}":1}}"#), BATCH);
    assert!(wrapped.detail().chars().count() < 120, "{}", wrapped.detail());
    assert_eq!(wrapped.short(), Short::Refused(Code::UnknownField, String::new()));
}

/// Wants an id of the client's own.
struct NoNightShift;

impl Validator for NoNightShift {
    fn validate(&self, event: &Event<'_>) -> Result<(), Refusal> {
        if event.data.contains("night") {
            let (pointer, detail) = ("/data/shift".to_owned(), "nobody works at night".to_owned());
            return Err(Refusal { code: Code::Own("night_shift"), pointer, detail });
        }
        Ok(())
    }
}

#[test]
fn a_validator_rejects_events_that_are_good_by_the_contract() {
    let night = event_with_data(r#"{"shift":"night"}"#);
    let bodies = format!("[{},{night},{}]", event_with_data("{}"), r#"{"data":{"shift":"night"}}"#);
    let outcome = judge_by(&NoNightShift, &bodies, BATCH);
    let expected =
        vec![(1, Code::Own("night_shift"), "/1/data/shift".to_owned()), (2, Code::MissingField, "/2/type".to_owned())];
    assert_eq!(outcome.short(), Short::Rejected(expected));
    let expected = rejected(Code::Own("night_shift"), "/data/shift");
    assert_eq!(judge_by(&NoNightShift, &night, Shape::Single).short(), expected);
}
