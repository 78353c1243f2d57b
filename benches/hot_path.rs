//! The steps of one event before the store, each by itself: `cargo bench --bench hot_path`.
//!
//! Figures are events a second on one core. Compare two runs on one machine, never two machines.

use std::{hint::black_box, sync::Arc};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use event_pipeline::{
    event::{self, Event, Parser},
    metrics::{Elsewhere, Metrics},
    storage::{Batch, Row},
};

mod kit;

use kit::{Shards, body, judge, records, slow_body};

fn parse(c: &mut Criterion) {
    let mut group = c.benchmark_group("parse_and_validate");
    for events in [1, 100] {
        let body = body(events);
        let mut parser = Parser::default();
        group.throughput(Throughput::Elements(events as u64));
        group.bench_function(BenchmarkId::from_parameter(events), |b| {
            b.iter(|| {
                judge(&mut parser, black_box(&body), &mut |event| {
                    black_box(event);
                })
            });
        });
    }
    let slow = slow_body(100);
    let mut parser = Parser::default();
    group.throughput(Throughput::Elements(100));
    group.bench_function("100_slow_path", |b| {
        b.iter(|| {
            judge(&mut parser, black_box(&slow), &mut |event| {
                black_box(event);
            })
        });
    });
    group.finish();
}

fn encode(c: &mut Criterion) {
    let records = records(100);
    let mut group = c.benchmark_group("batch_encode");
    group.throughput(Throughput::Elements(100));
    let mut out = Vec::new();
    group.bench_function("records/100", |b| {
        b.iter(|| {
            out.clear();
            for item in event::RecordReader::new(black_box(&records)) {
                let (event, _) = item.expect("records that were just written");
                event::encode(&event, &mut out);
            }
            out.len()
        });
    });
    let mut batch = Batch::with_capacity(100, 100 * 512);
    group.bench_function("rows/100", |b| {
        b.iter(|| {
            batch.clear();
            for item in event::RecordReader::new(black_box(&records)) {
                let (event, _) = item.expect("records that were just written");
                batch.push(&row(&event));
            }
            batch.len()
        });
    });
    group.finish();
}

fn row<'a>(event: &Event<'a>) -> Row<'a> {
    Row {
        id: event.id,
        kind: event.kind,
        source: event.source,
        user_id: event.user_id,
        processed_data: event.data,
        processing_time_ms: 1,
        created_at_s: event.occurred.seconds(),
        processed_at_s: event.received.seconds(),
        receipt: event.receipt,
    }
}

fn place(c: &mut Criterion) {
    let (records, shards) = (records(100), Shards::new());
    let mut group = c.benchmark_group("shard_hash_and_enqueue");
    group.throughput(Throughput::Elements(100));
    group.bench_function("100", |b| b.iter(|| shards.place(black_box(&records))));
    group.finish();
}

fn metrics(c: &mut Criterion) {
    let metrics = Arc::new(Metrics::new(4));
    let ingest = metrics.add_ingest();
    let mut group = c.benchmark_group("metrics");
    group.throughput(Throughput::Elements(100));
    group.bench_function("update/100", |b| {
        b.iter(|| {
            let shard = metrics.shard(black_box(1));
            shard.tally.add_received(100);
            shard.tally.add_processed(100);
            shard.batch_settled(23_000, 0, [(1500, 100)].into_iter());
            ingest.record_acknowledgement(1500);
        });
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("merge/4_shards", |b| b.iter(|| metrics.snapshot(&|_| 0, Elsewhere::default())));
    group.finish();
}

criterion_group!(benches, parse, encode, place, metrics);
criterion_main!(benches);
