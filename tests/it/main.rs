//! The service as its users meet it: the real binary, real sockets, real stores.

#![cfg(test)]

mod kit;
#[expect(dead_code, reason = "the store's own tests use more of it")]
#[path = "../kit/proxy.rs"]
mod proxy;

mod bench;
mod cli;
mod dead_letters;
mod durable;
mod end_to_end;
mod errors;
mod journal;
mod limits;
mod load;
mod ops;
mod outage;
mod prometheus;
mod reload;
mod requests;
mod shutdown;
mod supervisor;
