//! The primitives that threads share: credits, the gate, tallies, acknowledgement latches.
//!
//! Each is small enough to be checked whole. The workspace member `loom-tests` compiles this
//! folder a second time with `cfg(loom)` and runs every interleaving of small models of it; so
//! nothing here uses more than `core`, `std` or `loom`.
//!
//! What loom cannot see: more than a handful of threads, time, and the fairness of the
//! scheduler. None of the primitives waits for time, and none depends on fairness: the only
//! one that waits at all ([`AckLatch`]) is woken.

mod ack;
mod credits;
mod gate;
mod padded;
#[cfg(loom)]
mod planted;
mod shim;
mod tally;

pub use ack::AckLatch;
pub use credits::{Amount, Credits, take_all};
pub use gate::Gate;
pub use padded::Padded;
#[cfg(loom)]
pub use planted::{Bug, plant};
pub use tally::{Tally, TallySnapshot};
