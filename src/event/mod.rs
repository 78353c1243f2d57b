//! The event: its model, the rules it is judged by, and its encoding as a record.
//!
//! A body is parsed by `Parser`, which hands over every good event as an [`Event`] that
//! borrows from the body and names every bad one by a [`Rejection`]. Whatever a store would
//! refuse is refused here, before anything is acknowledged: an [`Event`] that exists is one
//! that SQLite, MySQL and MariaDB take.
//!
//! Nothing here blocks, locks, or allocates per good event; a `Parser` belongs to one thread.

use std::fmt;

use uuid::Uuid;

mod bench;
mod encode;
mod parse;
mod reject;
mod rules;
mod scan;
mod strict;
mod tape;
mod time;
mod validate;

pub use bench::{BodyError, Shape};
#[doc(hidden)]
pub use bench::{Judged, Stamp};
#[doc(hidden)]
pub use encode::{DecodeError, RecordReader, encode, encoded_len};
pub(crate) use encode::{decode, skim};
#[doc(hidden)]
pub use parse::Parser;
pub use reject::{Code, Rejection};
pub(crate) use time::Civil;
pub use time::{Micros, SECONDS_MAX, SECONDS_MIN, TimeBuffer};
pub use validate::{ContractOnly, Refusal, Validator};

/// Longest `user_id`, in characters: the column is `VARCHAR(50)`.
pub const USER_ID_CHARS_MAX: usize = 50;

/// Deepest nesting of `data`, itself counted as 1. MariaDB's JSON functions stop at 32 levels,
/// and `processed_data` wraps `data` in one more.
pub const DATA_DEPTH_MAX: usize = 30;

/// Longest key in `data`, in bytes after unescaping: MySQL refuses longer ones (error 3151).
pub const KEY_BYTES_MAX: usize = 65_535;

/// Largest `data`, in bytes as sent: well below half of the smallest usual `max_allowed_packet`
/// (16 MiB), so that no single row can exceed a packet.
pub const DATA_BYTES_MAX: usize = 4 << 20;

/// What kind of event it is: the column `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EventType {
    /// Something a person did.
    UserAction = 0,
    /// Something a device measured.
    SensorData = 1,
    /// Something a program said.
    SystemLog = 2,
}

impl EventType {
    /// All of them, in the order of the table's ENUM.
    pub const ALL: [Self; 3] = [Self::UserAction, Self::SensorData, Self::SystemLog];

    /// The name in JSON and in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UserAction => "user_action",
            Self::SensorData => "sensor_data",
            Self::SystemLog => "system_log",
        }
    }

    /// The type of that name, compared exactly.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Where an event comes from: the column `source`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Source {
    /// A browser.
    Web = 0,
    /// An app on a phone or tablet.
    Mobile = 1,
    /// A device in the field.
    IotDevice = 2,
    /// A server or a job.
    System = 3,
}

impl Source {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Web, Self::Mobile, Self::IotDevice, Self::System];

    /// The name in JSON and in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Mobile => "mobile",
            Self::IotDevice => "iot_device",
            Self::System => "system",
        }
    }

    /// The source of that name, compared exactly.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.as_str() == name)
    }
}

/// Node and sequence, unique to one acceptance of an event. Two rows of one id with different
/// receipts are a duplicate; the same receipt twice is one attempt of ours seen again.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Receipt(pub u128);

impl Receipt {
    /// As it is displayed: 32 hexadecimal digits, written into `buffer`.
    pub fn encode(self, buffer: &mut [u8; 32]) -> &str {
        Uuid::from_u128(self.0).as_simple().encode_lower(buffer)
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.encode(&mut [0; 32]))
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An accepted event: every rule of the contract holds for it. It borrows its text from the
/// body it came in, or from the record it was read back from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// The client's id, or one made on receipt.
    pub id: Uuid,
    /// The column `type`.
    pub kind: EventType,
    /// The column `source`.
    pub source: Source,
    /// 1 to [`USER_ID_CHARS_MAX`] characters, none of them a control character.
    pub user_id: Option<&'a str>,
    /// The client's `timestamp`, letter for letter; `None` where it sent none.
    pub timestamp: Option<&'a str>,
    /// The event's own time: `timestamp`, or `received` where there is none.
    pub occurred: Micros,
    /// When the service received it.
    pub received: Micros,
    /// This acceptance's receipt.
    pub receipt: Receipt,
    /// The client's `data`, byte for byte: one JSON object, at most [`DATA_DEPTH_MAX`] deep.
    pub data: &'a str,
}

#[cfg(test)]
mod tests;
