//! Numbers, sizes, spans of time and foreign texts as people read them in a terminal.

use std::{
    env,
    io::{self, Write as _},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use bytesize::ByteSize;

/// Tells a result, on standard output.
///
/// # Errors
/// Where standard output does not take it.
pub(super) fn tell(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).context("cannot write to standard output")
}

/// The end of a command that prints much: whoever read it and left, such as `head`, has seen enough.
///
/// # Errors
/// Those of the command for every other reason.
pub(super) fn unless_reader_left(ended: anyhow::Result<ExitCode>) -> anyhow::Result<ExitCode> {
    ended.or_else(|error| match error.root_cause().downcast_ref::<io::Error>() {
        Some(cause) if cause.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        _ => Err(error),
    })
}

/// Whether whoever looks at the terminal wants colours (see no-color.org).
pub(super) fn is_colour_wanted() -> bool {
    env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The text, shortened, and without what would move a terminal's cursor or turn its text around:
/// clients and servers wrote it.
pub(super) fn printable(text: &str, chars_max: usize) -> String {
    let is_unsafe = |c: char| {
        c.is_control() || matches!(c, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut shown: String = text.chars().take(chars_max).map(|c| if is_unsafe(c) { ' ' } else { c }).collect();
    if text.chars().nth(chars_max).is_some() {
        shown.pop();
        shown.push('…');
    }
    shown
}

/// `1234567` as `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `7.8 GiB`.
pub(super) fn size(bytes: u64) -> String {
    ByteSize(bytes).display().iec().to_string()
}

/// A span in its two largest units: `3d 4h`, `12m 5s`, `7s`.
pub(super) fn span(span: Duration) -> String {
    const UNITS: [(u64, char); 4] = [(86_400, 'd'), (3600, 'h'), (60, 'm'), (1, 's')];
    let seconds = span.as_secs();
    let Some(first) = UNITS.iter().position(|(unit, _)| seconds >= *unit) else { return "0s".to_owned() };
    let (unit, name) = UNITS[first];
    let mut text = format!("{}{name}", seconds / unit);
    if let Some((next, name)) = UNITS.get(first + 1) {
        text.push_str(&format!(" {}{name}", seconds % unit / next));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_shortened_and_cannot_drive_a_terminal() {
        assert_eq!(printable("zoë", 3), "zoë");
        assert_eq!(printable("four", 3), "fo…");
        assert_eq!(printable("a\x1b[2J\r\n\u{202e}b", 20), "a [2J   b");
    }

    #[test]
    fn numbers_are_grouped_by_threes() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn spans_have_two_units_at_most() {
        for (seconds, text) in [(0, "0s"), (59, "59s"), (60, "1m 0s"), (3725, "1h 2m"), (273_600, "3d 4h")] {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
        assert!(span(Duration::from_secs(u64::MAX)).ends_with('h'));
    }
}
