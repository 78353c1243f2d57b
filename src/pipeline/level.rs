//! Acknowledgement levels: how far an event has come when the client is told.

use std::{fmt, str::FromStr};

/// How far accepted events have come when a request is answered; each level includes the ones
/// before it.
///
/// ```
/// use event_pipeline::pipeline::AckLevel;
///
/// assert!(AckLevel::Queued < AckLevel::Durable && AckLevel::Durable < AckLevel::Stored);
/// assert_eq!("durable".parse(), Ok(AckLevel::Durable));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AckLevel {
    /// In the shard's memory queue: fast, and lost if the process dies.
    Queued,
    /// In this node's journal on disk.
    Durable,
    /// Committed in the store.
    Stored,
}

/// A text that names no acknowledgement level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is none of queued, durable, stored")]
pub struct NoSuchLevel;

impl AckLevel {
    /// The name in requests, answers and settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Durable => "durable",
            Self::Stored => "stored",
        }
    }
}

impl fmt::Display for AckLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for AckLevel {
    type Err = NoSuchLevel;

    fn from_str(text: &str) -> Result<Self, NoSuchLevel> {
        [Self::Queued, Self::Durable, Self::Stored].into_iter().find(|level| level.as_str() == text).ok_or(NoSuchLevel)
    }
}
