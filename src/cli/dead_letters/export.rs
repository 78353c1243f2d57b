//! `dead-letters export`: the events as their clients sent them, ready to be sent again.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    process::ExitCode,
};

use anyhow::Context as _;

use super::{Selection, counted, letter, read};
use crate::{
    cli::text::tell,
    http,
    storage::dead_letters::{Entry, History},
};

const BODY_BEGIN: &str = "{\"events\":[";
const BODY_END: &str = "]}\n";

/// Writes the selected events, each line a body that the service takes at these settings.
pub(super) fn run(
    file: Option<&Path>,
    selection: &Selection,
    limits: &http::Options,
    output: Option<&Path>,
) -> anyhow::Result<ExitCode> {
    let history = file.map(read).transpose()?;
    let selected = history.as_ref().map_or(Ok(Vec::new()), |history| selection.of_history(history))?;
    let (Some(history), false) = (history, selected.is_empty()) else {
        // Not on standard output, where the events would go.
        tracing::info!("nothing to do: no such dead letter is open");
        return Ok(ExitCode::SUCCESS);
    };
    let Some(output) = output else {
        let mut out = io::BufWriter::new(io::stdout().lock());
        write(&mut out, &history, &selected, limits)?;
        out.flush().context("cannot write to standard output")?;
        return Ok(ExitCode::SUCCESS);
    };
    let failed = || format!("cannot write the new file {}", output.display());
    // What is in it is users' data.
    let new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(output).with_context(failed)?;
    let mut out = io::BufWriter::new(&new);
    let events = write(&mut out, &history, &selected, limits).with_context(failed)?;
    out.flush().and_then(|()| new.sync_all()).with_context(failed)?;
    tell(&format!("wrote the events of {} to {}", counted(events), output.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// How many events were written.
fn write(out: &mut impl Write, history: &History, selected: &[Entry], limits: &http::Options) -> anyhow::Result<usize> {
    let (mut written, mut in_body, mut body) = (0, 0, String::from(BODY_BEGIN));
    for entry in selected {
        let Some(letter) = letter(history, entry)? else { continue };
        let event = serde_json::to_string(&letter.to_post())?;
        let bytes = body.len() + event.len() + BODY_END.len();
        if in_body > 0 && (in_body >= limits.max_batch_events || bytes >= limits.max_body_bytes) {
            out.write_all(body.as_bytes()).and_then(|()| out.write_all(BODY_END.as_bytes()))?;
            body.truncate(BODY_BEGIN.len());
            in_body = 0;
        }
        if in_body > 0 {
            body.push(',');
        }
        body.push_str(&event);
        in_body += 1;
        written += 1;
    }
    if in_body > 0 {
        out.write_all(body.as_bytes()).and_then(|()| out.write_all(BODY_END.as_bytes()))?;
    }
    Ok(written)
}
