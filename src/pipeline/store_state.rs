//! Whether the store answers: learnt from every batch and probe, logged once a change.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use crate::{event::Micros, metrics::StoreSnapshot, storage::StoreError};

/// What the pipeline knows of its store.
#[derive(Debug)]
pub(super) struct StoreState {
    known: Mutex<Known>,
    name: String,
    /// Batches that are waiting to be tried again.
    waiting: AtomicUsize,
    try_now: Notify,
}

/// Counts a batch as waiting, as long as it lives.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        // Ordering: a count that stands by itself.
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct Known {
    state: State,
    since: Instant,
    retries: BTreeMap<String, u64>,
    last_failure: Option<(StoreError, Micros)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Starting,
    Up,
    Down(StoreError),
}

/// The store's state as `/health` shows it.
#[derive(Clone, Debug)]
pub struct StoreHealth {
    /// Whether the store answered last time.
    pub up: bool,
    /// `starting`, `up` or `down`.
    pub state: &'static str,
    /// For how long.
    pub since: Duration,
    /// Why it is down, without any password.
    pub error: Option<String>,
}

/// An attempt to store that failed, though no row was to blame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreFailure {
    /// The server's error code, or a name.
    pub code: String,
    /// What it said, without any password.
    pub detail: String,
    /// When.
    pub at: Micros,
}

impl StoreState {
    /// A store that was not asked yet; `name` is for the log.
    pub(super) fn new(name: String) -> Self {
        let known =
            Known { state: State::Starting, since: Instant::now(), retries: BTreeMap::new(), last_failure: None };
        Self { known: Mutex::new(known), name, waiting: AtomicUsize::new(0), try_now: Notify::new() }
    }

    /// The store answered.
    pub(super) fn answered(&self) {
        let mut known = self.lock();
        if known.state != State::Up {
            let seconds = known.since.elapsed().as_secs_f64();
            tracing::info!(store = self.name, after_s = seconds, "the store is up");
            known.change(State::Up);
        }
    }

    /// A probe was answered. Batches that wait try again at once, and what they find counts: a probe
    /// need not see what is wrong with them.
    pub(super) fn probed(&self) {
        self.try_now.notify_waiters();
        // Ordering: a count that stands by itself.
        if self.waiting.load(Ordering::Relaxed) == 0 {
            self.answered();
        }
    }

    /// Waits before the next attempt, at most until a probe is answered.
    pub(super) async fn pause(&self, pause: Duration) {
        // Ordering: a count that stands by itself.
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        // Whichever comes first.
        let _ = tokio::time::timeout(pause, self.try_now.notified()).await;
    }

    /// An attempt failed. A bad row is an answer too: the store is up.
    pub(super) fn failed(&self, error: &StoreError) {
        if let StoreError::BadRow(_) = error {
            return self.answered();
        }
        let mut known = self.lock();
        *known.retries.entry(error.code().to_owned()).or_default() += 1;
        known.last_failure = Some((error.clone(), Micros::now()));
        // Whether somebody has to act is news; in which way a connection broke is none.
        let must_be_mended = |error: &StoreError| matches!(error, StoreError::Misconfigured { .. });
        match &mut known.state {
            State::Down(before) if must_be_mended(before) == must_be_mended(error) => *before = error.clone(),
            State::Starting | State::Up | State::Down(_) => {
                tracing::warn!(store = self.name, %error, "the store is down; events wait");
                known.change(State::Down(error.clone()));
            }
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.lock().state == State::Up
    }

    pub(super) fn health(&self) -> StoreHealth {
        let known = self.lock();
        let error = match &known.state {
            State::Down(error) => Some(error.to_string()),
            State::Starting | State::Up => None,
        };
        StoreHealth { up: known.state == State::Up, state: known.state.name(), since: known.since.elapsed(), error }
    }

    pub(super) fn last_failure(&self) -> Option<StoreFailure> {
        let (error, at) = self.lock().last_failure.clone()?;
        Some(StoreFailure { code: error.code().to_owned(), detail: error.to_string(), at })
    }

    pub(super) fn snapshot(&self) -> StoreSnapshot {
        let known = self.lock();
        StoreSnapshot {
            state: known.state.name(),
            state_seconds: known.since.elapsed().as_secs(),
            retries: known.retries.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn change(&mut self, state: State) {
        self.state = state;
        self.since = Instant::now();
    }
}

impl State {
    fn name(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Up => "up",
            Self::Down(_) => "down",
        }
    }
}
