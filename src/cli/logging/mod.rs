//! The log: to standard error, as text for people or as one JSON object a line. Both how and how much can
//! change while it is written to.
//!
//! Kinds of lines that clients can provoke are bounded ([`Limit`]); panics are lines like others.

use std::{
    io::{self, IsTerminal as _},
    thread,
};

use anyhow::Context as _;
use tracing_subscriber::{
    EnvFilter, Layer, Registry, fmt,
    layer::{Layered, SubscriberExt as _},
    reload,
    util::SubscriberInitExt as _,
};

mod limit;
mod panics;

use self::limit::{Limit, WINDOW};
use super::text::is_colour_wanted;
use crate::config::{Log, LogFormat};

type Filtered = Layered<reload::Layer<EnvFilter, Registry>, Registry>;
type Lines = Box<dyn Layer<Filtered> + Send + Sync>;

/// The process's log.
pub(super) struct Logging {
    filter: reload::Handle<EnvFilter, Registry>,
    lines: reload::Handle<Lines, Filtered>,
    limit: Limit,
}

/// Sends the process's log to standard error from now on, panics too.
///
/// # Errors
/// Where the process has a log already.
pub(super) fn start(log: &Log) -> anyhow::Result<Logging> {
    let (layers, logging) = build(log)?;
    layers.try_init().context("the log cannot be started")?;
    panics::log_them();
    Ok(logging)
}

type Layers = Layered<Limit, Layered<reload::Layer<Lines, Filtered>, Filtered>>;

fn build(log: &Log) -> anyhow::Result<(Layers, Logging)> {
    let (filter, filter_handle) = reload::Layer::new(filter(log)?);
    let (lines, lines_handle) = reload::Layer::new(lines(log));
    let limit = Limit::default();
    // The limit is asked first, and holds nothing while it asks the others.
    let layers = tracing_subscriber::registry().with(filter).with(lines).with(limit.clone());
    Ok((layers, Logging { filter: filter_handle, lines: lines_handle, limit }))
}

impl Logging {
    /// Writes as `log` says from now on.
    ///
    /// # Errors
    /// Where its level is none; then nothing has changed.
    pub(super) fn change(&self, log: &Log) -> anyhow::Result<()> {
        self.filter.reload(filter(log)?).context("setting `log.level`")?;
        self.lines.reload(lines(log)).context("setting `log.format`")
    }

    /// Says from now on, after each of the limit's windows, how many lines were left out in it.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub(super) fn watch_limit(&self) -> io::Result<()> {
        let limit = self.limit.clone();
        thread::Builder::new().name("log".to_owned()).spawn(move || {
            loop {
                thread::sleep(WINDOW);
                limit.end_window();
            }
        })?;
        Ok(())
    }

    /// Says how many lines were left out since it was last said.
    pub(super) fn end_window(&self) {
        self.limit.end_window();
    }
}

fn filter(log: &Log) -> anyhow::Result<EnvFilter> {
    EnvFilter::try_new(&log.level).context("setting `log.level`")
}

fn lines(log: &Log) -> Lines {
    let lines = fmt::layer().with_writer(io::stderr);
    let is_terminal = io::stderr().is_terminal();
    match log.format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Text if is_terminal => lines.with_ansi(is_colour_wanted()).with_target(false).compact().boxed(),
        LogFormat::Text => lines.with_ansi(false).boxed(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use tracing::{Subscriber as _, level_filters::LevelFilter};

    use super::*;

    /// A filter that is changed has all places in the code judged anew, by the log of the thread that changes it:
    /// tests that have logs of their own take turns.
    pub(super) fn turn() -> MutexGuard<'static, ()> {
        static TURN: Mutex<()> = Mutex::new(());
        TURN.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[test]
    fn what_is_below_the_level_is_known_without_asking() {
        let _turn = turn();
        let log = |level: &str| Log { level: level.to_owned(), format: LogFormat::Text };
        let (layers, logging) = build(&log("info")).unwrap();
        assert_eq!(layers.max_level_hint(), Some(LevelFilter::INFO));
        logging.change(&log("warn,event_pipeline::http=debug")).unwrap();
        assert_eq!(layers.max_level_hint(), Some(LevelFilter::DEBUG));
        logging.change(&log("error")).unwrap();
        assert_eq!(layers.max_level_hint(), Some(LevelFilter::ERROR));
        assert!(logging.change(&log("info,=")).is_err());
        assert_eq!(layers.max_level_hint(), Some(LevelFilter::ERROR), "nothing has changed");
    }
}
