//! A loader that does nothing but insert: prepared statements of many rows, several connections.

use std::time::Instant;

use anyhow::Result;
use mysql_async::{Conn, Opts, Params, Value, prelude::Queryable as _};

use super::rows::{Row, Rows, id};

/// How a loader goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) connections: usize,
    /// Rows of a statement.
    pub(crate) rows: usize,
}

/// Rows a second, from the first statement to the end of the last.
pub(crate) async fn rate(url: &str, rows: &Rows, count: u64, way: Way) -> Result<f64> {
    let values = vec!["(?,?,?,?,?,?,?,?)"; way.rows].join(",");
    let statement = format!(
        "INSERT INTO processed_events (id, type, source, user_id, processed_data, processing_time_ms, created_at, \
         processed_at) VALUES {values} ON DUPLICATE KEY UPDATE id = id"
    );
    let mut connections = Vec::new();
    for _ in 0..way.connections {
        let mut conn = connect(url).await?;
        let statement = conn.prep(&statement).await?;
        connections.push((conn, statement));
    }
    let statements = usize::try_from(count)?.div_ceil(way.rows);
    let since = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for (first, (mut conn, statement)) in connections.into_iter().enumerate() {
        let rows = rows.clone();
        tasks.spawn(async move {
            for number in (first..statements).step_by(way.connections) {
                let mut values = Vec::with_capacity(way.rows * 8);
                for n in number * way.rows..(number + 1) * way.rows {
                    bind(rows.row(n), &mut values);
                }
                conn.exec_drop(&statement, Params::Positional(values)).await?;
            }
            anyhow::Ok(conn)
        });
    }
    let mut finished = Vec::new();
    while let Some(task) = tasks.join_next().await {
        finished.push(task??);
    }
    let rate = (statements * way.rows) as f64 / since.elapsed().as_secs_f64();
    for conn in finished {
        conn.disconnect().await?;
    }
    Ok(rate)
}

/// A connection with the service's session.
pub(super) async fn connect(url: &str) -> Result<Conn> {
    let options = mysql_async::OptsBuilder::from_opts(Opts::from_url(url)?).tcp_nodelay(true).prefer_socket(false);
    let mut conn = Conn::new(options).await?;
    conn.query_drop("SET time_zone = '+00:00'").await?;
    conn.query_drop("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED").await?;
    Ok(conn)
}

fn bind(row: &Row, values: &mut Vec<Value>) {
    let text = |text: &String| Value::Bytes(text.as_bytes().to_vec());
    values.extend([
        Value::Bytes(id().into_bytes()),
        text(&row.kind),
        text(&row.source),
        row.user_id.as_ref().map_or(Value::NULL, text),
        text(&row.processed_data),
        Value::Int(row.processing_time_ms),
        text(&row.created_at),
        text(&row.processed_at),
    ]);
}
