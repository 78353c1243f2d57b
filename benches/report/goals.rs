//! The goals of ingest: how much of what hyper alone can do, and how long an acknowledgement takes.

use std::time::Duration;

use anyhow::Result;

use crate::{
    Definition, Found, generator,
    load::{Load, Sample},
    memory,
    plan::Plan,
    record::{Bound, Check, Content},
    rounds::{Series, Side, interleaved},
    service::Process,
    sides, stores,
};

const GROUP: &str = "goals";
const ROUNDS: usize = 5;
const RUN: Duration = Duration::from_secs(5);
/// Long enough for the journal to have come to reuse its files.
const WARM_UP: Duration = Duration::from_secs(8);
const LATENCY_MS_MAX: f64 = 5.0;
/// How much of a steady rate has to be held for its latencies to mean something.
const HELD: f64 = 0.98;
pub(crate) const DISCARD: &[(&str, &str)] = &[("store", "discard")];

const fn goal(
    name: &'static str,
    title: &'static str,
    method: &'static str,
    measure: fn(&Plan, &str) -> Result<Option<Found>>,
) -> Definition {
    Definition { group: GROUP, name, title, method, measure }
}

pub(crate) const PARTS: &[Definition] = &[
    goal(
        "batch-durable",
        "Batches of 100, durable, events dropped",
        "Requests of 100 events, each answered after its events are synced to the journal; the store is `discard`. \
         The other side is a server on hyper that reads the body, drops it and answers 202.",
        |plan, _| {
            Compared {
                settings: DISCARD,
                batch: 100,
                ack: "durable",
                fresh: false,
                least: 0.20,
                vector: Some(VECTOR_BATCH),
            }
            .measure(plan)
        },
    ),
    goal(
        "batch-sqlite",
        "Batches of 100, durable, while SQLite stores",
        "The same into the embedded store, which stores what it can meanwhile. The service is started anew for each \
         round, since what is left over would disturb the other side.",
        |plan, _| {
            Compared {
                settings: &[("store", "sqlite")],
                batch: 100,
                ack: "durable",
                fresh: true,
                least: 0.08,
                vector: None,
            }
            .measure(plan)
        },
    ),
    goal(
        "batch-queued",
        "Batches of 100, queued, events dropped",
        "As the first, but answered as soon as the events are in memory.",
        |plan, _| {
            Compared { settings: DISCARD, batch: 100, ack: "queued", fresh: false, least: 0.25, vector: None }
                .measure(plan)
        },
    ),
    goal(
        "single-durable",
        "Single events, durable, events dropped",
        "Requests of one event, each answered after it is synced to the journal, against the same server on hyper.",
        |plan, _| {
            Compared {
                settings: DISCARD,
                batch: 1,
                ack: "durable",
                fresh: false,
                least: 0.55,
                vector: Some(VECTOR_SINGLE),
            }
            .measure(plan)
        },
    ),
    goal(
        "latency-batch",
        "Time to a durable acknowledgement at half of the peak, batches of 100",
        LATENCY,
        |plan, _| latency(plan, 100),
    ),
    goal(
        "latency-single",
        "Time to a durable acknowledgement at half of the peak, single events",
        LATENCY,
        |plan, _| latency(plan, 1),
    ),
    goal(
        "end-to-end-database",
        "From the first send until the last event is in the database",
        stores::METHOD,
        |plan, _| stores::end_to_end(plan, "TEST_MYSQL_URL"),
    ),
    goal(
        "end-to-end-second-database",
        "The same with a second database",
        "As above, with the server that `TEST_REAL_MYSQL_URL` names.",
        |plan, _| stores::end_to_end(plan, "TEST_REAL_MYSQL_URL"),
    ),
    goal("embedded-store", "2 million events into the embedded store", stores::METHOD_EMBEDDED, |plan, _| {
        stores::embedded(plan)
    }),
    goal("load-generator", "The load generator itself", generator::METHOD, |plan, _| generator::measure(plan)),
    goal("memory-idle", "Memory of an idle service", memory::METHOD_IDLE, |plan, _| memory::idle(plan)),
    goal("memory-connections", "Memory with 4096 connections at full load", memory::METHOD_CONNECTIONS, |plan, _| {
        memory::connections(plan)
    }),
    goal("memory-backlog", "Memory with a backlog of 10 million events", memory::METHOD_BACKLOG, |plan, _| {
        memory::backlog(plan)
    }),
];

const LATENCY: &str = "In each round first as fast as it goes, to find the peak; then at a steady half of that rate, \
    whatever the answers do: each time counts from the moment at which a request was due, and not from when it was sent. \
    hyper, which only reads and drops, then gets the same rate: what is its time is the machine's.";

/// What Vector 0.58 reached of hyper by the same method, with its disk buffer, and how many times as
/// much is the goal.
const VECTOR_BATCH: (f64, f64) = (0.019, 10.0);
const VECTOR_SINGLE: (f64, f64) = (0.20, 3.0);

/// A comparison with hyper.
struct Compared {
    settings: &'static [(&'static str, &'static str)],
    batch: u64,
    ack: &'static str,
    /// Whether the service is started anew for each round.
    fresh: bool,
    /// How much of hyper's throughput is the goal.
    least: f64,
    /// Vector's ratio, and how many times that is the goal.
    vector: Option<(f64, f64)>,
}

impl Compared {
    fn measure(&self, plan: &Plan) -> Result<Option<Found>> {
        let load = Load { batch: self.batch, ack: self.ack, ..Load::time(plan.time(RUN)) };
        let hyper = Process::side(sides::HYPER, &[])?;
        warm_up(plan, &hyper, load)?;
        let start = || {
            let service = Process::service(self.settings)?;
            warm_up(plan, &service, load)?;
            anyhow::Ok(service)
        };
        let kept = if self.fresh { None } else { Some(start()?) };
        let ours = || match &kept {
            Some(service) => load.measure(service),
            None => load.measure(&start()?),
        };
        let mut sides = [Side::new("event-pipeline", ours), Side::new("hyper", || load.measure(&hyper))];
        let measured = interleaved(plan.rounds(ROUNDS), &mut sides)?;
        let [ours, theirs] = measured.as_slice() else { unreachable!("there are two sides") };

        let rate = |label: &str, samples: &[Sample]| rates(label, samples, |sample| sample.rate, "events/s");
        let mut checks = vec![Check {
            title: "of hyper's throughput".to_owned(),
            ours: rate("event-pipeline", ours),
            reference: Some(rate("hyper", theirs)),
            bound: Bound::AtLeast(self.least),
        }];
        if let Some((ratio, times)) = self.vector {
            let ratios = ours.iter().zip(theirs).map(|(ours, theirs)| ours.rate / theirs.rate);
            checks.push(Check {
                title: "of Vector's part of hyper (recorded separately)".to_owned(),
                ours: Series::new("event-pipeline", "of hyper", ratios),
                reference: Some(Series::new("Vector, disk buffer", "of hyper", [ratio])),
                bound: Bound::AtLeast(times),
            });
        }
        let all = [series("event-pipeline", ours), series("hyper", theirs)].concat();
        Ok(Some(Found { content: Content::Goal { checks, all }, databases: Vec::new() }))
    }
}

/// Brings a process to where it stays.
pub(crate) fn warm_up(plan: &Plan, process: &Process, load: Load) -> Result<()> {
    Load { amount: crate::load::Amount::Time(plan.time(WARM_UP)), ..load }.send(process).map(drop)
}

/// All that is known of a side under load.
pub(crate) fn series(label: &str, samples: &[Sample]) -> Vec<Series> {
    let of =
        |what: &str, unit: &str, value: fn(&Sample) -> f64| rates(&format!("{label}: {what}"), samples, value, unit);
    vec![
        of("acknowledged", "events/s", |sample| sample.rate),
        of("p50", "ms", |sample| sample.p50_ms),
        of("p99", "ms", |sample| sample.p99_ms),
        of("processor time", "µs/event", |sample| sample.cpu_us),
        of("load generator's processor time", "% of a core", |sample| sample.generator_percent),
        of("requests refused for load", "%", |sample| sample.shed_percent),
    ]
}

fn rates(label: &str, samples: &[Sample], value: impl Fn(&Sample) -> f64, unit: &str) -> Series {
    Series::new(label, unit, samples.iter().map(value))
}

/// The peak, half of it, hyper at the rate of that half, and that rate.
type Measured = (Sample, Sample, Sample, f64);

fn latency(plan: &Plan, batch: u64) -> Result<Option<Found>> {
    let peak = Load { batch, ..Load::time(plan.time(RUN)) };
    let (service, hyper) = (Process::service(DISCARD)?, Process::side(sides::HYPER, &[])?);
    warm_up(plan, &service, peak)?;
    let measure = || {
        let peak_sample = peak.measure(&service)?;
        let rate = (peak_sample.rate / 2.0) as u64;
        let half = Load { rate, ..peak };
        Ok((peak_sample, half.measure(&service)?, half.measure(&hyper)?, rate as f64))
    };
    let measured = interleaved(plan.rounds(ROUNDS), &mut [Side::new("peak, and half of it", measure)])?.concat();
    let samples = |of: fn(&Measured) -> Sample| measured.iter().map(of).collect::<Vec<_>>();
    let [peaks, halves, others] = [samples(|of| of.0), samples(|of| of.1), samples(|of| of.2)];
    // What was due and never sent has no latency, and would not be missed.
    let held = Check {
        title: "of the rate that was wanted".to_owned(),
        ours: rates("event-pipeline", &halves, |sample| sample.rate, "events/s"),
        reference: Some(Series::new("wanted", "events/s", measured.iter().map(|(.., rate)| *rate))),
        bound: Bound::AtLeast(HELD),
    };
    let check = Check {
        title: "p99 at half of the peak".to_owned(),
        ours: rates("event-pipeline", &halves, |sample| sample.p99_ms, "ms"),
        reference: None,
        bound: Bound::AtMost(LATENCY_MS_MAX),
    };
    let all = [series("peak", &peaks), series("half", &halves), series("hyper at the same rate", &others)].concat();
    Ok(Some(Found { content: Content::Goal { checks: vec![check, held], all }, databases: Vec::new() }))
}
