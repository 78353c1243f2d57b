//! Pages of stored events, read beside the flushers and never before them.

use std::{
    panic::resume_unwind,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{
    task::{JoinError, spawn_blocking},
    time::timeout,
};

use super::Pipeline;
use crate::storage::{Page, PageQuery, STORE_TIMEOUT, StoreError};

impl Pipeline {
    /// One page of stored events, and what `make` makes of it. Events that are not stored yet, or dead, are on no page.
    ///
    /// A few pages are read at a time, the others wait. `make` runs on a thread that may take its time over it.
    ///
    /// # Errors
    /// [`StoreError`] where the store could not be asked in time.
    pub async fn page<T: Send + 'static>(
        &self,
        query: PageQuery,
        make: impl FnOnce(&Page) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = Arc::clone(&self.inner.store);
        // On the store's own runtime: its connections live there.
        let asked = self.inner.handle.spawn(async move {
            let busy = || transient("busy", "other pages are being read and take their time");
            let waited = timeout(STORE_TIMEOUT, store.pages.acquire()).await;
            let _permit = waited.map_err(|_| busy())?.map_err(|_| busy())?;
            let page = store.storage.page(query).await;
            note(&store.pages_refused, &page);
            let page = page?;
            spawn_blocking(move || make(&page)).await.map_err(ended)
        });
        asked.await.unwrap_or_else(|error| Err(ended(error)))
    }
}

/// Says, once, what an operator has to mend before pages can be read.
fn note(refused: &AtomicBool, page: &Result<Page, StoreError>) {
    let must_be_mended = page.as_ref().err().filter(|error| matches!(error, StoreError::Misconfigured { .. }));
    // Ordering: a flag that stands by itself.
    let is_known = refused.swap(must_be_mended.is_some(), Ordering::Relaxed);
    if let Some(error) = must_be_mended.filter(|_| !is_known) {
        tracing::warn!(%error, "the store's pages cannot be read");
    }
}

/// Where the task panicked, the caller does; otherwise the runtime has ended.
fn ended(error: JoinError) -> StoreError {
    if error.is_panic() {
        resume_unwind(error.into_panic());
    }
    transient("stopped", "the pipeline has stopped")
}

fn transient(code: &str, message: &str) -> StoreError {
    StoreError::Transient { code: code.to_owned(), message: message.to_owned() }
}
