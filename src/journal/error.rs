//! Why a journal cannot be opened, or a file of it not be used.

use std::io;

use thiserror::Error;

/// What is wrong with the journal, and with which file.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The system refused something.
    #[error("cannot {what} {file} in the journal's directory: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// A later version of this program wrote the file. Nothing was changed.
    #[error(
        "{file} in the journal's directory has version {version}, which this program does not know; start the \
         program that wrote it, or let that one store everything first"
    )]
    Version {
        /// The file.
        file: String,
        /// What it says its version is.
        version: u32,
    },
}

impl JournalError {
    /// For `map_err`.
    pub(super) fn io(what: &'static str, file: &str) -> impl FnOnce(io::Error) -> Self {
        let file = file.to_owned();
        move |source| Self::Io { what, file, source }
    }
}
