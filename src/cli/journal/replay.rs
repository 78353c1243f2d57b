//! `journal replay`: what the journal still has of a range of time goes to the store once more, without
//! the service.
//!
//! Rows are made as the service makes them, and storing is idempotent: it may run beside the service,
//! twice, or be ended at any moment. Memory holds one batch.

use std::{iter, process::ExitCode, sync::Arc};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tokio::runtime::Runtime;
use uuid::Uuid;

use super::{counted, inspect::warn};
use crate::{
    cli::{
        store,
        storing::{Outcome, patiently, store_batch},
        text::{printable, tell},
    },
    config::Settings,
    event::Micros,
    journal::{Record, View},
    pipeline::{StandardProcessor, add_row},
    storage::{Batch, Limits, Storage},
};

/// How many refused events are named.
const REFUSED_NAMED_MAX: usize = 1000;
/// Longest message of a store that is shown, in characters.
const MESSAGE_CHARS: usize = 200;

/// When the events were received that are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) since: Option<Micros>,
    pub(super) until: Option<Micros>,
}

impl Range {
    /// Whether no time lies in it.
    pub(super) fn is_empty(self) -> bool {
        matches!((self.since, self.until), (Some(since), Some(until)) if since >= until)
    }

    fn has(self, time: Micros) -> bool {
        self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time < until)
    }
}

/// What became of the records of the range.
#[derive(Debug, Default, Serialize)]
struct Summary {
    /// How many there are.
    read: u64,
    /// The store lacked them; in a dry run it lacks them still.
    stored_anew: u64,
    already_there: u64,
    refused: u64,
    /// Left when the store could not go on.
    untried: u64,
    dry_run: bool,
    /// Places in the journal that cannot be read.
    damaged: u64,
    /// Those that were refused, the first ones of very many.
    refused_events: Vec<Refused>,
}

#[derive(Debug, Serialize)]
struct Refused {
    id: Uuid,
    code: String,
    detail: String,
}

/// Replays the range; 1 where the store refused some of it.
pub(super) fn run(
    view: &View,
    range: Range,
    settings: &Settings,
    dry_run: bool,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let shown = &settings.store;
    let storage = store::open_existing(shown, &settings.data_dir)?;
    let failed = || format!("cannot store in {shown}");
    if !dry_run {
        runtime.block_on(storage.migrate()).with_context(failed)?;
    }
    let summary = Summary { dry_run, ..Summary::default() };
    let limits = storage.limits();
    let mut replay = Replay { runtime, storage, limits, bar: progress(view.bytes()), batch: Batch::default(), summary };
    let passed = view.records(None, |record| {
        replay.bar.inc(record.bytes as u64);
        if range.has(record.event.received) { replay.add(record) } else { Ok(()) }
    });
    let ended = passed.and_then(|passed| replay.store().map(|()| passed));
    replay.bar.finish_and_clear();
    let mut summary = replay.summary;
    let Summary { read, stored_anew, already_there, refused, .. } = summary;
    summary.untried = read.saturating_sub(stored_anew + already_there + refused);
    if let Ok(passed) = &ended {
        summary.damaged = passed.damaged;
        warn(passed);
    }
    let code = tell_all(&summary, as_json)?;
    ended.with_context(failed)?;
    Ok(code)
}

fn tell_all(summary: &Summary, as_json: bool) -> anyhow::Result<ExitCode> {
    let Summary { read, stored_anew, already_there, refused, untried, .. } = summary;
    if as_json {
        tell(&serde_json::to_string(summary)?)?;
    } else {
        for Refused { id, code, detail } in &summary.refused_events {
            tell(&format!("refused {id} ({code}): {}", printable(detail, MESSAGE_CHARS)))?;
        }
        let unnamed = refused - summary.refused_events.len() as u64;
        if unnamed > 0 {
            tell(&format!("refused {unnamed} more"))?;
        }
        let read = counted(*read, "event");
        tell(&match summary.dry_run {
            true => format!("read {read}: missing {stored_anew}, already there {already_there}; nothing was stored"),
            false => format!(
                "read {read}: stored anew {stored_anew}, already there {already_there}, refused {refused}, untried {untried}"
            ),
        })?;
    }
    Ok(if *refused > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// A bar on standard error, where that is a terminal.
fn progress(bytes: u64) -> ProgressBar {
    let bar = ProgressBar::new(bytes);
    match ProgressStyle::with_template("{bar:40} {binary_bytes}/{binary_total_bytes} of the journal, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

struct Replay {
    runtime: Runtime,
    storage: Arc<dyn Storage>,
    limits: Limits,
    bar: ProgressBar,
    batch: Batch,
    summary: Summary,
}

impl Replay {
    fn add(&mut self, record: &Record<'_>) -> anyhow::Result<()> {
        let is_full = self.batch.len() >= self.limits.rows_max
            || (!self.batch.is_empty() && self.batch.bytes() + record.bytes > self.limits.bytes_max);
        if is_full {
            self.store()?;
        }
        self.summary.read += 1;
        if let Err(error) = add_row(&mut self.batch, &record.event, &StandardProcessor, Micros::now()) {
            self.refuse(record.event.id, "processing_failed".to_owned(), error.reason);
        }
        Ok(())
    }

    /// Stores the batch, and counts what became of its rows, also where the store stopped half-way.
    fn store(&mut self) -> anyhow::Result<()> {
        let batch = Arc::new(std::mem::take(&mut self.batch));
        let (storage, runtime) = (self.storage.as_ref(), &self.runtime);
        // Only what was there before tells what is new: an own row that is there is no duplicate.
        let was_there = runtime.block_on(were_there(storage, &batch))?;
        if self.summary.dry_run {
            let there = was_there.iter().filter(|was_there| **was_there).count() as u64;
            self.summary.already_there += there;
            self.summary.stored_anew += batch.len() as u64 - there;
            return Ok(());
        }
        let mut outcomes: Vec<_> = iter::repeat_with(|| None).take(batch.len()).collect();
        let stopped = runtime.block_on(store_batch(storage, &batch, &mut outcomes));
        for ((outcome, was_there), row) in outcomes.into_iter().zip(was_there).zip(batch.rows()) {
            match outcome {
                Some(Outcome::Stored) if !was_there => self.summary.stored_anew += 1,
                Some(Outcome::Stored | Outcome::AlreadyThere) => self.summary.already_there += 1,
                Some(Outcome::Refused(bad)) => self.refuse(row.id, bad.code, bad.message),
                None => {}
            }
        }
        Ok(stopped?)
    }

    fn refuse(&mut self, id: Uuid, code: String, detail: String) {
        self.summary.refused += 1;
        if self.summary.refused_events.len() < REFUSED_NAMED_MAX {
            self.summary.refused_events.push(Refused { id, code, detail });
        }
    }
}

/// For each row, whether the store has its id.
async fn were_there(storage: &dyn Storage, batch: &Batch) -> anyhow::Result<Vec<bool>> {
    let mut were_there = Vec::with_capacity(batch.len());
    for row in batch.rows() {
        were_there.push(patiently(async || storage.fetch(row.id).await).await?.is_some());
    }
    Ok(were_there)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_begins_with_since_and_ends_before_until() {
        let range = |since, until| Range { since, until };
        let (two, four) = (Some(Micros(2)), Some(Micros(4)));
        let within: Vec<i64> = (0..6).filter(|time| range(two, four).has(Micros(*time))).collect();
        assert_eq!(within, [2, 3]);
        assert!(
            range(None, None).has(Micros(0)) && !range(None, two).has(Micros(2)) && range(two, None).has(Micros(2))
        );
        assert!(range(two, two).is_empty() && range(four, two).is_empty() && !range(two, four).is_empty());
    }
}
