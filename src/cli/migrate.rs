//! `event-pipeline migrate`: creates or checks the table, and says what it did.

use std::{
    io::{self, Write as _},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context as _;

use super::serve::SQLITE_FILE;
use crate::{
    config::{DataDir, Settings},
    storage::{Discard, Migration, MySql, Sqlite, Storage, Target, schema},
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
    let mut used = None;
    let storage: Arc<dyn Storage> = match &settings.store {
        Target::Sqlite(None) => {
            let data_dir = used.insert(DataDir::open(&settings.data_dir)?);
            Arc::new(Sqlite::open(&data_dir.path().join(SQLITE_FILE))?)
        }
        Target::Sqlite(Some(path)) => Arc::new(Sqlite::open(path)?),
        Target::MySql(url) => Arc::new(MySql::new(url.clone(), 1)),
        Target::Discard => Arc::new(Discard::default()),
    };
    Ok(runtime.block_on(storage.migrate())?)
}
