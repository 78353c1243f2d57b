//! From a body to the store: `cargo bench --bench pipeline`.
//!
//! `discard` is what the service itself can do; `sqlite` is what its embedded store takes.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use event_pipeline::{
    event::Shape,
    pipeline::{AckLevel, Options, Pipeline, Refused},
    storage::{Discard, Sqlite, Storage},
};

const BATCH: usize = 100;

fn body(round: u64) -> String {
    let event = |n: usize| {
        format!(
            r#"{{"type":"user_action","source":"web","user_id":"user_{:05}","timestamp":"2025-01-15T10:30:00.123Z","data":{{"action":"purchase","value":{round}.5,"currency":"EUR","metadata":{{"page":"/checkout","session":"3b241101e2bb42558caf","step":{n}}}}}}}"#,
            n * 7919 % 100_000
        )
    };
    format!("[{}]", (0..BATCH).map(event).collect::<Vec<_>>().join(","))
}

/// How long it takes until `rounds` batches are in the store, from one ingest thread.
fn run(pipeline: &Pipeline, rounds: u64) -> Duration {
    let body = body(rounds);
    let mut intake = pipeline.intake();
    let target = pipeline.metrics().events_processed + rounds * BATCH as u64;
    let since = Instant::now();
    for _ in 0..rounds {
        loop {
            match intake.submit(body.as_bytes(), Shape::Batch { events_max: BATCH }, AckLevel::Queued) {
                Ok(_) => break,
                // Full: the store sets the pace.
                Err(Refused::Overloaded { .. }) => thread::sleep(Duration::from_micros(200)),
                Err(refused) => unreachable!("the bench's own events are valid: {refused}"),
            }
        }
    }
    while pipeline.metrics().events_processed < target {
        thread::sleep(Duration::from_micros(100));
    }
    since.elapsed()
}

fn bench(c: &mut Criterion, name: &str, storage: Arc<dyn Storage>) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let pipeline =
        Pipeline::builder(storage, dir.path()).options(Options::default()).start().expect("threads can be had");
    let mut group = c.benchmark_group("pipeline");
    group.sample_size(20).throughput(Throughput::Elements(BATCH as u64));
    group.bench_function(name, |b| b.iter_custom(|rounds| run(&pipeline, rounds)));
    group.finish();
    pipeline.drain(Duration::from_secs(30));
}

fn whole(c: &mut Criterion) {
    bench(c, "discard", Arc::new(Discard::default()));
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = Sqlite::open(&dir.path().join("events.db")).expect("a new database");
    bench(c, "sqlite", Arc::new(store));
}

criterion_group!(benches, whole);
criterion_main!(benches);
