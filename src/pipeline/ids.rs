//! Ids for events that came without one: UUIDs of version 7 that rise with each event of a thread and shard.
//!
//! Rising ids are what a store's primary key takes best: each shard has a run of its own, so that what its
//! flusher stores at a time lies side by side, and not between the rows of the other shards. The clock's
//! millisecond comes first (RFC 9562), then a counter of 74 bits that begins at a random number for each
//! millisecond, so that shards, threads and nodes do not meet: one draw of random bits serves all events of
//! that millisecond.

use uuid::{Builder, Uuid};

use crate::event::Micros;

/// Bits of the counter that stand behind the variant's two; the other 12 stand before them.
const LOW_BITS: u32 = 62;
/// Bits of the number that a counter begins at: one fewer than it has, so that it cannot run over within
/// a millisecond.
const BEGIN_BITS: u32 = 12 + LOW_BITS - 1;

/// The ids that one thread makes, for each shard by itself.
#[derive(Debug)]
pub(super) struct ShardIds {
    pub(super) of_shards: Box<[Ids]>,
    /// For events that no user has: their ids say which shard they go to.
    pub(super) of_nobody: Ids,
}

impl ShardIds {
    pub(super) fn new(shards: usize) -> Self {
        Self { of_shards: (0..shards).map(|_| Ids::default()).collect(), of_nobody: Ids::default() }
    }
}

/// One run of ids.
#[derive(Debug, Default)]
pub(super) struct Ids {
    millis: u64,
    counter: u128,
}

impl Ids {
    /// The id for an event that was received then; above all that were made before, where the clock did
    /// not go back.
    pub(super) fn next(&mut self, received: Micros) -> Uuid {
        let millis = u64::try_from(received.millis()).unwrap_or(0);
        if millis == self.millis && self.counter != 0 {
            self.counter += 1;
        } else {
            self.millis = millis;
            // Six bits of a random UUID are the same in all; the rest is more than is needed.
            self.counter = Uuid::new_v4().as_u128() >> (128 - BEGIN_BITS);
        }
        let (high, low) = ((self.counter >> LOW_BITS) as u16, self.counter as u64 & ((1 << LOW_BITS) - 1));
        let mut bytes = [0; 10];
        bytes[..2].copy_from_slice(&high.to_be_bytes());
        bytes[2..].copy_from_slice(&low.to_be_bytes());
        Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_of_version_7_hold_their_time_and_rise() {
        let mut ids = Ids::default();
        let mut last = Uuid::nil();
        for micros in [1_760_000_000_000_000, 1_760_000_000_000_999, 1_760_000_000_001_000, 1_760_000_009_000_000] {
            for _ in 0..1000 {
                let id = ids.next(Micros(micros));
                assert!(id > last, "{id} after {last}");
                assert_eq!((id.get_version_num(), id.get_variant()), (7, uuid::Variant::RFC4122));
                let (seconds, nanos) = id.get_timestamp().unwrap().to_unix();
                assert_eq!(seconds * 1000 + u64::from(nanos) / 1_000_000, micros as u64 / 1000);
                last = id;
            }
        }
    }

    #[test]
    fn threads_that_share_a_millisecond_do_not_meet() {
        let now = Micros(1_760_000_000_000_000);
        let ids: std::collections::HashSet<_> = (0..100)
            .flat_map(|_| {
                let mut ids = Ids::default();
                (0..100).map(move |_| ids.next(now))
            })
            .collect();
        assert_eq!(ids.len(), 100 * 100);
    }

    #[test]
    fn the_counter_carries_over_the_variant() {
        let mut ids = Ids { millis: 1, counter: (1 << LOW_BITS) - 1 };
        let (first, second) = (ids.next(Micros(1000)), ids.next(Micros(1000)));
        assert!(second > first);
        assert_eq!(second.get_version_num(), 7);
    }
}
