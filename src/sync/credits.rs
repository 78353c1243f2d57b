//! Credits: how much of a shard's bound is free. Admission takes them, the shard's worker gives them
//! back when the journal has the events.
//!
//! # Protocol
//! What is in use is one word, events in its upper and bytes in its lower part, so that both
//! are checked and taken in one read-modify-write: two takers can never both get the last
//! credit. Several shards' credits are taken one after another, and those taken are given back
//! if one is refused ([`take_all`]); nobody ever waits, so nobody can deadlock. A taker that is
//! about to give back may make another be refused: refusing is allowed, exceeding is not.
//!
//! # Orderings
//! Giving back is Release and taking is Acquire: what the giver did with the room, it did
//! before the taker uses it. Events themselves are handed over by the shard's queue.

use super::shim::{AtomicU64, Ordering};

const BYTES_BITS: u32 = 40;
const BYTES_MASK: u64 = (1 << BYTES_BITS) - 1;

/// An amount of events and of bytes of their records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// How many events.
    pub events: u32,
    /// How many bytes.
    pub bytes: u64,
}

impl Amount {
    /// The largest amount that credits can count: 2²⁴ − 1 events, 2⁴⁰ − 1 bytes.
    pub const MAX: Self = Self { events: (1 << (64 - BYTES_BITS)) - 1, bytes: BYTES_MASK };

    fn pack(self) -> u64 {
        u64::from(self.events) << BYTES_BITS | self.bytes
    }

    fn unpack(word: u64) -> Self {
        Self { events: (word >> BYTES_BITS) as u32, bytes: word & BYTES_MASK }
    }

    /// The sum, `None` where it exceeds `bound`.
    fn plus_within(self, more: Self, bound: Self) -> Option<Self> {
        let events = self.events.checked_add(more.events).filter(|events| *events <= bound.events)?;
        let bytes = self.bytes.checked_add(more.bytes).filter(|bytes| *bytes <= bound.bytes)?;
        Some(Self { events, bytes })
    }
}

/// The free room of one shard.
#[derive(Debug)]
pub struct Credits {
    bound: Amount,
    used: AtomicU64,
}

impl Credits {
    /// All of `bound` free; a larger bound than [`Amount::MAX`] is held to that.
    pub fn new(bound: Amount) -> Self {
        let bound = Amount { events: bound.events.min(Amount::MAX.events), bytes: bound.bytes.min(Amount::MAX.bytes) };
        Self { bound, used: AtomicU64::new(0) }
    }

    /// Takes `amount` where that much is free; takes nothing otherwise.
    pub fn try_take(&self, amount: Amount) -> bool {
        // Ordering: Acquire pairs with the Release in `give_back`. A failed attempt takes nothing,
        // so it needs none.
        self.used
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, |word| {
                Some(Amount::unpack(word).plus_within(amount, self.bound)?.pack())
            })
            .is_ok()
    }

    /// Gives back `amount`, which was taken before.
    pub fn give_back(&self, amount: Amount) {
        // Ordering: Release pairs with the Acquire in `try_take`.
        let before = self.used.fetch_sub(amount.pack(), Ordering::Release);
        debug_assert!(Amount::unpack(before).events >= amount.events, "more events given back than taken");
        debug_assert!(Amount::unpack(before).bytes >= amount.bytes, "more bytes given back than taken");
    }

    /// How much is taken at this moment.
    pub fn in_use(&self) -> Amount {
        // Ordering: a figure for people and for readiness; nothing is taken on the strength of it.
        Amount::unpack(self.used.load(Ordering::Relaxed))
    }

    /// How much there is in all.
    pub fn bound(&self) -> Amount {
        self.bound
    }
}

/// Takes each amount from its credits: all of them or none.
///
/// # Errors
/// The position of the first one that was refused; then nothing is taken.
pub fn take_all<'a>(wants: impl Iterator<Item = (&'a Credits, Amount)> + Clone) -> Result<(), usize> {
    for (position, (credits, amount)) in wants.clone().enumerate() {
        if !credits.try_take(amount) {
            #[cfg(loom)]
            if super::planted::is_planted(super::Bug::KeepsWhatItTook) {
                return Err(position);
            }
            for (credits, amount) in wants.take(position) {
                credits.give_back(amount);
            }
            return Err(position);
        }
    }
    Ok(())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn amount(events: u32, bytes: u64) -> Amount {
        Amount { events, bytes }
    }

    #[test]
    fn neither_events_nor_bytes_exceed_the_bound() {
        let credits = Credits::new(amount(3, 100));
        assert!(credits.try_take(amount(2, 50)));
        assert!(!credits.try_take(amount(2, 1)), "too many events");
        assert!(!credits.try_take(amount(1, 51)), "too many bytes");
        assert!(credits.try_take(amount(1, 50)));
        assert_eq!(credits.in_use(), amount(3, 100));
        credits.give_back(amount(3, 100));
        assert_eq!(credits.in_use(), Amount::default());
    }

    #[test]
    fn a_refusal_by_one_shard_takes_nothing_from_any() {
        let (roomy, tight) = (Credits::new(amount(10, 100)), Credits::new(amount(1, 100)));
        let wants = [(&roomy, amount(2, 2)), (&tight, amount(2, 2))];
        assert_eq!(take_all(wants.into_iter()), Err(1));
        assert_eq!((roomy.in_use(), tight.in_use()), (Amount::default(), Amount::default()));
    }

    #[test]
    fn a_bound_beyond_what_can_be_counted_is_held_to_it() {
        let credits = Credits::new(amount(u32::MAX, u64::MAX));
        assert_eq!(credits.bound(), Amount::MAX);
        assert!(credits.try_take(Amount::MAX));
        assert!(!credits.try_take(amount(0, 1)));
        assert!(!credits.try_take(amount(1, 0)));
    }
}
