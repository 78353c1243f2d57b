//! `event-pipeline dead-letters …`: what was refused for good, shown, stored after all, or given up.
//!
//! The file is read and appended to beside a running service, whose lock on the data directory is
//! left alone.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command, value_parser};
use uuid::Uuid;

mod export;
mod list;
mod retry;

use crate::{
    cli::{
        help,
        text::{tell, unless_reader_left},
    },
    config::Settings,
    event::Micros,
    storage::{
        DeadLetters,
        dead_letters::{self, DeadLetter, Entry, History, Mark, Resolution},
    },
};

/// The command's name.
pub(super) const NAME: &str = "dead-letters";

const ALL: &str = "all";
const CODE: &str = "code";
const ID: &str = "id";
const JSON: &str = "json";
const LIMIT: &str = "limit";
const OUTPUT: &str = "output";
const YES: &str = "yes";

const LIST_EXAMPLES: &[&str] = &[
    "event-pipeline dead-letters list",
    "event-pipeline dead-letters list --code 1406 --limit 20 --json | jq .detail",
];
const EXPORT_EXAMPLES: &[&str] = &[
    "event-pipeline dead-letters export --output refused.jsonl",
    "event-pipeline dead-letters export --id 0199d1c4-7afe-726c-9c63-240a6e206a82",
];
const RETRY_HELP: &str = "It stores by itself, beside a running service too, whose counters do not move. A row that \
the store refuses again stays open.";
const RETRY_EXAMPLES: &[&str] =
    &["event-pipeline dead-letters retry --all", "event-pipeline dead-letters retry --code 1406 --json"];
const DISCARD_EXAMPLES: &[&str] = &[
    "event-pipeline dead-letters discard --id 0199d1c4-7afe-726c-9c63-240a6e206a82",
    "event-pipeline dead-letters discard --code processing_failed --yes",
];

/// Marks that are appended with one write.
const MARKS_AT_ONCE: usize = 4096;

/// The command and its own commands.
pub(super) fn command() -> Command {
    let flag = |name, help| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    let ids = Arg::new(ID)
        .long(ID)
        .value_name("UUID")
        .action(ArgAction::Append)
        .value_parser(value_parser!(Uuid))
        .help("Only the event of this id; may be given several times");
    let code = Arg::new(CODE).long(CODE).value_name("CODE").help("Only those that were refused with this code");
    let which = ArgGroup::new("which").args([ID, CODE, ALL]).multiple(true).required(true);
    let all = flag(ALL, "All that are open").conflicts_with_all([ID, CODE]);
    let json = flag(JSON, "Prints JSON instead of text");
    let limit = Arg::new(LIMIT)
        .long(LIMIT)
        .value_name("N")
        .value_parser(value_parser!(usize))
        .help("At most so many, the newest ones");
    let output = Arg::new(OUTPUT)
        .long(OUTPUT)
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("Writes to this new file instead of standard output");
    let yes = flag(YES, "Confirms it; needed unless single ids are named").required_unless_present(ID);
    let list = Command::new("list").about("Shows the open dead letters").args([
        flag(ALL, "Those that are resolved, too"),
        limit,
        ids.clone(),
        code.clone(),
        json.clone(),
    ]);
    let export = Command::new("export")
        .about("Writes the events as they were sent: each line is a body for POST /events/batch")
        .args([output, ids.clone(), code.clone()]);
    let retry = Command::new("retry")
        .about("Stores the refused rows, and resolves those that the store takes now")
        .args([all.clone(), ids.clone(), code.clone(), json])
        .group(which.clone());
    let discard = Command::new("discard")
        .about("Resolves dead letters without storing them")
        .args([all, ids, code, yes])
        .group(which);
    let command = Command::new(NAME)
        .about("Shows, stores after all, or gives up the events that were refused for good")
        .subcommand_required(true)
        .subcommand(help::with(list, "", LIST_EXAMPLES))
        .subcommand(help::with(export, "", EXPORT_EXAMPLES))
        .subcommand(help::with(retry, RETRY_HELP, RETRY_EXAMPLES))
        .subcommand(help::with(discard, "", DISCARD_EXAMPLES));
    help::with(command, "", &[LIST_EXAMPLES[0], RETRY_EXAMPLES[0]])
}

/// Runs one of its commands.
///
/// # Errors
/// Where the data directory is missing, or a file or the store cannot be used.
pub(super) fn run(settings: &Settings, given: &ArgMatches) -> anyhow::Result<ExitCode> {
    let Some((name, given)) = given.subcommand() else { bail!("no command of `{NAME}` was given") };
    let selection = Selection::of(name, given);
    let file = file(&settings.data_dir)?;
    let file = file.as_deref();
    let ended = match name {
        "list" => list::run(file, &selection, given.get_one(LIMIT).copied(), given.get_flag(JSON)),
        "export" => export::run(file, &selection, &settings.http, given.get_one(OUTPUT).map(PathBuf::as_path)),
        "retry" => retry::run(file, &selection, settings, given.get_flag(JSON)),
        _ => discard(file, &selection),
    };
    unless_reader_left(ended)
}

/// The file of dead letters, `None` where there never was one.
fn file(data_dir: &Path) -> anyhow::Result<Option<PathBuf>> {
    if !data_dir.is_dir() {
        bail!("there is no data directory {}; name the service's one (setting `data_dir`)", data_dir.display());
    }
    let path = data_dir.join(dead_letters::FILE);
    let is_there = path.try_exists().with_context(|| format!("cannot look for {}", path.display()))?;
    Ok(is_there.then_some(path))
}

fn read(file: &Path) -> anyhow::Result<History> {
    let history = History::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    if history.unreadable_lines() > 0 {
        let lines = history.unreadable_lines();
        tracing::warn!(file = %file.display(), lines, "lines that cannot be read are skipped");
    }
    Ok(history)
}

/// Which dead letters a command is about.
#[derive(Debug, Default)]
struct Selection {
    /// Empty for any.
    ids: HashSet<Uuid>,
    code: Option<String>,
    with_resolved: bool,
}

impl Selection {
    fn of(name: &str, given: &ArgMatches) -> Self {
        Self {
            ids: given.get_many(ID).into_iter().flatten().copied().collect(),
            code: given.get_one(CODE).cloned(),
            with_resolved: name == "list" && given.get_flag(ALL),
        }
    }

    /// Where the selected letters lie, in the file's order.
    fn of_history(&self, history: &History) -> anyhow::Result<Vec<Entry>> {
        let mut selected = Vec::new();
        for entry in history.entries() {
            if entry.resolved().is_some() && !self.with_resolved {
                continue;
            }
            let takes_all = self.ids.is_empty() && self.code.is_none();
            if takes_all || letter(history, entry)?.is_some_and(|letter| self.takes(&letter)) {
                selected.push(*entry);
            }
        }
        Ok(selected)
    }

    fn takes(&self, letter: &DeadLetter) -> bool {
        (self.ids.is_empty() || self.ids.contains(&letter.id))
            && self.code.as_ref().is_none_or(|code| *code == letter.code)
    }
}

fn letter(history: &History, entry: &Entry) -> anyhow::Result<Option<DeadLetter>> {
    history.letter(entry).context("cannot read the file of dead letters")
}

/// `3 dead letters`, `1 dead letter`.
fn counted(letters: usize) -> String {
    format!("{letters} dead letter{}", if letters == 1 { "" } else { "s" })
}

fn discard(file: Option<&Path>, selection: &Selection) -> anyhow::Result<ExitCode> {
    let Some(file) = file else { return nothing() };
    let history = read(file)?;
    let selected = selection.of_history(&history)?;
    if selected.is_empty() {
        return nothing();
    }
    let letters = DeadLetters::open(file).with_context(|| format!("cannot open {}", file.display()))?;
    for entries in selected.chunks(MARKS_AT_ONCE) {
        let (how, at) = (Resolution::Discarded, Micros::now());
        let marks: Vec<_> = entries.iter().map(|entry| Mark { receipt: entry.receipt(), how, at }).collect();
        letters.resolve(&marks).with_context(|| format!("cannot write to {}", file.display()))?;
    }
    tell(&format!("discarded {}", counted(selected.len())))?;
    Ok(ExitCode::SUCCESS)
}

fn nothing() -> anyhow::Result<ExitCode> {
    tell("nothing to do: no such dead letter is open")?;
    Ok(ExitCode::SUCCESS)
}
