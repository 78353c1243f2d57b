//! Every fault of the store, and of the network on the way to it, end to end: the real binary
//! under load, while servers go, refuse and fall silent. Each test has the name of its fault.
//!
//! What holds in all of them: an event that was acknowledged is stored, once and unchanged, or is
//! among the dead; the counts balance in every answer; `/health` warns while the store is away
//! and passes afterwards.
//!
//! `TEST_MYSQL_URL` names a server; those that are stopped or killed are MariaDB servers of the
//! tests' own. `TEST_MYSQL_STOP`, `TEST_MYSQL_START` and `TEST_MYSQL_KILL` are commands that do
//! it to the named server as well. `TEST_ACK_LEVEL` is the level of the load, `TEST_OUTAGE_S` how
//! long the long outage is, and `TEST_SERVER_BINARY` another binary to test.

#![cfg(test)]

#[expect(dead_code, reason = "the other tests use more of it")]
#[path = "../it/kit/mod.rs"]
mod kit;
#[expect(dead_code, reason = "the store's own tests use more of it")]
#[path = "../kit/proxy.rs"]
mod proxy;

mod galera;
mod ledger;
mod network;
mod outage;
mod refusals;
mod scene;
mod victim;
