//! The way of an event from admission to the store, behind one façade: [`Pipeline`].
//!
//! ```text
//! Intake (one a thread) ▸ credits ▸ shard's queue ▸ worker thread ▸ backlog ▸ flusher ▸ Storage
//! ```
//!
//! What holds:
//! - A request's events are admitted together or not at all, and a refusal is given before
//!   anything is queued, never after.
//! - What was admitted is stored or counted failed, or is still counted in the depth; nothing
//!   is dropped. [`Pipeline::drain`] says how much it had to leave.
//! - A shard holds at most its credits' worth of events and bytes, from admission until the
//!   store has answered: memory is bounded, whatever the store does.
//! - Events of one user keep their order up to the hand-over to the store.
//!
//! n shard threads (`shard-0`…) and a small tokio runtime of its own (`store`) for flushers and
//! store; nothing here runs on the caller's threads but [`Intake`].

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU16, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::{runtime::Runtime, task::JoinHandle};
use uuid::Uuid;

mod ack;
mod admit;
mod backlog;
mod builder;
mod flight;
mod flusher;
mod identity;
mod level;
mod processor;
mod retry;
mod shard;
mod store_state;
mod upkeep;

#[cfg(test)]
mod tests;

pub use ack::{Ack, DeadEvent, Outcome, Reached};
pub use admit::{Intake, Refused, Request, Taken};
pub use builder::{Builder, StartError};
pub use flusher::BatchOptions;
pub use identity::Identity;
pub use level::AckLevel;
pub use processor::{Fields, ProcessingError, Processor, StandardProcessor};
pub use store_state::StoreHealth;

use self::{
    flusher::StoreAccess,
    shard::{Message, Shard},
};
use crate::{
    event::Validator,
    metrics::{Metrics, Snapshot},
    storage::{Storage, StoreError, StoredEvent},
    sync::{Amount, Gate},
};

/// How a pipeline behaves. [`Default`] is what the service uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How many shards; 0 is one for each core.
    pub shards: usize,
    /// The level for requests that name none.
    pub ack: AckLevel,
    /// Longest wait for a level above `queued`.
    pub ack_timeout: Duration,
    /// When a batch leaves.
    pub batch: BatchOptions,
    /// How much one shard holds, from admission until it is stored.
    pub queue: Amount,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            shards: 0,
            ack: AckLevel::Stored,
            ack_timeout: Duration::from_secs(10),
            batch: BatchOptions { max_events: 1000, max_bytes: 1 << 20, linger: Duration::from_millis(2) },
            queue: Amount { events: 100_000, bytes: 64 << 20 },
        }
    }
}

/// A running pipeline. Clones share it.
#[derive(Clone)]
pub struct Pipeline {
    inner: Arc<Inner>,
    running: Arc<Mutex<Option<Running>>>,
}

/// What all threads of a pipeline share.
struct Inner {
    options: Options,
    identity: Identity,
    /// Tells this run's receipts from those of others on the same node.
    run: u32,
    intakes: AtomicU16,
    gate: Gate,
    shards: Box<[Arc<Shard>]>,
    validator: Arc<dyn Validator>,
    metrics: Arc<Metrics>,
    store: Arc<StoreAccess>,
    handle: tokio::runtime::Handle,
}

/// What ends with the pipeline.
struct Running {
    runtime: Runtime,
    workers: Vec<thread::JoinHandle<()>>,
    flushers: Vec<JoinHandle<()>>,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Accepted events that are neither stored nor failed. Without a journal they are lost.
    pub unstored: u64,
}

impl Pipeline {
    /// Begins a pipeline into `storage`, with the defaults of [`Options`].
    pub fn builder(storage: Arc<dyn Storage>) -> Builder {
        Builder::new(storage)
    }

    /// A way in, for one thread.
    pub fn intake(&self) -> Intake {
        // Ordering: the numbers only have to differ.
        let number = self.inner.intakes.fetch_add(1, Ordering::Relaxed);
        Intake::new(Arc::clone(&self.inner), number)
    }

    /// All counters at this moment.
    pub fn metrics(&self) -> Snapshot {
        let queue_bytes = |shard: usize| self.inner.shards[shard].credits.in_use().bytes;
        self.inner.metrics.snapshot(&queue_bytes, self.inner.store.state.snapshot())
    }

    /// The state of the store, as last seen.
    pub fn store_health(&self) -> StoreHealth {
        self.inner.store.state.health()
    }

    /// How many shard workers run, and of how many.
    pub fn workers(&self) -> (usize, usize) {
        (self.inner.metrics.workers(), self.inner.shards.len())
    }

    /// Whether a request could be accepted now: not draining, and some shard has room.
    pub fn can_accept(&self) -> bool {
        let has_room = |shard: &Arc<Shard>| {
            let (used, bound) = (shard.credits.in_use(), shard.credits.bound());
            used.events < bound.events && used.bytes < bound.bytes
        };
        !self.inner.gate.is_closed() && self.inner.shards.iter().any(has_room)
    }

    /// Whether [`Pipeline::drain`] was called.
    pub fn is_draining(&self) -> bool {
        self.inner.gate.is_closed()
    }

    /// When a refused client should come back, in seconds: the depth over the rate at which it
    /// falls, from 1 to 30.
    pub fn retry_after_s(&self) -> u64 {
        self.inner.retry_after_s()
    }

    /// The stored event of that id.
    ///
    /// # Errors
    /// [`StoreError`] where the store could not be asked.
    pub async fn fetch(&self, id: Uuid) -> Result<Option<StoredEvent>, StoreError> {
        let store = Arc::clone(&self.inner.store);
        // On the store's own runtime: its connections live there.
        let asked = self.inner.handle.spawn(async move { store.storage.fetch(id).await });
        asked.await.unwrap_or_else(|_| {
            let message = "the pipeline has stopped".to_owned();
            Err(StoreError::Transient { code: "stopped".to_owned(), message })
        })
    }

    /// Takes no more events, stores what was accepted, and stops; at most for `grace`. A second
    /// call waits for nothing.
    ///
    /// Blocks the calling thread: not for an async task.
    pub fn drain(&self, grace: Duration) -> Drained {
        let deadline = Instant::now() + grace;
        if self.inner.gate.close() {
            self.inner.seal();
        }
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Running { runtime, workers, flushers }) = running {
            let landed = runtime.block_on(async {
                let all = futures_util::future::join_all(flushers);
                tokio::time::timeout_at(deadline.into(), all).await.is_ok()
            });
            if landed {
                // Their backlogs are closed, so they have returned already, or are about to.
                for worker in workers {
                    let _ = worker.join();
                }
            }
            runtime.shutdown_timeout(Duration::from_millis(200));
        }
        Drained { unstored: self.metrics().current_queue_depth }
    }
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipeline").field("options", &self.inner.options).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Inner {
    /// Ends the shards' queues. Called once, by whoever was last inside the closed gate.
    fn seal(&self) {
        for shard in &self.shards {
            shard.send(Message::Close);
        }
    }

    fn retry_after_s(&self) -> u64 {
        let (depth, rate) = (self.metrics.depth(), self.metrics.stored_per_second());
        if depth == 0 {
            return 1;
        }
        if rate <= 0.0 { 30 } else { ((depth as f64 / rate).ceil() as u64).clamp(1, 30) }
    }
}
