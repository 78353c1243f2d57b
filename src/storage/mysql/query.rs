//! Reading back.

use std::sync::LazyLock;

use mysql_async::{Row, prelude::Queryable as _};
use uuid::Uuid;

use super::{
    super::{RowById, StoredEvent},
    classify::Verdict,
    connect::{Session, typed},
};

/// What is read of an event, for [`event`].
pub(super) const COLUMNS: &str = "type, source, user_id, processed_data, \
    CAST(processing_time_ms AS SIGNED), CAST(UNIX_TIMESTAMP(created_at) AS SIGNED), \
    CAST(UNIX_TIMESTAMP(processed_at) AS SIGNED), id";

static FETCH: LazyLock<String> = LazyLock::new(|| format!("SELECT {COLUMNS} FROM processed_events WHERE id = ?"));

const ROWS_BY_ID: &str = "SELECT id, processed_data FROM processed_events WHERE id > ? AND id <= ? ORDER BY id LIMIT ?";

/// Writes nothing, and is refused for every reason for which an insert would be: a server that
/// is read-only or has left its cluster, a table that is missing, a right that is.
const HEALTH: &str = "INSERT INTO processed_events \
    (id, type, source, user_id, processed_data, processing_time_ms, created_at, processed_at) \
    SELECT id, type, source, user_id, processed_data, processing_time_ms, created_at, processed_at \
    FROM processed_events AS none WHERE FALSE ON DUPLICATE KEY UPDATE id = processed_events.id";

type Columns =
    (Option<String>, Option<String>, Option<String>, Option<String>, Option<i64>, Option<i64>, Option<i64>, String);

/// The stored event of that id.
pub(super) async fn fetch(session: &mut Session, id: Uuid) -> Result<Option<StoredEvent>, Verdict> {
    let row: Option<Row> = match session.conn.exec_first(FETCH.as_str(), (id.as_hyphenated().to_string(),)).await {
        Ok(row) => row,
        Err(error) => return Err(session.judge(&error)),
    };
    Ok(row.map(event).transpose()?.map(|(_, event)| StoredEvent { id, ..event }))
}

/// An event of [`COLUMNS`], and its id as the table has it; the event's own is nil.
pub(super) fn event(row: Row) -> Result<(String, StoredEvent), Verdict> {
    let (kind, source, user_id, processed_data, processing_time_ms, created_at_s, processed_at_s, id): Columns =
        typed(row)?;
    let event = StoredEvent {
        id: Uuid::nil(),
        kind: kind.unwrap_or_default(),
        source: source.unwrap_or_default(),
        user_id,
        processed_data,
        processing_time_ms,
        created_at_s,
        processed_at_s,
    };
    Ok((id, event))
}

/// The next rows in the order of their ids, behind `after` and not behind `until`.
pub(super) async fn rows_by_id(
    session: &mut Session,
    after: String,
    until: String,
    rows_max: usize,
) -> Result<Vec<RowById>, Verdict> {
    let rows: Vec<Row> = match session.conn.exec(ROWS_BY_ID, (after, until, rows_max as u64)).await {
        Ok(rows) => rows,
        Err(error) => return Err(session.judge(&error)),
    };
    let row = |row| typed(row).map(|(id, processed_data)| RowById { id, processed_data });
    rows.into_iter().map(row).collect()
}

/// Whether the server could store something now.
pub(super) async fn health(session: &mut Session) -> Result<(), Verdict> {
    match session.conn.query_drop(HEALTH).await {
        Ok(()) => Ok(()),
        Err(error) => Err(session.judge(&error)),
    }
}
