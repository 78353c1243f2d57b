//! The rows that the other sides insert: those that the service stored, read back.
//!
//! So every side inserts the same, byte for byte, but for the ids. A loader that has its rows at hand
//! does nothing but load.

use std::{path::Path, sync::Arc};

use anyhow::{Result, ensure};
use mysql_async::{Conn, Opts, prelude::Queryable as _};
use rusqlite::Connection;
use uuid::Uuid;

/// How many are read back; more are the same again.
const SAMPLE: usize = 100_000;
const COLUMNS: &str = "type, source, user_id, processed_data, processing_time_ms, created_at, processed_at";

/// One row without its id.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) kind: String,
    pub(crate) source: String,
    pub(crate) user_id: Option<String>,
    pub(crate) processed_data: String,
    pub(crate) processing_time_ms: i64,
    pub(crate) created_at: String,
    pub(crate) processed_at: String,
}

/// Rows to insert.
#[derive(Clone, Debug)]
pub(crate) struct Rows(Arc<[Row]>);

impl Rows {
    /// Reads back what the service stored in MySQL or MariaDB.
    pub(crate) async fn of_mysql(url: &str) -> Result<Self> {
        let mut conn = Conn::new(Opts::from_url(url)?).await?;
        conn.query_drop("SET time_zone = '+00:00'").await?;
        let columns =
            COLUMNS.replace("created_at, processed_at", "CAST(created_at AS CHAR), CAST(processed_at AS CHAR)");
        let query = format!("SELECT {columns} FROM processed_events LIMIT {SAMPLE}");
        let rows = conn
            .query_map(
                query,
                |(kind, source, user_id, processed_data, processing_time_ms, created_at, processed_at)| Row {
                    kind,
                    source,
                    user_id,
                    processed_data,
                    processing_time_ms,
                    created_at,
                    processed_at,
                },
            )
            .await?;
        conn.disconnect().await?;
        Self::some(rows)
    }

    /// Reads back what the service stored in SQLite.
    pub(crate) fn of_sqlite(database: &Path) -> Result<Self> {
        let connection = Connection::open(database)?;
        let mut statement = connection.prepare(&format!("SELECT {COLUMNS} FROM processed_events LIMIT {SAMPLE}"))?;
        let rows = statement.query_map([], |row| {
            Ok(Row {
                kind: row.get(0)?,
                source: row.get(1)?,
                user_id: row.get(2)?,
                processed_data: row.get(3)?,
                processing_time_ms: row.get(4)?,
                created_at: row.get(5)?,
                processed_at: row.get(6)?,
            })
        })?;
        Self::some(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn some(rows: Vec<Row>) -> Result<Self> {
        ensure!(!rows.is_empty(), "there are no rows to read back");
        Ok(Self(rows.into()))
    }

    /// Row number `n`, however many there are.
    pub(crate) fn row(&self, n: usize) -> &Row {
        &self.0[n % self.0.len()]
    }
}

/// The id of a new row, made as the service makes it.
pub(crate) fn id() -> String {
    Uuid::now_v7().to_string()
}
