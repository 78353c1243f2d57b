//! Takes events over HTTP at a very high rate and puts every one of them into MySQL or SQLite,
//! exactly once.

mod abort;
pub mod cli;
pub mod config;
pub mod event;
pub mod http;
pub mod metrics;
pub mod pipeline;
pub mod storage;
pub mod sync;
