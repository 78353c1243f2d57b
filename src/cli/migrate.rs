//! `event-pipeline migrate`: creates or checks the table, and says what it did.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{help, store, text::tell};
use crate::{
    config::{DataDir, Settings},
    storage::{Migration, Target, schema},
};

/// The command's name.
pub(super) const NAME: &str = "migrate";

const PRINT: &str = "print";
const HELP: &str = "A table that is there is never changed. The service does the same when it starts; this is for where its own login \
may not create tables, or to see beforehand that a table fits.";
const EXAMPLES: &[&str] = &[
    "event-pipeline migrate --store mysql://root:testpass@127.0.0.1:3306/eventdb",
    "event-pipeline migrate --print --store mysql://u@db/eventdb | mysql eventdb",
];

/// The command.
pub(super) fn command() -> Command {
    let print = Arg::new(PRINT)
        .long(PRINT)
        .action(ArgAction::SetTrue)
        .help("Only prints the SQL for the store; touches nothing");
    let command = Command::new(NAME).about("Creates or checks the table, and says what it did").arg(print);
    help::with(command, HELP, EXAMPLES)
}

/// Creates or checks the table, or only prints its SQL.
///
/// # Errors
/// Where the store cannot be reached, or its table cannot hold what is stored.
pub(super) fn run(settings: &Settings, given: &ArgMatches) -> anyhow::Result<ExitCode> {
    let target = &settings.store;
    let said = if given.get_flag(PRINT) {
        match target {
            Target::MySql(_) => format!("{};", schema::MYSQL),
            Target::Sqlite(_) => schema::SQLITE.to_owned(),
            Target::Discard => "-- the store `discard` has no table".to_owned(),
        }
    } else {
        match migrate(settings).with_context(|| format!("cannot migrate {target}"))? {
            Migration::Created => format!("created the table processed_events in {target}"),
            Migration::Unchanged => {
                format!("the table processed_events in {target} is there and fits; nothing was changed")
            }
            Migration::NotNeeded => format!("the store {target} has no table; nothing was done"),
        }
    };
    tell(&said)?;
    Ok(ExitCode::SUCCESS)
}

fn migrate(settings: &Settings) -> anyhow::Result<Migration> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // The embedded store's directory, which is made where it is missing; no other store needs one.
    let data_dir = match settings.store {
        Target::Sqlite(None) => Some(DataDir::open(&settings.data_dir)?),
        _ => None,
    };
    let path = data_dir.as_ref().map_or(settings.data_dir.as_path(), DataDir::path);
    let storage = store::open(&settings.store, path, 1)?;
    Ok(runtime.block_on(storage.migrate())?)
}
