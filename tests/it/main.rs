//! The service as its users meet it: the real binary, real sockets, real stores.

#![cfg(test)]

mod kit;

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
mod pages;
mod prometheus;
mod shutdown;
mod tail;
mod top;
