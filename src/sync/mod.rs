//! The primitives that threads share: credits, room, the gate, tallies, acknowledgement
//! latches, the watermark, the write group.
//!
//! Each is small enough to be checked whole. The workspace member `loom-tests` compiles this
//! folder a second time with `cfg(loom)` and runs every interleaving of small models of it (of
//! the write group's largest, those with few preemptions); so nothing here uses more than
//! `core`, `std` or `loom`.
//!
//! What loom cannot see: more than a handful of threads, time, and the fairness of the
//! scheduler. None of the primitives waits for time, and none depends on fairness: those that
//! wait at all (`AckLatch`, `WriteGroup`) are woken, and whoever leads the write group leads
//! for all who wait.

mod ack;
mod credits;
mod gate;
mod padded;
#[cfg(loom)]
mod planted;
mod room;
mod shim;
mod tally;
mod watermark;
mod write_group;

#[doc(hidden)]
pub use ack::AckLatch;
pub use credits::Amount;
#[doc(hidden)]
pub use credits::{Credits, take_all};
#[doc(hidden)]
pub use gate::Gate;
#[doc(hidden)]
pub use padded::Padded;
#[cfg(loom)]
#[doc(hidden)]
pub use planted::{Bug, Planted, plant};
#[doc(hidden)]
pub use room::Room;
#[doc(hidden)]
pub use tally::{Tally, TallySnapshot};
#[doc(hidden)]
pub use watermark::Watermark;
#[doc(hidden)]
pub use write_group::{Failed, WriteGroup};
