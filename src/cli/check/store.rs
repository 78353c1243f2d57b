//! The store that the settings name.

use std::path::{Path, PathBuf};

use tokio::runtime::Runtime;

use super::{Finding, mysql};
use crate::{
    cli::store::database,
    config::Settings,
    storage::{MySql, Sqlite, StoreError, Target},
};

pub(super) const STORE: &str = "store";
pub(super) const SCHEMA: &str = "schema";

/// Looks at the store; `data_dir` is missing where it cannot be used.
pub(super) fn probe(settings: &Settings, data_dir: Option<&Path>, runtime: &Runtime) -> Vec<Finding> {
    match &settings.store {
        Target::Discard => vec![Finding::warn(
            STORE,
            "discard: every event is counted and dropped",
            "set `store` to one that keeps them; this one is for benchmarks",
        )],
        Target::MySql(url) => {
            let examined = runtime.block_on(MySql::new(url.clone(), 1).examine());
            mysql::findings(&examined, settings)
        }
        // Without its directory there is nothing to look at, and that is told already.
        Target::Sqlite(None) => data_dir.map(|dir| sqlite(&database(None, dir))).unwrap_or_default(),
        Target::Sqlite(Some(path)) => sqlite(path),
    }
}

fn sqlite(path: &Path) -> Vec<Finding> {
    let shown = path.display();
    if path.exists() {
        return match Sqlite::has_table(path) {
            Ok(is_there) => vec![Finding::ok(STORE, format!("the database {shown} can be written")), table(is_there)],
            Err(error @ StoreError::Misconfigured { .. }) if error.code() == "SQLITE_TABLE" => vec![
                Finding::ok(STORE, format!("the database {shown} can be written")),
                Finding::fail(
                    SCHEMA,
                    error.to_string(),
                    "compare it with what `event-pipeline migrate --print` prints",
                ),
            ],
            Err(error) => vec![Finding::fail(STORE, error.to_string(), "mend it as the message says")],
        };
    }
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir.to_owned(),
        _ => PathBuf::from("."),
    };
    vec![if dir.is_dir() {
        Finding::ok(STORE, format!("the database {shown} is missing, and the service makes it when it starts"))
    } else {
        let fact = format!("the directory {} for the database {shown} does not exist", dir.display());
        Finding::fail(STORE, fact, "make it, or set `store` to another path")
    }]
}

/// Whether there is a table that fits.
pub(super) fn table(is_there: bool) -> Finding {
    Finding::ok(
        SCHEMA,
        match is_there {
            true => "the table processed_events is there and fits",
            false => "the table processed_events is missing; the service makes it when it starts, or `migrate` now",
        },
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;
    use crate::{cli::check::Status, storage::schema};

    fn statuses(findings: &[Finding]) -> Vec<(&'static str, Status)> {
        findings.iter().map(|finding| (finding.check, finding.status)).collect()
    }

    #[test]
    fn a_database_is_looked_at_without_a_trace() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("events.db");
        assert_eq!(statuses(&sqlite(&path)), [(STORE, Status::Ok)]);
        assert!(!path.exists());

        let database = rusqlite::Connection::open(&path).unwrap();
        database.execute_batch("PRAGMA journal_mode = wal").unwrap();
        assert!(sqlite(&path)[1].fact.contains("is missing"));
        database.execute_batch(schema::SQLITE).unwrap();
        assert_eq!(sqlite(&path)[1], table(true), "beside somebody who has it open");
        drop(database);
        let before = fs::read(&path).unwrap();
        assert_eq!(sqlite(&path)[1], table(true));
        assert_eq!(fs::read(&path).unwrap(), before);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no log stays behind");
    }

    #[test]
    fn what_is_no_database_of_ours_is_a_failure() {
        let dir = TempDir::new().unwrap();
        let other = dir.path().join("other.db");
        rusqlite::Connection::open(&other).unwrap().execute_batch("CREATE TABLE processed_events (id INT)").unwrap();
        assert_eq!(statuses(&sqlite(&other)), [(STORE, Status::Ok), (SCHEMA, Status::Fail)]);
        let text = dir.path().join("text");
        fs::write(&text, "not a database, but long enough to be taken for one".repeat(40)).unwrap();
        for path in [text, dir.path().join("missing/events.db")] {
            assert_eq!(statuses(&sqlite(&path)), [(STORE, Status::Fail)], "{}", path.display());
        }
    }
}
