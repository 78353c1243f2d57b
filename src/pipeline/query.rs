//! What became of one event: asked of the store, the dead letters and the journal, in this order.
//!
//! The order matters: an event is in the journal first and leaves it last, so that an event which is
//! somewhere is found, though perhaps in the state that it was in a moment ago.

use std::{io, sync::Arc};

use uuid::Uuid;

use super::Pipeline;
use crate::{
    event::{self, Event, Micros},
    storage::{StoreError, StoredEvent, dead_letters::DeadLetter},
};

/// An event, and how far it has come.
#[derive(Clone, Debug)]
pub enum Found {
    /// It is in the store.
    Stored(StoredEvent),
    /// It was refused for good.
    Dead(Box<DeadLetter>),
    /// It is in the journal, on its way to the store.
    Durable(JournaledEvent),
}

/// An event as the journal has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournaledEvent {
    /// Its id.
    pub id: Uuid,
    /// The name of its type.
    pub kind: &'static str,
    /// The name of its source.
    pub source: &'static str,
    /// Its user.
    pub user_id: Option<String>,
    /// The client's `timestamp`, or the time of receipt.
    pub timestamp: String,
    /// When it was received.
    pub received: Micros,
    /// Its own time.
    pub occurred: Micros,
    /// The client's `data`: JSON text.
    pub data: String,
    /// This acceptance's receipt.
    pub receipt: String,
}

impl Pipeline {
    /// The event of that id, wherever it is.
    ///
    /// # Errors
    /// [`StoreError`] where it is not in the journal and not dead, and the store could not be asked.
    pub async fn find(&self, id: Uuid) -> Result<Option<Found>, StoreError> {
        let (store, journal) = (Arc::clone(&self.inner.store), self.inner.journal.clone());
        // On the store's own runtime: its connections live there.
        let asked = self.inner.handle.spawn(async move {
            // One that is known to be away is asked last: it may take its time to say nothing.
            let is_away = !store.state.is_up();
            let stored = if is_away { Ok(None) } else { store.storage.fetch(id).await };
            if let Ok(Some(stored)) = stored {
                return Ok(Some(Found::Stored(stored)));
            }
            let _permit = store.lookups.acquire().await;
            let letters = Arc::clone(&store.dead_letters);
            let here = tokio::task::spawn_blocking(move || -> io::Result<Option<Found>> {
                if let Some(letter) = letters.find(id)? {
                    return Ok(Some(Found::Dead(Box::new(letter))));
                }
                Ok(journal.find(id)?.and_then(|record| journaled(&record)).map(Found::Durable))
            });
            match here.await.map_err(io::Error::other).flatten() {
                Ok(Some(found)) => return Ok(Some(found)),
                Ok(None) => {}
                Err(error) => return Err(unreadable(&error)),
            }
            match stored {
                Ok(_) if is_away => Ok(store.storage.fetch(id).await?.map(Found::Stored)),
                other => other.map(|_| None),
            }
        });
        asked.await.unwrap_or_else(|_| Err(unreadable(&io::Error::other("the pipeline has stopped"))))
    }
}

fn unreadable(error: &io::Error) -> StoreError {
    StoreError::Transient { code: "files".to_owned(), message: format!("this node's files cannot be read: {error}") }
}

fn journaled(record: &[u8]) -> Option<JournaledEvent> {
    let (event, _) = event::decode(record).ok()?;
    Some(JournaledEvent::of(&event))
}

impl JournaledEvent {
    /// The event of a record.
    pub(super) fn of(event: &Event<'_>) -> Self {
        Self {
            id: event.id,
            kind: event.kind.as_str(),
            source: event.source.as_str(),
            user_id: event.user_id.map(ToOwned::to_owned),
            timestamp: event.timestamp.map_or_else(|| event.received.to_string(), ToOwned::to_owned),
            received: event.received,
            occurred: event.occurred,
            data: event.data.to_owned(),
            receipt: event.receipt.to_string(),
        }
    }
}
