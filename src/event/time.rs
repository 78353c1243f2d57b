//! Times: RFC 3339 in, RFC 3339 and SQL's `YYYY-MM-DD HH:MM:SS` out, all in UTC.

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Micros(pub i64);

/// First second that a MySQL TIMESTAMP holds: 1970-01-01T00:00:01Z.
pub const SECONDS_MIN: i64 = 1;

/// Last second that a MySQL TIMESTAMP holds: 2038-01-19T03:14:07Z.
pub const SECONDS_MAX: i64 = 2_147_483_647;
