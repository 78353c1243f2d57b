//! Times: RFC 3339 in, RFC 3339 and SQL's `YYYY-MM-DD HH:MM:SS` out, all in UTC.

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Micros(pub i64);

/// First second that a MySQL TIMESTAMP holds: 1970-01-01T00:00:01Z.
pub const SECONDS_MIN: i64 = 1;

/// Last second that a MySQL TIMESTAMP holds: 2038-01-19T03:14:07Z.
pub const SECONDS_MAX: i64 = 2_147_483_647;

impl Micros {
    /// This moment.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    /// Whole seconds.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Whole ms.
    pub fn millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }
}

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
