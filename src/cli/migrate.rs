//! `event-pipeline migrate`: creates or checks the table, and says what it did.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use anyhow::Context as _;

use super::store;
use crate::{
    config::{DataDir, Settings},
    storage::{Migration, Target, schema},
};

/// Creates or checks the table; with `only_print`, only prints its SQL.
///
/// # Errors
/// Where the store cannot be reached, or its table cannot hold what is stored.
pub(super) fn run(settings: &Settings, only_print: bool) -> anyhow::Result<ExitCode> {
    let target = &settings.store;
    let said = if only_print {
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
    writeln!(io::stdout(), "{said}").context("cannot write to standard output")?;
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
