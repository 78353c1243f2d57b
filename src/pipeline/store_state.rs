//! Whether the store answers: learnt from every batch and probe, logged once a change.
//!
//! Several batches are in flight, and their outcomes overlap: one that was sent before the store went down
//! may still succeed, one that was sent before it came back may still fail. So an outcome counts only where
//! the state is the one in which the store was asked; whoever is left waiting asks again.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use crate::{
    event::Micros,
    metrics::{Metrics, StoreSnapshot},
    storage::StoreError,
};

/// What the pipeline knows of its store.
#[derive(Debug)]
pub(super) struct StoreState {
    known: Mutex<Known>,
    /// How often the state has changed.
    changes: AtomicU64,
    name: String,
    metrics: Arc<Metrics>,
    /// Batches that failed and are not stored yet.
    waiting: AtomicUsize,
    try_now: Notify,
}

/// That the store is asked, and in which state: as many changes were before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked(u64);

/// Counts a batch as one that failed and is not stored yet, as long as it lives.
pub(super) struct Waiting<'a>(&'a AtomicUsize);

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
    Down {
        /// The last one.
        error: StoreError,
        /// It was said that somebody has to act.
        is_told: bool,
    },
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
    /// A store that was not asked yet; `name` is for the log, and so are the counts of `metrics`.
    pub(super) fn new(name: String, metrics: Arc<Metrics>) -> Self {
        let known =
            Known { state: State::Starting, since: Instant::now(), retries: BTreeMap::new(), last_failure: None };
        Self {
            known: Mutex::new(known),
            changes: AtomicU64::new(0),
            name,
            metrics,
            waiting: AtomicUsize::new(0),
            try_now: Notify::new(),
        }
    }

    /// To be called before the store is asked; what it answers is told with this.
    pub(super) fn asking(&self) -> Asked {
        // Ordering: it is compared under the lock. One that is read too early makes an outcome that does
        // not count, and the next one does.
        Asked(self.changes.load(Ordering::Relaxed))
    }

    /// The store answered.
    pub(super) fn answered(&self, asked: Asked) {
        let mut known = self.lock();
        if known.state == State::Up || !self.is_of_now(asked) {
            return;
        }
        let (after_s, waited) = (known.since.elapsed().as_secs_f64(), self.metrics.depth());
        tracing::info!(store = self.name, after_s, waited, "the store is up");
        self.change(&mut known, State::Up);
    }

    /// A probe was answered. Batches that wait try again at once, and what they find counts: a probe
    /// need not see what is wrong with them.
    pub(super) fn probed(&self, asked: Asked) {
        self.try_now.notify_waiters();
        // Ordering: a count that stands by itself.
        if self.waiting.load(Ordering::Relaxed) == 0 {
            self.answered(asked);
        }
    }

    /// A batch failed; as long as the answer lives, it is its outcome that counts, and no probe.
    pub(super) fn waits(&self) -> Waiting<'_> {
        // Ordering: a count that stands by itself.
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(&self.waiting)
    }

    /// Waits before the next attempt, at most until a probe is answered.
    pub(super) async fn pause(&self, pause: Duration) {
        // Whichever comes first.
        let _ = tokio::time::timeout(pause, self.try_now.notified()).await;
    }

    /// An attempt failed. A bad row is an answer too: the store is up.
    pub(super) fn failed(&self, asked: Asked, error: &StoreError) {
        if let StoreError::BadRow(_) = error {
            return self.answered(asked);
        }
        let mut known = self.lock();
        *known.retries.entry(error.code().to_owned()).or_default() += 1;
        known.last_failure = Some((error.clone(), Micros::now()));
        let must_be_mended = matches!(error, StoreError::Misconfigured { .. });
        match &mut known.state {
            State::Down { error: last, is_told } => {
                last.clone_from(error);
                // That somebody has to act is news, once; in which way a connection broke is none.
                if must_be_mended && !std::mem::replace(is_told, true) {
                    tracing::warn!(store = self.name, %error, "the store stays down until somebody mends it");
                }
            }
            State::Starting | State::Up if self.is_of_now(asked) => {
                tracing::warn!(store = self.name, %error, "the store is down; events wait");
                let down = State::Down { error: error.clone(), is_told: must_be_mended };
                self.change(&mut known, down);
            }
            State::Starting | State::Up => {}
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.lock().state == State::Up
    }

    pub(super) fn health(&self) -> StoreHealth {
        let known = self.lock();
        let error = match &known.state {
            State::Down { error, .. } => Some(error.to_string()),
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

    /// Whether the state has not changed since the store was asked. The lock must be held.
    fn is_of_now(&self, asked: Asked) -> bool {
        // Ordering: it changes under the lock alone.
        asked.0 == self.changes.load(Ordering::Relaxed)
    }

    fn change(&self, known: &mut Known, state: State) {
        // Ordering: as above.
        self.changes.fetch_add(1, Ordering::Relaxed);
        known.state = state;
        known.since = Instant::now();
    }
}

impl State {
    fn name(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Up => "up",
            Self::Down { .. } => "down",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> StoreState {
        StoreState::new("store".to_owned(), Arc::new(Metrics::new(1)))
    }

    fn transient() -> StoreError {
        StoreError::Transient { code: "io".to_owned(), message: "gone".to_owned() }
    }

    #[test]
    fn an_answer_to_what_was_asked_before_it_went_down_does_not_bring_it_up() {
        let state = state();
        state.answered(state.asking());
        let (early, other) = (state.asking(), state.asking());
        state.failed(early, &transient());
        state.answered(other);
        assert_eq!(state.health().state, "down");
        state.answered(state.asking());
        assert_eq!(state.health().state, "up");
    }

    #[test]
    fn a_failure_of_what_was_asked_before_it_came_back_does_not_take_it_down() {
        let state = state();
        state.failed(state.asking(), &transient());
        let (first, other) = (state.asking(), state.asking());
        state.answered(first);
        state.failed(other, &transient());
        assert_eq!(state.health().state, "up");
        assert_eq!(state.snapshot().retries["io"], 2, "it is counted all the same");
        state.failed(state.asking(), &transient());
        assert_eq!(state.health().state, "down");
    }

    #[test]
    fn a_probe_does_not_bring_it_up_while_a_batch_cannot_be_stored() {
        let state = state();
        state.failed(state.asking(), &transient());
        let waiting = state.waits();
        state.probed(state.asking());
        assert_eq!(state.health().state, "down");
        drop(waiting);
        state.probed(state.asking());
        assert_eq!(state.health().state, "up");
    }

    #[test]
    fn an_outage_lasts_from_its_first_failure_whatever_fails_later() {
        let state = state();
        state.failed(state.asking(), &transient());
        let since = state.lock().since;
        let misconfigured = StoreError::Misconfigured { code: "1146".to_owned(), message: "no table".to_owned() };
        for error in [&misconfigured, &transient(), &misconfigured] {
            state.failed(state.asking(), error);
        }
        assert_eq!(state.lock().since, since);
        assert!(state.health().error.unwrap().contains("1146"));
    }
}
