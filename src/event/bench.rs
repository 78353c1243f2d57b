//! Where the events of one body are judged, and what is said of them in the end.
//!
//! All parsers bring what they find here, so that it makes no difference which of them read the
//! body.

use uuid::Uuid;

use super::rules::{Fault, Fields};
use super::{Code, Event, Micros, Receipt, Rejection, Validator};

/// What a body holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One event.
    Single,
    /// `{"events":[…]}` or a bare array, of at most `events_max` events.
    Batch {
        /// Most events that one request may hold.
        events_max: usize,
    },
}

/// What the service adds to every event of one request.
pub trait Stamp {
    /// When the request was received: one clock read for all of its events.
    fn received(&self) -> Micros;
    /// The id for the event at `index`, of this user if of any, which came without one.
    fn id(&mut self, index: usize, user_id: Option<&str>) -> Uuid;
    /// A receipt that no other acceptance has.
    fn receipt(&mut self) -> Receipt;
}

/// What became of a body's events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// How many events the body holds: accepted and rejected ones.
    pub received: usize,
    /// Those that were not accepted, in order.
    pub rejections: Vec<Rejection>,
}

/// A body of which nothing can be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// It is not JSON, or not of the right shape.
    Refused {
        /// What is wrong.
        code: Code,
        /// Where: a JSON pointer (RFC 6901) into the body; empty for the body as a whole.
        pointer: String,
        /// A sentence for the person who sent it.
        detail: String,
    },
    /// It holds no event at all.
    Empty,
    /// It holds more events than a request may.
    TooMany {
        /// How many it holds.
        events: usize,
        /// How many it may hold.
        events_max: usize,
    },
}

/// Where the events of one body are judged, whichever parser found them.
pub(super) struct Bench<'a> {
    /// JSON pointer to the array of events, where the body is a batch.
    pub(super) root: Option<&'static str>,
    pub(super) stamp: &'a mut dyn Stamp,
    pub(super) validator: &'a dyn Validator,
    pub(super) accept: &'a mut dyn FnMut(usize, &Event<'_>),
    pub(super) judged: Judged,
}

impl Bench<'_> {
    /// Judges the next event of the body: its fields, or what is wrong with it already.
    pub(super) fn judge(&mut self, fields: Result<Fields<'_>, Fault>) {
        let index = self.judged.received;
        self.judged.received += 1;
        let fault = match fields.and_then(|fields| fields.judge(index, self.stamp)) {
            Ok(event) => match self.validator.validate(&event) {
                Ok(()) => return (self.accept)(index, &event),
                Err(refusal) => Fault { code: refusal.code, pointer: refusal.pointer, detail: refusal.detail },
            },
            Err(fault) => fault,
        };
        let pointer = match self.root {
            None => fault.pointer,
            Some(root) => format!("{root}/{index}{}", fault.pointer),
        };
        self.judged.rejections.push(Rejection { index, code: fault.code, pointer, detail: fault.detail });
    }
}
