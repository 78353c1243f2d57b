//! The log: to standard error, as text for people or as one JSON object a line.

use std::io::{self, IsTerminal as _};

use anyhow::Context as _;
use tracing_subscriber::{EnvFilter, fmt, util::SubscriberInitExt as _};

use super::text::is_colour_wanted;
use crate::config::{Log, LogFormat};

/// Sends the process's log to standard error from now on.
///
/// # Errors
/// Where the process has a log already.
pub(super) fn start(log: &Log) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&log.level).context("setting `log.level`")?;
    let lines = fmt().with_env_filter(filter).with_writer(io::stderr);
    let is_terminal = io::stderr().is_terminal();
    let started = match log.format {
        LogFormat::Json => lines.json().flatten_event(true).finish().try_init(),
        LogFormat::Text if is_terminal => {
            lines.with_ansi(is_colour_wanted()).with_target(false).compact().finish().try_init()
        }
        LogFormat::Text => lines.with_ansi(false).finish().try_init(),
    };
    started.context("the log cannot be started")
}
