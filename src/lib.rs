//! Takes events at a very high rate and puts every one of them into MySQL or SQLite, exactly once.
//!
//! The program `event-pipeline` is this library with a `main` of a few lines. Whoever wants another store,
//! other rules, or to make something else of an event, puts the same parts together:
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//!
//! use event_pipeline::{
//!     event::Shape,
//!     pipeline::{AckLevel, Found, Pipeline},
//!     storage::Sqlite,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let dir = tempfile::tempdir()?;
//! let store = Arc::new(Sqlite::open(&dir.path().join("events.db"))?);
//! let pipeline = Pipeline::builder(store, dir.path()).start()?;
//!
//! let body = br#"{"type":"sensor_data","source":"iot_device","data":{"temperature":23.5}}"#;
//! let taken = pipeline.intake().submit(body, Shape::Single, AckLevel::Stored)?;
//! let (_, id) = taken.accepted[0];
//!
//! // Any tokio runtime will do.
//! let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
//! assert_eq!(runtime.block_on(taken.ack.wait()).level, AckLevel::Stored);
//! assert!(matches!(runtime.block_on(pipeline.find(id))?, Some(Found::Stored(_))));
//!
//! let drained = pipeline.drain(Duration::from_secs(10));
//! assert!(drained.journaled && drained.unstored == 0);
//! # Ok(())
//! # }
//! ```
//!
//! `examples/` has more: `embed`, `processor`, `validator` and `storage`, each to be run by
//! `cargo run --example NAME`.
//!
//! # The layers
//!
//! Each uses those below it only.
//!
//! | module | what it has |
//! |---|---|
//! | [`cli`] | the program |
//! | [`http`] | [`Server`](http::Server): the API over HTTP, on any [`Pipeline`](pipeline::Pipeline) |
//! | [`pipeline`] | [`Pipeline`](pipeline::Pipeline): admission, journal, flushing; the seam [`Processor`](pipeline::Processor) |
//! | [`storage`] | the seam [`Storage`](storage::Storage); MySQL, SQLite, discard; dead letters |
//! | [`journal`] | how it behaves: [`Options`](journal::Options) |
//! | [`metrics`] | [`Snapshot`](metrics::Snapshot): what is counted |
//! | [`event`] | [`Event`](event::Event), its rules, and the seam [`Validator`](event::Validator) |
//! | [`sync`] | [`Amount`](sync::Amount): what a queue holds |
//!
//! An event goes down: a body is judged by the rules of [`event`] and the [`Validator`](event::Validator), is
//! journaled and acknowledged, goes through the [`Processor`](pipeline::Processor), and ends in the
//! [`Storage`](storage::Storage) or among the dead letters. `docs/ARCHITECTURE.md` has what must stay true.
//!
//! # What is promised
//!
//! What is listed in `docs/public-api.txt`, by the rules of semantic versioning. What is public and hidden from
//! these pages is for this project's own benches and tests, and changes as they do.
//!
//! Events and their ids have the types of the crate `uuid`, whose [`Uuid`] is given on; asynchronous calls run on
//! tokio.

mod abort;
pub mod cli;
#[doc(hidden)]
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

pub use uuid::Uuid;
