//! Admission: a request's events, judged and encoded, onto their shards, all or none.
//!
//! An [`Intake`] belongs to one thread. It encodes each good event straight into the outbox of
//! its shard, takes room in the journal and the credits of all target shards at once, and only then are
//! the events accepted. Outboxes are handed over by [`Intake::flush`], one message a shard, so that many
//! requests of one event-loop tick share it. From admission to flush the intake is inside the
//! gate: what was admitted is handed over before the pipeline closes.

use std::{cell::Cell, sync::Arc, time::Duration};

use smallvec::SmallVec;
use thiserror::Error;
use uuid::Uuid;

use super::{
    Inner,
    ack::{Ack, Ticket},
    backlog::{CHUNK_BYTES, Chosen, Chunk, Waiter},
    ids::ShardIds,
    level::AckLevel,
    room::JournalRoom,
    shard::{Message, Shard},
    stamps::{IdOrigin, Stamps},
};
use crate::{
    event::{self, BodyError, Event, Micros, Parser, Rejection, Shape},
    metrics::IngestMetrics,
    sync::{self, Amount, Padded},
};

/// The way into a pipeline, for one thread.
///
/// It keeps buffers, so a thread should use one for all that it takes. [`Intake::submit`] is the short way;
/// whoever has many requests at a time calls [`Intake::take`] for each and [`Intake::flush`] once.
///
/// ```
/// use std::{sync::Arc, time::Duration};
///
/// use event_pipeline::{
///     event::{Micros, Shape},
///     pipeline::{AckLevel, Pipeline, Refused, Request},
///     storage::Discard,
/// };
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// let pipeline = Pipeline::builder(Arc::new(Discard::default()), dir.path()).start()?;
/// let mut intake = pipeline.intake();
/// let request = Request {
///     shape: Shape::Batch { events_max: 100 },
///     level: AckLevel::Durable,
///     ack_timeout: Duration::from_secs(10),
///     idempotency_key: Some("upload 17"),
///     received: Micros::now(),
/// };
/// let body = br#"[{"type":"system_log","source":"system"},{"type":"system_log"}]"#;
/// let taken = intake.take(body, request)?;
/// assert_eq!((taken.received, taken.accepted.len()), (2, 1));
/// assert_eq!(taken.rejections[0].pointer, "/1/source");
/// assert!(matches!(intake.take(b"[{}]", request), Err(Refused::NoValidEvent { .. })));
///
/// intake.flush();
/// let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
/// assert_eq!(runtime.block_on(taken.ack.wait()).level, AckLevel::Durable);
/// pipeline.drain(Duration::from_secs(10));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Intake {
    inner: Arc<Inner>,
    parser: Parser,
    outboxes: Box<[Outbox]>,
    /// The accepted events of the request at hand.
    accepted: Vec<(usize, Uuid)>,
    room: JournalRoom,
    inside: bool,
    metrics: Arc<Padded<IngestMetrics>>,
    ids: ShardIds,
    receipts: u128,
}

/// What to do with a body.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// One event or several.
    pub shape: Shape,
    /// What the client waits for.
    pub level: AckLevel,
    /// How long at most, where that is the store.
    pub ack_timeout: Duration,
    /// Makes missing ids depend on this key and the event's index alone.
    pub idempotency_key: Option<&'a str>,
    /// When the request was received.
    pub received: Micros,
}

/// A request of which at least one event was accepted.
#[derive(Debug)]
pub struct Taken {
    /// How many events the body holds.
    pub received: usize,
    /// The accepted events' ids with their indexes, in order.
    pub accepted: SmallVec<[(usize, Uuid); 1]>,
    /// The others, in order.
    pub rejections: Vec<Rejection>,
    /// The wait for the level asked for.
    pub ack: Ack,
}

/// A request of which nothing was taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// The body as a whole.
    #[error("the body was refused")]
    Body(BodyError),
    /// Not one of its events is valid.
    #[error("no event of the request is valid")]
    NoValidEvent {
        /// Why, for each.
        rejections: Vec<Rejection>,
    },
    /// The journal has no room.
    #[error("the journal is full: the store does not take events as fast; try again in {retry_after_s} s")]
    JournalFull {
        /// When there may be room, in seconds.
        retry_after_s: u64,
    },
    /// A target shard has no room.
    #[error("the pipeline is full; try again in {retry_after_s} s")]
    Overloaded {
        /// When there may be room, in seconds.
        retry_after_s: u64,
    },
    /// The pipeline is shutting down.
    #[error("the pipeline is draining and takes no more events")]
    Draining,
}

/// What one shard is to get: accepted events, and behind them the staged ones of the request at
/// hand.
#[derive(Debug, Default)]
struct Outbox {
    chunk: Chunk,
    /// Bytes of the accepted events' records.
    kept_bytes: usize,
    /// For each staged event, which one of the request it is.
    staged: Vec<u32>,
    /// The staged events whose ids the client chose.
    chosen: Vec<(u32, Uuid)>,
    /// The shard's worker is still to be woken.
    is_sent: bool,
}

impl Outbox {
    /// Drops what is staged: of a refused request, or of one whose handler panicked.
    fn unstage(&mut self) {
        self.chunk.records.truncate(self.kept_bytes);
        self.staged.clear();
        self.chosen.clear();
    }

    fn stage(&mut self, index: usize, event: &Event<'_>, is_chosen: bool) {
        event::encode(event, &mut self.chunk.records);
        let index = u32::try_from(index).expect("a request has fewer events than u32 holds");
        self.staged.push(index);
        if is_chosen {
            self.chosen.push((index, event.id));
        }
    }

    fn amount(&self) -> Amount {
        Amount { events: self.staged.len() as u32, bytes: (self.chunk.records.len() - self.kept_bytes) as u64 }
    }

    /// The staged events are accepted, and their room in the journal is taken.
    fn keep(&mut self, promised: u64, ticket: Option<(&Arc<Ticket>, AckLevel)>) {
        let first = self.chunk.events;
        self.chunk.events += self.staged.len();
        self.chunk.promised += promised;
        self.kept_bytes = self.chunk.records.len();
        let waiter = ticket.map(|_| self.chunk.waiters.len() as u32);
        self.chunk.chosen.extend(self.chosen.drain(..).map(|(index, id)| Chosen { id, index, waiter }));
        if let Some((ticket, level)) = ticket {
            let indexes = if level == AckLevel::Stored { std::mem::take(&mut self.staged) } else { Vec::new() };
            self.chunk.waiters.push(Waiter { first, indexes, ticket: Arc::clone(ticket) });
        }
        self.staged.clear();
    }

    /// The accepted events, to be handed over to `shard`.
    fn take(&mut self, shard: &Shard) -> Chunk {
        self.unstage();
        self.kept_bytes = 0;
        std::mem::replace(&mut self.chunk, shard.empty_chunk())
    }
}

impl Intake {
    pub(super) fn new(inner: Arc<Inner>, number: u16) -> Self {
        let outboxes = inner.shards.iter().map(|_| Outbox::default()).collect();
        let metrics = inner.metrics.add_ingest();
        // Node, run, intake, and a counter: no two acceptances anywhere share a receipt.
        let receipts = u128::from(inner.identity.node) << 96 | u128::from(inner.run) << 64 | u128::from(number) << 48;
        let room = JournalRoom::new(inner.journal.clone());
        let (parser, accepted, ids) = (Parser::default(), Vec::new(), ShardIds::new(inner.shards.len()));
        Self { inner, parser, outboxes, accepted, room, inside: false, metrics, ids, receipts }
    }

    /// Judges a body's events and accepts the good ones, all or none. They are handed to their
    /// shards by the next [`Intake::flush`].
    ///
    /// # Errors
    /// [`Refused`]; then nothing of the request was taken.
    pub fn take(&mut self, body: &[u8], request: Request<'_>) -> Result<Taken, Refused> {
        if self.inner.gate.is_closed() {
            return Err(Refused::Draining);
        }
        let judged = self.judge(body, request).map_err(Refused::Body)?;
        self.metrics.add_rejected(judged.rejections.len() as u64);
        if self.accepted.is_empty() {
            return Err(Refused::NoValidEvent { rejections: judged.rejections });
        }
        self.admit(self.accepted.len())?;
        self.metrics.add_body_bytes(body.len() as u64);
        let ack = self.keep(request, self.accepted.len());
        let accepted = SmallVec::from_slice(&self.accepted);
        Ok(Taken { received: judged.received, accepted, rejections: judged.rejections, ack })
    }

    /// Stages every good event in its shard's outbox.
    fn judge(&mut self, body: &[u8], request: Request<'_>) -> Result<event::Judged, BodyError> {
        for outbox in &mut self.outboxes {
            outbox.unstage();
        }
        self.accepted.clear();
        let (inner, outboxes, accepted) = (&self.inner, &mut self.outboxes, &mut self.accepted);
        let (ids, receipts, origin) = (&mut self.ids, &mut self.receipts, Cell::default());
        let mut stamp = Stamps { request, identity: &inner.identity, ids, receipts, origin: &origin };
        self.parser.judge(body, request.shape, &mut stamp, inner.validator.as_ref(), &mut |index, event| {
            accepted.push((index, event.id));
            let (shard, is_chosen) = match origin.take() {
                IdOrigin::MadeFor(shard) => (shard, false),
                origin => (inner.identity.shard_of(event, outboxes.len()), origin == IdOrigin::Chosen),
            };
            outboxes[shard].stage(index, event, is_chosen);
        })
    }

    /// Takes the room and the credits of all staged events and enters the gate, or undoes the staging.
    fn admit(&mut self, events: usize) -> Result<(), Refused> {
        let wants = || {
            let staged = self.outboxes.iter().map(Outbox::amount);
            self.inner.shards.iter().zip(staged).filter(|(_, amount)| amount.events > 0)
        };
        let cost = wants().map(|(_, amount)| self.inner.journal.cost(amount.bytes)).sum();
        let has_room = self.room.take(cost);
        let refused = match sync::take_all(wants().map(|(shard, amount)| (&shard.credits, amount))) {
            Ok(()) if !has_room => {
                wants().for_each(|(shard, amount)| shard.credits.give_back(amount));
                Refused::JournalFull { retry_after_s: self.inner.retry_after_s() }
            }
            Err(_) => Refused::Overloaded { retry_after_s: self.inner.queue_retry_after_s() },
            Ok(()) if self.inside || self.inner.gate.enter() => {
                self.inside = true;
                // Counted before it is handed over, so that nobody sees it leave before it came.
                for (index, outbox) in self.outboxes.iter().enumerate() {
                    self.inner.metrics.shard(index).tally.add_received(outbox.amount().events.into());
                }
                return Ok(());
            }
            Ok(()) => {
                wants().for_each(|(shard, amount)| shard.credits.give_back(amount));
                Refused::Draining
            }
        };
        if has_room {
            self.room.give_back(cost);
        }
        self.outboxes.iter_mut().for_each(Outbox::unstage);
        self.metrics.add_shed(events as u64);
        Err(refused)
    }

    fn keep(&mut self, Request { level, ack_timeout, .. }: Request<'_>, events: usize) -> Ack {
        let shards = self.outboxes.iter().filter(|outbox| !outbox.staged.is_empty()).count();
        let events = u32::try_from(events).expect("a request has fewer events than u32 holds");
        let is_crowded = level == AckLevel::Queued && self.is_crowded();
        let ticket = (level != AckLevel::Queued || is_crowded).then(|| Arc::new(Ticket::new(shards as u32, events)));
        // More than this is handed over before the tick ends: no commit is to become larger than it must, and
        // no buffer too large to be used again.
        let chunk_bytes = self.inner.journal.run_bytes().min(CHUNK_BYTES);
        let mut is_large = false;
        for outbox in self.outboxes.iter_mut().filter(|outbox| !outbox.staged.is_empty()) {
            let promised = self.inner.journal.cost(outbox.amount().bytes);
            outbox.keep(promised, ticket.as_ref().map(|ticket| (ticket, level)));
            is_large |= outbox.kept_bytes >= chunk_bytes;
        }
        if is_large {
            self.flush();
        }
        match ticket {
            Some(ticket) if is_crowded => Ack::crowded(ticket),
            Some(ticket) => Ack::new(ticket, level, ack_timeout),
            None => Ack::queued(),
        }
    }

    /// Whether a shard that the request goes to has less than half of its room left.
    fn is_crowded(&self) -> bool {
        let targets = self.inner.shards.iter().zip(&self.outboxes).filter(|(_, outbox)| !outbox.staged.is_empty());
        targets
            .map(|(shard, _)| (shard.credits.in_use(), shard.credits.bound()))
            .any(|(used, bound)| used.events > bound.events / 2 || used.bytes > bound.bytes / 2)
    }

    /// Hands everything accepted so far to the shards.
    pub fn flush(&mut self) {
        if !self.inside {
            return;
        }
        for (shard, outbox) in self.inner.shards.iter().zip(&mut self.outboxes) {
            if outbox.chunk.events > 0 {
                shard.send(Message::Chunk(outbox.take(shard)));
                outbox.is_sent = true;
            }
        }
        // Not one by one: the first would commit alone.
        for (shard, outbox) in self.inner.shards.iter().zip(&mut self.outboxes) {
            if std::mem::take(&mut outbox.is_sent) {
                shard.wake();
            }
        }
        self.inside = false;
        if self.inner.gate.leave() {
            self.inner.seal();
        }
    }

    /// Whether something waits for [`Intake::flush`].
    pub fn needs_flush(&self) -> bool {
        self.inside
    }

    /// Takes a body and hands it over at once: [`Intake::take`] and [`Intake::flush`].
    ///
    /// # Errors
    /// As [`Intake::take`].
    pub fn submit(&mut self, body: &[u8], shape: Shape, level: AckLevel) -> Result<Taken, Refused> {
        let ack_timeout = self.inner.options.ack_timeout;
        let request = Request { shape, level, ack_timeout, idempotency_key: None, received: Micros::now() };
        let taken = self.take(body, request);
        self.flush();
        taken
    }

    /// The counters of this thread.
    pub(crate) fn metrics(&self) -> &IngestMetrics {
        &self.metrics
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.flush();
    }
}
