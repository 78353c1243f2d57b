//! `dead-letters list`: a table for people, or JSON lines.

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::Context as _;
use serde::Serialize;

use super::{Selection, counted, letter, read};
use crate::{
    cli::text::{printable, tell},
    event::Civil,
    storage::dead_letters::{DeadLetter, Entry},
};

/// Longest `user_id` and detail that a table shows, in characters.
const USER_CHARS: usize = 20;
const DETAIL_CHARS: usize = 80;

/// A dead letter as JSON: as it stands in the file, and what became of it.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    letter: &'a DeadLetter,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    resolved_at: Option<String>,
}

/// Shows the selected letters, of a `limit` the newest ones, the newest at the end.
pub(super) fn run(
    file: Option<&Path>,
    selection: &Selection,
    limit: Option<usize>,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let history = file.map(read).transpose()?;
    let mut selected = match &history {
        Some(history) => selection.of_history(history)?,
        None => Vec::new(),
    };
    let found = selected.len();
    selected.drain(..found.saturating_sub(limit.unwrap_or(usize::MAX)));
    let (Some(history), false) = (&history, selected.is_empty()) else {
        if !as_json && found == 0 {
            tell("there are no dead letters")?;
        }
        return Ok(ExitCode::SUCCESS);
    };
    let mut out = io::BufWriter::new(io::stdout().lock());
    if !as_json {
        header(&mut out)?;
    }
    for entry in &selected {
        let Some(letter) = letter(history, entry)? else { continue };
        match as_json {
            true => json(&mut out, entry, &letter),
            false => row(&mut out, entry, &letter),
        }
        .context("cannot write to standard output")?;
    }
    out.flush().context("cannot write to standard output")?;
    drop(out);
    if !as_json && selected.len() < found {
        tell(&format!("the newest {} of {}", selected.len(), counted(found)))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn state(entry: &Entry) -> &'static str {
    entry.resolved().map_or("open", |mark| mark.how.as_str())
}

fn json(out: &mut impl Write, entry: &Entry, letter: &DeadLetter) -> io::Result<()> {
    let resolved_at = entry.resolved().map(|mark| mark.at.to_string());
    serde_json::to_writer(&mut *out, &Shown { letter, state: state(entry), resolved_at })?;
    out.write_all(b"\n")
}

fn header(out: &mut impl Write) -> anyhow::Result<()> {
    columns(out, ["FAILED AT (UTC)", "ID", "STATE", "REASON", "CODE", "TYPE", "USER", "DETAIL"])
        .context("cannot write to standard output")
}

fn row(out: &mut impl Write, entry: &Entry, letter: &DeadLetter) -> io::Result<()> {
    columns(
        out,
        [
            &Civil::from_seconds(letter.failed_at.seconds()).to_string(),
            &letter.id.to_string(),
            state(entry),
            letter.reason.as_str(),
            &printable(&letter.code, USER_CHARS),
            letter.event.kind.as_str(),
            &printable(letter.event.user_id.as_deref().unwrap_or("-"), USER_CHARS),
            &printable(&letter.detail, DETAIL_CHARS),
        ],
    )
}

fn columns(out: &mut impl Write, texts: [&str; 8]) -> io::Result<()> {
    let [failed_at, id, state, reason, code, kind, user, detail] = texts;
    writeln!(out, "{failed_at:19}  {id:36}  {state:9}  {reason:17}  {code:17}  {kind:11}  {user:20}  {detail}")
}
