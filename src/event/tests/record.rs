//! Records: what was encoded is read back, and damaged bytes are an error, never a panic.

use proptest::prelude::*;
use uuid::Uuid;

use super::kit::cases;
use crate::event::{DecodeError, Event, EventType, Micros, Receipt, RecordReader, Source, decode, encode, encoded_len};

/// What an [`Event`] borrows and holds, for keeps.
type Parts = (u128, usize, usize, Option<String>, Option<String>, (i64, i64), u128, String);

fn parts() -> impl Strategy<Value = Parts> {
    (
        any::<u128>(),
        0..EventType::ALL.len(),
        0..Source::ALL.len(),
        proptest::option::of("\\PC{1,50}"),
        proptest::option::of("[ -~]{1,255}"),
        any::<(i64, i64)>(),
        any::<u128>(),
        "\\PC{0,300}",
    )
}

fn event(parts: &Parts) -> Event<'_> {
    let (id, kind, source, user_id, timestamp, (occurred, received), receipt, data) = parts;
    Event {
        id: Uuid::from_u128(*id),
        kind: EventType::ALL[*kind],
        source: Source::ALL[*source],
        user_id: user_id.as_deref(),
        timestamp: timestamp.as_deref(),
        occurred: Micros(*occurred),
        received: Micros(*received),
        receipt: Receipt(*receipt),
        data,
    }
}

fn record(parts: &Parts) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&event(parts), &mut bytes);
    bytes
}

fn sample() -> Parts {
    let text = |text: &str| Some(text.to_owned());
    (7, 1, 2, text("ada"), text("2026-01-15T10:30:00Z"), (1, 2), 9, r#"{"a":1}"#.to_owned())
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn a_record_is_read_back_as_it_was_written(parts in proptest::collection::vec(parts(), 0..5)) {
        let bytes: Vec<u8> = parts.iter().flat_map(record).collect();
        let read: Result<Vec<_>, _> = RecordReader::new(&bytes).collect();
        let written: Vec<_> = parts.iter().map(event).map(|event| (event, encoded_len(&event))).collect();
        prop_assert_eq!(read, Ok(written));
    }

    #[test]
    fn damage_is_an_error_or_another_event(parts in parts(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = record(&parts);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        for item in RecordReader::new(&bytes).flatten() {
            prop_assert!(item.1 <= bytes.len());
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(RecordReader::new(&bytes).count() <= bytes.len());
    }
}

#[test]
fn a_record_that_is_cut_short_is_no_record() {
    let bytes = record(&sample());
    for end in 0..bytes.len() {
        assert_eq!(decode(&bytes[..end]).err(), Some(DecodeError::Short));
    }
    let mut twice = [bytes.clone(), bytes].concat();
    twice.pop();
    let read: Vec<_> = RecordReader::new(&twice).map(|item| item.map(|(_, length)| length)).collect();
    assert_eq!(read, [Ok(encoded_len(&event(&sample()))), Err(DecodeError::Short)]);
}

#[test]
fn lengths_that_contradict_each_other_are_short() {
    let bytes = record(&sample());
    for (at, damage) in [(0, 0), (0, 20), (3, 255), (54, 255), (55, 255)] {
        let mut bytes = bytes.clone();
        bytes[at] = damage;
        assert_eq!(decode(&bytes).err(), Some(DecodeError::Short), "byte {at} is {damage}");
    }
}

#[test]
fn types_sources_and_texts_of_another_version_are_named() {
    let bytes = record(&sample());
    for (at, error) in [(52, DecodeError::Unknown), (53, DecodeError::Unknown), (60, DecodeError::Text)] {
        let mut bytes = bytes.clone();
        bytes[at] = 0xff;
        assert_eq!(decode(&bytes).err(), Some(error), "byte {at}");
    }
}

#[test]
fn names_of_types_and_sources_lead_back_to_them() {
    for (index, kind) in EventType::ALL.into_iter().enumerate() {
        assert_eq!((EventType::from_name(kind.as_str()), kind as usize), (Some(kind), index));
    }
    for (index, source) in Source::ALL.into_iter().enumerate() {
        assert_eq!((Source::from_name(source.as_str()), source as usize), (Some(source), index));
    }
    assert_eq!((EventType::from_name("WEB"), Source::from_name("")), (None, None));
}
