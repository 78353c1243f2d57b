//! The load: threads with their clients, from the start that all share until the last answer.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::{sync::Barrier, task::JoinSet};

use super::{client::Client, figures::Figures, request::Form};

/// How soon waits notice that the run was stopped.
const LOOK_UP: Duration = Duration::from_millis(100);

/// How much is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Amount {
    Events(u64),
    Time(Duration),
}

/// What is sent, and how.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) form: Form,
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) connections: usize,
    pub(super) threads: usize,
    pub(super) amount: Amount,
    /// From one request to the next; `None` for a closed loop.
    pub(super) interval: Option<Duration>,
    /// Whether the numbers of acknowledged events are kept.
    pub(super) keeps_numbers: bool,
}

impl Plan {
    /// Requests in all; of a closed loop for a time there is no end.
    pub(super) fn requests(&self) -> u64 {
        match (self.amount, self.interval) {
            (Amount::Events(events), _) => events.div_ceil(self.form.batch as u64),
            (Amount::Time(time), Some(interval)) => time.as_nanos().div_ceil(interval.as_nanos().max(1)) as u64,
            (Amount::Time(_), None) => u64::MAX,
        }
    }

    /// How many events request `k` has.
    pub(super) fn events(&self, k: u64) -> usize {
        let batch = self.form.batch;
        match self.amount {
            Amount::Events(events) => usize::try_from(events - k * batch as u64).map_or(batch, |left| left.min(batch)),
            Amount::Time(_) => batch,
        }
    }
}

/// What the threads share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) plan: Plan,
    /// The next request of a closed loop.
    pub(super) next: AtomicU64,
    /// No more is sent.
    is_stopped: AtomicBool,
    /// No more is waited for.
    is_abandoned: AtomicBool,
    /// All begin together.
    pub(super) ready: Barrier,
    pub(super) start: OnceLock<Instant>,
    threads: Vec<Mutex<Figures>>,
}

/// A load that runs.
#[derive(Debug)]
pub(super) struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts the threads.
    ///
    /// # Errors
    /// Where a thread cannot be started.
    pub(super) fn start(plan: Plan) -> io::Result<Self> {
        let threads = plan.threads.min(plan.connections);
        let shared = Arc::new(Shared {
            next: AtomicU64::new(0),
            is_stopped: AtomicBool::new(false),
            is_abandoned: AtomicBool::new(false),
            ready: Barrier::new(plan.connections),
            start: OnceLock::new(),
            threads: (0..threads).map(|_| Mutex::new(Figures::new())).collect(),
            plan,
        });
        let mut load = Self { shared, threads: Vec::new() };
        for thread in 0..threads {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let shared = Arc::clone(&load.shared);
            let started = thread::Builder::new()
                .name(format!("load-{thread}"))
                .spawn(move || runtime.block_on(shared.drive(thread)))?;
            load.threads.push(started);
        }
        Ok(load)
    }

    /// Adds to `figures` what was counted since the last time.
    pub(super) fn take(&self, figures: &mut Figures) {
        for thread in 0..self.shared.threads.len() {
            figures.take(&mut self.shared.figures(thread));
        }
    }

    /// Sends nothing more; what was sent is still waited for.
    pub(super) fn stop(&self) {
        self.shared.is_stopped.store(true, Ordering::Relaxed);
    }

    /// Waits for nothing more either.
    pub(super) fn abandon(&self) {
        self.stop();
        self.shared.is_abandoned.store(true, Ordering::Relaxed);
    }

    /// Whether everything is sent and answered, or given up.
    pub(super) fn is_done(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// When the connections began to send.
    pub(super) fn start_time(&self) -> Option<Instant> {
        self.shared.start.get().copied()
    }

    /// Waits for the threads.
    ///
    /// # Errors
    /// Where one of them panicked.
    pub(super) fn join(self) -> anyhow::Result<()> {
        for thread in self.threads {
            thread.join().map_err(|_| anyhow::anyhow!("a thread of the load generator panicked"))?;
        }
        Ok(())
    }
}

impl Shared {
    pub(super) fn figures(&self, thread: usize) -> MutexGuard<'_, Figures> {
        // Nothing that holds the lock can panic halfway through a change.
        self.threads[thread].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs this thread's connections to their end.
    async fn drive(self: Arc<Self>, thread: usize) {
        let threads = self.threads.len();
        let mut clients = JoinSet::new();
        for number in (thread..self.plan.connections).step_by(threads) {
            clients.spawn(Client::new(Arc::clone(&self), thread, number).run());
        }
        while !clients.is_empty() {
            // Ordering: a wish; nothing is read on the strength of it.
            if self.is_abandoned.load(Ordering::Relaxed) {
                return;
            }
            if let Ok(Some(Err(error))) = tokio::time::timeout(LOOK_UP, clients.join_next()).await
                && let Ok(panic) = error.try_into_panic()
            {
                std::panic::resume_unwind(panic);
            }
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        // Ordering: a wish; nothing is read on the strength of it.
        self.is_stopped.load(Ordering::Relaxed)
    }

    /// Waits until then; no longer than the run.
    pub(super) async fn rest_until(&self, then: Instant) {
        loop {
            let now = Instant::now();
            if now >= then || self.is_stopped() {
                return;
            }
            tokio::time::sleep_until((now + LOOK_UP).min(then).into()).await;
        }
    }
}
