//! Storing a range: all of it or nothing, and which rows were there before.
//!
//! Rows go out in id order (two stores that write the same ids then lock them in the same order)
//! as multi-row inserts in a few fixed shapes, so that a server prepares each of them once per
//! connection. An id that is there already is left as it is. How many rows were new is told by
//! the count of affected rows, but not which: where some were not, their receipts are read back
//! and compared. The driver's own batch call is no multi-row insert and is not used.

use std::{collections::HashMap, ops::Range, sync::LazyLock};

use mysql_async::{Error, Params, Row as Answer, Value, prelude::Queryable as _};
use uuid::Uuid;

use super::{
    super::{BadRow, Batch, Row, StoreError, Stored},
    classify::{Fate, Progress, Verdict, judge, named_row},
    connect::{Session, typed},
};
use crate::event::{Civil, Receipt};

const COLUMNS: usize = 8;
/// How many rows an insert may have: any number is a sum of a few of them.
const SHAPES: [usize; 10] = [512, 256, 128, 64, 32, 16, 8, 4, 2, 1];
/// Most bytes of one statement, however much the server reads.
const STATEMENT_BYTES_MAX: usize = 8 << 20;
/// Most bytes of a row beside its texts: id, type, source, numbers, lengths and types.
const ROW_BYTES: usize = 160;

/// The statements of one shape.
struct Statements {
    rows: usize,
    insert: String,
    receipts: String,
}

static STATEMENTS: LazyLock<[Statements; SHAPES.len()]> = LazyLock::new(|| {
    SHAPES.map(|rows| Statements {
        rows,
        insert: format!(
            "INSERT INTO processed_events (id, type, source, user_id, processed_data, processing_time_ms, \
             created_at, processed_at) VALUES {} ON DUPLICATE KEY UPDATE id = id",
            vec!["(?,?,?,?,?,?,?,?)"; rows].join(",")
        ),
        receipts: format!(
            "SELECT id, IF(JSON_VALID(processed_data), JSON_UNQUOTE(JSON_EXTRACT(processed_data, '$.receipt')), NULL) \
             FROM processed_events WHERE id IN ({})",
            vec!["?"; rows].join(",")
        ),
    })
});

/// Receipts as they are in the table; `None` for a row that has none, so not one of ours.
type Receipts = HashMap<Uuid, Option<Receipt>>;

/// Stores `range` of `batch`.
pub(super) async fn insert(session: &mut Session, batch: &Batch, range: Range<usize>) -> Result<Stored, Verdict> {
    let mut order: Vec<(Uuid, usize)> = range.map(|index| (batch.id(index), index)).collect();
    // Of equal ids the first in the batch comes first.
    order.sort_unstable();
    let mut firsts = order.clone();
    firsts.dedup_by_key(|(id, _)| *id);
    let firsts: Vec<usize> = firsts.into_iter().map(|(_, index)| index).collect();

    if let Some(index) = firsts.iter().find(|index| bytes(batch, **index) > session.packet_bytes_max) {
        return Err(too_large(*index, bytes(batch, *index), session.packet_bytes_max));
    }
    let chunks = split(batch, &firsts, statement_bytes_max(session.packet_bytes_max));
    let found = if let [(statements, rows)] = chunks.as_slice() {
        single(session, batch, statements, rows).await?
    } else {
        transaction(session, batch, &chunks).await?
    };

    let mut duplicates = Vec::new();
    if found.is_empty() && firsts.len() == order.len() {
        return Ok(Stored { duplicates });
    }
    for same in order.chunk_by(|a, b| a.0 == b.0) {
        let (id, first) = same[0];
        let stored = found.get(&id).copied().unwrap_or_else(|| Some(batch.row(first).receipt));
        let indexes = same.iter().map(|(_, index)| *index);
        duplicates.extend(indexes.filter(|index| Some(batch.row(*index).receipt) != stored));
    }
    duplicates.sort_unstable();
    Ok(Stored { duplicates })
}

/// How long a statement may be that has more than one row, where the server reads packets of `packet_bytes_max`.
pub(super) fn statement_bytes_max(packet_bytes_max: usize) -> usize {
    (packet_bytes_max / 2).min(STATEMENT_BYTES_MAX)
}

/// Cuts rows into statements: each as large as its shape and its bytes allow.
fn split<'r>(batch: &Batch, mut rows: &'r [usize], bytes_max: usize) -> Vec<(&'static Statements, &'r [usize])> {
    let mut chunks = Vec::new();
    while !rows.is_empty() {
        let mut sum = 0;
        let fitting = rows.iter().take_while(|index| {
            sum += bytes(batch, **index);
            sum <= bytes_max
        });
        // A row that is larger has a statement of its own.
        let count = fitting.take(SHAPES[0]).count().max(1);
        let statements = STATEMENTS.iter().find(|statements| statements.rows <= count);
        let statements = statements.expect("the smallest shape is one row");
        let (chunk, rest) = rows.split_at(statements.rows);
        chunks.push((statements, chunk));
        rows = rest;
    }
    chunks
}

/// About how many bytes of a statement a row takes, rather more than less.
fn bytes(batch: &Batch, index: usize) -> usize {
    ROW_BYTES + batch.text_bytes(index)
}

/// The verdict on a row that no packet holds. It is not even sent: servers answer it by closing
/// the connection, and so with an error that would be waited out for ever.
fn too_large(index: usize, bytes: usize, bytes_max: usize) -> Verdict {
    let message = format!("the row takes {bytes} bytes, but the server's max_allowed_packet is {bytes_max}");
    let bad = BadRow { row: Some(index), code: "packet_too_large".to_owned(), message };
    Verdict { error: StoreError::BadRow(bad), fate: Fate::Keep }
}

/// One statement commits by itself.
async fn single(
    session: &mut Session,
    batch: &Batch,
    statements: &Statements,
    rows: &[usize],
) -> Result<Receipts, Verdict> {
    session.progress = Progress::Sent;
    let new = execute(session, batch, statements, rows).await?;
    session.progress = Progress::Stored;
    let mut found = Receipts::new();
    if new < rows.len() {
        receipts(session, batch, statements, rows, &mut found).await?;
    }
    Ok(found)
}

/// Several statements are one transaction.
async fn transaction(
    session: &mut Session,
    batch: &Batch,
    chunks: &[(&'static Statements, &[usize])],
) -> Result<Receipts, Verdict> {
    command(session, "START TRANSACTION").await?;
    match within(session, batch, chunks).await {
        Err(mut verdict) if verdict.fate == Fate::Keep => {
            // A failed statement leaves those before it, and their locks.
            session.progress = Progress::Nothing;
            if command(session, "ROLLBACK").await.is_err() {
                verdict.fate = Fate::Close;
            }
            Err(verdict)
        }
        outcome => outcome,
    }
}

async fn within(
    session: &mut Session,
    batch: &Batch,
    chunks: &[(&'static Statements, &[usize])],
) -> Result<Receipts, Verdict> {
    let mut found = Receipts::new();
    for (statements, rows) in chunks {
        let new = execute(session, batch, statements, rows).await?;
        if new < rows.len() {
            receipts(session, batch, statements, rows, &mut found).await?;
        }
    }
    session.progress = Progress::Sent;
    command(session, "COMMIT").await?;
    session.progress = Progress::Stored;
    Ok(found)
}

async fn command(session: &mut Session, text: &str) -> Result<(), Verdict> {
    match session.conn.query_drop(text).await {
        Ok(()) => Ok(()),
        Err(error) => Err(session.judge(&error)),
    }
}

/// Sends one insert; how many of its rows are new.
async fn execute(
    session: &mut Session,
    batch: &Batch,
    statements: &Statements,
    rows: &[usize],
) -> Result<usize, Verdict> {
    let mut values = Vec::with_capacity(rows.len() * COLUMNS);
    for index in rows {
        bind(&batch.row(*index), &mut values);
    }
    match affected(session, statements, values).await {
        Ok(new) => Ok(usize::try_from(new).unwrap_or(usize::MAX)),
        Err(error) => Err(named(session.judge(&error), rows)),
    }
}

async fn affected(session: &mut Session, statements: &Statements, values: Vec<Value>) -> Result<u64, Error> {
    // The driver remembers statements by their text, of which it reads every byte each time.
    let insert = match session.inserts.get(&statements.rows) {
        Some(insert) => insert.clone(),
        None => {
            let insert = session.conn.prep(&statements.insert).await?;
            session.inserts.insert(statements.rows, insert.clone());
            insert
        }
    };
    let result = session.conn.exec_iter(insert, Params::Positional(values)).await?;
    let affected = result.affected_rows();
    result.drop_result().await?;
    Ok(affected)
}

/// Finds the batch's row that the server numbered within its statement.
fn named(mut verdict: Verdict, rows: &[usize]) -> Verdict {
    if let StoreError::BadRow(bad) = &mut verdict.error {
        bad.row = match rows {
            [only] => Some(*only),
            _ => named_row(&bad.message).and_then(|number| rows.get(number.checked_sub(1)?)).copied(),
        };
    }
    verdict
}

async fn receipts(
    session: &mut Session,
    batch: &Batch,
    statements: &Statements,
    rows: &[usize],
    found: &mut Receipts,
) -> Result<(), Verdict> {
    let ids = rows.iter().map(|index| id(batch.id(*index))).collect();
    let answers: Vec<Answer> = match session.conn.exec(statements.receipts.as_str(), Params::Positional(ids)).await {
        Ok(answers) => answers,
        Err(error) => return Err(judge(&error, session.progress)),
    };
    for answer in answers {
        let (id, receipt): (String, Option<String>) = typed(answer)?;
        // A row whose id only looks like one of ours, by its collation, is somebody's all the same.
        if let Ok(id) = Uuid::parse_str(id.trim()) {
            let receipt = receipt.and_then(|text| u128::from_str_radix(&text, 16).ok());
            found.insert(id, receipt.map(Receipt));
        }
    }
    match rows.iter().map(|index| batch.id(*index)).find(|id| !found.contains_key(id)) {
        Some(id) => Err(kept_out(id)),
        None => Ok(()),
    }
}

/// The verdict on an id that the server neither had nor took: said to be stored, it would be lost.
fn kept_out(id: Uuid) -> Verdict {
    let message = format!(
        "the event {id} is not in processed_events after its insert: another unique key or a trigger keeps it out; \
         drop that key or trigger"
    );
    // One that somebody deleted just then is there after the next attempt; and should the answers have been
    // those to other commands, then not on this connection.
    Verdict { error: StoreError::Misconfigured { code: "kept_out".to_owned(), message }, fate: Fate::Close }
}

fn bind(row: &Row<'_>, values: &mut Vec<Value>) {
    let text = |text: &str| Value::Bytes(text.as_bytes().to_vec());
    values.extend([
        id(row.id),
        text(row.kind.as_str()),
        text(row.source.as_str()),
        row.user_id.map_or(Value::NULL, text),
        text(row.processed_data),
        Value::Int(row.processing_time_ms.into()),
        seconds(row.created_at_s),
        seconds(row.processed_at_s),
    ]);
}

fn id(id: Uuid) -> Value {
    Value::Bytes(id.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes().to_vec())
}

/// Seconds since the epoch as the date and time that they are in UTC, the session's zone. The
/// server's own conversion gives NULL for what it cannot convert, and NULL stands for "now".
fn seconds(since_epoch: i64) -> Value {
    let Civil { year, month, day, hour, minute, second } = Civil::from_seconds(since_epoch);
    // Out of what a date holds becomes year 0, which strict mode refuses.
    Value::Date(u16::try_from(year).unwrap_or(0), month, day, hour, minute, second, 0)
}
