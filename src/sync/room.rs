//! Room: how many bytes the journal can still promise. Admission takes them, so that an admitted
//! event cannot meet a full disk; the keeper and the commits change what there is.
//!
//! # Protocol
//! What is free is one signed word. It is checked and taken in one read-modify-write, so that two
//! takers can never both get the last bytes. It may be negative: a commit that has no promise, such
//! as one of a watermark, uses bytes all the same. Then nothing is taken until enough has come.
//!
//! # Orderings
//! Making room is Release and taking it Acquire: the segment in which the bytes lie is there for
//! the one who takes them.

use super::shim::{AtomicI64, Ordering};

/// The bytes that may still be promised.
#[derive(Debug)]
pub struct Room {
    free: AtomicI64,
}

impl Room {
    /// Nothing is free.
    #[expect(clippy::new_without_default, reason = "loom's atomics have no place in a default")]
    pub fn new() -> Self {
        Self { free: AtomicI64::new(0) }
    }

    /// Takes `bytes` where that much is free; takes nothing otherwise.
    pub fn try_take(&self, bytes: u64) -> bool {
        let Ok(bytes) = i64::try_from(bytes) else { return false };
        // Ordering: Acquire pairs with the Release in `change`. A failed attempt takes nothing, so
        // it needs none.
        self.free
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, |free| (free >= bytes).then(|| free - bytes))
            .is_ok()
    }

    /// Gives back `bytes`, which were taken before.
    pub fn give_back(&self, bytes: u64) {
        debug_assert!(i64::try_from(bytes).is_ok(), "more bytes given back than can be taken");
        self.change(bytes.cast_signed());
    }

    /// There are `by` bytes more, or fewer: segments came or went, or a commit used some.
    pub fn change(&self, by: i64) {
        // Ordering: Release pairs with the Acquire in `try_take`.
        self.free.fetch_add(by, Ordering::Release);
    }

    /// How many bytes are free at this moment: none where more are used than there are.
    pub fn free(&self) -> u64 {
        // Ordering: a figure for people and for readiness; nothing is taken on the strength of it.
        u64::try_from(self.free.load(Ordering::Relaxed)).unwrap_or(0)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_taken_than_is_free() {
        let room = Room::new();
        assert!(!room.try_take(1), "nothing is free at first");
        room.change(100);
        assert!(room.try_take(60));
        assert!(!room.try_take(41));
        assert_eq!(room.free(), 40);
        room.give_back(60);
        assert!(room.try_take(100));
        assert!(!room.try_take(u64::MAX), "more than can be counted");
    }

    #[test]
    fn what_was_used_without_a_promise_must_come_back_before_more_is_promised() {
        let room = Room::new();
        room.change(10);
        room.change(-30);
        assert_eq!(room.free(), 0);
        assert!(!room.try_take(0), "not even nothing is promised");
        room.change(25);
        assert!(room.try_take(5));
        assert!(!room.try_take(1));
    }
}
