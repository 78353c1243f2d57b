//! The latch that a waiting request hangs on: it opens when all of its events are settled.
//!
//! # Protocol
//! Whoever settles the last event takes the waker and wakes it. The one who waits leaves its
//! waker first and then looks again: either the settler finds the waker, or the waiter finds
//! everything settled. Without that second look a wake-up could fall between the first look
//! and the waker, and be lost.
//!
//! # Orderings
//! Settling is AcqRel: the last settler has what the others noted about their events, and hands
//! it on to the waiter, whose look is an Acquire.

use std::{
    sync::PoisonError,
    task::{Context, Poll, Waker},
};

#[cfg(loom)]
use super::planted::{Bug, is_planted};
use super::shim::{AtomicU32, Mutex, Ordering};

/// Opens when a number of events has been settled. Any number of threads settle, one task waits.
#[derive(Debug)]
pub struct AckLatch {
    left: AtomicU32,
    waker: Mutex<Option<Waker>>,
}

impl AckLatch {
    /// A latch on `events` events; open from the start where that is zero.
    pub fn new(events: u32) -> Self {
        Self { left: AtomicU32::new(events), waker: Mutex::new(None) }
    }

    /// `events` more are settled. All that is to be known about them must be noted before.
    pub fn complete(&self, events: u32) {
        // Ordering: AcqRel: see above.
        let before = self.left.fetch_sub(events, settling());
        debug_assert!(before >= events, "more events settled than were waited for");
        if before == events {
            let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// Ready when everything is settled; otherwise wakes the task of `cx` then.
    pub fn poll_done(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_done() {
            return Poll::Ready(());
        }
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
        #[cfg(loom)]
        if super::planted::is_planted(super::Bug::NoSecondLook) {
            return Poll::Pending;
        }
        // The second look: the last event may have been settled before the waker was there.
        if self.is_done() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Whether everything is settled.
    pub fn is_done(&self) -> bool {
        self.left() == 0
    }

    /// How many events are not settled.
    pub fn left(&self) -> u32 {
        // Ordering: Acquire pairs with the AcqRel in `complete`: who sees zero sees the notes.
        self.left.load(Ordering::Acquire)
    }
}

#[cfg(not(loom))]
const fn settling() -> Ordering {
    Ordering::AcqRel
}

#[cfg(loom)]
fn settling() -> Ordering {
    if is_planted(Bug::AckSettledRelaxed) { Ordering::Relaxed } else { Ordering::AcqRel }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_latch_opens_with_the_last_event() {
        let latch = AckLatch::new(3);
        let mut cx = Context::from_waker(Waker::noop());
        latch.complete(2);
        assert!(latch.poll_done(&mut cx).is_pending());
        assert_eq!(latch.left(), 1);
        latch.complete(1);
        assert!(latch.poll_done(&mut cx).is_ready());
    }

    #[test]
    fn a_latch_on_nothing_is_open() {
        assert!(AckLatch::new(0).is_done());
    }
}
