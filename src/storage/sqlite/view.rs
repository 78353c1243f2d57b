//! The rows of a database that another process writes to.

use std::path::Path;

use super::{
    super::{RowById, StoreError},
    reader::Reader,
};

/// Reads a database beside the service that writes to it, and changes nothing in it.
#[derive(Debug)]
pub struct SqliteView {
    reader: Reader,
}

impl SqliteView {
    /// Opens the database at `path`, which must be there.
    ///
    /// # Errors
    /// [`StoreError`] where the file is no database or cannot be read.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self { reader: Reader::open(path)? })
    }

    /// The next rows, `rows_max` at most, whose ids lie behind `after` and not behind `until`, in
    /// the order of their ids. Blocks for as long as the disk does.
    ///
    /// # Errors
    /// [`StoreError`] where the database could not be read.
    pub fn rows_by_id(&self, after: &str, until: &str, rows_max: usize) -> Result<Vec<RowById>, StoreError> {
        self.reader.rows_by_id(after, until, rows_max)
    }
}
