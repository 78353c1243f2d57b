//! The store that the settings name, opened the same way by every command.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail};

use crate::storage::{Discard, MySql, Sqlite, Storage, Target};

/// The embedded database's file in the data directory.
const SQLITE_FILE: &str = "events.db";

/// Opens the store; on MySQL, connections are made when they are needed, so many at most.
///
/// # Errors
/// Where the embedded store's file cannot be used.
pub(super) fn open(target: &Target, data_dir: &Path, mysql_connections: usize) -> anyhow::Result<Arc<dyn Storage>> {
    Ok(match target {
        Target::Sqlite(path) => Arc::new(Sqlite::open(&database(path.as_deref(), data_dir))?),
        Target::MySql(url) => Arc::new(MySql::new(url.clone(), mysql_connections)),
        Target::Discard => Arc::new(Discard::default()),
    })
}

/// The embedded store's file: the one that was given, or the one in the data directory.
pub(super) fn database(given: Option<&Path>, data_dir: &Path) -> PathBuf {
    given.map_or_else(|| data_dir.join(SQLITE_FILE), Path::to_owned)
}

/// Opens the store that a service uses already, for a command that adds to it: one that was never
/// used is most likely the wrong one, and what it took would be missing in the right one.
///
/// # Errors
/// Where the store keeps nothing, is not there, or cannot be used.
pub(super) fn open_existing(target: &Target, data_dir: &Path) -> anyhow::Result<Arc<dyn Storage>> {
    if !matches!(target, Target::MySql(_)) {
        existing_database(target, data_dir)?;
    }
    open(target, data_dir, 1).with_context(|| format!("cannot open {target}"))
}

/// The file of a SQLite store that a service uses already.
///
/// # Errors
/// Where it is not there, or the store is another.
pub(super) fn existing_database(target: &Target, data_dir: &Path) -> anyhow::Result<PathBuf> {
    let path = match target {
        Target::Discard => bail!("the store `discard` keeps nothing; name the service's store (setting `store`)"),
        Target::MySql(_) => bail!("the store {target} has no file"),
        Target::Sqlite(path) => database(path.as_deref(), data_dir),
    };
    if !path.exists() {
        bail!("there is no database {}; name the service's store (setting `store`)", path.display());
    }
    Ok(path)
}
