//! The steps of one event before the store, each by itself: `cargo bench --bench hot_path`.
//!
//! Figures are events a second on one core. Compare two runs on one machine, never two machines.

use std::{hint::black_box, sync::Arc};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use event_pipeline::{
    event::{self, ContractOnly, Event, Micros, Parser, Receipt, Shape, Stamp},
    metrics::{Elsewhere, Metrics},
    pipeline::Identity,
    storage::{Batch, Row},
    sync::{self, Amount, Credits},
};
use uuid::Uuid;

/// Stamps that cost nothing, so that parsing alone is measured.
struct FixedStamp;

impl Stamp for FixedStamp {
    fn received(&self) -> Micros {
        Micros(1_760_000_000_000_000)
    }

    fn id(&mut self, index: usize) -> Uuid {
        Uuid::from_u128(index as u128)
    }

    fn receipt(&mut self) -> Receipt {
        Receipt(1)
    }
}

/// An event of about 230 bytes, as a browser sends it.
fn event_json(n: usize) -> String {
    format!(
        r#"{{"type":"user_action","source":"web","user_id":"user_{:05}","timestamp":"2025-01-15T10:30:00.123Z","data":{{"action":"purchase","value":{}.5,"currency":"EUR","metadata":{{"page":"/checkout","session":"3b241101e2bb42558caf","step":3}}}}}}"#,
        n * 7919 % 100_000,
        n % 1000
    )
}

fn body(events: usize) -> String {
    format!("[{}]", (0..events).map(event_json).collect::<Vec<_>>().join(","))
}

/// The records of `events` events, one after another, and their users' shards.
fn records(events: usize) -> Vec<u8> {
    let mut records = Vec::new();
    judge(&mut Parser::default(), &body(events), &mut |event| event::encode(event, &mut records));
    records
}

fn judge(parser: &mut Parser, body: &str, accept: &mut dyn FnMut(&Event<'_>)) {
    let shape = Shape::Batch { events_max: 1000 };
    let judged = parser.judge(body.as_bytes(), shape, &mut FixedStamp, &ContractOnly, &mut |_, event| accept(event));
    assert!(judged.is_ok_and(|judged| judged.rejections.is_empty()), "the bench's own events are valid");
}

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
    // One value that simd-json refuses: the whole body takes the slow path.
    let slow = body(99).replacen('[', r#"[{"type":"user_action","source":"web","data":{"n":1e999}},"#, 1);
    let mut parser = Parser::default();
    group.throughput(Throughput::Elements(100));
    group.bench_function("100_slow_path", |b| {
        let shape = Shape::Batch { events_max: 1000 };
        b.iter(|| {
            let mut accept = |_, event: &Event<'_>| {
                black_box(event);
            };
            parser.judge(black_box(slow.as_bytes()), shape, &mut FixedStamp, &ContractOnly, &mut accept)
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
    const SHARDS: usize = 4;
    let records = records(100);
    let identity = Identity { key: [7; 16], node: 1 };
    let bound = Amount { events: 1 << 20, bytes: 1 << 30 };
    let shards: Vec<_> = (0..SHARDS).map(|_| (Credits::new(bound), flume::bounded::<Vec<u8>>(1 << 10))).collect();
    let mut group = c.benchmark_group("shard_hash_and_enqueue");
    group.throughput(Throughput::Elements(100));
    group.bench_function("100", |b| {
        b.iter(|| {
            let mut outboxes: [(Amount, Vec<u8>); SHARDS] = Default::default();
            for item in event::RecordReader::new(black_box(&records)) {
                let (event, length) = item.expect("records that were just written");
                let (amount, outbox) = &mut outboxes[identity.shard_of(&event, SHARDS)];
                event::encode(&event, outbox);
                amount.events += 1;
                amount.bytes += length as u64;
            }
            let wants = shards.iter().zip(&outboxes).map(|((credits, _), (amount, _))| (credits, *amount));
            sync::take_all(wants).expect("every credit was given back");
            for ((_, (sender, _)), (_, outbox)) in shards.iter().zip(&mut outboxes) {
                sender.try_send(std::mem::take(outbox)).expect("the queue was emptied");
            }
            for ((credits, (_, receiver)), (amount, _)) in shards.iter().zip(&outboxes) {
                black_box(receiver.try_recv().expect("it was just sent"));
                credits.give_back(*amount);
            }
        });
    });
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
            shard.batch_settled(23_000, [(1500, 100)].into_iter());
            ingest.record_acknowledgement(1500);
        });
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("merge/4_shards", |b| b.iter(|| metrics.snapshot(&|_| 0, Elsewhere::default())));
    group.finish();
}

criterion_group!(benches, parse, encode, place, metrics);
criterion_main!(benches);
