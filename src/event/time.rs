//! Times: RFC 3339 in, RFC 3339 and SQL's `YYYY-MM-DD HH:MM:SS` out, all in UTC.
//!
//! The parser takes exactly what RFC 3339 allows, with a zone, and only what the column
//! `created_at` holds; everything that it lets pass can be stored.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use thiserror::Error;

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Micros(pub i64);

/// First second that a MySQL TIMESTAMP holds: 1970-01-01T00:00:01Z.
pub const SECONDS_MIN: i64 = 1;

/// Last second that a MySQL TIMESTAMP holds: 2038-01-19T03:14:07Z.
pub const SECONDS_MAX: i64 = 2_147_483_647;

/// Longest text that is taken for a time: a record has one byte for its length.
const TEXT_BYTES_MAX: usize = 255;

const MICROS_A_SECOND: i64 = 1_000_000;
const SECONDS_A_DAY: i64 = 86_400;

/// Why a text is no time that can be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum TimeError {
    /// It is not RFC 3339 with a zone.
    #[error("{0}")]
    Invalid(&'static str),
    /// It is a time, but lies outside of [`SECONDS_MIN`] to [`SECONDS_MAX`].
    #[error("the time must lie between 1970-01-01T00:00:01Z and 2038-01-19T03:14:07Z")]
    OutOfRange,
}

impl Micros {
    /// The system clock's time.
    pub fn now() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
    }

    /// Whole seconds since the epoch, rounded down.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(MICROS_A_SECOND)
    }

    /// Whole milliseconds since the epoch, rounded down.
    pub fn millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// Reads an RFC 3339 time; digits beyond the microsecond are cut off.
    ///
    /// # Errors
    /// [`TimeError`] where it is no such time, or one that the table does not hold.
    pub(crate) fn parse_rfc3339(text: &str) -> Result<Self, TimeError> {
        let time = Self::parse_any_rfc3339(text)?;
        if !(SECONDS_MIN..=SECONDS_MAX).contains(&time.seconds()) {
            return Err(TimeError::OutOfRange);
        }
        Ok(time)
    }

    /// Reads an RFC 3339 time, one that the table does not hold too: a wrong clock's, say.
    ///
    /// # Errors
    /// [`TimeError::Invalid`] where it is no such time.
    pub(crate) fn parse_any_rfc3339(text: &str) -> Result<Self, TimeError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(TimeError::Invalid("the time has more than 255 bytes"));
        }
        let mut rest = Digits(text.as_bytes());
        let (year, month, day) = (rest.number(4)?, rest.after(b"-")?.number(2)?, rest.after(b"-")?.number(2)?);
        let hour = rest.after(b"Tt ")?.number(2)?;
        let (minute, second) = (rest.after(b":")?.number(2)?, rest.after(b":")?.number(2)?);
        if month == 0 || month > 12 || day == 0 || day > days_in_month(year, month) {
            return Err(TimeError::Invalid("there is no such day"));
        }
        if second == 60 {
            return Err(TimeError::Invalid("leap seconds cannot be stored"));
        }
        if hour > 23 || minute > 59 || second > 59 {
            return Err(TimeError::Invalid("there is no such time of day"));
        }
        let micros = rest.fraction()?;
        let offset = rest.zone()?;
        let seconds = days_from_civil(year, month, day) * SECONDS_A_DAY + hour * 3_600 + minute * 60 + second - offset;
        Ok(Self(seconds * MICROS_A_SECOND + micros))
    }
}

const EXPECTED: TimeError = TimeError::Invalid("the time is not RFC 3339, such as 2026-01-15T10:30:00Z");

/// What is left of the text that is being read.
struct Digits<'a>(&'a [u8]);

impl Digits<'_> {
    fn number(&mut self, width: usize) -> Result<i64, TimeError> {
        let (digits, rest) = self.0.split_at_checked(width).ok_or(EXPECTED)?;
        self.0 = rest;
        digits.iter().try_fold(0, |number, digit| match digit {
            b'0'..=b'9' => Ok(number * 10 + i64::from(digit - b'0')),
            _ => Err(EXPECTED),
        })
    }

    /// Steps over one byte, which is one of `allowed`.
    fn after(&mut self, allowed: &[u8]) -> Result<&mut Self, TimeError> {
        match self.0 {
            [byte, rest @ ..] if allowed.contains(byte) => {
                self.0 = rest;
                Ok(self)
            }
            _ => Err(EXPECTED),
        }
    }

    fn fraction(&mut self) -> Result<i64, TimeError> {
        let Some(rest) = self.0.strip_prefix(b".") else {
            return Ok(0);
        };
        let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if length == 0 {
            return Err(EXPECTED);
        }
        let (digits, rest) = rest.split_at(length);
        self.0 = rest;
        let padded = digits.iter().copied().chain(std::iter::repeat(b'0'));
        Ok(padded.take(6).fold(0, |micros, digit| micros * 10 + i64::from(digit - b'0')))
    }

    /// Seconds east of UTC; the text ends with the zone.
    fn zone(mut self) -> Result<i64, TimeError> {
        let sign = match self.0 {
            b"Z" | b"z" => return Ok(0),
            [] => return Err(TimeError::Invalid("the time has no zone: end it with Z or an offset such as +02:00")),
            [b'-', ..] => -1,
            _ => 1,
        };
        let (hours, minutes) = (self.after(b"+-")?.number(2)?, self.after(b":")?.number(2)?);
        if hours > 23 || minutes > 59 || !self.0.is_empty() {
            return Err(EXPECTED);
        }
        Ok(sign * (hours * 3_600 + minutes * 60))
    }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

// Both ways, years begin in March, so that the leap day is the last of its year, and 400 of
// them, an era, always have the same number of days.
const DAYS_AN_ERA: i64 = 146_097;
/// Days from 0000-03-01, where the first era begins, to 1970-01-01.
const EPOCH_DAY: i64 = 719_468;

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * DAYS_AN_ERA + year * 365 + year / 4 - year / 100 + day_of_year - EPOCH_DAY
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH_DAY;
    let (era, day) = (days.div_euclid(DAYS_AN_ERA), days.rem_euclid(DAYS_AN_ERA));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

/// A moment in UTC as calendars write it, in whole seconds. Shown as SQL writes it:
/// `2026-01-15 10:30:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Civil {
    /// Of the common era; 0 and below lie before it.
    pub(crate) year: i64,
    /// From 1.
    pub(crate) month: u8,
    /// From 1.
    pub(crate) day: u8,
    /// From 0.
    pub(crate) hour: u8,
    /// From 0.
    pub(crate) minute: u8,
    /// From 0.
    pub(crate) second: u8,
}

impl Civil {
    /// The moment so many seconds after 1970-01-01T00:00:00Z.
    pub(crate) fn from_seconds(seconds: i64) -> Self {
        let (year, month, day) = civil_from_days(seconds.div_euclid(SECONDS_A_DAY));
        // All of them are small.
        let second = seconds.rem_euclid(SECONDS_A_DAY) as u32;
        Self {
            year,
            month: month as u8,
            day: day as u8,
            hour: (second / 3_600) as u8,
            minute: (second / 60 % 60) as u8,
            second: (second % 60) as u8,
        }
    }

    fn write(self, f: &mut fmt::Formatter<'_>, between: char) -> fmt::Result {
        let Self { year, month, day, hour, minute, second } = self;
        write!(f, "{year:04}-{month:02}-{day:02}{between}{hour:02}:{minute:02}:{second:02}")
    }
}

impl fmt::Display for Civil {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, ' ')
    }
}

/// A buffer for [`Micros::encode`].
pub type TimeBuffer = [u8; 27];

impl Micros {
    /// RFC 3339 with microseconds, in UTC: `2026-01-15T10:30:00.000123Z`, written into `buffer`; the same
    /// that is displayed, without the cost of a formatter. `None` for a year that has not four digits.
    pub fn encode(self, buffer: &mut TimeBuffer) -> Option<&str> {
        let Civil { year, month, day, hour, minute, second } = Civil::from_seconds(self.seconds());
        let year = u16::try_from(year).ok().filter(|year| *year <= 9999)?;
        let micros = self.0.rem_euclid(MICROS_A_SECOND) as u32;
        let digits = |part: u8| [b'0' + part / 10, b'0' + part % 10];
        let [y1, y2] = digits((year / 100) as u8);
        let [y3, y4] = digits((year % 100) as u8);
        let [[o1, o2], [d1, d2]] = [digits(month), digits(day)];
        let [[h1, h2], [m1, m2], [s1, s2]] = [digits(hour), digits(minute), digits(second)];
        let [[f1, f2], [f3, f4], [f5, f6]] =
            [micros / 10_000, micros / 100 % 100, micros % 100].map(|part| digits(part as u8));
        *buffer = [
            y1, y2, y3, y4, b'-', o1, o2, b'-', d1, d2, b'T', h1, h2, b':', m1, m2, b':', s1, s2, b'.', f1, f2, f3, f4,
            f5, f6, b'Z',
        ];
        std::str::from_utf8(buffer).ok()
    }
}

/// RFC 3339 with microseconds, in UTC: `2026-01-15T10:30:00.000123Z`.
impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = self.encode(&mut TimeBuffer::default()) {
            return f.write_str(text);
        }
        Civil::from_seconds(self.seconds()).write(f, 'T')?;
        write!(f, ".{:06}Z", self.0.rem_euclid(MICROS_A_SECOND))
    }
}
