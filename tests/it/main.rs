//! The service as its users meet it: the real binary, real sockets, real stores.

#![cfg(test)]

mod kit;
#[expect(dead_code, reason = "the store's own tests use more of it")]
#[path = "../kit/proxy.rs"]
mod proxy;

mod bench;
mod check;
mod cli;
mod dashboard;
mod dead_letters;
mod durable;
mod end_to_end;
mod errors;
mod help;
mod journal;
mod limits;
mod load;
mod openapi;
mod ops;
mod outage;
mod pages;
mod prometheus;
mod reload;
mod requests;
mod shutdown;
mod supervisor;
mod tail;
mod top;
