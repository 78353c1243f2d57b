//! Bodies made to break a parser: refused with the right words, in linear time, without a panic.

use super::corpus;
use super::kit::{
    BATCH, EVENTS_MAX, Short, event_with, event_with_data, judge, judge_fast, judge_with, refused, rejected,
};
use crate::event::tape::TapeParser;
use crate::event::{Code, DATA_BYTES_MAX, Parser, Shape};

const MIB: usize = 1 << 20;

#[test]
fn every_body_of_the_corpus_comes_to_what_it_should() {
    for (body, expected) in corpus::bodies() {
        assert_eq!(judge(body, Shape::Single).short(), expected, "{}", String::from_utf8_lossy(body));
    }
}

#[test]
fn one_parser_takes_the_whole_corpus() {
    let mut parser = Parser::default();
    for (body, expected) in corpus::bodies().into_iter().chain(corpus::bodies().into_iter().rev()) {
        assert_eq!(judge_with(&mut parser, body, Shape::Single).short(), expected);
    }
}

#[test]
fn every_body_of_the_corpus_costs_no_other_event() {
    let good = event_with_data(r#"{"a":[1,{"b":"c"}]}"#);
    for (body, expected) in corpus::bodies() {
        let batch = [b"[", good.as_bytes(), b",", body, b",", good.as_bytes(), b"]"].concat();
        let outcome = judge(&batch, BATCH).short();
        match expected {
            Short::Taken(_) => assert_eq!(outcome, Short::Taken(3)),
            Short::Rejected(faults) => {
                let moved = faults.into_iter().map(|(_, code, pointer)| (1, code, format!("/1{pointer}")));
                assert_eq!(outcome, Short::Rejected(moved.collect()));
            }
            _ if body.starts_with(b"{\"a\":1},") => assert_eq!(outcome, refused(Code::MalformedJson, "")),
            _ => {
                assert!(matches!(outcome, Short::Refused(Code::MalformedJson, _)), "{}", String::from_utf8_lossy(body))
            }
        }
    }
}

#[test]
fn every_prefix_of_a_body_is_refused() {
    let event = event_with(
        r#""id":"0190a6b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b","user_id":"é\ud83d\ude00","data":{"a":[1.5e3,null,"\\"]}"#,
    );
    let body = format!("{{\"events\":[{event},{event}]}}");
    let mut parser = Parser::default();
    for end in 0..body.len() {
        let outcome = judge_with(&mut parser, &body.as_bytes()[..end], BATCH);
        assert_eq!(outcome.short(), refused(Code::MalformedJson, ""));
    }
}

#[test]
fn every_byte_that_is_changed_is_judged_alike_by_both_halves() {
    let body = event_with(r#""user_id":"a\u00e9","data":{"a":[1.5e3,null,{"b":"\\"}],"c":true}"#);
    let mut parser = Parser::default();
    for at in 0..body.len() {
        for byte in 0..=u8::MAX {
            let mut changed = body.clone().into_bytes();
            changed[at] = byte;
            judge_with(&mut parser, &changed, Shape::Single);
        }
    }
}

#[test]
fn a_mebibyte_of_brackets_is_refused() {
    for (unit, copies) in [("[", MIB), ("{\"a\":", MIB / 5), ("[{\"a\":", MIB / 6), ("]", MIB), ("{", MIB), ("\"", MIB)]
    {
        let body = unit.repeat(copies);
        for shape in [Shape::Single, BATCH] {
            assert_eq!(judge(&body, shape).short(), refused(Code::MalformedJson, ""), "{unit}");
        }
    }
}

#[test]
fn a_mebibyte_of_closed_brackets_is_too_deep_and_nothing_worse() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let levels = MIB / (open.len() + close.len());
        let deep = format!("{{\"a\":{}1{}}}", open.repeat(levels), close.repeat(levels));
        assert_eq!(judge(event_with_data(&deep), Shape::Single).short(), rejected(Code::TooDeep, "/data"));
        assert_eq!(judge(&deep, Shape::Single).short(), rejected(Code::UnknownField, "/a"));
        let batch = judge(format!("[{{}},{deep}]"), BATCH).short();
        let expected = [(0, Code::MissingField, "/0/type"), (1, Code::UnknownField, "/1/a")];
        assert_eq!(batch, Short::Rejected(expected.map(|(at, code, place)| (at, code, place.to_owned())).to_vec()));
    }
}

#[test]
fn wide_bodies_are_judged_whole() {
    let wide = |unit: &str| format!("{{\"a\":[{}1]}}", unit.repeat(MIB / 4 / unit.len()));
    for unit in ["1,", "[],", "{},", "0.0,", "\"\\n\",", "\"\\ud83d\\ude00\",", "null , ", "{\"a\":1},"] {
        let outcome = judge(event_with_data(&wide(unit)), Shape::Single);
        assert_eq!(outcome.only().data, wide(unit));
    }
    let fields = "\"x\":1,".repeat(MIB / 6);
    assert_eq!(
        judge(format!("{{{fields}\"y\":1e999}}"), Shape::Single).short(),
        rejected(Code::NumberOutOfRange, "/y")
    );
    assert_eq!(judge(format!("{{{fields}\"y\":1}}"), BATCH).short(), refused(Code::UnknownField, "/x"));
    assert_eq!(judge(format!("[{}1]", "1,".repeat(MIB)), BATCH).short(), Short::TooMany(MIB + 1));
}

#[test]
fn a_batch_of_nothing_but_faults_names_each_once() {
    let faults = ["1e999", r#"{"a":"\ud800"}"#, r#"{"\ud800":1}"#, r#"{"type":"x"}"#, "[[[[]]]]"];
    let bodies: Vec<_> = (0..EVENTS_MAX).map(|index| faults[index % faults.len()]).collect();
    let outcome = judge(format!("[{}]", bodies.join(",")), BATCH);
    let Short::Rejected(rejections) = outcome.short() else { panic!("{outcome:?}") };
    assert!(rejections.iter().map(|(index, ..)| *index).eq(0..EVENTS_MAX));
}

#[test]
fn long_numbers_and_strings_are_read_once() {
    let digits = "7".repeat(MIB);
    let outcome = judge(event_with_data(&format!("{{\"a\":{digits}}}")), Shape::Single);
    assert_eq!(outcome.short(), rejected(Code::NumberOutOfRange, "/data"));
    assert_eq!(judge(event_with_data(&format!("{{\"a\":0.{digits}}}")), Shape::Single).short(), Short::Taken(1));
    let text = "\\\"".repeat(DATA_BYTES_MAX / 4);
    assert_eq!(judge(event_with_data(&format!("{{\"a\":\"{text}\"}}")), Shape::Single).short(), Short::Taken(1));
    assert_eq!(
        judge(event_with(&format!("\"id\":\"{text}\"")), Shape::Single).short(),
        rejected(Code::InvalidId, "/id")
    );
}

#[test]
fn a_large_body_leaves_no_memory_behind() {
    let mut parser = TapeParser::default();
    let commas = event_with_data(&format!("{{\"a\":[{}1]}}", "1,".repeat(MIB / 2)));
    assert!(judge_fast(&mut parser, &commas, Shape::Single));
    assert!(parser.kept_bytes() < MIB, "{} bytes are kept", parser.kept_bytes());
    assert!(judge_fast(&mut parser, &event_with_data("{}"), Shape::Single));
    assert!(parser.kept_bytes() > 0, "the buffers of small bodies are used again");
}
