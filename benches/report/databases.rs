//! A database of our own on a server that the environment names; gone when its owner lets go.

use std::env;

use anyhow::{Context as _, Result};
use event_pipeline::storage::schema;
use mysql_async::{Conn, Opts, prelude::Queryable as _};
use tokio::runtime::Runtime;
use uuid::Uuid;

use crate::say;

/// A database of our own.
pub(crate) struct Database {
    pub(crate) runtime: Runtime,
    /// With the name of the database.
    pub(crate) url: String,
    /// The server, such as `MariaDB 10.11.6`.
    pub(crate) server: String,
    given: String,
    name: String,
}

impl Database {
    /// Makes one, with the table, on the server that this variable names; `None` where it is not set.
    pub(crate) fn create(variable: &str) -> Result<Option<Self>> {
        let Ok(given) = env::var(variable) else {
            say(format_args!("  LEFT OUT: {variable} is not set"));
            return Ok(None);
        };
        let runtime = Runtime::new()?;
        let (host, _) = given.rsplit_once('/').with_context(|| format!("{variable} names no database"))?;
        let name = format!("eventdb_{}", Uuid::now_v7().simple());
        let url = format!("{host}/{name}");
        let mut database = Self { runtime, url, server: String::new(), given, name };
        let version: String = database.ask(&database.given, "SELECT VERSION()")?.unwrap_or_default();
        database.server = match version.split_once("-MariaDB") {
            Some((version, _)) => format!("MariaDB {version}"),
            None => format!("MySQL {version}"),
        };
        database.execute(&database.given, &format!("CREATE DATABASE {}", database.name))?;
        database.execute(&database.url, schema::MYSQL)?;
        Ok(Some(database))
    }

    /// Its server, and the settings of it that figures depend on most.
    pub(crate) fn description(&self) -> Result<String> {
        let pool: Option<u64> = self.ask(&self.url, "SELECT @@innodb_buffer_pool_size")?;
        let flush: Option<u64> = self.ask(&self.url, "SELECT @@innodb_flush_log_at_trx_commit")?;
        let pool_mib = pool.unwrap_or(0) >> 20;
        let flush = flush.unwrap_or(0);
        Ok(format!("{} (buffer pool {pool_mib} MiB, innodb_flush_log_at_trx_commit {flush})", self.server))
    }

    /// Empties the table.
    pub(crate) fn empty(&self) -> Result<()> {
        self.execute(&self.url, "TRUNCATE processed_events")
    }

    fn ask<T: mysql_async::prelude::FromRow + Send + 'static>(&self, url: &str, query: &str) -> Result<Option<T>> {
        self.runtime.block_on(async {
            let mut conn = Conn::new(Opts::from_url(url)?).await?;
            let answer = conn.query_first(query).await?;
            conn.disconnect().await?;
            Ok(answer)
        })
    }

    fn execute(&self, url: &str, statement: &str) -> Result<()> {
        self.runtime.block_on(async {
            let mut conn = Conn::new(Opts::from_url(url)?).await?;
            conn.query_drop(statement).await?;
            conn.disconnect().await?;
            Ok(())
        })
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Err(error) = self.execute(&self.given, &format!("DROP DATABASE IF EXISTS {}", self.name)) {
            say(format_args!("the database {} could not be dropped: {error}", self.name));
        }
    }
}
