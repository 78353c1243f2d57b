//! Panics, written to the log as its other lines are: with the place, and the trace where one was asked for
//! (`RUST_BACKTRACE=1`).

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    panic::{self, PanicHookInfo},
    thread,
};

/// Logs every panic from now on.
pub(super) fn log_them() {
    panic::set_hook(Box::new(log));
}

fn log(panic: &PanicHookInfo<'_>) {
    let thread = thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let location = panic.location().map(ToString::to_string);
    let text = panic.payload_as_str().unwrap_or("not a text");
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    // A handler's panic is one that a client may provoke again and again: those lines are bounded.
    if thread.starts_with("ingest-") {
        tracing::error!(target: "event_pipeline::http", thread, panic = text, location = location.as_deref(), backtrace = backtrace.as_deref(), "a panic");
    } else {
        tracing::error!(
            thread,
            panic = text,
            location = location.as_deref(),
            backtrace = backtrace.as_deref(),
            "a panic"
        );
    }
}
