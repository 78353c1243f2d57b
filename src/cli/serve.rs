//! `event-pipeline serve`: everything put together, changed while it runs, and taken apart again in order.

use std::{
    net::{SocketAddr, TcpListener},
    ops::RangeInclusive,
    process::ExitCode,
    sync::mpsc,
    thread,
    time::Instant,
};

use anyhow::Context as _;
use clap::Command;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::signal::unix::{SignalKind, signal};

use super::{
    help,
    logging::Logging,
    reload::{self, Service},
    store,
    supervisor::Supervisor,
};
use crate::{
    config::{DataDir, Settings, Shutdown, Source},
    http::Server,
    pipeline::Pipeline,
    storage::Target,
};

/// The command's name.
pub(super) const NAME: &str = "serve";

const HELP: &str = "SIGTERM and Ctrl-C end it: it stops being ready, finishes requests, and stores what was accepted, \
within `shutdown.grace`. What is not stored by then is in the journal, for the next start. A second signal ends it at \
once.";
const EXAMPLES: &[&str] = &[
    "event-pipeline serve",
    "event-pipeline serve --data_dir /var/lib/event-pipeline --log.format json",
    "event-pipeline serve --config settings.toml --store sqlite:/srv/events.db",
];

/// Connections that the system accepts before we do.
const LISTEN_BACKLOG: i32 = 4096;
/// Batches in flight to MySQL, at least and at most: more connections only wait for each other's locks.
const MYSQL_CONNECTIONS: RangeInclusive<usize> = 2..=4;
/// The longest that requests may hold up the drain, as a part of the grace: what waits for the
/// store must not use up the time that storing needs.
const REQUESTS_PART: u32 = 2;

/// The command.
pub(super) fn command() -> Command {
    help::with(Command::new(NAME).about("Runs the service; so does no command at all"), HELP, EXAMPLES)
}

/// What a signal asks for.
enum Asked {
    Reload,
    /// By the signal of this name.
    Stop(&'static str),
}

/// Serves until a signal ends it. `settings` were read from `source`.
///
/// # Errors
/// Where something it needs cannot be had: the data directory, the store's file, the address.
pub(super) fn run(mut settings: Settings, source: &Source, log: &Logging) -> anyhow::Result<ExitCode> {
    log.watch_limit()?;
    raise_file_limit();
    let data_dir = DataDir::open(&settings.data_dir)?;
    let signals = watch_signals()?;
    let shown = settings.store.to_string();
    if matches!(settings.store, Target::Discard) {
        tracing::warn!("the store is `discard`: events are counted and dropped; this is for benchmarks");
    }
    let storage = store::open(
        &settings.store,
        data_dir.path(),
        mysql_connections(&settings.store, settings.pipeline.shard_count()),
    )?;
    let listener = listen(settings.listen).with_context(|| {
        format!("cannot listen on {}; is another service on that port? (setting `listen`)", settings.listen)
    })?;
    let pipeline = Pipeline::builder(storage, data_dir.path())
        .options(settings.pipeline)
        .identity(data_dir.identity())
        .store_name(&shown)
        .start()?;
    let server =
        Server::start(listener, pipeline.clone(), settings.http.clone()).context("the HTTP server cannot start")?;
    tracing::info!(
        address = %server.address(),
        store = shown,
        shards = pipeline.workers().1,
        ack = %settings.pipeline.ack,
        data_dir = %data_dir.path().display(),
        version = env!("CARGO_PKG_VERSION"),
        "listening"
    );
    let supervisor = Supervisor::start(server.address().to_string(), server.pulse(), pipeline.clone())?;
    let signal = loop {
        match signals.recv().context("signals cannot be waited for")? {
            Asked::Reload => {
                supervisor.reloading();
                let service = Service { server: &server, pipeline: &pipeline, log };
                supervisor.reloaded(&reload::reload(&mut settings, source, &service));
            }
            Asked::Stop(signal) => break signal,
        }
    };
    supervisor.stopping();
    let code = shut_down(server, &pipeline, settings.shutdown, signal);
    log.end_window();
    Ok(code)
}

/// One for each shard where the database has the same cores as we, and two where the network's delay is to be
/// bridged (docs/PERFORMANCE.md has the measurements).
fn mysql_connections(store: &Target, shards: usize) -> usize {
    let a_shard = match store {
        Target::MySql(url) if url.is_local() => 1,
        _ => 2,
    };
    (a_shard * shards).clamp(*MYSQL_CONNECTIONS.start(), *MYSQL_CONNECTIONS.end())
}

/// Connections and segments are open files: as many as the system allows, not as few as it suggests.
pub(super) fn raise_file_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::debug!(%error, current, "the limit of open files cannot be raised");
    }
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = bind(address)?;
    socket.listen(LISTEN_BACKLOG)?;
    Ok(socket.into())
}

/// A socket with that address, which nobody can connect to yet.
pub(super) fn bind(address: SocketAddr) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for the old connections' last packets to be forgotten.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Not ready ▸ stop accepting ▸ finish requests ▸ drain to the store, all within the grace.
fn shut_down(server: Server, pipeline: &Pipeline, shutdown: Shutdown, signal: &str) -> ExitCode {
    tracing::info!(signal, depth = pipeline.metrics().current_queue_depth, "shutting down");
    server.begin_draining();
    thread::sleep(shutdown.drain_delay);
    let since = Instant::now();
    server.stop(shutdown.grace / REQUESTS_PART);
    let drained = pipeline.drain(shutdown.grace.saturating_sub(since.elapsed()));
    let counts = pipeline.metrics();
    if !drained.journaled {
        tracing::error!(
            unstored = drained.unstored,
            "the journal did not take everything within the grace; what was only queued may be lost (setting \
             `shutdown.grace`)"
        );
        return ExitCode::FAILURE;
    }
    let after_s = since.elapsed().as_secs_f64();
    let (events_processed, events_failed) = (counts.events_processed, counts.events_failed);
    if drained.unstored > 0 {
        let unstored = drained.unstored;
        tracing::info!(
            events_processed,
            events_failed,
            unstored,
            after_s,
            "stopped; the journal has what is not stored, and the next start stores it"
        );
    } else {
        tracing::info!(events_processed, events_failed, after_s, "stopped; everything accepted is stored");
    }
    ExitCode::SUCCESS
}

/// Tells of every SIGHUP, and of the first SIGTERM or SIGINT; a second one ends the process at once.
fn watch_signals() -> anyhow::Result<mpsc::Receiver<Asked>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (sender, receiver) = mpsc::channel();
    let (mut terminate, mut interrupt, mut hang_up) = {
        let _entered = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?)
    };
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            let mut seen = 0;
            loop {
                let name = tokio::select! {
                    Some(()) = terminate.recv() => "SIGTERM",
                    Some(()) = interrupt.recv() => "SIGINT",
                    Some(()) = hang_up.recv() => {
                        if seen > 0 {
                            tracing::warn!("SIGHUP changes nothing any more: the service stops");
                        }
                        // As below.
                        let _ = sender.send(Asked::Reload);
                        continue;
                    }
                    else => return,
                };
                seen += 1;
                if seen > 1 {
                    tracing::warn!(signal = name, "a second signal: ending at once");
                    end_at_once();
                }
                // The receiver is gone only when the process is about to end.
                let _ = sender.send(Asked::Stop(name));
            }
        });
    })?;
    Ok(receiver)
}

#[expect(clippy::exit, reason = "a second signal asks for just that")]
fn end_at_once() -> ! {
    std::process::exit(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_database_has_one_connection_a_shard_and_a_remote_one_has_two() {
        let connections = |host: &str| {
            let store: Target = format!("mysql://u:p@{host}/db").parse().unwrap();
            [1, 2, 3, 16].map(|shards| mysql_connections(&store, shards))
        };
        assert_eq!(connections("127.0.0.1"), [2, 2, 3, 4]);
        assert_eq!(connections("db.example"), [2, 4, 4, 4]);
    }
}
