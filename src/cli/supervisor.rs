//! What a service manager such as systemd is told: that the service is ready, reloads its settings, stops;
//! how it is; and, where it watches, that the service lives.
//!
//! A watched service (`WATCHDOG_USEC`) says that it lives only as long as its listener, every ingest thread and
//! every shard's worker answer. One that hangs is not heard of any more, and the manager starts it anew: what
//! was acknowledged as durable is in the journal.
//!
//! Without `NOTIFY_SOCKET` nobody is told, and no thread runs for it.

use std::{
    env, io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use sd_notify::NotifyState;

use crate::{http::Pulse, pipeline::Pipeline};

const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";
/// How often it is looked whether there is news of how the service is.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// So often the threads are asked before the manager loses patience. Each of two questions, and the pause
/// before them, takes one such part at most.
const PARTS: u32 = 4;

/// The service manager, if there is one.
#[derive(Clone, Debug, Default)]
pub(super) struct Supervisor {
    stopping: Arc<AtomicBool>,
}

impl Supervisor {
    /// Says that the service is ready, and how it is from now on.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub(super) fn start(address: String, pulse: Pulse, pipeline: Pipeline) -> io::Result<Self> {
        let supervisor = Self::default();
        if env::var_os(NOTIFY_SOCKET).is_none() {
            return Ok(supervisor);
        }
        let watch = Watch {
            patience: sd_notify::watchdog_enabled(),
            stopping: Arc::clone(&supervisor.stopping),
            address,
            pulse,
            pipeline,
        };
        tell(&[NotifyState::Ready, NotifyState::Status(&watch.status())]);
        thread::Builder::new().name("watchdog".to_owned()).spawn(move || watch.run())?;
        Ok(supervisor)
    }

    /// The settings are about to be read again.
    pub(super) fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(error) => tracing::warn!(%error, "there is no clock to tell the service manager the time by"),
        }
    }

    /// They were read; `outcome` is a sentence about it.
    pub(super) fn reloaded(&self, outcome: &str) {
        tell(&[NotifyState::Ready, NotifyState::Status(outcome)]);
    }

    /// The service stops. It has limits of its own for that, and says until its end that it lives.
    pub(super) fn stopping(&self) {
        // Ordering: a flag that stands by itself.
        self.stopping.store(true, Ordering::Relaxed);
        tell(&[NotifyState::Stopping, NotifyState::Status("stopping: what was accepted is stored")]);
    }
}

/// What is seen, and by whom.
struct Watch {
    /// How long the manager waits for a sign of life.
    patience: Option<Duration>,
    stopping: Arc<AtomicBool>,
    address: String,
    pulse: Pulse,
    pipeline: Pipeline,
}

impl Watch {
    /// Until the process ends.
    fn run(self) {
        let every = self.patience.map_or(LOOK_EVERY, |patience| (patience / PARTS).min(LOOK_EVERY));
        let (mut said, mut hangs) = (self.status(), None);
        loop {
            if self.patience.is_some() {
                let now = self.what_hangs(every);
                if now.is_none() {
                    tell(&[NotifyState::Watchdog]);
                }
                match (hangs, now) {
                    (None, Some(part)) => {
                        tracing::error!(part, "a part of the service hangs; the watchdog hears nothing")
                    }
                    (Some(part), None) => tracing::info!(part, "the part that hung answers again"),
                    _ => {}
                }
                hangs = now;
            }
            let status = self.status();
            if status != said && !self.is_stopping() {
                tell(&[NotifyState::Status(&status)]);
                said = status;
            }
            thread::sleep(every);
        }
    }

    /// What does not answer within `patience`; nothing once the service stops.
    fn what_hangs(&self, patience: Duration) -> Option<&'static str> {
        let hangs = if !self.pulse.answers(patience) {
            Some("the listener or an ingest thread")
        } else if !self.pipeline.workers_answer(patience) {
            Some("a shard's worker")
        } else {
            None
        };
        // It may have begun to stop meanwhile.
        hangs.filter(|_| !self.is_stopping())
    }

    fn is_stopping(&self) -> bool {
        // Ordering: a flag that stands by itself.
        self.stopping.load(Ordering::Relaxed)
    }

    fn status(&self) -> String {
        let store = self.pipeline.store_health().state;
        format!("serving on {}; the store is {store}", self.address)
    }
}

/// Tells the service manager, where there is one.
fn tell(news: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(news) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}
