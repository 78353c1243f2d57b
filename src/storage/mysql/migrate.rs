//! The table: made where it is missing, checked where it is there.
//!
//! It is looked for before it is made, so that a login that may only read and write rows can
//! use a table that somebody else made.

use mysql_async::prelude::Queryable as _;

use super::{
    super::{Migration, StoreError, schema},
    classify::{Fate, Verdict},
    connect::{Session, check_charset, rows},
};
use crate::event::{EventType, Source, USER_ID_CHARS_MAX};

const COLUMNS: &str = "SELECT LOWER(column_name), LOWER(data_type), CAST(column_type AS CHAR), \
    CAST(character_maximum_length AS SIGNED), character_set_name, column_key, \
    is_nullable = 'NO' AND column_default IS NULL AND extra = '' \
    FROM information_schema.columns \
    WHERE table_schema = DATABASE() AND table_name = 'processed_events'";
const ENGINE: &str = "SELECT t.engine, e.transactions FROM information_schema.tables t \
    LEFT JOIN information_schema.engines e ON e.engine = t.engine \
    WHERE t.table_schema = DATABASE() AND t.table_name = 'processed_events'";
/// Keys by which an event could be taken for another one.
const UNIQUE_KEYS: &str = "SELECT index_name FROM information_schema.statistics \
    WHERE table_schema = DATABASE() AND table_name = 'processed_events' AND non_unique = 0 \
    GROUP BY index_name HAVING SUM(LOWER(column_name) = 'id') = 0";

type Described = (String, String, String, Option<i64>, Option<String>, String, bool);

/// What the check needs to know of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Column {
    name: String,
    /// The type's name, `varchar`.
    kind: String,
    /// The type as a whole, `varchar(36)`.
    whole: String,
    chars_max: Option<i64>,
    charset: Option<String>,
    is_primary: bool,
    /// A row that does not name it is refused.
    is_required: bool,
}

/// Checks the table; false where there is none.
pub(super) async fn is_there(session: &mut Session) -> Result<bool, Verdict> {
    let columns = columns(session).await?;
    if !columns.is_empty() {
        examine(session, &columns).await?;
    }
    Ok(!columns.is_empty())
}

/// Creates or checks the table.
pub(super) async fn migrate(session: &mut Session) -> Result<Migration, Verdict> {
    if is_there(session).await? {
        return Ok(Migration::Unchanged);
    }
    if let Err(error) = session.conn.query_drop(schema::MYSQL).await {
        return Err(session.judge(&error));
    }
    let columns = columns(session).await?;
    examine(session, &columns).await?;
    Ok(Migration::Created)
}

async fn columns(session: &mut Session) -> Result<Vec<Column>, Verdict> {
    let described: Vec<Described> = rows(&mut session.conn, COLUMNS).await?;
    Ok(described
        .into_iter()
        .map(|(name, kind, whole, chars_max, charset, key, is_required)| Column {
            name,
            kind,
            whole,
            chars_max,
            charset,
            is_primary: key == "PRI",
            is_required,
        })
        .collect())
}

async fn examine(session: &mut Session, columns: &[Column]) -> Result<(), Verdict> {
    // Nothing is wrong with the connection.
    let refuse = |error| Verdict { error, fate: Fate::Keep };
    check(columns).map_err(refuse)?;
    let engines: Vec<(Option<String>, Option<String>)> = rows(&mut session.conn, ENGINE).await?;
    if let Some((Some(engine), Some(transactions))) = engines.first()
        && transactions != "YES"
    {
        return Err(refuse(unfit(format!(
            "the table processed_events has the engine {engine}, which has no transactions; \
             run: ALTER TABLE processed_events ENGINE=InnoDB"
        ))));
    }
    let keys: Vec<(String,)> = rows(&mut session.conn, UNIQUE_KEYS).await?;
    if let Some((key,)) = keys.first() {
        return Err(refuse(unfit(format!(
            "the table processed_events has the unique key {key}, which keeps events out that have ids of their own; \
             run: ALTER TABLE processed_events DROP INDEX {key}"
        ))));
    }
    Ok(())
}

fn check(columns: &[Column]) -> Result<(), StoreError> {
    let find = |name: &str| {
        let column = columns.iter().find(|column| column.name == name);
        column.ok_or_else(|| unfit(format!("the table processed_events has no column {name}; {MEND}")))
    };
    let longest = |names: &[&str]| names.iter().map(|name| name.len()).max().unwrap_or_default();
    let kinds = EventType::ALL.map(EventType::as_str);
    let sources = Source::ALL.map(Source::as_str);

    let id = find("id")?;
    fits(id, id.kind == "uuid" || is_text(id, 36))?;
    if !id.is_primary || columns.iter().filter(|column| column.is_primary).count() != 1 {
        return Err(unfit(format!("the column id is not the primary key of processed_events by itself; {MEND}")));
    }
    let kind = find("type")?;
    fits(kind, is_enum(kind, &kinds) || is_text(kind, longest(&kinds)))?;
    let source = find("source")?;
    fits(source, is_enum(source, &sources) || is_text(source, longest(&sources)))?;
    let user_id = find("user_id")?;
    fits(user_id, is_text(user_id, USER_ID_CHARS_MAX))?;
    check_charset(user_id.charset.as_deref())?;
    let data = find("processed_data")?;
    fits(data, matches!(data.kind.as_str(), "json" | "longtext" | "mediumtext"))?;
    if data.kind != "json" && data.charset.as_deref() != Some("utf8mb4") {
        return Err(unfit(format!(
            "the column processed_data has the character set {}; \
             run: ALTER TABLE processed_events CONVERT TO CHARACTER SET utf8mb4",
            data.charset.as_deref().unwrap_or("none")
        )));
    }
    let time = find("processing_time_ms")?;
    fits(time, matches!(time.kind.as_str(), "int" | "bigint"))?;
    for name in ["created_at", "processed_at"] {
        let column = find(name)?;
        fits(column, matches!(column.kind.as_str(), "timestamp" | "datetime"))?;
    }
    match columns.iter().find(|column| column.is_required && !OURS.contains(&column.name.as_str())) {
        Some(Column { name, .. }) => Err(unfit(format!(
            "the table processed_events has the column {name}, which is NOT NULL and has no default; give it one"
        ))),
        None => Ok(()),
    }
}

const OURS: [&str; 8] =
    ["id", "type", "source", "user_id", "processed_data", "processing_time_ms", "created_at", "processed_at"];
const MEND: &str = "compare it with what `event-pipeline migrate --print` prints";

fn unfit(message: String) -> StoreError {
    StoreError::Misconfigured { code: "table".to_owned(), message }
}

fn fits(column: &Column, is_fit: bool) -> Result<(), StoreError> {
    if is_fit {
        return Ok(());
    }
    let Column { name, whole, .. } = column;
    Err(unfit(format!("the column {name} of processed_events is {whole}, which does not hold every value; {MEND}")))
}

fn is_text(column: &Column, chars: usize) -> bool {
    matches!(column.kind.as_str(), "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext")
        && column.chars_max.is_some_and(|chars_max| usize::try_from(chars_max).is_ok_and(|max| max >= chars))
}

fn is_enum(column: &Column, names: &[&str]) -> bool {
    column.kind == "enum" && names.iter().all(|name| column.whole.contains(&format!("'{name}'")))
}
