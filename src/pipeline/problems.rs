//! What went wrong lately, for people who watch: the newest dead letters, and the store's last failure.

use std::{io, sync::Arc};

use super::{Pipeline, StoreFailure};
use crate::storage::dead_letters::DeadLetter;

impl Pipeline {
    /// The last attempt to store that failed since the start, though no row was to blame. It stays when
    /// the store is back.
    pub fn last_store_failure(&self) -> Option<StoreFailure> {
        self.inner.store.state.last_failure()
    }

    /// How long the file of dead letters was when it was read last, in bytes. While that is the same,
    /// [`Pipeline::newest_dead_letters`] has nothing new to say. Touches no file.
    pub fn dead_letters_bytes(&self) -> u64 {
        self.inner.store.dead_letters.counts().read_bytes
    }

    /// The dead letters that were written last and are not resolved, at most so many, the newest first.
    ///
    /// # Errors
    /// What the system says of the file, or that the pipeline has stopped.
    pub async fn newest_dead_letters(&self, most: usize) -> io::Result<Vec<DeadLetter>> {
        let store = Arc::clone(&self.inner.store);
        let asked = self.inner.handle.spawn(async move {
            let _permit = store.lookups.acquire().await;
            let letters = Arc::clone(&store.dead_letters);
            tokio::task::spawn_blocking(move || letters.newest(most)).await.map_err(io::Error::other).flatten()
        });
        asked.await.unwrap_or_else(|_| Err(io::Error::other("the pipeline has stopped")))
    }
}
