//! Models of the primitives in `src/sync`, of which loom runs every interleaving.
//!
//! `cargo test -p loom-tests --release` is the whole command. Each model states what must hold;
//! beside it stands the same model with a bug planted, which must be found. A model is small,
//! two or three threads and a bound of one or two: what goes wrong, goes wrong there already.
//!
//! Three members of the write group are the exception: of them, loom runs the interleavings with few
//! preemptions.
//!
//! Loom takes SeqCst for AcqRel, has at most five threads, and knows no time.

#[cfg(test)]
#[path = "../../src/sync/mod.rs"]
pub mod sync;

#[cfg(test)]
mod ack;
#[cfg(test)]
mod credits;
#[cfg(test)]
mod gate;
#[cfg(test)]
mod room;
#[cfg(test)]
mod tally;
#[cfg(test)]
mod watermark;
#[cfg(test)]
mod write_group;
