//! What the flusher meets: rows, duplicates, several calls at once.

use futures_util::future::join_all;

use super::*;
use crate::storage::StoredEvent;

#[tokio::test]
async fn rows_come_back_column_by_column() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.db");
    let sqlite = opened(&path).await;
    let mut rows = Batch::default();
    rows.push(&Row { processed_data: r#"{"data":{"a":1.10}}"#, ..row(0xABCD) });
    rows.push(&Row { user_id: None, kind: EventType::UserAction, source: Source::Web, ..row(2) });
    let rows = Arc::new(rows);
    assert_eq!(sqlite.store(&rows, 0..2).await, duplicates(&[]));

    let fetched = sqlite.fetch(Uuid::from_u128(0xABCD)).await.unwrap();
    let expected = StoredEvent {
        id: Uuid::from_u128(0xABCD),
        kind: "sensor_data".into(),
        source: "iot_device".into(),
        user_id: Some("Zoë".into()),
        processed_data: Some(r#"{"data":{"a":1.10}}"#.into()),
        processing_time_ms: Some(7),
        created_at_s: Some(1_700_000_000),
        processed_at_s: Some(1_700_000_001),
    };
    assert_eq!(fetched, Some(expected));
    let second = sqlite.fetch(Uuid::from_u128(2)).await.unwrap().unwrap();
    assert_eq!((second.user_id, second.kind.as_str(), second.source.as_str()), (None, "user_action", "web"));
    assert_eq!(sqlite.fetch(Uuid::from_u128(3)).await, Ok(None));

    let written = "SELECT id || ' ' || created_at || ' ' || processed_at FROM processed_events WHERE user_id = 'Zoë'";
    let written: String = stranger(&path).query_row(written, [], |row| row.get(0)).unwrap();
    assert_eq!(written, "00000000-0000-0000-0000-00000000abcd 2023-11-14 22:13:20 2023-11-14 22:13:21");
}

#[tokio::test]
async fn ids_that_are_there_are_duplicates_and_stay_as_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.db");
    let sqlite = opened(&path).await;
    let first = batch(&[(1, 11), (2, 12)]);
    assert_eq!(sqlite.store(&first, 0..2).await, duplicates(&[]));
    let mixed = batch(&[(1, 21), (3, 23), (2, 22), (4, 24), (4, 25), (5, 26)]);
    assert_eq!(sqlite.store(&mixed, 0..6).await, duplicates(&[0, 2, 4]));
    assert_eq!(ids(&path), [1, 2, 3, 4, 5]);
    let kept = sqlite.fetch(Uuid::from_u128(1)).await.unwrap().unwrap().processed_data.unwrap();
    assert!(kept.contains(&Receipt(11).to_string()), "{kept}");
}

#[tokio::test]
async fn an_own_earlier_attempt_is_no_duplicate() {
    let directory = tempfile::tempdir().unwrap();
    let sqlite = opened(&directory.path().join("events.db")).await;
    let rows = batch(&[(1, 11), (1, 12), (2, 13)]);
    for _ in 0..2 {
        assert_eq!(sqlite.store(&rows, 0..3).await, duplicates(&[1]));
    }
}

#[tokio::test]
async fn a_strangers_row_is_a_duplicate_whatever_is_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.db");
    let sqlite = opened(&path).await;
    for (id, data) in [(1, "NULL"), (2, "'no json'"), (3, "x'00ff'"), (4, "'[]'"), (5, r#"'{"receipt":5}'"#)] {
        let id = Uuid::from_u128(id);
        let sql = format!(
            "INSERT INTO processed_events (id, type, source, processed_data) VALUES ('{id}', 'system_log', 'web', {data})"
        );
        stranger(&path).execute_batch(&sql).unwrap();
    }
    let rows = batch(&[(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)]);
    assert_eq!(sqlite.store(&rows, 0..5).await, duplicates(&[0, 1, 2, 3, 4]));
}

#[tokio::test]
async fn a_range_is_stored_and_its_indexes_are_the_batchs() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.db");
    let sqlite = opened(&path).await;
    let rows = batch(&[(1, 1), (2, 2), (3, 3), (4, 4)]);
    assert_eq!(sqlite.store(&rows, 1..2).await, duplicates(&[]));
    let others = batch(&[(9, 9), (2, 22), (3, 33)]);
    assert_eq!(sqlite.store(&others, 1..3).await, duplicates(&[1]));
    assert_eq!(ids(&path), [2, 3]);
    assert_eq!(sqlite.store(&others, 2..2).await, duplicates(&[]), "an empty range");
}

#[tokio::test]
async fn the_batch_is_the_callers_alone_when_the_answer_comes() {
    let directory = tempfile::tempdir().unwrap();
    let sqlite = opened(&directory.path().join("events.db")).await;
    let mut rows = batch(&[(1, 1)]);
    for round in 0..50_u128 {
        sqlite.store(&rows, 0..1).await.unwrap();
        let reused = Arc::get_mut(&mut rows).expect("the store has let go of it");
        reused.clear();
        reused.push(&row(round));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_at_the_same_time_are_all_stored() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.db");
    let sqlite = Arc::new(opened(&path).await);
    let callers = (0..40_u128).map(|caller| {
        let sqlite = Arc::clone(&sqlite);
        tokio::spawn(async move {
            // Each brings one row that all of them bring.
            let rows: Vec<_> = (0..25).map(|n| (caller * 100 + n + 1, caller)).chain([(0, caller)]).collect();
            sqlite.store(&batch(&rows), 0..26).await.unwrap().duplicates.len()
        })
    });
    let duplicate: usize = join_all(callers).await.into_iter().map(Result::unwrap).sum();
    assert_eq!(duplicate, 39, "all but the first find the common row there");
    assert_eq!(ids(&path).len(), 40 * 25 + 1);
}

#[tokio::test]
async fn dropping_it_stores_what_waits_and_leaves_one_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.db");
    let sqlite = opened(&path).await;
    for n in 0..20 {
        let rows = batch(&[(n, n)]);
        // Polled once, so that it is queued, and given up.
        assert!(futures_util::FutureExt::now_or_never(sqlite.store(&rows, 0..1)).is_none_or(|result| result.is_ok()));
    }
    sqlite.health().await.unwrap();
    drop(sqlite);
    let left: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["events.db"]);
    assert_eq!(ids(&path).len(), 20);

    let again = opened(&path).await;
    for n in 0..20 {
        assert!(again.fetch(Uuid::from_u128(n)).await.unwrap().is_some());
    }
}

#[test]
fn a_panic_of_the_thread_ends_the_process() {
    const CHILD: &str = "EVENT_PIPELINE_TEST_SQLITE_PANIC";
    if let Some(path) = std::env::var_os(CHILD) {
        let mut writer = writer(Path::new(&path));
        let rows = batch(&[(1, 1)]);
        let (reply, _answer) = oneshot::channel();
        let beyond = Job { batch: rows, rows: 0..2, reply };
        let (queue, messages) = flume::bounded(1);
        queue.send(super::super::writer::Message::Store(beyond)).unwrap();
        assert_eq!(writer.migrate(), Ok(Migration::Unchanged));
        drop(std::thread::spawn(move || writer.run(&messages)).join());
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let this = std::thread::current().name().unwrap().to_owned();
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &this, "--nocapture"])
        .env(CHILD, directory.path().join("events.db"))
        .output()
        .unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&child.status), Some(6), "{child:?}");
}
