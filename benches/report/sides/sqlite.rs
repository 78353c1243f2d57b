//! SQLite without a service: the same table, indexes and durability, and nothing but inserting.

use std::{path::Path, time::Instant};

use anyhow::Result;
use event_pipeline::storage::schema;
use rusqlite::{Connection, ToSql, params_from_iter};

use super::rows::{Rows, id};

/// How it goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    /// Rows of a statement.
    pub(crate) rows: usize,
    /// Rows of a transaction.
    pub(crate) transaction: usize,
}

/// Ways that are tried.
pub(crate) const WAYS: [Way; 4] = [
    Way { rows: 1, transaction: 10_000 },
    Way { rows: 1, transaction: 50_000 },
    Way { rows: 50, transaction: 10_000 },
    Way { rows: 50, transaction: 50_000 },
];

/// Rows a second into a new database, the last checkpoint not counted, as it is not for the service.
pub(crate) fn rate(database: &Path, rows: &Rows, count: u64, way: Way) -> Result<f64> {
    let mut connection = Connection::open(database)?;
    // Each commit is synced, as the service's are.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 32768; \
         PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY;",
    )?;
    connection.execute_batch(schema::SQLITE)?;
    connection.set_prepared_statement_cache_capacity(8);
    let count = usize::try_from(count)?;
    let values = vec!["(?,?,?,?,?,?,?,?)"; way.rows].join(",");
    let insert = format!(
        "INSERT INTO processed_events (id, type, source, user_id, processed_data, processing_time_ms, created_at, \
         processed_at) VALUES {values} ON CONFLICT (id) DO NOTHING"
    );
    let since = Instant::now();
    let mut done = 0;
    while done < count {
        let transaction = connection.transaction()?;
        let mut statement = transaction.prepare_cached(&insert)?;
        for _ in 0..(way.transaction / way.rows).min((count - done).div_ceil(way.rows)) {
            let ids: Vec<String> = (0..way.rows).map(|_| id()).collect();
            let mut values: Vec<&dyn ToSql> = Vec::with_capacity(way.rows * 8);
            for (offset, id) in ids.iter().enumerate() {
                let row = rows.row(done + offset);
                values.extend([
                    id as &dyn ToSql,
                    &row.kind,
                    &row.source,
                    &row.user_id,
                    &row.processed_data,
                    &row.processing_time_ms,
                    &row.created_at,
                    &row.processed_at,
                ]);
            }
            statement.execute(params_from_iter(values))?;
            done += way.rows;
        }
        drop(statement);
        transaction.commit()?;
    }
    Ok(done as f64 / since.elapsed().as_secs_f64())
}
