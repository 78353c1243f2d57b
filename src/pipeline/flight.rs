//! A batch and all that belongs to it: who waits for its rows, and what is given back when it
//! has landed.

use std::{ops::Range, sync::Arc};

use super::{
    ack::{DeadEvent, Ticket},
    backlog::{Chunk, Waiter},
    processor::{Fields, ProcessingError, Processor},
};
use crate::{
    event::{self, Event, Micros},
    storage::{Batch, Limits, Row},
    sync::Amount,
};

/// Rows on their way to the store. Landed and cleared, it is filled again: its buffers are
/// allocated once.
#[derive(Debug, Default)]
pub(super) struct Flight {
    pub(super) batch: Arc<Batch>,
    /// For each row, which event of its request it is; 0 where nobody waits.
    indexes: Vec<u32>,
    waits: Vec<Wait>,
    /// When the events were received: runs of one time and how many share it.
    received: Vec<(Micros, u64)>,
    /// The credits its events hold.
    pub(super) amount: Amount,
    /// Events the processor failed: they have no row.
    pub(super) failed: u64,
    pub(super) duplicates: Vec<usize>,
    pub(super) dead: Vec<DeadRow>,
}

/// Rows that one request waits for.
#[derive(Debug)]
struct Wait {
    rows: Range<usize>,
    ticket: Arc<Ticket>,
}

/// A row that the store refused for good.
#[derive(Debug)]
pub(super) struct DeadRow {
    pub(super) row: usize,
    pub(super) detail: String,
}

/// A chunk that is being read.
#[derive(Debug)]
pub(super) struct Reading {
    chunk: Chunk,
    offset: usize,
    event: usize,
    waiter: usize,
}

impl Reading {
    pub(super) fn new(chunk: Chunk) -> Self {
        Self { chunk, offset: 0, event: 0, waiter: 0 }
    }

    /// The request that waits for the event at `self.event`, and its index there.
    fn waiter(&mut self) -> Option<(&Waiter, u32)> {
        while let Some(waiter) = self.chunk.waiters.get(self.waiter) {
            if self.event < waiter.first {
                return None;
            }
            if self.event < waiter.first + waiter.indexes.len() {
                break;
            }
            self.waiter += 1;
        }
        let waiter = self.chunk.waiters.get(self.waiter)?;
        Some((waiter, waiter.indexes[self.event - waiter.first]))
    }
}

impl Flight {
    pub(super) fn with_capacity(limits: Limits) -> Self {
        // Room for an ordinary batch; a larger one grows the buffers once and keeps them.
        let rows = limits.rows_max.min(1024);
        Self {
            batch: Arc::new(Batch::with_capacity(rows, rows * 512)),
            indexes: Vec::with_capacity(rows),
            ..Self::default()
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.amount.events == 0
    }

    /// Reads, processes and adds events of `reading` until the batch is full or the chunk is
    /// read. True where the batch is full.
    pub(super) fn fill(
        &mut self,
        reading: &mut Reading,
        processor: &dyn Processor,
        limits: Limits,
        now: Micros,
    ) -> bool {
        let mut batch = match Arc::get_mut(&mut self.batch) {
            Some(batch) => std::mem::take(batch),
            // Some store kept the last batch: it shall have it.
            None => Batch::default(),
        };
        let mut full = false;
        while reading.offset < reading.chunk.records.len() {
            let (event, length) = match event::decode(&reading.chunk.records[reading.offset..]) {
                Ok(decoded) => decoded,
                Err(error) => {
                    tracing::error!(%error, "a record of our own cannot be read; the process ends");
                    std::process::abort();
                }
            };
            full = batch.len() >= limits.rows_max || (!batch.is_empty() && batch.bytes() + length > limits.bytes_max);
            if full {
                break;
            }
            let made = add_row(&mut batch, &event, processor, now);
            // The event borrows from the chunk, which `waiter` needs whole: take what is left to use.
            let (id, received) = (event.id, event.received);
            let row = batch.len().wrapping_sub(1);
            match (made, reading.waiter()) {
                (Ok(()), waiter) => {
                    self.indexes.push(waiter.as_ref().map_or(0, |(_, index)| *index));
                    if let Some((waiter, _)) = waiter {
                        self.wait_for(row, &waiter.ticket);
                    }
                }
                (Err(error), waiter) => {
                    tracing::warn!(%id, reason = %error, code = "processing_failed", "an event failed in processing");
                    self.failed += 1;
                    if let Some((waiter, index)) = waiter {
                        fail(&waiter.ticket, index, error);
                    }
                }
            }
            self.note_received(received);
            self.amount.events += 1;
            self.amount.bytes += length as u64;
            reading.offset += length;
            reading.event += 1;
        }
        self.batch = Arc::new(batch);
        full
    }

    fn wait_for(&mut self, row: usize, ticket: &Arc<Ticket>) {
        match self.waits.last_mut() {
            Some(last) if last.rows.end == row && Arc::ptr_eq(&last.ticket, ticket) => last.rows.end += 1,
            _ => self.waits.push(Wait { rows: row..row + 1, ticket: Arc::clone(ticket) }),
        }
    }

    fn note_received(&mut self, received: Micros) {
        match self.received.last_mut() {
            Some((last, events)) if *last == received => *events += 1,
            _ => self.received.push((received, 1)),
        }
    }

    /// For each run of events received together: µs until `now`, and how many.
    pub(super) fn latencies_us(&self, now: Micros) -> Vec<(u64, u64)> {
        let since = |received: Micros| u64::try_from(now.0 - received.0).unwrap_or(0);
        self.received.iter().map(|(received, events)| (since(*received), *events)).collect()
    }

    /// Tells everyone who waits what became of their rows.
    pub(super) fn tell(&mut self) {
        self.duplicates.sort_unstable();
        self.dead.sort_unstable_by_key(|dead| dead.row);
        for Wait { rows, ticket } in &self.waits {
            let duplicates = within(&self.duplicates, rows, |row| *row);
            let dead = within(&self.dead, rows, |dead| dead.row);
            if !duplicates.is_empty() || !dead.is_empty() {
                ticket.note(|outcome| {
                    outcome.duplicates.extend(duplicates.iter().map(|row| self.indexes[*row] as usize));
                    outcome.dead.extend(dead.iter().map(|dead| DeadEvent {
                        index: self.indexes[dead.row] as usize,
                        code: "store_refused",
                        detail: dead.detail.clone(),
                    }));
                });
            }
            ticket.settle(u32::try_from(rows.len()).expect("a batch has fewer rows than u32 holds"));
        }
    }

    /// Empties it for the next batch and keeps its buffers.
    pub(super) fn clear(&mut self) {
        match Arc::get_mut(&mut self.batch) {
            Some(batch) => batch.clear(),
            None => self.batch = Arc::default(),
        }
        self.indexes.clear();
        self.waits.clear();
        self.received.clear();
        self.amount = Amount::default();
        self.failed = 0;
        self.duplicates.clear();
        self.dead.clear();
    }
}

/// The part of `sorted` whose rows lie in `rows`.
fn within<'a, T>(sorted: &'a [T], rows: &Range<usize>, row: impl Fn(&T) -> usize) -> &'a [T] {
    let start = sorted.partition_point(|item| row(item) < rows.start);
    let end = sorted.partition_point(|item| row(item) < rows.end);
    &sorted[start..end]
}

fn fail(ticket: &Ticket, index: u32, error: ProcessingError) {
    let dead = DeadEvent { index: index as usize, code: "processing_failed", detail: error.reason };
    ticket.note(|outcome| outcome.dead.push(dead));
    ticket.settle(1);
}

fn add_row(
    batch: &mut Batch,
    event: &Event<'_>,
    processor: &dyn Processor,
    now: Micros,
) -> Result<(), ProcessingError> {
    let row = Row {
        id: event.id,
        kind: event.kind,
        source: event.source,
        user_id: event.user_id,
        processed_data: "",
        processing_time_ms: processing_time_ms(event.received, now),
        created_at_s: event.occurred.seconds(),
        processed_at_s: now.seconds(),
        receipt: event.receipt,
    };
    batch.push_with(&row, |text| {
        let mut fields = Fields::begin(text);
        processor.process(event, &mut fields)?;
        fields.plain("receipt", event.receipt);
        fields.end();
        Ok(())
    })
}

/// From receipt to processing, held within what the column's INT holds.
fn processing_time_ms(received: Micros, now: Micros) -> i32 {
    i32::try_from((now.0 - received.0).max(0) / 1000).unwrap_or(i32::MAX)
}
