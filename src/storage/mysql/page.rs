//! Reading a page: keys by an index, then the events of those that are on it.
//!
//! Each statement is answered from one range of one index, in the index's order: the server reads the rows that
//! were asked for and sorts nothing. InnoDB's indexes end with the primary key, which therefore can order the rows of
//! a second. The index is prescribed, since by its own estimate a server may walk along the primary key instead,
//! and filter.

use std::iter;

use mysql_async::{Error, Params, Row, Value, prelude::Queryable as _};
use uuid::Uuid;

use super::{
    super::{
        StoreError,
        page::{Begin, Index, Key, Page, PageQuery, Pager, Place, Scan},
    },
    classify::{Fate, Verdict},
    connect::{Session, typed},
    query,
};
use crate::storage::StoredEvent;

/// Events of one statement; as many bytes may be in memory as so many events have.
const EVENTS_AT_ONCE: usize = 32;

/// The server's number for an index that is prescribed and not there.
const NO_SUCH_INDEX: u16 = 1176;

type Columns = (Vec<u8>, Vec<u8>, Option<String>, Option<String>, Option<String>);

/// Every statement that pages are read with, for those who want their server to explain them. The parameters are
/// a type or a user, one or two times or a time and an id, and a number of rows; those of the first statement are ids.
pub fn statements() -> Vec<String> {
    let none = Vec::new;
    let behind = Begin::Behind(Place { created_at: none(), tie: none() });
    let begins = [Begin::Newest, Begin::Before(none()), Begin::NotAfter(none()), behind];
    let mut statements = vec![events_statement()];
    for index in [Index::Kind, Index::User] {
        for begin in &begins {
            statements.extend([false, true].map(|is_wide| keys_statement(index, begin, is_wide)));
        }
    }
    statements
}

fn keys_statement(index: Index, begin: &Begin, is_wide: bool) -> String {
    let begin = match begin {
        Begin::Newest => "created_at >= ?",
        Begin::Before(_) => "created_at >= ? AND created_at < ?",
        Begin::NotAfter(_) => "created_at >= ? AND created_at <= ?",
        Begin::Behind(_) => "created_at = ? AND id < ?",
    };
    let columns = match index {
        _ if is_wide => "type, source, user_id",
        Index::Kind => "type, NULL, NULL",
        Index::User => "NULL, NULL, user_id",
    };
    format!(
        "SELECT CAST(created_at AS CHAR), id, {columns} FROM processed_events FORCE INDEX ({}) \
         WHERE {} = ? AND {begin} ORDER BY created_at DESC, id DESC LIMIT ?",
        index.name(),
        index.column()
    )
}

fn events_statement() -> String {
    let ids = vec!["?"; EVENTS_AT_ONCE].join(",");
    format!("SELECT {} FROM processed_events FORCE INDEX (PRIMARY) WHERE id IN ({ids})", query::COLUMNS)
}

/// The page of that query.
pub(super) async fn read(session: &mut Session, query: PageQuery) -> Result<Page, Verdict> {
    let mut pager = Pager::new(query);
    while let Some(scan) = pager.next_scan() {
        let keys = keys(session, &scan).await?;
        pager.scanned(scan, keys);
    }
    loop {
        let ids = pager.next_ids(EVENTS_AT_ONCE);
        let Some(last) = ids.last().cloned() else { return Ok(pager.page()) };
        // One shape of the statement for all: the last id fills it up.
        let ids: Vec<Value> = ids.into_iter().chain(iter::repeat(last)).take(EVENTS_AT_ONCE).map(Value::from).collect();
        pager.fetched(events(session, ids).await?);
    }
}

async fn keys(session: &mut Session, scan: &Scan) -> Result<Vec<Key>, Verdict> {
    let from = scan.from.as_str();
    let mut params: Vec<Value> = vec![scan.value.as_str().into()];
    match &scan.begin {
        Begin::Newest => params.push(from.into()),
        Begin::Before(created_at) | Begin::NotAfter(created_at) => params.extend([from.into(), created_at.into()]),
        Begin::Behind(place) => params.extend([Value::from(&place.created_at), Value::from(&place.tie)]),
    }
    params.push((scan.rows_max as u64).into());
    let statement = keys_statement(scan.index, &scan.begin, scan.is_wide);
    let rows: Vec<Row> = match session.conn.exec(statement, Params::Positional(params)).await {
        Ok(rows) => rows,
        Err(Error::Server(error)) if error.code == NO_SUCH_INDEX => return Err(no_such_index(scan.index)),
        Err(error) => return Err(session.judge(&error)),
    };
    let key = |row| {
        typed(row).map(|(created_at, id, kind, source, user_id): Columns| Key {
            created_at,
            id,
            tie: None,
            kind,
            source,
            user_id,
        })
    };
    rows.into_iter().map(key).collect()
}

/// The events of these ids, in any order. Some of the ids may be equal.
async fn events(session: &mut Session, ids: Vec<Value>) -> Result<Vec<StoredEvent>, Verdict> {
    let rows: Vec<Row> = match session.conn.exec(events_statement(), Params::Positional(ids)).await {
        Ok(rows) => rows,
        Err(error) => return Err(session.judge(&error)),
    };
    let mut events = Vec::with_capacity(rows.len());
    for row in rows {
        let (id, event) = query::event(row)?;
        if let Ok(id) = Uuid::try_parse(&id) {
            events.push(StoredEvent { id, ..event });
        }
    }
    Ok(events)
}

fn no_such_index(index: Index) -> Verdict {
    let (name, column) = (index.name(), index.column());
    let message = format!(
        "the table processed_events has no index {name}, without which pages are not read; \
         run: ALTER TABLE processed_events ADD INDEX {name} ({column}, created_at)"
    );
    // Nothing is wrong with the connection.
    Verdict { error: StoreError::Misconfigured { code: NO_SUCH_INDEX.to_string(), message }, fate: Fate::Keep }
}
