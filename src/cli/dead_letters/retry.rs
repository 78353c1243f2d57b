//! `dead-letters retry`: the refused rows go to the store again, without the service.
//!
//! Storing is idempotent, so it may run beside the service, twice at once, or be ended at any
//! moment: at worst a row that is stored is not marked, and the next retry marks it.

use std::{iter, path::Path, process::ExitCode, sync::Arc};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::{Selection, counted, letter, nothing, read};
use crate::{
    cli::{
        store,
        storing::{Outcome, store_batch},
        text::tell,
    },
    config::Settings,
    event::Micros,
    storage::{
        BadRow, Batch, DeadLetters, Limits, Storage,
        dead_letters::{DeadLetter, Entry, History, Mark, Reason, Resolution},
    },
};

/// What became of the selected letters.
#[derive(Debug, Default, Serialize)]
struct Summary {
    /// Stored now, or by an earlier attempt.
    stored: usize,
    /// The store has the id from another acceptance of the event.
    already_there: usize,
    /// Refused once more.
    refused: usize,
    /// Without a row: the processor refused them.
    not_retried: usize,
    /// Left when the store could not go on.
    untried: usize,
}

/// Retries the selected letters; 1 where one of them is still refused.
pub(super) fn run(
    file: Option<&Path>,
    selection: &Selection,
    settings: &Settings,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let summary = Summary::default();
    let history = file.map(read).transpose()?;
    let (Some(file), Some(history)) = (file, history) else { return ended(&summary, as_json) };
    let selected = selection.of_history(&history)?;
    if selected.is_empty() {
        return ended(&summary, as_json);
    }
    let letters = DeadLetters::open(file).with_context(|| format!("cannot open {}", file.display()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let shown = &settings.store;
    let storage = store::open_existing(shown, &settings.data_dir)?;
    let limits = storage.limits();
    let bar = progress(selected.len());
    let mut retry = Retry { storage, letters: &letters, limits, bar, summary };
    let stopped = runtime.block_on(retry.all(&history, &selected));
    retry.bar.finish_and_clear();
    let Summary { stored, already_there, refused, not_retried, .. } = retry.summary;
    retry.summary.untried = selected.len().saturating_sub(stored + already_there + refused + not_retried);
    let code = ended(&retry.summary, as_json)?;
    stopped.with_context(|| format!("cannot store in {shown}"))?;
    Ok(code)
}

fn ended(summary: &Summary, as_json: bool) -> anyhow::Result<ExitCode> {
    let Summary { stored, already_there, refused, not_retried, untried } = summary;
    if as_json {
        tell(&serde_json::to_string(summary)?)?;
    } else if stored + already_there + refused + not_retried + untried == 0 {
        return nothing();
    } else {
        tell(&format!(
            "stored {stored}, already there {already_there}, refused again {refused}, not retried {not_retried}, \
             untried {untried}"
        ))?;
        if *not_retried > 0 {
            let count = counted(*not_retried);
            tell(&format!(
                "{count} cannot be retried, for the processor made no row: export, and send the events again"
            ))?;
        }
    }
    Ok(if *refused > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// A bar on standard error, where that is a terminal.
fn progress(letters: usize) -> ProgressBar {
    let bar = ProgressBar::new(letters as u64);
    match ProgressStyle::with_template("{bar:40} {pos}/{len} dead letters, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

struct Retry<'a> {
    storage: Arc<dyn Storage>,
    letters: &'a DeadLetters,
    limits: Limits,
    bar: ProgressBar,
    summary: Summary,
}

impl Retry<'_> {
    /// Until all were tried, or the store cannot go on.
    async fn all(&mut self, history: &History, selected: &[Entry]) -> anyhow::Result<()> {
        self.storage.migrate().await?;
        let (mut letters, mut batch) = (Vec::new(), Batch::default());
        for entry in selected {
            let Some(letter) = letter(history, entry)? else { continue };
            let Some(row) = letter.row() else {
                self.summary.not_retried += 1;
                self.bar.inc(1);
                continue;
            };
            let is_full = batch.len() >= self.limits.rows_max
                || (!batch.is_empty() && batch.bytes() + row.processed_data.len() > self.limits.bytes_max);
            if is_full {
                self.store(std::mem::take(&mut letters), std::mem::take(&mut batch)).await?;
            }
            batch.push(&row);
            letters.push(letter);
        }
        self.store(letters, batch).await
    }

    /// Stores a batch, and appends what became of its letters, also where the store stopped half-way.
    async fn store(&mut self, letters: Vec<DeadLetter>, batch: Batch) -> anyhow::Result<()> {
        let mut outcomes: Vec<_> = iter::repeat_with(|| None).take(letters.len()).collect();
        let stopped = store_batch(self.storage.as_ref(), &Arc::new(batch), &mut outcomes).await;
        let now = Micros::now();
        let (mut marks, mut refused) = (Vec::new(), Vec::new());
        for (letter, outcome) in letters.into_iter().zip(outcomes) {
            let Some(outcome) = outcome else { continue };
            self.bar.inc(1);
            match outcome {
                Outcome::Refused(bad) => {
                    self.summary.refused += 1;
                    refused.push(refused_again(letter, bad, now));
                    continue;
                }
                Outcome::Stored => self.summary.stored += 1,
                Outcome::AlreadyThere => self.summary.already_there += 1,
            }
            marks.push(Mark { receipt: letter.receipt, how: Resolution::Retried, at: now });
        }
        self.letters
            .resolve(&marks)
            .and_then(|()| self.letters.append(&refused))
            .with_context(|| format!("cannot write to {}", self.letters.path().display()))?;
        Ok(stopped?)
    }
}

fn refused_again(letter: DeadLetter, bad: BadRow, now: Micros) -> DeadLetter {
    let attempts = letter.attempts.saturating_add(1);
    DeadLetter { reason: Reason::StoreRefused, code: bad.code, detail: bad.message, attempts, failed_at: now, ..letter }
}
