//! An ingest thread: its connections, its way into the pipeline, and the flush once a tick.
//!
//! One current_thread runtime; nothing on it blocks. Requests put their events into the thread's
//! [`Intake`]; a task that is woken by the first of them, and so runs after the other
//! connections that were ready, hands all over to the shards at once.

use std::{
    cell::{Cell, Ref, RefCell, RefMut},
    collections::HashMap,
    io,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Waker,
    thread,
};

use tokio::{
    net::TcpStream,
    select,
    sync::{Notify, mpsc},
    task::{JoinSet, LocalSet},
    time::Instant,
};

use super::{Options, connection};
use crate::{
    pipeline::{Intake, Pipeline},
    sync::Padded,
};

/// Bytes of bodies that one thread holds while they arrive; beyond it, more are answered 503.
const BODY_BUDGET_BYTES: usize = 64 << 20;

/// What the listener hands to an ingest thread.
#[derive(Debug)]
pub(super) enum Handed {
    /// A connection to serve.
    Socket(std::net::TcpStream),
    /// Finish what is there, at most until then.
    Stop(Instant),
}

/// What all threads of a server share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) pipeline: Pipeline,
    pub(super) options: Options,
    /// Shutdown has begun: not ready any more.
    pub(super) draining: AtomicBool,
}

/// The listener's end of an ingest thread.
#[derive(Debug)]
pub(super) struct ThreadHandle {
    pub(super) sender: mpsc::UnboundedSender<Handed>,
    pub(super) connections: Arc<Padded<AtomicUsize>>,
    pub(super) join: thread::JoinHandle<()>,
}

/// What the connections of one thread share.
#[derive(Debug)]
pub(super) struct IngestThread {
    shared: Arc<Shared>,
    intake: RefCell<Intake>,
    flush: Notify,
    body_bytes: Cell<usize>,
}

impl IngestThread {
    pub(super) fn options(&self) -> &Options {
        &self.shared.options
    }

    pub(super) fn pipeline(&self) -> &Pipeline {
        &self.shared.pipeline
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

    /// Room for `bytes` of a body while it arrives; `None` where the thread holds too many.
    pub(super) fn reserve_body(self: &Rc<Self>, bytes: usize) -> Option<BodyRoom> {
        let held = self.body_bytes.get() + bytes;
        // One body always fits: else a limit above the budget could never be used.
        if held > BODY_BUDGET_BYTES && self.body_bytes.get() > 0 {
            return None;
        }
        self.body_bytes.set(held);
        Some(BodyRoom { thread: Rc::clone(self), bytes })
    }
}

/// Room for a body, given back when it is dropped.
#[derive(Debug)]
pub(super) struct BodyRoom {
    thread: Rc<IngestThread>,
    bytes: usize,
}

impl Drop for BodyRoom {
    fn drop(&mut self) {
        self.thread.body_bytes.set(self.thread.body_bytes.get() - self.bytes);
    }
}

/// The connections of a thread that are to be told of a stop.
#[derive(Debug, Default)]
struct Stop {
    stopping: Cell<bool>,
    wakers: RefCell<HashMap<u64, Waker>>,
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

/// Starts ingest thread `index`.
///
/// # Errors
/// Where the system gives no thread or no event loop.
pub(super) fn start(index: usize, shared: Arc<Shared>) -> io::Result<ThreadHandle> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let connections = Arc::new(Padded::new(AtomicUsize::new(0)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let counted = Arc::clone(&connections);
    let join = thread::Builder::new().name(format!("ingest-{index}")).spawn(move || {
        let intake = RefCell::new(shared.pipeline.intake());
        let thread = IngestThread { shared, intake, flush: Notify::new(), body_bytes: Cell::new(0) };
        LocalSet::new().block_on(&runtime, run(Rc::new(thread), receiver, counted));
    })?;
    Ok(ThreadHandle { sender, connections, join })
}

async fn run(
    thread: Rc<IngestThread>,
    mut receiver: mpsc::UnboundedReceiver<Handed>,
    connections: Arc<Padded<AtomicUsize>>,
) {
    let flushing = tokio::task::spawn_local(flush(Rc::clone(&thread)));
    let stop = Rc::new(Stop::default());
    let mut served = JoinSet::new();
    let mut number = 0;
    let deadline = loop {
        let handed = select! {
            handed = receiver.recv() => handed,
            Some(_) = served.join_next() => continue,
        };
        match handed {
            Some(Handed::Socket(socket)) => {
                let slot = ConnectionSlot {
                    number,
                    stop: Rc::clone(&stop),
                    connections: Arc::clone(&connections),
                    registered: Cell::new(false),
                };
                number += 1;
                match TcpStream::from_std(socket) {
                    Ok(socket) => drop(served.spawn_local(connection::serve(socket, Rc::clone(&thread), slot))),
                    Err(error) => tracing::warn!(%error, "a connection could not be taken over"),
                }
            }
            Some(Handed::Stop(deadline)) => break deadline,
            None => break Instant::now(),
        }
    };
    stop.stopping.set(true);
    stop.wakers.borrow().values().for_each(Waker::wake_by_ref);
    let all = async { while served.join_next().await.is_some() {} };
    if tokio::time::timeout_at(deadline, all).await.is_err() {
        tracing::warn!(connections = served.len(), "connections were cut at the end of the grace");
    }
    flushing.abort();
    thread.intake().flush();
}

async fn flush(thread: Rc<IngestThread>) {
    loop {
        thread.flush.notified().await;
        thread.intake().flush();
    }
}
