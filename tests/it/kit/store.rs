//! The stores that the service is tested against, read back by other means than its own.

use mysql_async::prelude::Queryable as _;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::server::Server;

#[expect(dead_code, reason = "the store's own tests use more of it")]
#[path = "../../kit/mysql.rs"]
pub(crate) mod mysql;

/// A store for one test.
pub(crate) enum Store {
    /// The embedded one, in the server's data directory.
    Sqlite,
    /// A database of its own on the server that `TEST_MYSQL_URL` names.
    MySql(mysql::Database, Runtime),
}

/// A row, as it lies there; times as `YYYY-MM-DD HH:MM:SS` in UTC.
#[derive(Debug)]
pub(crate) struct StoredRow {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) source: String,
    pub(crate) user_id: Option<String>,
    pub(crate) processed_data: Value,
    pub(crate) processing_time_ms: i64,
    pub(crate) created_at: String,
    pub(crate) processed_at: String,
}

const COLUMNS: &str = "id, type, source, user_id, processed_data, processing_time_ms, created_at, processed_at";

impl Store {
    /// SQLite, and MySQL or MariaDB where there is one; says so where there is none.
    pub(crate) fn all() -> Vec<Self> {
        let runtime = Runtime::new().unwrap();
        let mut stores = vec![Self::Sqlite];
        if let Some(database) = runtime.block_on(mysql::Database::create()) {
            stores.push(Self::MySql(database, runtime));
        }
        stores
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::MySql(..) => "MySQL",
        }
    }

    /// The setting `store`.
    pub(crate) fn setting(&self) -> String {
        match self {
            Self::Sqlite => "sqlite".to_owned(),
            Self::MySql(database, _) => database.url(),
        }
    }

    /// All rows.
    pub(crate) fn rows(&self, server: &Server) -> Vec<StoredRow> {
        match self {
            Self::Sqlite => sqlite_rows(server),
            Self::MySql(database, runtime) => runtime.block_on(mysql_rows(database)),
        }
    }
}

fn sqlite_rows(server: &Server) -> Vec<StoredRow> {
    let connection = rusqlite::Connection::open(server.sqlite_path()).unwrap();
    let mut select = connection.prepare(&format!("SELECT {COLUMNS} FROM processed_events")).unwrap();
    let rows = select.query_map([], |row| {
        Ok(StoredRow {
            id: row.get(0)?,
            kind: row.get(1)?,
            source: row.get(2)?,
            user_id: row.get(3)?,
            processed_data: serde_json::from_str(&row.get::<_, String>(4)?).unwrap(),
            processing_time_ms: row.get(5)?,
            created_at: row.get(6)?,
            processed_at: row.get(7)?,
        })
    });
    rows.unwrap().map(Result::unwrap).collect()
}

async fn mysql_rows(database: &mysql::Database) -> Vec<StoredRow> {
    let mut conn = database.conn().await;
    conn.query_drop("SET time_zone = '+00:00'").await.unwrap();
    let select = "SELECT id, type, source, user_id, CAST(processed_data AS CHAR), processing_time_ms, \
                  CAST(created_at AS CHAR), CAST(processed_at AS CHAR) FROM processed_events";
    let row = |(id, kind, source, user_id, data, processing_time_ms, created_at, processed_at): (
        String,
        String,
        String,
        Option<String>,
        String,
        i64,
        String,
        String,
    )| StoredRow {
        id,
        kind,
        source,
        user_id,
        processed_data: serde_json::from_str(&data).unwrap(),
        processing_time_ms,
        created_at,
        processed_at,
    };
    conn.query_map(select, row).await.unwrap()
}
