//! Takes events over HTTP at a very high rate and puts every one of them into MySQL or SQLite,
//! exactly once.

mod abort;
pub mod cli;
pub mod config;
pub mod event;
pub mod http;
pub mod journal;
pub mod metrics;
pub mod pipeline;
mod planted;
pub mod storage;
pub mod sync;
mod unhurried;
