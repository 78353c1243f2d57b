//! Every interleaving of small models of `src/sync`, run by loom:
//! `cargo test -p loom-tests --release`.
//!
//! Each file has a primitive's promises as tests, and for each promise a bug planted in the
//! primitive that the same model catches: a check that could not fail would prove nothing.
#![cfg(test)]

#[path = "../../src/sync/mod.rs"]
pub mod sync;

mod ack;
mod credits;
mod gate;
mod tally;
