//! What the embedded store takes by itself: `cargo bench --bench store`.
//!
//! Each batch is one call and one synced commit, as a flusher makes it; ids are UUIDv7, as the
//! service makes them. The file grows while it runs, as a real one does.

use std::{sync::Arc, time::Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use event_pipeline::{
    event::{EventType, Receipt, Source},
    storage::{Batch, Row, Sqlite, Storage as _},
};
use uuid::Uuid;

const DATA: &str = r#"{"data":{"action":"purchase","value":99.5,"currency":"EUR","metadata":{"page":"/checkout","step":3}},"timestamp":"2025-01-15T10:30:00.123Z","received_at":"2025-01-15T10:30:01.000000Z","lag_ms":877,"receipt":"00000000000000000000000000000001"}"#;

fn fill(batch: &mut Batch, rows: usize) {
    batch.clear();
    for n in 0..rows {
        let user = format!("user_{:05}", n * 7919 % 100_000);
        batch.push(&Row {
            id: Uuid::now_v7(),
            kind: EventType::UserAction,
            source: Source::Web,
            user_id: Some(&user),
            processed_data: DATA,
            processing_time_ms: 1,
            created_at_s: 1_736_937_000,
            processed_at_s: 1_736_937_001,
            receipt: Receipt(1),
        });
    }
}

fn insert(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("an event loop");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = Sqlite::open(&dir.path().join("events.db")).expect("a new database");
    runtime.block_on(store.migrate()).expect("a new table");
    let mut group = c.benchmark_group("sqlite_insert");
    group.sample_size(10);
    for rows in [100, 1_000, 10_000] {
        group.throughput(Throughput::Elements(rows as u64));
        group.bench_function(BenchmarkId::from_parameter(rows), |b| {
            b.iter_custom(|rounds| {
                let mut batch = Arc::new(Batch::default());
                let mut spent = std::time::Duration::ZERO;
                for _ in 0..rounds {
                    fill(Arc::get_mut(&mut batch).expect("the store lets go before it answers"), rows);
                    let since = Instant::now();
                    runtime.block_on(store.store(&batch, 0..rows)).expect("rows that fit");
                    spent += since.elapsed();
                }
                spent
            });
        });
    }
    group.finish();
}

criterion_group!(benches, insert);
criterion_main!(benches);
