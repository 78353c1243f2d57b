//! Reading a page: keys by an index, then the events of those that are on it.
//!
//! Each statement is answered from one range of one index, in the index's order, and sorts nothing. SQLite's
//! indexes end with the row's number: the rows of a second come in the order in which they were stored, for ordering
//! them by id would mean to read all of that second for each page. An index that others made to end with the id is read
//! by that. Ours do not: it would cost every insert a tenth and more.

use std::path::Path;

use rusqlite::{
    Connection, Row, params_from_iter,
    types::{ToSqlOutput, ValueRef},
};
use uuid::Uuid;

use super::{
    super::{
        StoreError, StoredEvent,
        page::{Begin, Index, Key, Page, PageQuery, Pager, Scan},
    },
    classify::classify,
    reader::{FETCH, Reader, event, text},
};

/// Events that are read before their bytes are counted.
const EVENTS_AT_ONCE: usize = 8;

const INDEX: &str = "\
SELECT lower(x.name), x.cid, x.desc FROM pragma_index_list('processed_events') AS l, pragma_index_xinfo(l.name) AS x
WHERE l.name = ?1 COLLATE NOCASE AND NOT l.partial ORDER BY x.seqno LIMIT 3";

/// The number that stands for a row's number among the columns of an index.
const ROW_NUMBER: i64 = -1;

/// What orders the rows of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tie {
    Id,
    RowNumber,
}

impl Tie {
    fn column(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::RowNumber => "rowid",
        }
    }
}

/// The page of that query.
pub(super) fn read(reader: &Reader, query: PageQuery) -> Result<Page, StoreError> {
    reader.with(|connection, path| {
        let failed = |error: rusqlite::Error| classify(&error, path, None);
        let mut pager = Pager::new(query);
        while let Some(scan) = pager.next_scan() {
            let tie = tie(connection, scan.index).map_err(failed)?;
            let tie = tie.ok_or_else(|| no_such_index(scan.index, path))?;
            let keys = keys(connection, tie, &scan).map_err(failed)?;
            pager.scanned(scan, keys);
        }
        loop {
            let ids = pager.next_ids(EVENTS_AT_ONCE);
            if ids.is_empty() {
                return Ok(pager.page());
            }
            pager.fetched(events(connection, &ids).map_err(failed)?);
        }
    })
}

/// What the index has behind its column and the time; `None` where there is no such index.
fn tie(connection: &Connection, index: Index) -> rusqlite::Result<Option<Tie>> {
    let mut statement = connection.prepare_cached(INDEX)?;
    let columns = statement.query_map([index.name()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let columns: Vec<(Option<String>, i64, bool)> = columns.collect::<Result<_, _>>()?;
    let [(Some(first), ..), (Some(second), _, second_falls), (third, number, third_falls)] = columns.as_slice() else {
        return Ok(None);
    };
    if first != index.column() || second != "created_at" || second_falls != third_falls {
        return Ok(None);
    }
    Ok(match third.as_deref() {
        Some("id") => Some(Tie::Id),
        None if *number == ROW_NUMBER => Some(Tie::RowNumber),
        _ => None,
    })
}

/// The statement that reads the keys. What no time is, or no id, lies outside of all ranges.
pub(super) fn statement(tie: Tie, index: Index, begin: &Begin, is_wide: bool) -> String {
    let tie = tie.column();
    let begin: &str = match begin {
        Begin::Newest => "created_at >= ? AND created_at < x''",
        Begin::Before(_) => "created_at >= ? AND created_at < ?",
        Begin::NotAfter(_) => "created_at >= ? AND created_at <= ?",
        Begin::Behind(_) => &format!("created_at = ? AND {tie} < ?"),
    };
    let columns = match index {
        _ if is_wide => "type, source, user_id",
        Index::Kind => "type, NULL, NULL",
        Index::User => "NULL, NULL, user_id",
    };
    format!(
        "SELECT created_at, id, {tie}, {columns} FROM processed_events INDEXED BY {} \
         WHERE {} = ? AND {begin} AND typeof(id) = 'text' ORDER BY created_at DESC, {tie} DESC LIMIT ?",
        index.name(),
        index.column()
    )
}

fn keys(connection: &Connection, tie: Tie, scan: &Scan) -> rusqlite::Result<Vec<Key>> {
    // Bytes as they lie there, which others may have written: the next page begins at just this place.
    let bytes = |text| ToSqlOutput::Borrowed(ValueRef::Text(text));
    let integer = |number| ToSqlOutput::Borrowed(ValueRef::Integer(number));
    let mut parameters = vec![bytes(scan.value.as_bytes())];
    match &scan.begin {
        Begin::Newest => parameters.push(bytes(scan.from.as_bytes())),
        Begin::Before(created_at) | Begin::NotAfter(created_at) => {
            parameters.extend([bytes(scan.from.as_bytes()), bytes(created_at)]);
        }
        Begin::Behind(place) => {
            let tie = match tie {
                Tie::Id => bytes(&place.tie),
                Tie::RowNumber => integer(row_number(&place.tie)),
            };
            parameters.extend([bytes(&place.created_at), tie]);
        }
    }
    parameters.push(integer(scan.rows_max as i64));
    let mut statement = connection.prepare_cached(&statement(tie, scan.index, &scan.begin, scan.is_wide))?;
    let keys = statement.query_map(params_from_iter(parameters), |row| {
        Ok(Key {
            created_at: row.get_ref(0)?.as_bytes()?.to_vec(),
            id: row.get_ref(1)?.as_bytes()?.to_vec(),
            tie: match tie {
                Tie::Id => None,
                Tie::RowNumber => Some(row.get::<_, i64>(2)?.to_string().into_bytes()),
            },
            kind: text(row, 3)?,
            source: text(row, 4)?,
            user_id: text(row, 5)?,
        })
    })?;
    keys.collect()
}

/// A row's number as a cursor has it. Where it is an id, from when the index had
/// ids, its second begins again.
fn row_number(tie: &[u8]) -> i64 {
    std::str::from_utf8(tie).ok().and_then(|tie| tie.parse().ok()).unwrap_or(i64::MAX)
}

/// The events of these ids; those that are gone are left out.
fn events(connection: &Connection, ids: &[Vec<u8>]) -> rusqlite::Result<Vec<StoredEvent>> {
    let mut statement = connection.prepare_cached(FETCH)?;
    let mut events = Vec::with_capacity(ids.len());
    for id in ids {
        let Ok(uuid) = Uuid::try_parse_ascii(id) else { continue };
        let mut rows = statement.query([ToSqlOutput::Borrowed(ValueRef::Text(id))])?;
        let found: Option<&Row<'_>> = rows.next()?;
        events.extend(found.map(|row| event(uuid, row)).transpose()?);
    }
    Ok(events)
}

fn no_such_index(index: Index, path: &Path) -> StoreError {
    let (name, column) = (index.name(), index.column());
    let message = format!(
        "the table processed_events in the database {} has no index {name} on {column} and created_at, without \
         which pages are not read; run: CREATE INDEX {name} ON processed_events ({column}, created_at)",
        path.display()
    );
    StoreError::Misconfigured { code: "SQLITE_INDEX".into(), message }
}
