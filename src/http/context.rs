//! What the connections of one ingest thread share: the way into the pipeline, the room for
//! bodies, and the news of a stop.
//!
//! All but [`Shared`] belongs to one thread, and so needs no lock.

use std::{
    cell::{Cell, Ref, RefCell, RefMut},
    collections::HashMap,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Waker,
};

use bytes::Bytes;
use tokio::sync::{Notify, Semaphore};

use super::{
    pages::PageRoom,
    terms::{SharedTerms, ThreadTerms},
};
use crate::{
    pipeline::{Intake, Pipeline},
    sync::Padded,
};

/// Bytes of bodies that one thread holds while they arrive; beyond it, more are answered 503.
const BODY_BUDGET_BYTES: usize = 64 << 20;
/// Buffers of bodies that a thread keeps for the next ones, and the largest that is kept.
const BODY_BUFFERS_KEPT: usize = 64;
const BODY_BUFFER_BYTES_KEPT: usize = 64 << 10;

/// What all threads of a server share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) pipeline: Pipeline,
    pub(super) terms: SharedTerms,
    /// Shutdown has begun: not ready any more.
    pub(super) draining: AtomicBool,
    pub(super) page_room: PageRoom,
    /// As many permits as there may be more streams.
    pub(super) streams: Arc<Semaphore>,
}

/// What the connections of one thread share.
#[derive(Debug)]
pub(super) struct IngestThread {
    shared: Arc<Shared>,
    terms: Rc<ThreadTerms>,
    intake: RefCell<Intake>,
    flush: Notify,
    body_bytes: Cell<usize>,
    /// Empty buffers that bodies were put together in.
    body_buffers: RefCell<Vec<Vec<u8>>>,
    /// Where the next answer is written.
    text: RefCell<Vec<u8>>,
}

impl IngestThread {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let intake = RefCell::new(shared.pipeline.intake());
        let terms = Rc::new(ThreadTerms::new(Arc::clone(&shared.terms)));
        Self {
            shared,
            terms,
            intake,
            flush: Notify::new(),
            body_bytes: Cell::new(0),
            body_buffers: RefCell::default(),
            text: RefCell::default(),
        }
    }

    /// On what terms requests are served.
    pub(super) fn terms(&self) -> Rc<ThreadTerms> {
        Rc::clone(&self.terms)
    }

    pub(super) fn pipeline(&self) -> &Pipeline {
        &self.shared.pipeline
    }

    pub(super) fn openapi(&self) -> Bytes {
        self.terms.now().openapi.clone()
    }

    pub(super) fn page_room(&self) -> &PageRoom {
        &self.shared.page_room
    }

    pub(super) fn streams(&self) -> &Arc<Semaphore> {
        &self.shared.streams
    }

    pub(super) fn is_draining(&self) -> bool {
        // Ordering: a flag that stands by itself.
        self.shared.draining.load(Ordering::Relaxed) || self.shared.pipeline.is_draining()
    }

    /// The way into the pipeline, to be left before the next await.
    pub(super) fn intake(&self) -> RefMut<'_, Intake> {
        self.intake.borrow_mut()
    }

    /// The same, for its counters.
    pub(super) fn counters(&self) -> Ref<'_, Intake> {
        self.intake.borrow()
    }

    /// Has everything handed over after the connections that are ready now.
    pub(super) fn flush_soon(&self) {
        self.flush.notify_one();
    }

    /// Hands over what requests put in, once a tick; never returns.
    pub(super) async fn flush_each_tick(&self) {
        loop {
            self.flush.notified().await;
            self.intake().flush();
        }
    }

    /// What `write` writes into an empty buffer, in bytes that are just as many.
    pub(super) fn text(&self, write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
        let mut text = self.text.borrow_mut();
        text.clear();
        write(&mut text);
        Bytes::copy_from_slice(&text)
    }

    /// Room for so many bytes of a body while it arrives; `None` where the thread holds too many.
    pub(super) fn reserve_body(self: &Rc<Self>, reserved: usize) -> Option<BodyRoom> {
        let held = self.body_bytes.get() + reserved;
        // One body always fits: else a limit above the budget could never be used.
        if held > BODY_BUDGET_BYTES && self.body_bytes.get() > 0 {
            return None;
        }
        self.body_bytes.set(held);
        let bytes = self.body_buffers.borrow_mut().pop().unwrap_or_default();
        Some(BodyRoom { thread: Rc::clone(self), reserved, bytes })
    }
}

/// Room for a body, given back when it is dropped, and what has arrived of it.
#[derive(Debug)]
pub(super) struct BodyRoom {
    thread: Rc<IngestThread>,
    reserved: usize,
    pub(super) bytes: Vec<u8>,
}

impl Drop for BodyRoom {
    fn drop(&mut self) {
        self.thread.body_bytes.set(self.thread.body_bytes.get() - self.reserved);
        let mut kept = self.thread.body_buffers.borrow_mut();
        if kept.len() < BODY_BUFFERS_KEPT && self.bytes.capacity() <= BODY_BUFFER_BYTES_KEPT {
            self.bytes.clear();
            kept.push(std::mem::take(&mut self.bytes));
        }
    }
}

/// The connections of a thread, to be told of a stop.
#[derive(Debug, Default)]
pub(super) struct Stop {
    stopping: Cell<bool>,
    wakers: RefCell<HashMap<u64, Waker>>,
}

impl Stop {
    /// Tells all connections.
    pub(super) fn tell(&self) {
        self.stopping.set(true);
        self.wakers.borrow().values().for_each(Waker::wake_by_ref);
    }
}

/// A connection's place on its thread: counted, and told of a stop.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    number: u64,
    stop: Rc<Stop>,
    connections: Arc<Padded<AtomicUsize>>,
    registered: Cell<bool>,
}

impl ConnectionSlot {
    /// The place of the thread's connection `number`, which is counted in `connections` already.
    pub(super) fn new(number: u64, stop: &Rc<Stop>, connections: &Arc<Padded<AtomicUsize>>) -> Self {
        let (stop, connections) = (Rc::clone(stop), Arc::clone(connections));
        Self { number, stop, connections, registered: Cell::new(false) }
    }

    /// How many connections the thread has.
    pub(super) fn count(&self) -> usize {
        // Ordering: a number that stands by itself.
        self.connections.load(Ordering::Relaxed)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stop.stopping.get()
    }

    /// Has the connection's task woken by a stop. A task has the same waker all its life, so that
    /// the first call does it.
    pub(super) fn wake_on_stop(&self, waker: &Waker) {
        if !self.registered.replace(true) {
            self.stop.wakers.borrow_mut().insert(self.number, waker.clone());
        }
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.stop.wakers.borrow_mut().remove(&self.number);
        // Ordering: a count to compare threads by.
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
