//! An ingest thread: its connections, its way into the pipeline, and the flush once a tick.
//!
//! One current_thread runtime; nothing on it blocks. Requests put their events into the thread's
//! intake; a task that is woken by the first of them, and so runs after the other
//! connections that were ready, hands all over to the shards at once.

use std::{
    io,
    rc::Rc,
    sync::{Arc, atomic::AtomicUsize},
    thread,
};

use tokio::{
    net::TcpStream,
    select,
    sync::mpsc,
    task::{JoinSet, LocalSet},
    time::Instant,
};

use super::{
    connection,
    context::{ConnectionSlot, IngestThread, Shared, Stop},
};
use crate::sync::Padded;

/// What the listener hands to an ingest thread.
#[derive(Debug)]
pub(super) enum Handed {
    /// A connection to serve.
    Socket(std::net::TcpStream),
    /// Finish what is there, at most until then.
    Stop(Instant),
    /// Say that you run.
    Answer(std::sync::mpsc::Sender<()>),
}

/// The listener's end of an ingest thread.
#[derive(Debug)]
pub(super) struct ThreadHandle {
    pub(super) sender: mpsc::UnboundedSender<Handed>,
    pub(super) connections: Arc<Padded<AtomicUsize>>,
    pub(super) join: thread::JoinHandle<()>,
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
        LocalSet::new().block_on(&runtime, run(Rc::new(IngestThread::new(shared)), receiver, counted));
    })?;
    Ok(ThreadHandle { sender, connections, join })
}

async fn run(
    thread: Rc<IngestThread>,
    mut receiver: mpsc::UnboundedReceiver<Handed>,
    connections: Arc<Padded<AtomicUsize>>,
) {
    let flushing = tokio::task::spawn_local({
        let thread = Rc::clone(&thread);
        async move { thread.flush_each_tick().await }
    });
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
                let slot = ConnectionSlot::new(number, &stop, &connections);
                number += 1;
                match TcpStream::from_std(socket) {
                    Ok(socket) => drop(served.spawn_local(connection::serve(socket, Rc::clone(&thread), slot))),
                    Err(error) => tracing::warn!(%error, "a connection could not be taken over"),
                }
            }
            Some(Handed::Answer(sender)) => {
                // Whoever asked may have lost patience.
                let _ = sender.send(());
            }
            Some(Handed::Stop(deadline)) => break deadline,
            None => break Instant::now(),
        }
    };
    stop.tell();
    let all = async { while served.join_next().await.is_some() {} };
    if tokio::time::timeout_at(deadline, all).await.is_err() {
        tracing::warn!(connections = served.len(), "connections were cut at the end of the grace");
    }
    flushing.abort();
    thread.intake().flush();
}
