//! The file of dead letters: the events that were accepted and then refused for good, a line each.
//!
//! What [`DeadLetters::append`] returned for is on the disk, so that the journal may pass those
//! events. Nothing in the file is ever changed: a letter ends by a mark that is appended, and a
//! line that cannot be read is skipped, counted and left where it is. Several processes append and
//! read at the same time, a running service and the command line, each with handles of its own.
//!
//! Of the lines with one receipt the last one counts: a letter is open until a mark follows it,
//! and a letter that follows a mark is open again. So a letter may be written twice, which is what
//! a retry after a failure or a replay after a crash does.
//!
//! All calls block. What stays in memory is where the open letters lie, not what they say.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use uuid::Uuid;

mod file;
mod form;
mod history;
mod index;
mod letter;
mod lines;
#[cfg(test)]
mod tests;

pub use history::{Entry, History};
pub use letter::{DeadLetter, Mark, Reason, RefusedRow, Resolution, SentEvent};

use self::{file::Appender, index::Index};

/// The file's name in the data directory.
pub const FILE: &str = "dead-letters.jsonl";

/// The file of dead letters, open to be appended to and searched; shared by all flushers.
#[derive(Debug)]
pub struct DeadLetters {
    path: PathBuf,
    appender: Mutex<Appender>,
    index: Mutex<Index>,
    /// Copied out of the index, which is held while the file is read.
    counts: Mutex<Counts>,
}

/// How many letters are open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// By who refused and why; none of them is zero.
    pub open: Vec<OpenLetters>,
    /// Lines that are damaged, or of a later version.
    pub unreadable_lines: u64,
    /// How long the file was that was read: while it is no longer, there is nothing new in it.
    pub read_bytes: u64,
}

/// How many letters of one reason and code are open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenLetters {
    /// Who refused.
    pub reason: Reason,
    /// The store's own error number or name.
    pub code: String,
    /// How many.
    pub letters: u64,
}

impl DeadLetters {
    /// Opens the file at `path`, or makes it for its owner alone, and reads it once. Damage in it
    /// is logged and no error.
    ///
    /// # Errors
    /// What the system says; also where `path` is a link or no file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let letters = Self {
            path: path.to_owned(),
            appender: Mutex::new(Appender::open(path)?),
            index: Mutex::new(Index::new(path)),
            counts: Mutex::default(),
        };
        letters.refresh()?;
        Ok(letters)
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends `letters` with one write and one sync; once this returned they survive a power loss.
    ///
    /// # Errors
    /// What the system says. None of the letters may be taken for written then, and the call may be
    /// repeated at any time.
    pub fn append(&self, letters: &[DeadLetter]) -> io::Result<()> {
        self.append_lines(letters)
    }

    /// Ends letters, with one write and one sync.
    ///
    /// # Errors
    /// As [`DeadLetters::append`].
    pub fn resolve(&self, marks: &[Mark]) -> io::Result<()> {
        self.append_lines(marks)
    }

    fn append_lines(&self, lines: &[impl serde::Serialize]) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let mut text = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut text, line)?;
            text.push(b'\n');
        }
        let mut appender = lock(&self.appender);
        let end = appender.append(&text)?;
        // Before the next append, so that what was written here is found here. It is written
        // whatever becomes of the index, which is read again with the next refresh.
        if let Err(error) = self.refresh_to(Some(end)) {
            tracing::warn!(file = %self.path.display(), %error, "dead letters cannot be read back");
        }
        Ok(())
    }

    /// Reads what other processes appended since.
    ///
    /// # Errors
    /// What the system says.
    pub fn refresh(&self) -> io::Result<()> {
        self.refresh_to(None)
    }

    fn refresh_to(&self, end: Option<u64>) -> io::Result<()> {
        let mut index = lock(&self.index);
        let refreshed = index.refresh(end);
        *lock(&self.counts) = index.counts();
        refreshed
    }

    /// The newest open letter of that id, other processes' letters and marks included (but for
    /// those that are being written at this moment).
    ///
    /// # Errors
    /// What the system says.
    pub fn find(&self, id: Uuid) -> io::Result<Option<DeadLetter>> {
        self.refresh()?;
        lock(&self.index).find(id)
    }

    /// The open letters that were written last, at most so many, the newest first; other processes'
    /// letters and marks included, as with [`DeadLetters::find`].
    ///
    /// # Errors
    /// What the system says.
    pub fn newest(&self, most: usize) -> io::Result<Vec<DeadLetter>> {
        self.refresh()?;
        lock(&self.index).newest(most)
    }

    /// How many letters are open, as of the last call that read the file. Touches no file itself.
    pub fn counts(&self) -> Counts {
        lock(&self.counts).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
