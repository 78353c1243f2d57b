//! The HTTP side: one listener, an ingest thread for each core, the routes and their answers.
//!
//! ```text
//! listener thread ▸ the ingest thread with fewest connections ▸ connection ▸ route ▸ Pipeline
//! ```
//!
//! What holds:
//! - Every limit has a clock or a counter behind it: the head, the body, the idle connection,
//!   the number of connections, the bytes that bodies hold while they arrive.
//! - A 503 for load is given before anything of the request is queued, never after.
//! - No input leads to another 5xx than 503. A panic in a handler is a 500 and costs that one
//!   request.
//! - An ingest thread never blocks, and for an event it takes no lock but that of its own histogram.
//! - An answer that goes on (`sse`) ends when its client leaves or the service stops, and has bounds in memory,
//!   time and number.
//! - A request is served on the terms with which it began, all of them, also where they change meanwhile.
//! - Every answer to a request with an `X-Request-Id` has it too, and so has every problem; what is logged of
//!   a request names it.
//!
//! This layer talks to the stores through [`Pipeline`](crate::pipeline::Pipeline) only.

mod answer;
mod body;
mod code;
mod connection;
mod context;
mod cors;
mod dashboard;
mod exposition;
mod ingest;
mod listener;
mod openapi;
mod ops;
mod options;
mod pages;
mod parameters;
mod problem;
mod progress;
mod query;
mod refusal;
mod request_id;
mod route;
mod sse;
mod tail;
mod taken;
mod terms;
mod thread;

#[cfg(test)]
mod tests;

pub use listener::{Pulse, Server};
pub use openapi::document as openapi_document;
pub use options::Options;
