//! What goes on beside the events: the table is prepared, a store that is down is asked whether
//! it is back, the rate is sampled, dead letters that a command resolved are noticed. Tasks on the store runtime; they end with it.

use std::{sync::Arc, time::Duration};

use tokio::{
    task::spawn_blocking,
    time::{MissedTickBehavior, interval, sleep},
};

use super::{retry, storing::StoreAccess};
use crate::{metrics::Metrics, storage::Migration};

/// How often a store that is down is asked.
const PROBE_EVERY: Duration = Duration::from_secs(1);
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
const REFRESH_EVERY: Duration = Duration::from_secs(5);
/// Longest pause between two attempts to prepare the table.
const PREPARE_PAUSE: Duration = Duration::from_secs(2);

/// Creates or checks the table, for as long as it takes; the flushers wait for it.
pub(super) async fn prepare(store: Arc<StoreAccess>) {
    let mut attempt = 0;
    loop {
        let asked = store.state.asking();
        match store.storage.migrate().await {
            Ok(migration) => {
                if migration == Migration::Created {
                    tracing::info!("created the table processed_events");
                }
                store.state.answered(asked);
                store.prepared.send_replace(true);
                return;
            }
            Err(error) => {
                store.state.failed(asked, &error);
                sleep(retry::backoff(PREPARE_PAUSE, attempt, 1.0)).await;
                attempt += 1;
            }
        }
    }
}

/// Asks a store that is down whether it is back, so that its state is known also when no event
/// comes, and batches that wait need not wait to the end.
pub(super) async fn probe(store: Arc<StoreAccess>) {
    let mut every = interval(PROBE_EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        if store.state.is_up() || !*store.prepared.borrow() {
            continue;
        }
        let asked = store.state.asking();
        match store.storage.health().await {
            Ok(()) => store.state.probed(asked),
            Err(error) => store.state.failed(asked, &error),
        }
    }
}

/// Keeps the samples that `events_per_second` is made of.
pub(super) async fn sample_rate(metrics: Arc<Metrics>) {
    let mut every = interval(SAMPLE_EVERY);
    loop {
        every.tick().await;
        metrics.sample_rate();
    }
}

/// Reads what commands have written to the file of dead letters.
pub(super) async fn refresh_dead_letters(store: Arc<StoreAccess>) {
    let mut every = interval(REFRESH_EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_failing = false;
    loop {
        every.tick().await;
        let letters = Arc::clone(&store.dead_letters);
        let refreshed = spawn_blocking(move || letters.refresh()).await;
        let failed = matches!(refreshed, Ok(Err(_)) | Err(_));
        if let (Ok(Err(error)), false) = (&refreshed, is_failing) {
            tracing::warn!(%error, file = %store.dead_letters.path().display(), "dead letters cannot be read");
        }
        is_failing = failed;
    }
}
