//! How a pipeline is put together and started.

use std::{
    fmt, io,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU16},
    },
    thread::{self, JoinHandle},
};

use arc_swap::ArcSwap;
use thiserror::Error;
use tokio::sync::{Barrier, Semaphore, watch};

use super::{
    Identity, Inner, Options, Pipeline, Processor, Running, StandardProcessor,
    backlog::Backlog,
    flusher::Flusher,
    shard::{Shard, Worker},
    store_state::StoreState,
    storing::StoreAccess,
    tail::Tails,
    upkeep,
};
use crate::{
    abort::AbortOnPanic,
    event::{ContractOnly, Validator},
    journal::{
        Journal, JournalError, Recovered,
        fs::{Disk, Fs},
    },
    metrics::Metrics,
    storage::{
        Storage,
        dead_letters::{self, DeadLetters},
    },
    sync::Gate,
    unhurried::wake_without_preempting,
};

/// The journal's directory, in the pipeline's.
pub(crate) const JOURNAL_DIR: &str = "journal";

/// Threads of the store runtime: its tasks mostly wait for the store.
const STORE_THREADS: usize = 2;
/// Looking an event up in this node's files may read some of them through.
const LOOKUPS_MAX: usize = 2;
/// Pages are read and written out beside the flushers, on what these leave of store and processors.
const PAGES_MAX: usize = 2;

/// A pipeline that does not run yet: [`Pipeline::builder`].
///
/// ```
/// use std::{sync::Arc, time::Duration};
///
/// use event_pipeline::{
///     pipeline::{AckLevel, Options, Pipeline},
///     storage::Discard,
/// };
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// let options = Options { shards: 2, ack: AckLevel::Stored, ..Options::default() };
/// let pipeline = Pipeline::builder(Arc::new(Discard::default()), dir.path())
///     .options(options)
///     .store_name("none, for a trial")
///     .start()?;
/// assert_eq!(pipeline.options().shards, 2);
/// pipeline.drain(Duration::from_secs(10));
/// # Ok(())
/// # }
/// ```
pub struct Builder {
    storage: Arc<dyn Storage>,
    dir: PathBuf,
    /// The journal's files, where they are not on a disk.
    fs: Option<Arc<dyn Fs>>,
    store_name: String,
    processor: Arc<dyn Processor>,
    validator: Arc<dyn Validator>,
    identity: Option<Identity>,
    options: Options,
}

/// Why a pipeline did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The system lacks something.
    #[error("the pipeline cannot start: {what}: {source}")]
    System {
        /// What was not to be had.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The journal cannot be opened.
    #[error("the journal in {} cannot be opened: {source}", dir.display())]
    Journal {
        /// Where it lies.
        dir: PathBuf,
        /// Why.
        source: JournalError,
    },
    /// A file cannot be used.
    #[error("cannot open {}: {source}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl Builder {
    pub(super) fn new(storage: Arc<dyn Storage>, dir: PathBuf) -> Self {
        Self {
            storage,
            dir,
            fs: None,
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

    /// Where the pipeline keeps its files.
    #[cfg(test)]
    pub(super) fn dir(&self) -> &std::path::Path {
        &self.dir
    }

    /// Keeps the journal's files elsewhere than on the disk.
    #[cfg(test)]
    pub(super) fn fs(mut self, fs: Arc<dyn Fs>) -> Self {
        self.fs = Some(fs);
        self
    }

    /// The store's name in the log; no password in it.
    #[must_use]
    pub fn store_name(mut self, name: impl Into<String>) -> Self {
        self.store_name = name.into();
        self
    }

    /// Opens the journal and starts the threads. The store need not be up: events wait for it.
    ///
    /// # Errors
    /// [`StartError`] where the journal cannot be opened, or the system gives no thread or no random
    /// numbers.
    pub fn start(mut self) -> Result<Pipeline, StartError> {
        let system = |what| move |source| StartError::System { what, source };
        let random = system("no random numbers");
        let run = getrandom::u32().map_err(|error| random(error.into()))?;
        let identity = match self.identity {
            Some(identity) => identity,
            None => Identity::random().map_err(random)?,
        };
        let shards = self.options.shard_count();
        self.options.shards = shards;
        let metrics = Arc::new(Metrics::new(shards));
        let dead_letters = self.open_dead_letters()?;
        let (journal, recovered) = self.open_journal(&metrics)?;
        note_recovered(&metrics, &recovered);

        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(STORE_THREADS)
            .thread_name("store")
            .on_thread_start(wake_without_preempting)
            .enable_all()
            .build()
            .map_err(system("no threads for the store runtime"))?;
        let store = Arc::new(StoreAccess {
            storage: self.storage,
            dead_letters,
            state: StoreState::new(self.store_name, Arc::clone(&metrics)),
            batch: ArcSwap::from_pointee(self.options.batch),
            lookups: Semaphore::new(LOOKUPS_MAX),
            pages: Semaphore::new(PAGES_MAX),
            pages_refused: AtomicBool::new(false),
            prepared: watch::Sender::new(false),
        });
        let (tails, hub) = Tails::new(shards);
        let former_stored = Arc::new(Barrier::new(shards));
        let (ends, queues): (Vec<_>, Vec<_>) =
            (0..shards).map(|_| Shard::new(self.options.queue)).map(|(shard, queue)| (Arc::new(shard), queue)).unzip();
        let ends: Arc<[Arc<Shard>]> = ends.into();
        let (mut workers, mut flushers) = (Vec::new(), Vec::new());
        #[cfg(test)]
        let mut backlogs = Vec::new();
        for (index, queue) in queues.into_iter().enumerate() {
            let backlog = Arc::new(Backlog::new(journal.synced(index)));
            #[cfg(test)]
            backlogs.push(Arc::clone(&backlog));
            let worker = Worker {
                index,
                queue,
                shards: Arc::clone(&ends),
                journal: journal.clone(),
                backlog: Arc::clone(&backlog),
                metrics: Arc::clone(&metrics),
                tails: Arc::clone(&tails),
            };
            workers.push(worker.start().map_err(system("no thread for a shard"))?);
            let flusher = Flusher {
                index,
                backlog,
                journal: journal.clone(),
                processor: Arc::clone(&self.processor),
                store: Arc::clone(&store),
                metrics: Arc::clone(&metrics),
                former_stored: Arc::clone(&former_stored),
            };
            flushers.push(runtime.spawn(flusher.run()));
        }
        let keeper = start_keeper(journal.clone()).map_err(system("no thread for the journal"))?;
        runtime.spawn(upkeep::prepare(Arc::clone(&store)));
        runtime.spawn(upkeep::probe(Arc::clone(&store)));
        runtime.spawn(upkeep::sample_rate(Arc::clone(&metrics)));
        runtime.spawn(upkeep::refresh_dead_letters(Arc::clone(&store)));
        runtime.spawn(hub.run());
        let inner = Arc::new(Inner {
            options: self.options,
            identity,
            run,
            intakes: AtomicU16::new(0),
            gate: Gate::new(),
            shards: ends,
            journal,
            tails,
            #[cfg(test)]
            backlogs,
            validator: self.validator,
            metrics,
            store,
            handle: runtime.handle().clone(),
        });
        let running = Arc::new(Mutex::new(Some(Running { runtime, workers, flushers, keeper })));
        Ok(Pipeline { inner, running })
    }

    fn open_dead_letters(&self) -> Result<Arc<DeadLetters>, StartError> {
        let file = |path: PathBuf| move |source| StartError::File { path, source };
        std::fs::create_dir_all(&self.dir).map_err(file(self.dir.clone()))?;
        let path = self.dir.join(dead_letters::FILE);
        Ok(Arc::new(DeadLetters::open(&path).map_err(file(path))?))
    }

    fn open_journal(&self, metrics: &Arc<Metrics>) -> Result<(Journal, Recovered), StartError> {
        let dir = self.dir.join(JOURNAL_DIR);
        let fs: Arc<dyn Fs> = match &self.fs {
            Some(fs) => Arc::clone(fs),
            None => {
                let failed = |source| StartError::File { path: dir.clone(), source };
                Arc::new(Disk::open(&dir).map_err(failed)?)
            }
        };
        let opened = Journal::open(fs, self.options.journal, self.options.shards, Arc::clone(&metrics.journal));
        opened.map_err(|source| StartError::Journal { dir, source })
    }
}

/// Starts the thread of the journal's keeper. Without it there would soon be no room, and no watermark
/// would ever be written: where it cannot go on, the process ends.
fn start_keeper(journal: Journal) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("journal".to_owned()).spawn(move || {
        let _guard = AbortOnPanic("keeper of the journal");
        if journal.keep_until_closed().is_err() {
            tracing::error!("the journal failed; the process ends, and a restart recovers what is there");
            std::process::abort();
        }
    })
}

/// Counts, and says, what a start found.
fn note_recovered(metrics: &Metrics, recovered: &Recovered) {
    for (shard, events) in recovered.events.iter().enumerate() {
        metrics.shard(shard).tally.add_recovered(*events);
    }
    metrics.journal.recovered(recovered.took, recovered.torn_bytes, recovered.damaged);
    let events: u64 = recovered.events.iter().sum();
    if events > 0 || recovered.torn_bytes > 0 || recovered.damaged > 0 {
        tracing::info!(
            events,
            torn_bytes = recovered.torn_bytes,
            damaged = recovered.damaged,
            took_ms = recovered.took.as_millis() as u64,
            "recovered the journal; its events go to the store first"
        );
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("options", &self.options).finish_non_exhaustive()
    }
}
