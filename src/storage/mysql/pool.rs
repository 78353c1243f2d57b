//! The store's connections: a few, each verified, lent to one call at a time.
//!
//! The driver has a pool; this is not it, for three reasons. A connection here is dropped after
//! any unclean exit (the driver keeps one that only *answered* with an error, a host that turned
//! read-only among them, and lets a caller go on after a call that was given up, which then
//! reads the reply to another command). Hosts have an order, and one that cannot write is left.
//! And the driver has no limit in time anywhere, so each wait has one here.
//!
//! Stores, reads and pages have permits of their own: a read never waits behind a batch, nor behind a page.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use mysql_async::{Opts, prelude::Queryable as _};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use super::{
    super::{STORE_TIMEOUT, StoreError},
    classify::{Fate, Progress, Verdict, timed_out},
    connect::{Session, open, options},
    url::MySqlUrl,
};
use crate::planted::{Bug, is_planted};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a goodbye to the server may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// A connection idle for longer is asked first whether it still lives: a server closes idle
/// ones, and a lost insert would have to be called ambiguous.
const PING_AFTER: Duration = Duration::from_secs(10);
/// Reads at a time; they are few, and each is a single statement.
const READS_MAX: usize = 2;
/// Pages at a time; each is a few statements.
const PAGES_MAX: usize = 2;

/// What a connection is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Store,
    Read,
    Page,
}

/// Verified connections to the hosts of one URL.
#[derive(Debug)]
pub(super) struct Pool {
    url: MySqlUrl,
    options: Vec<Opts>,
    /// The host in use; connecting begins with it.
    host: AtomicUsize,
    idle: Mutex<Vec<Session>>,
    stores: Semaphore,
    reads: Semaphore,
    pages: Semaphore,
    connect_timeout: Duration,
    call_timeout: Duration,
    warned: AtomicBool,
}

impl Pool {
    pub(super) fn new(url: MySqlUrl, connections: usize) -> Self {
        Self {
            options: url.hosts.iter().map(|host| options(&url, host)).collect(),
            host: AtomicUsize::new(0),
            idle: Mutex::new(Vec::with_capacity(connections + READS_MAX + PAGES_MAX)),
            stores: Semaphore::new(connections.max(1)),
            reads: Semaphore::new(READS_MAX),
            pages: Semaphore::new(PAGES_MAX),
            connect_timeout: CONNECT_TIMEOUT,
            call_timeout: STORE_TIMEOUT,
            warned: AtomicBool::new(false),
            url,
        }
    }

    pub(super) fn set_timeout(&mut self, call: Duration) {
        self.call_timeout = call;
        self.connect_timeout = self.connect_timeout.min(call);
    }

    pub(super) fn url(&self) -> &MySqlUrl {
        &self.url
    }

    /// A connection for one call: an idle one, or a new one to the first host that lets us in.
    pub(super) async fn take(&self, purpose: Purpose) -> Result<Lease<'_>, StoreError> {
        let permit = self.permit(purpose).await?;
        let lease = |session| Lease { pool: self, session: Some(session), _permit: permit };
        loop {
            // In a statement of its own: the lock must not be held over a wait.
            let idle = self.idle().pop();
            let Some(mut session) = idle else { break };
            let alive = session.idle_since.elapsed() < PING_AFTER
                || matches!(timeout(self.connect_timeout, session.conn.ping()).await, Ok(Ok(())));
            if alive {
                session.progress = Progress::Nothing;
                return Ok(lease(session));
            }
            // With its like: asking each in turn would take as many time limits.
            self.discard(session, Fate::Close);
        }
        Ok(lease(self.connect().await?))
    }

    /// A new connection to the host at that place in the URL, and to no other.
    pub(super) async fn take_from(&self, host: usize) -> Result<Lease<'_>, StoreError> {
        let permit = self.permit(Purpose::Read).await?;
        Ok(Lease { pool: self, session: Some(self.open(host).await?), _permit: permit })
    }

    async fn permit(&self, purpose: Purpose) -> Result<SemaphorePermit<'_>, StoreError> {
        let permits = match purpose {
            Purpose::Store => &self.stores,
            Purpose::Read => &self.reads,
            Purpose::Page => &self.pages,
        };
        let busy = || timed_out("every connection to the store is in use", Progress::Nothing).error;
        match timeout(self.call_timeout, permits.acquire()).await {
            Ok(permit) => permit.map_err(|_| busy()),
            Err(_) => Err(busy()),
        }
    }

    async fn open(&self, host: usize) -> Result<Session, StoreError> {
        match timeout(self.connect_timeout, open(self.options[host].clone(), host)).await {
            Ok(opened) => opened,
            Err(_) => Err(timed_out("no connection within the time limit", Progress::Nothing).error),
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Session>> {
        // Nothing that holds the lock can panic halfway through a change.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connect(&self) -> Result<Session, StoreError> {
        // Ordering: a hint where to begin; every answer is verified on the connection itself.
        let first = self.host.load(Ordering::Relaxed);
        let mut failures = Vec::new();
        for turn in 0..self.options.len() {
            let host = (first + turn) % self.options.len();
            match self.open(host).await {
                Ok(session) => {
                    self.host.store(host, Ordering::Relaxed);
                    let host = &self.url.hosts[host];
                    tracing::debug!(%host, "store connected");
                    if let Some(setting) = session.forgetful
                        && !self.warned.swap(true, Ordering::Relaxed)
                    {
                        tracing::warn!(%host, setting, "store forgets commits in a crash: the setting is not 1");
                    }
                    return Ok(session);
                }
                Err(error) => failures.push((host, error)),
            }
        }
        Err(self.none_of(failures))
    }

    /// One error for the failures at all hosts. One host that may come back outweighs those
    /// that must be mended.
    fn none_of(&self, failures: Vec<(usize, StoreError)>) -> StoreError {
        let mut words = Vec::with_capacity(failures.len());
        let mut mended = None;
        let mut waited = None;
        for (host, error) in failures {
            let (first, code, message) = match error {
                StoreError::Misconfigured { code, message } => (&mut mended, code, message),
                StoreError::Transient { code, message } | StoreError::Ambiguous { code, message } => {
                    (&mut waited, code, message)
                }
                StoreError::BadRow(bad) => (&mut waited, bad.code, bad.message),
            };
            first.get_or_insert(code);
            words.push(format!("{}: {message}", self.url.hosts[host]));
        }
        let message = words.join("; ");
        match (waited, mended) {
            (None, Some(code)) => StoreError::Misconfigured { code, message },
            (code, _) => StoreError::Transient { code: code.unwrap_or_else(|| "connect".to_owned()), message },
        }
    }

    fn put(&self, mut session: Session) {
        // Ordering: see `connect`.
        if session.host != self.host.load(Ordering::Relaxed) {
            return close(session);
        }
        session.idle_since = Instant::now();
        self.idle().push(session);
    }

    /// Closes a connection that cannot be trusted, with the idle ones to its host: what broke
    /// one of them broke most likely all.
    fn discard(&self, session: Session, fate: Fate) {
        let host = session.host;
        close(session);
        if fate == Fate::Leave && self.options.len() > 1 {
            let next = (host + 1) % self.options.len();
            // Ordering: see `connect`. Of several calls that leave a host, one moves on.
            if self.host.compare_exchange(host, next, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                let (from, to) = (&self.url.hosts[host], &self.url.hosts[next]);
                tracing::warn!(%from, %to, "store host cannot write: leaving it");
            }
        }
        let gone: Vec<_> = self.idle().extract_if(.., |idle| idle.host == host).collect();
        gone.into_iter().for_each(close);
    }
}

/// A connection lent to one call. Dropped before [`Lease::run`] ends (a call
/// that was given up), it is closed.
#[derive(Debug)]
pub(super) struct Lease<'a> {
    pool: &'a Pool,
    session: Option<Session>,
    _permit: SemaphorePermit<'a>,
}

impl Lease<'_> {
    /// Does `work` with the connection, within the time limit, and then gives the connection
    /// back or closes it, whichever the outcome asks for.
    pub(super) async fn run<T, W>(mut self, work: W) -> Result<T, StoreError>
    where
        W: for<'s> FnOnce(&'s mut Session) -> futures_util::future::BoxFuture<'s, Result<T, Verdict>>,
    {
        let session = self.session.as_mut().expect("a lease has its session until it ends");
        let outcome = match timeout(self.pool.call_timeout, work(session)).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let verdict = timed_out("no answer within the time limit", session.progress);
                Err(if is_planted(Bug::TrustStaleReply) { Verdict { fate: Fate::Keep, ..verdict } } else { verdict })
            }
        };
        let session = self.session.take().expect("a lease has its session until it ends");
        match outcome {
            Ok(done) => {
                self.pool.put(session);
                Ok(done)
            }
            Err(Verdict { error, fate: Fate::Keep }) => {
                self.pool.put(session);
                Err(error)
            }
            Err(Verdict { error, fate }) => {
                self.pool.discard(session, fate);
                Err(error)
            }
        }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            close(session);
        }
    }
}

/// Closes a connection in the background: the driver's own way waits for what is still to be
/// read, which a peer that fell silent never sends.
fn close(session: Session) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(async move {
            // Whether the goodbye arrives makes no difference.
            let _ = timeout(CLOSE_TIMEOUT, session.conn.disconnect()).await;
        });
    }
}
