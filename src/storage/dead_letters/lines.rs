//! The lines of a part of the file, one after another, in memory that does not depend on it.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _},
};

use super::{file::Part, letter::Line};

/// Far longer than any letter: `data` is bounded, and stands in it twice.
const LINE_BYTES_MAX: usize = 64 << 20;

/// Reads whole lines only: what stands behind the last line break is torn, or not written yet.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    reader: BufReader<Part<'a>>,
    next: u64,
    line: Vec<u8>,
}

impl<'a> Lines<'a> {
    /// The lines from `start`, where one begins, to `end`.
    pub(super) fn new(file: &'a File, start: u64, end: u64) -> Self {
        let part = Part { file, at: start, end: end.max(start) };
        Self { reader: BufReader::with_capacity(64 << 10, part), next: start, line: Vec::new() }
    }

    /// Where the next line begins: behind the last one that was read.
    pub(super) fn next_offset(&self) -> u64 {
        self.next
    }

    /// The next line, and where it begins.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn read(&mut self) -> io::Result<Option<(u64, Line)>> {
        let start = self.next;
        let length = self.fill()?;
        if self.line.last() == Some(&b'\n') {
            self.next += length;
            self.line.pop();
            return Ok(Some((start, Line::read(&self.line))));
        }
        if length < LINE_BYTES_MAX as u64 {
            return Ok(None);
        }
        let mut skipped = length;
        loop {
            skipped += self.fill()?;
            if self.line.last() == Some(&b'\n') {
                self.next += skipped;
                return Ok(Some((start, Line::Unreadable)));
            }
            if self.line.len() < LINE_BYTES_MAX {
                return Ok(None);
            }
        }
    }

    fn fill(&mut self) -> io::Result<u64> {
        self.line.clear();
        Ok((&mut self.reader).take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut self.line)? as u64)
    }
}
