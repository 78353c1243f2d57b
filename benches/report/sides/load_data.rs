//! What is said to be the fastest way into MySQL: `LOAD DATA LOCAL INFILE`, several connections.

use std::{fmt::Write as _, time::Instant};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use mysql_async::{Conn, Opts, prelude::Queryable as _};

use super::{
    loader::connect,
    rows::{Rows, id},
};

/// Rows of one statement, which is one transaction.
const STATEMENT_ROWS: usize = 20_000;
/// Rows that are sent at once.
const PIECE_ROWS: usize = 500;
/// No JSON text holds a tab or a line's end outside of an escape, so that nothing need be escaped.
const STATEMENT: &str = "LOAD DATA LOCAL INFILE 'rows' INTO TABLE processed_events CHARACTER SET utf8mb4 \
    FIELDS TERMINATED BY '\\t' ESCAPED BY '' LINES TERMINATED BY '\\n' \
    (id, type, source, user_id, processed_data, processing_time_ms, created_at, processed_at)";

/// Whether the server takes it: it is told to, where this user may.
pub(crate) async fn is_allowed(url: &str) -> Result<bool> {
    let mut conn = Conn::new(Opts::from_url(url)?).await?;
    let asked = "SELECT @@GLOBAL.local_infile";
    let mut allowed: Option<i64> = conn.query_first(asked).await?;
    if allowed != Some(1) && conn.query_drop("SET GLOBAL local_infile = 1").await.is_ok() {
        allowed = conn.query_first(asked).await?;
    }
    conn.disconnect().await?;
    Ok(allowed == Some(1))
}

/// Rows a second, from the first statement to the end of the last.
pub(crate) async fn rate(url: &str, rows: &Rows, count: u64, connections: usize) -> Result<f64> {
    let mut idle = Vec::new();
    for _ in 0..connections {
        idle.push(connect(url).await?);
    }
    let count = usize::try_from(count)?;
    let since = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for (index, mut conn) in idle.into_iter().enumerate() {
        let rows = rows.clone();
        let (mut next, end) = (index * count / connections, (index + 1) * count / connections);
        tasks.spawn(async move {
            while next < end {
                let part = next..end.min(next + STATEMENT_ROWS);
                next = part.end;
                let pieces = part.clone().step_by(PIECE_ROWS).map(move |first| first..part.end.min(first + PIECE_ROWS));
                let rows = rows.clone();
                let pieces = pieces.map(move |piece| Ok(lines(&rows, piece)));
                conn.set_infile_handler(async move { Ok(stream::iter(pieces).boxed()) });
                conn.query_drop(STATEMENT).await.context("LOAD DATA LOCAL INFILE")?;
            }
            anyhow::Ok(conn)
        });
    }
    let mut finished = Vec::new();
    while let Some(task) = tasks.join_next().await {
        finished.push(task??);
    }
    let rate = count as f64 / since.elapsed().as_secs_f64();
    for conn in finished {
        conn.disconnect().await?;
    }
    Ok(rate)
}

fn lines(rows: &Rows, numbers: std::ops::Range<usize>) -> Bytes {
    let mut text = String::with_capacity(numbers.len() * 512);
    for n in numbers {
        let row = rows.row(n);
        let user_id = row.user_id.as_deref().unwrap_or("NULL");
        let _ = writeln!(
            text,
            "{}\t{}\t{}\t{user_id}\t{}\t{}\t{}\t{}",
            id(),
            row.kind,
            row.source,
            row.processed_data,
            row.processing_time_ms,
            row.created_at,
            row.processed_at
        );
    }
    text.into()
}
