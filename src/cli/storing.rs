//! Storing a batch without the service, row by row where it must be: what `dead-letters retry` and
//! `journal replay` share.
//!
//! Storing is idempotent, so it may run beside the service, twice at once, or be ended at any moment.

use std::{collections::HashSet, iter, sync::Arc, time::Duration};

use crate::{
    pipeline::split,
    storage::{BadRow, Batch, Storage, StoreError},
};

/// How often a call is repeated that the store cannot take now, and how long the waits grow.
const ATTEMPTS: u32 = 8;
const WAIT_FIRST: Duration = Duration::from_millis(50);
const WAIT_LONGEST: Duration = Duration::from_secs(2);

/// What became of one row.
pub(super) enum Outcome {
    /// Stored now, or by an earlier attempt.
    Stored,
    /// The store has the id from another acceptance of the event.
    AlreadyThere,
    /// The store refused it alone.
    Refused(BadRow),
}

/// Stores a batch, parting it until each row is stored or was refused alone. Where the store stops
/// half-way, the rows behind have no outcome.
pub(super) async fn store_batch(
    storage: &dyn Storage,
    batch: &Arc<Batch>,
    outcomes: &mut [Option<Outcome>],
) -> Result<(), StoreError> {
    let mut ranges: Vec<_> = iter::once(0..batch.len()).collect();
    while let Some(range) = ranges.pop() {
        if range.is_empty() {
            continue;
        }
        match patiently(async || storage.store(batch, range.clone()).await).await {
            Ok(stored) => {
                let duplicates: HashSet<usize> = stored.duplicates.into_iter().collect();
                for row in range {
                    let is_duplicate = duplicates.contains(&row);
                    outcomes[row] = Some(if is_duplicate { Outcome::AlreadyThere } else { Outcome::Stored });
                }
            }
            Err(StoreError::BadRow(bad)) if range.len() == 1 => outcomes[range.start] = Some(Outcome::Refused(bad)),
            // The last one pushed is stored first: keep the rows' order.
            Err(StoreError::BadRow(bad)) => ranges.extend(split(&range, bad.row).into_iter().rev()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// One call, repeated where the store cannot take it now.
pub(super) async fn patiently<T>(call: impl AsyncFn() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let mut wait = WAIT_FIRST;
    for _ in 1..ATTEMPTS {
        match call().await {
            Ok(answer) => return Ok(answer),
            Err(error @ (StoreError::BadRow(_) | StoreError::Misconfigured { .. })) => return Err(error),
            Err(error) => tracing::info!(%error, wait_ms = wait.as_millis() as u64, "the store is tried again"),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(WAIT_LONGEST);
    }
    call().await
}
