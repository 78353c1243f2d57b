//! Events for benches, and the steps of their way that more than one bench takes.

use std::hint::black_box;

use event_pipeline::{
    event::{self, ContractOnly, Event, Micros, Parser, Receipt, Shape, Stamp},
    pipeline::Identity,
    sync::{self, Amount, Credits},
};
use uuid::Uuid;

const SHARDS: usize = 4;

/// Stamps that cost nothing, so that parsing alone is measured.
struct FixedStamp;

impl Stamp for FixedStamp {
    fn received(&self) -> Micros {
        Micros(1_760_000_000_000_000)
    }

    fn id(&mut self, index: usize, _: Option<&str>) -> Uuid {
        Uuid::from_u128(index as u128)
    }

    fn receipt(&mut self) -> Receipt {
        Receipt(1)
    }
}

/// An event of about 230 bytes, as a browser sends it.
pub(crate) fn event_json(n: usize) -> String {
    format!(
        r#"{{"type":"user_action","source":"web","user_id":"user_{:05}","timestamp":"2025-01-15T10:30:00.123Z","data":{{"action":"purchase","value":{}.5,"currency":"EUR","metadata":{{"page":"/checkout","session":"3b241101e2bb42558caf","step":3}}}}}}"#,
        n * 7919 % 100_000,
        n % 1000
    )
}

/// A batch of so many events.
pub(crate) fn body(events: usize) -> String {
    format!("[{}]", (0..events).map(event_json).collect::<Vec<_>>().join(","))
}

/// A batch with one value that simd-json refuses: the whole body takes the slow path.
pub(crate) fn slow_body(events: usize) -> String {
    body(events - 1).replacen('[', r#"[{"type":"user_action","source":"web","data":{"n":1e999}},"#, 1)
}

/// The records of `events` events, one after another.
pub(crate) fn records(events: usize) -> Vec<u8> {
    let mut records = Vec::new();
    let rejected = judge(&mut Parser::default(), &body(events), &mut |event| event::encode(event, &mut records));
    assert_eq!(rejected, 0, "a bench's own events are valid");
    records
}

/// Has a batch parsed and validated; how many of its events are not valid.
pub(crate) fn judge(parser: &mut Parser, body: &str, accept: &mut dyn FnMut(&Event<'_>)) -> usize {
    let shape = Shape::Batch { events_max: 1000 };
    let judged = parser.judge(body.as_bytes(), shape, &mut FixedStamp, &ContractOnly, &mut |_, event| accept(event));
    judged.expect("a bench's own bodies are batches").rejections.len()
}

type Queue = (flume::Sender<Vec<u8>>, flume::Receiver<Vec<u8>>);

/// Queues of shards, each with its credits.
pub(crate) struct Shards {
    identity: Identity,
    shards: Vec<(Credits, Queue)>,
}

impl Shards {
    pub(crate) fn new() -> Self {
        let bound = Amount { events: 1 << 20, bytes: 1 << 30 };
        let shard = |_| (Credits::new(bound), flume::bounded(1 << 10));
        Self { identity: Identity { key: [7; 16], node: 1 }, shards: (0..SHARDS).map(shard).collect() }
    }

    /// Puts each record into its shard's outbox, takes the credits, and sends the outboxes; then empties
    /// the queues.
    pub(crate) fn place(&self, records: &[u8]) {
        let mut outboxes: [(Amount, Vec<u8>); SHARDS] = Default::default();
        for item in event::RecordReader::new(records) {
            let (event, length) = item.expect("records that were just written");
            let (amount, outbox) = &mut outboxes[self.identity.shard_of(&event, SHARDS)];
            event::encode(&event, outbox);
            amount.events += 1;
            amount.bytes += length as u64;
        }
        let wants = self.shards.iter().zip(&outboxes).map(|((credits, _), (amount, _))| (credits, *amount));
        sync::take_all(wants).expect("every credit was given back");
        for ((_, (sender, _)), (_, outbox)) in self.shards.iter().zip(&mut outboxes) {
            sender.try_send(std::mem::take(outbox)).expect("the queue was emptied");
        }
        for ((credits, (_, receiver)), (amount, _)) in self.shards.iter().zip(&outboxes) {
            black_box(receiver.try_recv().expect("it was just sent"));
            credits.give_back(*amount);
        }
    }
}
