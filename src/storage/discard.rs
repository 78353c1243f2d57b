//! The store for benchmarks: it counts and drops.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use futures_util::future::{FutureExt as _, ready};
use uuid::Uuid;

use super::{Batch, BoxFuture, Storage, StoreError, Stored, StoredEvent};

/// Takes everything and keeps nothing but a count.
#[derive(Debug, Default)]
pub struct Discard {
    rows: AtomicU64,
}

impl Discard {
    /// How many rows were dropped.
    pub fn rows(&self) -> u64 {
        // Ordering: a statistic; nothing is read on the strength of it.
        self.rows.load(Ordering::Relaxed)
    }
}

impl Storage for Discard {
    fn store<'a>(&'a self, _batch: &'a Arc<Batch>, rows: Range<usize>) -> BoxFuture<'a, Result<Stored, StoreError>> {
        // Ordering: a statistic; nothing is read on the strength of it.
        self.rows.fetch_add(rows.len() as u64, Ordering::Relaxed);
        ready(Ok(Stored::default())).boxed()
    }

    fn fetch(&self, _id: Uuid) -> BoxFuture<'_, Result<Option<StoredEvent>, StoreError>> {
        ready(Ok(None)).boxed()
    }

    fn health(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        ready(Ok(())).boxed()
    }
}
