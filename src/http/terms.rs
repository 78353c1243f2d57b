//! The terms on which requests are served: limits, times, and what is acknowledged by default. They can
//! change while requests are served; a request keeps those that it began with, all of them.
//!
//! Each ingest thread has a copy of its own, and looks once a request whether there are newer ones: one
//! atomic load of what hardly ever changes, and nothing that threads write to in common.

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use arc_swap::{ArcSwap, Cache};
use bytes::Bytes;

use super::{Options, openapi};
use crate::pipeline::AckLevel;

/// What holds for one request from its first byte to its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) options: Options,
    /// The level for requests that name none.
    pub(super) ack: AckLevel,
    /// Longest wait for `stored`.
    pub(super) ack_timeout: Duration,
    /// The OpenAPI document, which tells the limits.
    pub(super) openapi: Bytes,
}

impl Terms {
    pub(super) fn new(options: Options, ack: AckLevel, ack_timeout: Duration) -> Self {
        let openapi = openapi::document(&options).into();
        Self { options, ack, ack_timeout, openapi }
    }
}

/// The terms of now, for all threads.
pub(super) type SharedTerms = Arc<ArcSwap<Terms>>;

/// The terms of now, as one thread sees them.
#[derive(Debug)]
pub(super) struct ThreadTerms(RefCell<Seen>);

#[derive(Debug)]
struct Seen {
    shared: Cache<SharedTerms, Arc<Terms>>,
    /// What `own` is a copy of.
    from: Arc<Terms>,
    /// Requests count their references here, where no other thread does.
    own: Rc<Terms>,
}

impl ThreadTerms {
    pub(super) fn new(shared: SharedTerms) -> Self {
        let from = shared.load_full();
        let own = Rc::new(Terms::clone(&from));
        Self(RefCell::new(Seen { shared: Cache::new(shared), from, own }))
    }

    /// Those of now, for a request that begins.
    pub(super) fn now(&self) -> Rc<Terms> {
        let mut seen = self.0.borrow_mut();
        let Seen { shared, from, own } = &mut *seen;
        let newest = shared.load();
        if !Arc::ptr_eq(newest, from) {
            *from = Arc::clone(newest);
            *own = Rc::new(Terms::clone(newest));
        }
        Rc::clone(own)
    }
}

#[cfg(test)]
impl Default for ThreadTerms {
    fn default() -> Self {
        let terms = Terms::new(Options::default(), AckLevel::Durable, Duration::from_secs(1));
        Self::new(Arc::new(ArcSwap::from_pointee(terms)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_begun_keeps_its_terms_and_who_begins_has_the_new_ones() {
        let with = |events| {
            let options = Options { max_batch_events: events, ..Options::default() };
            Terms::new(options, AckLevel::Durable, Duration::from_secs(events as u64))
        };
        let shared: SharedTerms = Arc::new(ArcSwap::from_pointee(with(1)));
        let thread = ThreadTerms::new(Arc::clone(&shared));
        let begun = thread.now();
        assert!(Rc::ptr_eq(&begun, &thread.now()), "nothing is copied where nothing changed");
        shared.store(Arc::new(with(2)));
        assert_eq!((&*begun, &*thread.now()), (&with(1), &with(2)));
    }
}
