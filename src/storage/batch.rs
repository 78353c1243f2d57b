//! The rows of one insert, in two buffers that are used again for the next batch.

use std::ops::Range;

use uuid::Uuid;

use crate::event::{EventType, Receipt, Source};

/// A row of the table `processed_events`, borrowed from its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// The primary key.
    pub id: Uuid,
    /// The column `type`.
    pub kind: EventType,
    /// The column `source`.
    pub source: Source,
    /// The column `user_id`.
    pub user_id: Option<&'a str>,
    /// The column `processed_data`: JSON text that holds the receipt.
    pub processed_data: &'a str,
    /// The column `processing_time_ms`.
    pub processing_time_ms: i32,
    /// The column `created_at`, seconds since the epoch.
    pub created_at_s: i64,
    /// The column `processed_at`, seconds since the epoch.
    pub processed_at_s: i64,
    /// Which acceptance this row is of; the same as in `processed_data`.
    pub receipt: Receipt,
}

/// Rows on their way to a store. Cleared and filled again, it allocates only while it grows.
#[derive(Debug, Default)]
pub struct Batch {
    text: String,
    rows: Vec<Parts>,
}

#[derive(Debug)]
struct Parts {
    id: Uuid,
    receipt: Receipt,
    kind: EventType,
    source: Source,
    has_user_id: bool,
    processing_time_ms: i32,
    created_at_s: i64,
    processed_at_s: i64,
    user_id: Range<usize>,
    processed_data: Range<usize>,
}

impl Batch {
    /// An empty batch with room for `rows` rows and `bytes` bytes of text.
    pub fn with_capacity(rows: usize, bytes: usize) -> Self {
        Self { text: String::with_capacity(bytes), rows: Vec::with_capacity(rows) }
    }

    /// Empties the batch and keeps its buffers.
    pub fn clear(&mut self) {
        self.text.clear();
        self.rows.clear();
    }

    /// How many rows it has.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Bytes of text in all rows.
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    /// Copies a row to the end.
    pub fn push(&mut self, row: &Row<'_>) {
        self.push_with(row, |text| {
            text.push_str(row.processed_data);
            Ok::<(), std::convert::Infallible>(())
        })
        .unwrap_or_else(|never| match never {});
    }

    /// Adds a row whose `processed_data` is what `write` appends; `row.processed_data` is not
    /// looked at. Where `write` fails, the batch is as it was before.
    ///
    /// # Errors
    /// What `write` returned.
    pub fn push_with<E>(&mut self, row: &Row<'_>, write: impl FnOnce(&mut String) -> Result<(), E>) -> Result<(), E> {
        let start = self.text.len();
        self.text.push_str(row.user_id.unwrap_or_default());
        let middle = self.text.len();
        if let Err(error) = write(&mut self.text) {
            self.text.truncate(start);
            return Err(error);
        }
        self.rows.push(Parts {
            id: row.id,
            receipt: row.receipt,
            kind: row.kind,
            source: row.source,
            has_user_id: row.user_id.is_some(),
            processing_time_ms: row.processing_time_ms,
            created_at_s: row.created_at_s,
            processed_at_s: row.processed_at_s,
            user_id: start..middle,
            processed_data: middle..self.text.len(),
        });
        Ok(())
    }

    /// The id of the row at `index`.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn id(&self, index: usize) -> Uuid {
        self.rows[index].id
    }

    /// Bytes of text in the row at `index`.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn text_bytes(&self, index: usize) -> usize {
        let parts = &self.rows[index];
        parts.user_id.len() + parts.processed_data.len()
    }

    /// The row at `index`.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn row(&self, index: usize) -> Row<'_> {
        let parts = &self.rows[index];
        Row {
            id: parts.id,
            kind: parts.kind,
            source: parts.source,
            user_id: parts.has_user_id.then(|| &self.text[parts.user_id.clone()]),
            processed_data: &self.text[parts.processed_data.clone()],
            processing_time_ms: parts.processing_time_ms,
            created_at_s: parts.created_at_s,
            processed_at_s: parts.processed_at_s,
            receipt: parts.receipt,
        }
    }

    /// All rows, in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = Row<'_>> {
        (0..self.rows.len()).map(|index| self.row(index))
    }
}
