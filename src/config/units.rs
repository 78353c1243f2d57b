//! Numbers, sizes, durations and lists as people write them, and back. Every value has bounds;
//! an error says what would be right.

use std::{net::SocketAddr, ops::RangeInclusive, time::Duration};

use bytesize::ByteSize;

/// What is wrong with a value: the rest of a sentence that begins with the setting.
pub(super) type Problem = String;

const KIB: u64 = 1 << 10;
const SIZE_UNITS: [(u64, &str); 4] = [(KIB.pow(4), "TiB"), (KIB.pow(3), "GiB"), (KIB.pow(2), "MiB"), (KIB, "KiB")];
const NANOS_PER_SECOND: u128 = 1_000_000_000;
const DURATION_UNITS: [(u128, &str); 6] = [
    (3600 * NANOS_PER_SECOND, "h"),
    (60 * NANOS_PER_SECOND, "m"),
    (NANOS_PER_SECOND, "s"),
    (NANOS_PER_SECOND / 1_000, "ms"),
    (NANOS_PER_SECOND / 1_000_000, "us"),
    (1, "ns"),
];

/// A whole number; `_` may group its digits.
pub(super) fn count(text: &str, bounds: RangeInclusive<u64>) -> Result<usize, Problem> {
    let digits = text.replace('_', "");
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse::<u64>().ok().filter(|_| plain);
    let number = number.ok_or_else(|| format!("{} is not a whole number, such as 1000", quoted(text)))?;
    within(number, bounds, |bound| bound.to_string())?;
    usize::try_from(number).map_err(|_| format!("{number} is more than this machine can count"))
}

/// A number of bytes, such as `64MiB`.
pub(super) fn size(text: &str, bounds: RangeInclusive<u64>) -> Result<u64, Problem> {
    let size = text.parse::<ByteSize>();
    let ByteSize(bytes) = size.map_err(|_| format!("{} is not a size, such as 64MiB or 65536", quoted(text)))?;
    within(bytes, bounds, |bound| show_size(*bound))?;
    Ok(bytes)
}

/// A span of time, such as `2ms`.
pub(super) fn duration(text: &str, bounds: RangeInclusive<Duration>) -> Result<Duration, Problem> {
    let duration = humantime::parse_duration(text);
    let duration = duration.map_err(|_| format!("{} is not a duration, such as 2ms, 10s or 5m", quoted(text)))?;
    within(duration, bounds, |bound| show_duration(*bound))?;
    Ok(duration)
}

/// An IP address with a port.
pub(super) fn address(text: &str) -> Result<SocketAddr, Problem> {
    text.parse().map_err(|_| format!("{} is not an IP address with a port, such as 127.0.0.1:8080", quoted(text)))
}

/// One of a few words.
pub(super) fn word<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, Problem> {
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        format!("{} is none of {}", quoted(text), known.join(", "))
    })
}

/// Parts between commas, none of them empty.
pub(super) fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// The size in the largest unit that has no fraction.
pub(super) fn show_size(bytes: u64) -> String {
    let unit = SIZE_UNITS.iter().find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit));
    unit.map_or_else(|| bytes.to_string(), |(unit, name)| format!("{}{name}", bytes / unit))
}

/// The duration in the largest unit that has no fraction.
pub(super) fn show_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let unit = DURATION_UNITS.iter().find(|(unit, _)| nanos >= *unit && nanos.is_multiple_of(*unit));
    unit.map_or_else(|| "0s".to_owned(), |(unit, name)| format!("{}{name}", nanos / unit))
}

/// The value as it was given, unless it might be a login that ended up in the wrong place.
pub(super) fn quoted(text: &str) -> String {
    if text.contains('@') || text.starts_with("mysql:") {
        "the value (not shown, as it may hold a password)".to_owned()
    } else {
        format!("{text:?}")
    }
}

fn within<T: PartialOrd>(value: T, bounds: RangeInclusive<T>, show: impl Fn(&T) -> String) -> Result<(), Problem> {
    if bounds.contains(&value) {
        return Ok(());
    }
    Err(format!("{} is out of bounds: {} to {}", show(&value), show(bounds.start()), show(bounds.end())))
}
