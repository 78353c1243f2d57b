//! Every letter of the file and what became of it, for an operator.

use std::{collections::HashMap, fs::File, io};

use super::{
    index::letter_at,
    letter::{DeadLetter, Line, Mark},
    lines::Lines,
};
use crate::event::Receipt;

/// All letters of the file at one moment, one a receipt, in the file's order.
#[derive(Debug)]
pub struct History {
    file: File,
    end: u64,
    entries: Vec<Entry>,
    unreadable_lines: u64,
}

/// Where a letter lies, and what became of it.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    receipt: Receipt,
    offset: u64,
    resolved: Option<Mark>,
}

impl Entry {
    /// The letter's key.
    pub fn receipt(&self) -> Receipt {
        self.receipt
    }

    /// What ended it, `None` while it is open.
    pub fn resolved(&self) -> Option<Mark> {
        self.resolved
    }
}

impl History {
    pub(super) fn read(file: File) -> io::Result<Self> {
        // Without a lock: whoever appends at this moment may cut off what is read here, and then
        // reading that letter finds none.
        let end = file.metadata()?.len();
        let mut entries: HashMap<u128, Entry> = HashMap::new();
        let mut unreadable_lines = 0;
        let mut lines = Lines::new(&file, 0, end);
        while let Some((offset, line)) = lines.read()? {
            match line {
                Line::Letter(letter) => {
                    let receipt = letter.receipt;
                    entries.insert(receipt.0, Entry { receipt, offset, resolved: None });
                }
                Line::Mark(mark) => {
                    if let Some(entry) = entries.get_mut(&mark.receipt.0) {
                        entry.resolved = Some(mark);
                    }
                }
                Line::Empty => {}
                Line::Unreadable => unreadable_lines += 1,
            }
        }
        let mut entries: Vec<Entry> = entries.into_values().collect();
        entries.sort_unstable_by_key(|entry| entry.offset);
        Ok(Self { file, end, entries, unreadable_lines })
    }

    /// The letters, those written last at the end.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Lines that are damaged, or of a later version.
    pub fn unreadable_lines(&self) -> u64 {
        self.unreadable_lines
    }

    /// Reads a letter; `None` where it is gone since.
    ///
    /// # Errors
    /// What the system says.
    pub fn letter(&self, entry: &Entry) -> io::Result<Option<DeadLetter>> {
        let letter = letter_at(&self.file, entry.offset, self.end)?;
        Ok(letter.filter(|letter| letter.receipt == entry.receipt))
    }
}
