//! What admission adds to the events of one request: time, ids and receipts.
//!
//! An id that is made here is made for a shard, and says so: its event needs no second hash.

use std::cell::Cell;

use uuid::Uuid;

use super::{admit::Request, identity::Identity, ids::ShardIds};
use crate::event::{Micros, Receipt, Stamp};

/// Makes the ids of one `Idempotency-Key` differ from all other UUIDs of version 5.
const IDEMPOTENCY_NAMESPACE: Uuid = Uuid::from_u128(0x6d0f_3c52_8a3e_4c0f_9a61_27b1_55d8_e90c);

/// Times, ids and receipts for the events of one request.
pub(super) struct Stamps<'a> {
    pub(super) request: Request<'a>,
    pub(super) identity: &'a Identity,
    pub(super) ids: &'a mut ShardIds,
    pub(super) receipts: &'a mut u128,
    /// Of the event at hand.
    pub(super) origin: &'a Cell<IdOrigin>,
}

/// Where an event has its id from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum IdOrigin {
    /// From the client, which may send it again.
    #[default]
    Chosen,
    /// It was made here, and so is new.
    Made,
    /// Likewise, for an event of this shard.
    MadeFor(usize),
}

impl Stamp for Stamps<'_> {
    fn received(&self) -> Micros {
        // The first that is asked of every event.
        self.origin.set(IdOrigin::Chosen);
        self.request.received
    }

    fn id(&mut self, index: usize, user_id: Option<&str>) -> Uuid {
        if let Some(key) = self.request.idempotency_key {
            return Uuid::new_v5(&IDEMPOTENCY_NAMESPACE, format!("{key}\0{index}").as_bytes());
        }
        let received = self.request.received;
        let Some(user_id) = user_id else {
            self.origin.set(IdOrigin::Made);
            return self.ids.of_nobody.next(received);
        };
        let shard = self.identity.shard_of_user(user_id, self.ids.of_shards.len());
        self.origin.set(IdOrigin::MadeFor(shard));
        self.ids.of_shards[shard].next(received)
    }

    fn receipt(&mut self) -> Receipt {
        *self.receipts += 1;
        Receipt(*self.receipts)
    }
}
