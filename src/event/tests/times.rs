//! Times, read and written.

use proptest::prelude::*;

use super::kit::cases;
use crate::event::time::TimeError;
use crate::event::{Civil, Micros, SECONDS_MAX, SECONDS_MIN};

const SECOND: i64 = 1_000_000;

#[test]
fn rfc_3339_is_read_to_the_microsecond() {
    let table = [
        ("2026-01-15T10:30:00Z", 1_768_473_000 * SECOND),
        ("2026-01-15t10:30:00z", 1_768_473_000 * SECOND),
        ("2026-01-15 10:30:00Z", 1_768_473_000 * SECOND),
        ("2026-01-15T10:30:00.000123Z", 1_768_473_000 * SECOND + 123),
        ("2026-01-15T10:30:00.5Z", 1_768_473_000 * SECOND + 500_000),
        ("2026-01-15T10:30:00.0000019999Z", 1_768_473_000 * SECOND + 1),
        ("2026-01-15T12:30:00+02:00", 1_768_473_000 * SECOND),
        ("2026-01-15T05:00:00-05:30", 1_768_473_000 * SECOND),
        ("2026-01-15T10:30:00-00:00", 1_768_473_000 * SECOND),
        ("2000-02-29T00:00:00Z", 951_782_400 * SECOND),
        ("2024-02-29T23:59:59Z", 1_709_251_199 * SECOND),
        ("1970-01-01T00:00:01Z", SECOND),
        ("1969-12-31T23:00:01-01:00", SECOND),
        ("2038-01-19T03:14:07.9Z", SECONDS_MAX * SECOND + 900_000),
        ("2038-01-19T23:14:07+20:00", SECONDS_MAX * SECOND),
    ];
    for (text, micros) in table {
        assert_eq!(Micros::parse_rfc3339(text), Ok(Micros(micros)), "{text}");
    }
    let longest = format!("2026-01-15T10:30:00.{}Z", "1".repeat(234));
    assert_eq!(longest.len(), 255);
    assert_eq!(Micros::parse_rfc3339(&longest), Ok(Micros(1_768_473_000 * SECOND + 111_111)));
}

#[test]
fn whatever_is_not_rfc_3339_is_invalid() {
    let table = [
        "",
        "2026-01-15",
        "2026-01-15T10:30:00",
        "2026-01-15T10:30Z",
        "2026-01-15T10:30:00 Z",
        "2026-01-15  10:30:00Z",
        "2026-01-15_10:30:00Z",
        "2026-01-15T10:30:00.Z",
        "2026-01-15T10:30:00,5Z",
        "2026-01-15T10:30:00ZZ",
        "2026-01-15T10:30:00+02",
        "2026-01-15T10:30:00+0200",
        "2026-01-15T10:30:00+24:00",
        "2026-01-15T10:30:00+00:60",
        "2026-01-15T10:30:00+02:00 ",
        " 2026-01-15T10:30:00Z",
        "26-01-15T10:30:00Z",
        "+2026-01-15T10:30:00Z",
        "2026-1-15T10:30:00Z",
        "2026-00-15T10:30:00Z",
        "2026-13-15T10:30:00Z",
        "2026-01-00T10:30:00Z",
        "2026-01-32T10:30:00Z",
        "2026-04-31T10:30:00Z",
        "2026-02-29T10:30:00Z",
        "2100-02-29T10:30:00Z",
        "2026-01-15T24:00:00Z",
        "2026-01-15T10:60:00Z",
        "2026-01-15T10:30:61Z",
        "2026-01-15T10:30:00.1\u{661}Z",
        "２０２６-01-15T10:30:00Z",
        "2026-01-15T10:30:00Z\0",
        "1768473000",
    ];
    for text in table {
        assert!(matches!(Micros::parse_rfc3339(text), Err(TimeError::Invalid(_))), "{text}");
    }
    let leap = Micros::parse_rfc3339("2016-12-31T23:59:60Z");
    assert_eq!(leap, Err(TimeError::Invalid("leap seconds cannot be stored")));
    let too_long = format!("2026-01-15T10:30:00.{}Z", "1".repeat(235));
    assert!(matches!(Micros::parse_rfc3339(&too_long), Err(TimeError::Invalid(_))));
}

#[test]
fn t2_times_that_the_table_does_not_hold_are_out_of_range() {
    let table = [
        "1970-01-01T00:00:00Z",
        "1970-01-01T00:00:00.999999Z",
        "1970-01-01T01:00:00.5+01:00",
        "1969-12-31T23:59:59Z",
        "0000-01-01T00:00:00+23:59",
        "0000-02-29T00:00:00Z",
        "2038-01-19T03:14:08Z",
        "2038-01-19T03:14:07-00:01",
        "9999-12-31T23:59:59.999999-23:59",
    ];
    for text in table {
        assert_eq!(Micros::parse_rfc3339(text), Err(TimeError::OutOfRange), "{text}");
    }
}

#[test]
fn times_are_rounded_down() {
    assert_eq!((Micros(1_999_999).seconds(), Micros(1_999_999).millis()), (1, 1_999));
    assert_eq!((Micros(-1).seconds(), Micros(-1).millis()), (-1, -1));
    assert!(Micros::now() > Micros(1_700_000_000 * SECOND));
}

#[test]
fn times_are_written_in_utc() {
    let micros = Micros(1_768_473_000 * SECOND + 123);
    assert_eq!(micros.to_string(), "2026-01-15T10:30:00.000123Z");
    assert_eq!(Civil::from_seconds(micros.seconds()).to_string(), "2026-01-15 10:30:00");
    assert_eq!(Civil::from_seconds(SECONDS_MIN).to_string(), "1970-01-01 00:00:01");
    assert_eq!(Civil::from_seconds(SECONDS_MAX).to_string(), "2038-01-19 03:14:07");
    assert_eq!(Micros(-1).to_string(), "1969-12-31T23:59:59.999999Z");
    assert!(!Micros(i64::MIN).to_string().is_empty() && !Micros(i64::MAX).to_string().is_empty());
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn a_time_that_was_written_is_read_back(micros in SECONDS_MIN * SECOND..(SECONDS_MAX + 1) * SECOND) {
        prop_assert_eq!(Micros::parse_rfc3339(&Micros(micros).to_string()), Ok(Micros(micros)));
    }

    #[test]
    fn an_offset_moves_the_time_and_nothing_else(seconds in 200_000..2_000_000_000_i64, offset in -1_439..1_440_i64) {
        let local = Civil::from_seconds(seconds + offset * 60);
        let sign = if offset < 0 { '-' } else { '+' };
        let text = format!("{local}{sign}{:02}:{:02}", offset.abs() / 60, offset.abs() % 60);
        prop_assert_eq!(Micros::parse_rfc3339(&text), Ok(Micros(seconds * SECOND)));
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "[0-9TZ:.+ -]{0,40}|\\PC{0,40}") {
        let _ = Micros::parse_rfc3339(&text);
    }
}
