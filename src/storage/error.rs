//! What went wrong in a store, sorted by what to do now.

use thiserror::Error;

/// A failed call to a store. Each kind has one answer; `code` is the server's own error number
/// or name, fit for a metric's label, and `message` its own words without any password.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StoreError {
    /// Nothing was stored; the same call may succeed soon. Wait and repeat.
    #[error("the store cannot take it now ({code}): {message}")]
    Transient {
        /// The server's error number or name.
        code: String,
        /// The server's words.
        message: String,
    },
    /// It may be stored or not: the answer never came. Repeat, for inserts are idempotent.
    #[error("the store's answer was lost ({code}): {message}")]
    Ambiguous {
        /// The server's error number or name.
        code: String,
        /// The server's words.
        message: String,
    },
    /// A row in the range is refused for good. Isolate it.
    #[error("the store refuses a row ({}): {}", .0.code, .0.message)]
    BadRow(BadRow),
    /// The store is not set up for us (rights, table, schema). Hold everything until it is mended.
    #[error("the store is not set up right ({code}): {message}")]
    Misconfigured {
        /// The server's error number or name.
        code: String,
        /// The server's words, and what to do.
        message: String,
    },
}

/// A row that a store refuses for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// The batch index of the row, where the store named it. A hint, not a proof: only a row
    /// that was refused alone is set apart.
    pub row: Option<usize>,
    /// The server's error number or name.
    pub code: String,
    /// The server's words.
    pub message: String,
}

impl StoreError {
    /// The server's error number or name.
    pub fn code(&self) -> &str {
        match self {
            Self::Transient { code, .. } | Self::Ambiguous { code, .. } | Self::Misconfigured { code, .. } => code,
            Self::BadRow(bad) => &bad.code,
        }
    }
}
