//! The server: one listener that hands each connection to the ingest thread with the fewest.
//!
//! One listener, since several on one port (`SO_REUSEPORT`) spread few connections badly, and
//! let a second process share the port without a word.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::{
    io::AsyncWriteExt as _,
    net::TcpStream,
    select,
    sync::{Semaphore, oneshot},
    time::{Instant, sleep, timeout},
};

use super::{
    Options,
    connection::close_gently,
    context::Shared,
    problem::Problem,
    thread::{self as ingest, Handed, ThreadHandle},
};
use crate::pipeline::Pipeline;

/// How long accepting pauses when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How many refused connections are told why at a time; more are closed without a word.
const TURNED_AWAY_MAX: usize = 64;
const TURNED_AWAY_RETRY_S: u64 = 1;

/// A running HTTP server.
///
/// ```
/// use std::{net::TcpListener, sync::Arc, time::Duration};
///
/// use event_pipeline::{
///     http::{Options, Server},
///     pipeline::Pipeline,
///     storage::Discard,
/// };
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// let pipeline = Pipeline::builder(Arc::new(Discard::default()), dir.path()).start()?;
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let server = Server::start(listener, pipeline.clone(), Options::default())?;
/// assert_ne!(server.address().port(), 0);
///
/// // When it is to end: requests first, then what they brought.
/// server.stop(Duration::from_secs(5));
/// pipeline.drain(Duration::from_secs(5));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: oneshot::Sender<Instant>,
    accepting: thread::JoinHandle<()>,
}

impl Server {
    /// Serves `pipeline` on `listener`, with one ingest thread for each core.
    ///
    /// # Errors
    /// Where the system gives no thread or no event loop, or the listener is not usable.
    pub fn start(listener: TcpListener, pipeline: Pipeline, options: Options) -> io::Result<Self> {
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let shared = Arc::new(Shared { pipeline, options, draining: AtomicBool::new(false) });
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let threads =
            (0..cores).map(|index| ingest::start(index, Arc::clone(&shared))).collect::<Result<Vec<_>, _>>()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let max_connections = shared.options.max_connections;
        let accepting = thread::Builder::new().name("listener".to_owned()).spawn(move || {
            let deadline = runtime.block_on(accept_until_stopped(listener, &threads, max_connections, stopped));
            for thread in &threads {
                // A thread that is gone has nothing to stop.
                let _ = thread.sender.send(Handed::Stop(deadline));
            }
            for thread in threads {
                if thread.join.join().is_err() {
                    tracing::error!("an ingest thread panicked");
                }
            }
        })?;
        Ok(Self { address, shared, stop, accepting })
    }

    /// Where it listens: the port too, where any free one was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Says on `/readyz` that no more should come; serves on.
    pub fn begin_draining(&self) {
        // Ordering: a flag that stands by itself.
        self.shared.draining.store(true, Ordering::Relaxed);
    }

    /// Stops accepting, lets every request that has begun finish, and closes all connections;
    /// those that are not done after `grace` are cut. Blocks the calling thread.
    pub fn stop(self, grace: Duration) {
        self.begin_draining();
        // A listener that is gone has nothing to stop.
        let _ = self.stop.send(Instant::now() + grace);
        if self.accepting.join().is_err() {
            tracing::error!("the listener panicked");
        }
    }
}

/// Accepts and hands out connections; returns until when those that are there may finish.
async fn accept_until_stopped(
    listener: TcpListener,
    threads: &[ThreadHandle],
    max_connections: usize,
    mut stopped: oneshot::Receiver<Instant>,
) -> Instant {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "the listener cannot be watched; nothing is accepted");
            return stopped.await.unwrap_or_else(|_| Instant::now());
        }
    };
    let turned_away = Arc::new(Semaphore::new(TURNED_AWAY_MAX));
    let mut failing = false;
    loop {
        let accepted = select! {
            accepted = listener.accept() => accepted,
            deadline = &mut stopped => return deadline.unwrap_or_else(|_| Instant::now()),
        };
        match accepted {
            Ok((socket, _)) => {
                failing = false;
                hand_out(socket, threads, max_connections, &turned_away);
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                // Out of file descriptors or memory: waiting helps, trying at once would spin.
                if !failing {
                    tracing::warn!(%error, "connections cannot be accepted; trying on");
                    failing = true;
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether only the connection that was to be accepted failed.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

fn hand_out(socket: TcpStream, threads: &[ThreadHandle], max_connections: usize, turned_away: &Arc<Semaphore>) {
    // Ordering: counts to compare threads by; this thread alone adds to them.
    let count = |thread: &ThreadHandle| thread.connections.load(Ordering::Relaxed);
    let Some(fewest) = threads.iter().min_by_key(|thread| count(thread)) else { return };
    if threads.iter().map(count).sum::<usize>() >= max_connections {
        return turn_away(socket, turned_away);
    }
    // Delay would hold back small answers. Where it cannot be set, they are only slower.
    let _ = socket.set_nodelay(true);
    let Ok(socket) = socket.into_std() else { return };
    // Ordering: as above.
    fewest.connections.fetch_add(1, Ordering::Relaxed);
    if fewest.sender.send(Handed::Socket(socket)).is_err() {
        tracing::error!("an ingest thread is gone; the process ends");
        std::process::abort();
    }
}

/// Tells a client that there are too many, where that costs little.
fn turn_away(mut socket: TcpStream, turned_away: &Arc<Semaphore>) {
    let Ok(permit) = Arc::clone(turned_away).try_acquire_owned() else { return };
    tokio::spawn(async move {
        let _permit = permit;
        let detail = "the service has as many connections as it may have";
        let problem = Problem::unavailable("overloaded", detail, TURNED_AWAY_RETRY_S).close();
        if let Ok(Ok(())) = timeout(ACCEPT_PAUSE, socket.write_all(&problem.into_raw())).await {
            close_gently(&mut socket).await;
        }
    });
}
