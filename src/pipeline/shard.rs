//! A shard: its credits, its bounded queue, and the worker thread that empties the queue.
//!
//! Shards share nothing: a full one sheds its own load and leaves the others alone. The worker
//! is the queue's only receiver and blocks on it; it is never awaited. If it panics, the process
//! aborts: a dead shard that swallows its part of the traffic would be worse.

use std::{sync::Arc, thread};

use super::backlog::{Backlog, Chunk};
use crate::{
    abort::AbortOnPanic,
    metrics::Metrics,
    sync::{Amount, Credits},
};

/// Most chunks that are committed together.
const COMMIT_CHUNKS: usize = 256;

/// What travels through a shard's queue.
#[derive(Debug)]
pub(super) enum Message {
    /// Accepted events.
    Chunk(Chunk),
    /// The last message: nothing was let in after it.
    Close,
}

/// What the ingest side holds of a shard.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) credits: Credits,
    queue: flume::Sender<Message>,
}

impl Shard {
    /// A shard with its queue, and the end of the queue for its worker.
    pub(super) fn new(bound: Amount) -> (Self, flume::Receiver<Message>) {
        // Every chunk holds at least one event's credit, so a queue as long as there are
        // credits, and one longer for `Close`, is never full.
        let (queue, receiver) = flume::bounded(bound.events as usize + 1);
        (Self { credits: Credits::new(bound), queue }, receiver)
    }

    /// Puts a message into the queue; the caller holds the credits of its events.
    pub(super) fn send(&self, message: Message) {
        if self.queue.try_send(message).is_err() {
            // Neither full (see `new`) nor without its worker (see `AbortOnPanic`): a bug, and
            // going on would lose what was acknowledged.
            tracing::error!("a shard's queue refused a message although its credits were held");
            std::process::abort();
        }
    }
}

/// Starts the worker of shard `index`: queue ▸ commit to the backlog ▸ acknowledge.
///
/// # Errors
/// Where the system starts no thread.
pub(super) fn start_worker(
    index: usize,
    queue: flume::Receiver<Message>,
    backlog: Arc<Backlog>,
    metrics: Arc<Metrics>,
) -> std::io::Result<thread::JoinHandle<()>> {
    // Counted here, so that a pipeline that was just started has all of its workers.
    metrics.worker_started();
    thread::Builder::new().name(format!("shard-{index}")).spawn(move || {
        let _guard = AbortOnPanic("shard worker");
        work(&queue, &backlog);
        metrics.worker_stopped();
    })
}

/// Blocks for one message, takes what else is there, and commits it all at once.
fn work(queue: &flume::Receiver<Message>, backlog: &Backlog) {
    let mut chunks = Vec::with_capacity(COMMIT_CHUNKS);
    let mut open = true;
    while open {
        open = gather(queue, &mut chunks);
        backlog.append(chunks.drain(..));
    }
    backlog.close();
}

/// Fills `chunks`; false after the last message.
fn gather(queue: &flume::Receiver<Message>, chunks: &mut Vec<Chunk>) -> bool {
    let Ok(first) = queue.recv() else { return false };
    for message in std::iter::once(first).chain(queue.try_iter()) {
        match message {
            Message::Chunk(chunk) => chunks.push(chunk),
            Message::Close => return false,
        }
        if chunks.len() >= COMMIT_CHUNKS {
            break;
        }
    }
    true
}
