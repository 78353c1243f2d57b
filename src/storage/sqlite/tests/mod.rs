//! The store against real files, each in a temporary directory of its own.

use std::{path::Path, sync::Arc};

use rusqlite::Connection;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{
    Sqlite,
    writer::{Job, Writer},
};
use crate::{
    event::{EventType, Receipt, Source},
    storage::{Batch, Migration, Row, Storage as _, StoreError, Stored},
};

mod classify;
mod group;
mod insert;
mod open;
mod page;
mod store;

type Answer = oneshot::Receiver<Result<Stored, StoreError>>;

/// A batch of rows, each with the id and receipt of these numbers.
fn batch(rows: &[(u128, u128)]) -> Arc<Batch> {
    let mut batch = Batch::default();
    for (id, receipt) in rows {
        let receipt = Receipt(*receipt);
        let processed_data = format!(r#"{{"data":{{"n":{id}}},"receipt":"{receipt}"}}"#);
        batch.push(&Row { processed_data: &processed_data, receipt, ..row(*id) });
    }
    Arc::new(batch)
}

fn row(id: u128) -> Row<'static> {
    Row {
        id: Uuid::from_u128(id),
        kind: EventType::SensorData,
        source: Source::IotDevice,
        user_id: Some("Zoë"),
        processed_data: "{}",
        processing_time_ms: 7,
        created_at_s: 1_700_000_000,
        processed_at_s: 1_700_000_001,
        receipt: Receipt(0),
    }
}

/// A job of the whole batch, and where its answer arrives.
fn job(batch: Arc<Batch>) -> (Job, Answer) {
    let (reply, answer) = oneshot::channel();
    let rows = 0..batch.len();
    (Job { batch, rows, reply }, answer)
}

/// A writer on a database that has the table. Its groups are what a test gives it.
fn writer(path: &Path) -> Writer {
    super::connect::create(path).unwrap();
    let mut writer = Writer::open(path).unwrap();
    assert_eq!(writer.migrate(), Ok(Migration::Created));
    writer
}

/// Stores the batches in one transaction.
fn store_group(writer: &mut Writer, batches: impl IntoIterator<Item = Arc<Batch>>) -> Vec<Result<Stored, StoreError>> {
    let (mut jobs, answers): (Vec<_>, Vec<_>) = batches.into_iter().map(job).unzip();
    writer.store(&mut jobs);
    answers.into_iter().map(|mut answer| answer.try_recv().unwrap()).collect()
}

async fn opened(path: &Path) -> Sqlite {
    let sqlite = Sqlite::open(path).unwrap();
    sqlite.migrate().await.unwrap();
    sqlite
}

/// Somebody else's connection to the same file.
fn stranger(path: &Path) -> Connection {
    Connection::open(path).unwrap()
}

/// The ids in the table, in order.
fn ids(path: &Path) -> Vec<u128> {
    let connection = stranger(path);
    let mut statement = connection.prepare("SELECT id FROM processed_events ORDER BY id").unwrap();
    let ids = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
    ids.map(|id| id.unwrap().parse::<Uuid>().unwrap().as_u128()).collect()
}

fn duplicates(rows: &[usize]) -> Result<Stored, StoreError> {
    Ok(Stored { duplicates: rows.to_vec() })
}

/// A table that refuses the user `bad`.
fn refuse_bad_users(path: &Path, how: &str) {
    let sql = format!(
        "CREATE TRIGGER refuse BEFORE INSERT ON processed_events WHEN new.user_id = 'bad' \
         BEGIN SELECT RAISE({how}, 'a bad user'); END"
    );
    stranger(path).execute_batch(&sql).unwrap();
}

/// Five rows from `first` on, the third of which is by the user `bad`.
fn batch_with_bad_row(first: u128) -> Arc<Batch> {
    let mut batch = Batch::default();
    for n in 0..5 {
        let user_id = Some(if n == 2 { "bad" } else { "good" });
        batch.push(&Row { user_id, ..row(first + n) });
    }
    Arc::new(batch)
}
