//! A batch and all that belongs to it: who waits for its rows, where its records stand in the journal,
//! and what is counted when it has landed.

use std::{
    collections::VecDeque,
    io,
    ops::Range,
    sync::{Arc, Weak},
};

use super::{
    ack::{DeadEvent, Ticket},
    backlog::{Backlog, Waiting},
    processor::{Fields, ProcessingError, Processor, Verdict},
};
use crate::{
    event::{self, Event, Micros},
    journal::{Extent, Origin, Reader},
    storage::{
        BadRow, Batch, Limits, Row,
        dead_letters::{DeadLetter, Reason},
    },
};

/// Rows on their way to the store. Landed and cleared, it is filled again: its buffers are
/// allocated once.
#[derive(Debug, Default)]
pub(super) struct Flight {
    pub(super) batch: Arc<Batch>,
    /// For each row, which event of its request it is; 0 where nobody waits.
    indexes: Vec<u32>,
    waits: Vec<Wait>,
    /// Requests of events that have no row, one for each.
    rowless_waits: Vec<Arc<Ticket>>,
    /// When the events were received: runs of one time and how many share it.
    received: Vec<(Micros, u64)>,
    /// For each row, where its record begins in its extent.
    offsets: Vec<u32>,
    /// The extents, each with its first row here.
    origins: Vec<(usize, Origin)>,
    /// Which flight of its flusher it is.
    pub(super) serial: u64,
    /// Number of the record after its last: all before it are settled when it and all flights before it
    /// have landed.
    pub(super) end: u64,
    /// How many events it has, rows or not.
    pub(super) events: u64,
    /// How many of them the processor filtered out.
    pub(super) filtered: u64,
    /// Bytes of their records.
    pub(super) bytes: u64,
    pub(super) duplicates: Vec<usize>,
    pub(super) refused: Vec<RefusedRow>,
    /// Letters of events that the processor failed: they have no row.
    pub(super) failed: Vec<DeadLetter>,
}

/// Rows that one request waits for.
#[derive(Debug)]
struct Wait {
    rows: Range<usize>,
    ticket: Arc<Ticket>,
}

/// A row that the store refused for good.
#[derive(Debug)]
pub(super) struct RefusedRow {
    pub(super) row: usize,
    pub(super) bad: BadRow,
    /// How often it was tried.
    pub(super) attempts: u32,
}

impl RefusedRow {
    fn detail(&self) -> String {
        format!("the store refused the event ({}): {}", self.bad.code, self.bad.message)
    }
}

/// An extent that is being read: how far, and who waits for it.
#[derive(Debug)]
pub(super) struct Reading {
    extent: Extent,
    /// Where the next record begins.
    offset: usize,
    /// Number of the next record.
    next: u64,
    /// How many records at the extent's beginning are still to be passed over.
    skip: u32,
}

impl Reading {
    pub(super) fn new(extent: Extent) -> Self {
        Self { extent, offset: 0, next: extent.first, skip: extent.skip }
    }

    fn is_done(&self) -> bool {
        self.next >= self.extent.first + u64::from(self.extent.events)
    }
}

/// The requests that wait for what is read next.
#[derive(Debug, Default)]
pub(super) struct Waiters(VecDeque<Waiting>);

impl Waiters {
    /// Takes those who wait for records before number `end`.
    pub(super) fn fetch(&mut self, backlog: &Backlog, end: u64) {
        backlog.take_waiting(end, &mut self.0);
    }

    /// The request that waits for record `number`, and which of its events that is.
    fn of(&mut self, number: u64) -> Option<(&Weak<Ticket>, u32)> {
        while self.0.front().is_some_and(|waiting| waiting.end() <= number) {
            self.0.pop_front();
        }
        let waiting = self.0.front()?;
        let index = usize::try_from(number.checked_sub(waiting.first)?).ok()?;
        Some((&waiting.ticket, *waiting.indexes.get(index)?))
    }
}

impl Flight {
    pub(super) fn with_capacity(limits: Limits) -> Self {
        // Room for a batch without a backlog; a larger one grows the buffers and keeps them.
        let rows = limits.rows_max.min(256);
        Self {
            batch: Arc::new(Batch::with_capacity(rows, rows * 512)),
            indexes: Vec::with_capacity(rows),
            offsets: Vec::with_capacity(rows),
            ..Self::default()
        }
    }

    /// Reads, processes and adds events of `reading` until the batch is full or the extent is
    /// read. True where the batch is full.
    pub(super) fn fill(
        &mut self,
        reading: &mut Reading,
        reader: &Reader,
        waiters: &mut Waiters,
        processor: &dyn Processor,
        limits: Limits,
    ) -> bool {
        // Where some store kept the last batch, it shall have it.
        let mut batch = Arc::get_mut(&mut self.batch).map(std::mem::take).unwrap_or_default();
        let now = Micros::now();
        let records = reader.records();
        if let Some(origin) = reader.origin() {
            self.origins.push((batch.len(), origin));
        }
        let mut full = false;
        while !reading.is_done() {
            let (event, length) = match event::decode(&records[reading.offset.min(records.len())..]) {
                Ok(decoded) => decoded,
                Err(error) => {
                    // Its checksum is right: we wrote it so.
                    tracing::error!(%error, "a record of our own cannot be read; the process ends");
                    std::process::abort();
                }
            };
            if reading.skip > 0 {
                reading.skip -= 1;
                reading.pass(length);
                continue;
            }
            // Events without a row count too: there may be no end of them.
            full = self.events >= limits.rows_max as u64
                || (!batch.is_empty() && batch.bytes() + length > limits.bytes_max);
            if full {
                break;
            }
            let waiter = waiters.of(reading.next);
            match add_row(&mut batch, &event, processor, now) {
                Ok(Verdict::Store) => {
                    self.offsets.push(reading.offset as u32);
                    self.indexes.push(waiter.as_ref().map_or(0, |(_, index)| *index));
                    if let Some((ticket, _)) = waiter {
                        self.wait_for(batch.len() - 1, ticket);
                    }
                }
                Ok(Verdict::FilterOut) => {
                    self.filtered += 1;
                    self.rowless_waits.extend(waiter.and_then(|(ticket, _)| ticket.upgrade()));
                }
                Err(error) => self.fail(&event, error, waiter, now),
            }
            self.note_received(event.received);
            self.events += 1;
            self.bytes += length as u64;
            reading.pass(length);
            self.end = reading.next;
        }
        match Arc::get_mut(&mut self.batch) {
            // The same memory again.
            Some(place) => *place = batch,
            None => self.batch = Arc::new(batch),
        }
        full
    }

    fn wait_for(&mut self, row: usize, ticket: &Weak<Ticket>) {
        match self.waits.last_mut() {
            Some(last) if last.rows.end == row && Weak::as_ptr(ticket) == Arc::as_ptr(&last.ticket) => {
                last.rows.end += 1;
            }
            // A request that has gone away has no ticket any more.
            _ => self.waits.extend(ticket.upgrade().map(|ticket| Wait { rows: row..row + 1, ticket })),
        }
    }

    fn fail(&mut self, event: &Event<'_>, error: ProcessingError, waiter: Option<(&Weak<Ticket>, u32)>, now: Micros) {
        let (id, reason) = (event.id, &error.reason);
        tracing::warn!(%id, reason, code = "processing_failed", "an event failed in processing");
        self.failed.push(DeadLetter::new(event, Reason::ProcessingFailed, "processing_failed", reason, now));
        if let Some((Some(ticket), index)) = waiter.map(|(ticket, index)| (ticket.upgrade(), index)) {
            // Told with the rest, when the letter is written.
            let dead = DeadEvent { index: index as usize, code: "processing_failed", detail: error.reason };
            ticket.note(|noted| noted.dead.push(dead));
            self.rowless_waits.push(ticket);
        }
    }

    fn note_received(&mut self, received: Micros) {
        match self.received.last_mut() {
            Some((last, events)) if *last == received => *events += 1,
            _ => self.received.push((received, 1)),
        }
    }

    /// When its first event was received.
    pub(super) fn first_received(&self) -> Option<Micros> {
        self.received.first().map(|(received, _)| *received)
    }

    /// For each run of events received together: µs until `now`, and how many.
    pub(super) fn latencies_us(&self, now: Micros) -> impl Iterator<Item = (u64, u64)> + Clone {
        let since = move |received: Micros| u64::try_from(now.0 - received.0).unwrap_or(0);
        self.received.iter().map(move |(received, events)| (since(*received), *events))
    }

    /// The letters of all events that are dead: the refused rows' are read from the journal again.
    pub(super) fn letters(&self, now: Micros) -> io::Result<Vec<DeadLetter>> {
        let mut letters = self.failed.clone();
        for refused in &self.refused {
            let origin = self.origins.partition_point(|(first, _)| *first <= refused.row);
            let (_, origin) = &self.origins[origin - 1];
            let record = origin.record(self.offsets[refused.row])?;
            let (event, _) = event::decode(&record).map_err(io::Error::other)?;
            let row = self.batch.row(refused.row);
            let (code, detail) = (&refused.bad.code, &refused.bad.message);
            let mut letter = DeadLetter::new(&event, Reason::StoreRefused, code, detail, now).with_row(&row);
            letter.attempts = refused.attempts;
            letters.push(letter);
        }
        Ok(letters)
    }

    /// Tells everyone who waits what became of their events.
    pub(super) fn tell(&mut self) {
        self.duplicates.sort_unstable();
        self.refused.sort_unstable_by_key(|refused| refused.row);
        for Wait { rows, ticket } in &self.waits {
            let duplicates = within(&self.duplicates, rows, |row| *row);
            let refused = within(&self.refused, rows, |refused| refused.row);
            if !duplicates.is_empty() || !refused.is_empty() {
                ticket.note(|noted| {
                    noted.duplicates.extend(duplicates.iter().map(|row| self.indexes[*row] as usize));
                    noted.dead.extend(refused.iter().map(|refused| DeadEvent {
                        index: self.indexes[refused.row] as usize,
                        code: "store_refused",
                        detail: refused.detail(),
                    }));
                });
            }
            ticket.settle(u32::try_from(rows.len()).expect("a batch has fewer rows than u32 holds"));
        }
        self.rowless_waits.iter().for_each(|ticket| ticket.settle(1));
    }

    /// Empties it for the next batch and keeps its buffers.
    pub(super) fn clear(&mut self) {
        match Arc::get_mut(&mut self.batch) {
            Some(batch) => batch.clear(),
            None => self.batch = Arc::default(),
        }
        self.indexes.clear();
        self.waits.clear();
        self.rowless_waits.clear();
        self.received.clear();
        self.offsets.clear();
        self.origins.clear();
        (self.events, self.filtered, self.bytes) = (0, 0, 0);
        self.duplicates.clear();
        self.refused.clear();
        self.failed.clear();
    }
}

impl Reading {
    /// One record is done.
    fn pass(&mut self, length: usize) {
        self.offset += length;
        self.next += 1;
    }
}

/// The part of `sorted` whose rows lie in `rows`.
fn within<'a, T>(sorted: &'a [T], rows: &Range<usize>, row: impl Fn(&T) -> usize) -> &'a [T] {
    let start = sorted.partition_point(|item| row(item) < rows.start);
    let end = sorted.partition_point(|item| row(item) < rows.end);
    &sorted[start..end]
}

/// Adds the row of an event, as `processor` makes it; no row where it filters the event out. Of use to
/// try a processor alone.
///
/// # Errors
/// [`ProcessingError`], after which the batch is as it was before.
pub fn add_row(
    batch: &mut Batch,
    event: &Event<'_>,
    processor: &dyn Processor,
    now: Micros,
) -> Result<Verdict, ProcessingError> {
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
    let pushed = batch.push_with(&row, |text| {
        let mut fields = Fields::begin(text);
        match processor.process(event, &mut fields) {
            Ok(Verdict::Store) => {
                fields.plain("receipt", event.receipt.encode(&mut [0; 32]));
                fields.end();
                Ok(())
            }
            other => Err(other),
        }
    });
    // What is no row is an error to the batch alone.
    pushed.map_or_else(|no_row| no_row, |()| Ok(Verdict::Store))
}

/// From receipt to processing, held within what the column's INT holds.
fn processing_time_ms(received: Micros, now: Micros) -> i32 {
    i32::try_from((now.0 - received.0).max(0) / 1000).unwrap_or(i32::MAX)
}
