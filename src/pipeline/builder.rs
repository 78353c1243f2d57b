//! How a pipeline is put together and started.

use std::{
    fmt,
    sync::{Arc, Mutex, atomic::AtomicU16},
};

use thiserror::Error;
use tokio::sync::watch;

use super::{
    Identity, Inner, Options, Pipeline, Processor, Running, StandardProcessor,
    backlog::Backlog,
    flusher::{Flusher, StoreAccess},
    shard::{Shard, start_worker},
    store_state::StoreState,
    upkeep,
};
use crate::{
    event::{ContractOnly, Validator},
    metrics::Metrics,
    storage::Storage,
    sync::Gate,
};

/// Threads of the store runtime: its tasks mostly wait for the store.
const STORE_THREADS: usize = 2;

/// A pipeline that does not run yet.
pub struct Builder {
    storage: Arc<dyn Storage>,
    store_name: String,
    processor: Arc<dyn Processor>,
    validator: Arc<dyn Validator>,
    identity: Option<Identity>,
    options: Options,
}

/// Why a pipeline did not start.
#[derive(Debug, Error)]
#[error("the pipeline cannot start: {what}")]
pub struct StartError {
    what: &'static str,
    #[source]
    source: std::io::Error,
}

impl Builder {
    pub(super) fn new(storage: Arc<dyn Storage>) -> Self {
        Self {
            storage,
            store_name: "store".to_owned(),
            processor: Arc::new(StandardProcessor),
            validator: Arc::new(ContractOnly),
            identity: None,
            options: Options::default(),
        }
    }

    /// How it behaves.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// What makes `processed_data` of an event.
    #[must_use]
    pub fn processor(mut self, processor: impl Processor) -> Self {
        self.processor = Arc::new(processor);
        self
    }

    /// Rules beyond those of the contract.
    #[must_use]
    pub fn validator(mut self, validator: impl Validator) -> Self {
        self.validator = Arc::new(validator);
        self
    }

    /// This node's identity, the same at every start. Without it the pipeline has a random one,
    /// and users may move to other shards at the next start.
    #[must_use]
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// The store's name in the log; no password in it.
    #[must_use]
    pub fn store_name(mut self, name: impl Into<String>) -> Self {
        self.store_name = name.into();
        self
    }

    /// Starts the threads. The store need not be up: events wait for it.
    ///
    /// # Errors
    /// [`StartError`] where the system gives no thread or no random numbers.
    pub fn start(self) -> Result<Pipeline, StartError> {
        let failed = |what| move |source| StartError { what, source };
        let random = failed("the system has no random numbers");
        let run = getrandom::u32().map_err(|error| random(error.into()))?;
        let identity = match self.identity {
            Some(identity) => identity,
            None => Identity::random().map_err(random)?,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(STORE_THREADS)
            .thread_name("store")
            .enable_all()
            .build()
            .map_err(failed("the store runtime has no threads"))?;
        let shards = match self.options.shards {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            shards => shards,
        };
        let metrics = Arc::new(Metrics::new(shards));
        let store = Arc::new(StoreAccess {
            storage: self.storage,
            state: StoreState::new(self.store_name),
            prepared: watch::Sender::new(false),
        });
        let (mut ends, mut workers, mut flushers) = (Vec::new(), Vec::new(), Vec::new());
        for index in 0..shards {
            let (shard, queue) = Shard::new(self.options.queue);
            let (shard, backlog) = (Arc::new(shard), Arc::new(Backlog::default()));
            let worker = start_worker(index, queue, Arc::clone(&backlog), Arc::clone(&metrics));
            workers.push(worker.map_err(failed("a shard has no thread"))?);
            let flusher = Flusher {
                index,
                shard: Arc::clone(&shard),
                backlog,
                processor: Arc::clone(&self.processor),
                store: Arc::clone(&store),
                metrics: Arc::clone(&metrics),
                options: self.options.batch,
            };
            flushers.push(runtime.spawn(flusher.run()));
            ends.push(shard);
        }
        runtime.spawn(upkeep::prepare(Arc::clone(&store)));
        runtime.spawn(upkeep::probe(Arc::clone(&store)));
        runtime.spawn(upkeep::sample_rate(Arc::clone(&metrics)));
        let inner = Arc::new(Inner {
            options: self.options,
            identity,
            run,
            intakes: AtomicU16::new(0),
            gate: Gate::new(),
            shards: ends.into(),
            validator: self.validator,
            metrics,
            store,
            handle: runtime.handle().clone(),
        });
        let running = Arc::new(Mutex::new(Some(Running { runtime, workers, flushers })));
        Ok(Pipeline { inner, running })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("options", &self.options).finish_non_exhaustive()
    }
}
