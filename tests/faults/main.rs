//! Nothing acknowledged is lost, whatever happens: faults, round after round, against the real
//! binary, with a ledger of what it promised.
//!
//! A test is named after its row. A few rounds of each are run by `cargo test --test faults`;
//! `TEST_FAULT_ROUNDS=200` makes campaigns of them, as `scripts/faults` does.
//!
//! Elsewhere: damaged and cut segments (D6, D7, short writes) beside the journal; slow clients (C3)
//! in `tests/it/limits.rs`; hostile bodies and bad batches (C4, C5) in `tests/it/errors.rs` and
//! `src/event/tests/`; times out of range (T2) in `src/event/tests/times.rs`; a store that breaks
//! connections in `tests/store_mysql/`.

#![cfg(test)]

#[expect(dead_code, reason = "the tests of the service use more of it")]
#[path = "../it/kit/mod.rs"]
mod kit;

mod ledger;
mod load;
mod machine;
mod rig;

mod clients;
mod disk;
mod processes;
