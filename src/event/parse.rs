//! From a request's body to its events, each judged alone.

use uuid::Uuid;

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
    /// The id for the event at `index`, which came without one.
    fn id(&mut self, index: usize) -> Uuid;
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

/// Parses and judges bodies, with buffers that are used again for the next.
#[derive(Debug, Default)]
pub struct Parser {}

impl Parser {
    /// Judges every event of `body` and hands the good ones to `accept`, in order, with their
    /// index.
    ///
    /// # Errors
    /// [`BodyError`] where the body as a whole is refused; then `accept` was not called.
    pub fn judge(
        &mut self,
        _body: &[u8],
        _shape: Shape,
        _stamp: &mut dyn Stamp,
        _validator: &dyn Validator,
        _accept: &mut dyn FnMut(usize, &Event<'_>),
    ) -> Result<Judged, BodyError> {
        Err(BodyError::Empty)
    }
}
