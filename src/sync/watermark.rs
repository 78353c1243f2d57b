//! The watermark: a number below which all is done. Who does it raises it, others go by it: the
//! journal writes it down, and recycles what lies below it.
//!
//! # Protocol
//! The number only rises: raising is one read-modify-write that keeps the greater of two, so that
//! one who comes late with a lower number changes nothing. Who raises it to a number answers for
//! all below that: it has seen the store's OK, or the synced dead letter, for each of them.
//!
//! # Orderings
//! Raising is Release and reading Acquire: what the one who raised it did before, has happened for
//! whoever reads the number. So who writes it to the journal, or recycles a segment on the strength
//! of it, does so after the store's OK. Each read-modify-write continues the release sequence, so
//! this holds for all who raised it before, too.

use super::shim::{AtomicU64, Ordering};

/// A number that only rises: all below it is done.
#[derive(Debug)]
pub struct Watermark {
    at: AtomicU64,
}

impl Watermark {
    /// All below `at` is done.
    pub fn new(at: u64) -> Self {
        Self { at: AtomicU64::new(at) }
    }

    /// All below `to` is done; changes nothing where it stands there or higher already.
    pub fn advance(&self, to: u64) {
        // Ordering: Release pairs with the Acquire in `get`.
        self.at.fetch_max(to, Ordering::Release);
    }

    /// All below this is done, and is done for the caller.
    pub fn get(&self) -> u64 {
        // Ordering: Acquire pairs with the Release in `advance`.
        self.at.load(Ordering::Acquire)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_watermark_rises_and_never_falls() {
        let watermark = Watermark::new(5);
        watermark.advance(9);
        assert_eq!(watermark.get(), 9);
        watermark.advance(7);
        assert_eq!(watermark.get(), 9);
    }
}
