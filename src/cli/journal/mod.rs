//! `event-pipeline journal …`: what the journal holds, shown, or stored once more.
//!
//! The journal is read beside a running service, whose lock on the data directory is left alone;
//! nothing in it is changed.

use std::{io, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, bail};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

mod inspect;
mod replay;

use crate::{
    cli::{help, text::unless_reader_left},
    config::Settings,
    event::Micros,
    journal::{View, fs::Disk},
    pipeline::JOURNAL_DIR,
};

/// The command's name.
pub(super) const NAME: &str = "journal";

const DRY_RUN: &str = "dry-run";
const JSON: &str = "json";
const RECORDS: &str = "records";
const SEGMENT: &str = "segment";
const SINCE: &str = "since";
const UNSTORED: &str = "unstored";
const UNTIL: &str = "until";

const INSPECT_HELP: &str = "It only reads, and works beside a running service. Watermarks are written every half second: \
what was stored a moment ago is still shown as not stored.";
const INSPECT_EXAMPLES: &[&str] = &[
    "event-pipeline journal inspect",
    "event-pipeline journal inspect --records --unstored | jq -r .user_id",
    "event-pipeline journal inspect --records --segment 7",
];
const REPLAY_HELP: &str = "For a store that forgot rows it had acknowledged: a crash of a server that does not sync \
every commit, a replica that was behind and took over, a backup that was put back. The journal keeps what is stored \
for `journal.keep`, up to `journal.keep_bytes`. A row that is there already is left as it is, so that replaying twice, \
or too much, does no harm. It works beside a running service, and stores without it.

TIME is RFC 3339, such as 2026-01-15T10:30:00Z; AGE counts back from now, such as 10m, 90s or 2h.";
const REPLAY_EXAMPLES: &[&str] = &[
    "event-pipeline journal replay --since 10m --dry-run",
    "event-pipeline journal replay --since 2026-01-15T10:30:00Z --until 10m",
];

/// The command and its own commands.
pub(super) fn command() -> Command {
    let flag = |name, help| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    let moment = |name, help| {
        Arg::new(name).long(name).value_name("TIME|AGE").value_parser(|text: &str| moment(text)).help(help)
    };
    let segment = Arg::new(SEGMENT)
        .long(SEGMENT)
        .value_name("N")
        .value_parser(value_parser!(u64).range(1..))
        .requires(RECORDS)
        .help("Only those of this segment");
    let inspect = Command::new("inspect").about("Shows segments and lanes, and what is not stored yet").args([
        flag(JSON, "Prints one JSON document instead of text").conflicts_with(RECORDS),
        flag(RECORDS, "Prints the records instead, the oldest segment's first, each a line of JSON"),
        segment,
        flag(UNSTORED, "Only those that are not stored yet").requires(RECORDS),
    ]);
    let replay = Command::new("replay")
        .about("Stores every event that was received in a range of time and is still in the journal")
        .args([
            moment(SINCE, "Only events received at this time or later"),
            moment(UNTIL, "Only events received before this time"),
            flag(DRY_RUN, "Stores nothing; says how many are missing in the store"),
            flag(JSON, "Prints JSON instead of text"),
        ]);
    let command = Command::new(NAME)
        .about("Shows what the journal holds, and stores a range of it once more")
        .subcommand_required(true)
        .subcommand(help::with(inspect, INSPECT_HELP, INSPECT_EXAMPLES))
        .subcommand(help::with(replay, REPLAY_HELP, REPLAY_EXAMPLES));
    help::with(command, "", &[INSPECT_EXAMPLES[0], REPLAY_EXAMPLES[0]])
}

/// Runs one of its commands.
///
/// # Errors
/// Where there is no journal, or it or the store cannot be used.
pub(super) fn run(settings: &Settings, given: &ArgMatches) -> anyhow::Result<ExitCode> {
    let Some((name, given)) = given.subcommand() else { bail!("no command of `{NAME}` was given") };
    let ended = match name {
        "inspect" if given.get_flag(RECORDS) => {
            inspect::records(&view(settings)?, given.get_one(SEGMENT).copied(), given.get_flag(UNSTORED))
        }
        "inspect" => inspect::run(&view(settings)?, &dir(settings), given.get_flag(JSON)),
        _ => {
            let range = replay::Range { since: given.get_one(SINCE).copied(), until: given.get_one(UNTIL).copied() };
            if range.is_empty() {
                return Ok(super::usage(&format!("--{SINCE} is not before --{UNTIL}")));
            }
            replay::run(&view(settings)?, range, settings, given.get_flag(DRY_RUN), given.get_flag(JSON))
        }
    };
    unless_reader_left(ended)
}

fn dir(settings: &Settings) -> PathBuf {
    settings.data_dir.join(JOURNAL_DIR)
}

fn view(settings: &Settings) -> anyhow::Result<View> {
    let dir = dir(settings);
    let disk = match Disk::for_reading(&dir) {
        Ok(disk) => disk,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("there is no journal {}; name the service's data directory (setting `data_dir`)", dir.display())
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", dir.display())),
    };
    View::open(&disk).with_context(|| format!("cannot read the journal in {}", dir.display()))
}

/// A time, or how long ago it was.
fn moment(text: &str) -> Result<Micros, String> {
    let wrong = || "it is neither a time, such as 2026-01-15T10:30:00Z, nor an age, such as 10m".to_owned();
    match humantime::parse_duration(text) {
        Ok(age) => {
            let age = i64::try_from(age.as_micros()).map_err(|_| wrong())?;
            Ok(Micros(Micros::now().0.saturating_sub(age)))
        }
        Err(_) if text.contains('-') => Micros::parse_any_rfc3339(text).map_err(|error| error.to_string()),
        Err(_) => Err(wrong()),
    }
}

/// `3 events`, `1 event`.
fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_or_an_age() {
        assert_eq!(moment("1970-01-01T00:00:02+00:00"), Ok(Micros(2_000_000)));
        let before = Micros::now();
        let ago = moment("10m").unwrap();
        assert!((before.0 - 600_000_000..=Micros::now().0 - 600_000_000).contains(&ago.0));
        for wrong in ["", "10", "soon", "2026-01-15", "2026-01-15T10:30:00", "-10m"] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }
}
