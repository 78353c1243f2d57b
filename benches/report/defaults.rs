//! Whether the defaults are the right ones: each setting at a quarter, a half, twice and four times its
//! default, in turns.

use std::{
    rc::Rc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use event_pipeline::config::SETTINGS;

use crate::{
    Definition, Found,
    goals::warm_up,
    load::{Amount, Load},
    plan::Plan,
    record::{Content, Variant},
    rounds::{Series, Side, interleaved},
    service::Process,
    sweep::{Measured, Point, sweep},
};

const GROUP: &str = "defaults";
const ROUNDS: usize = 3;
const RUN: Duration = Duration::from_secs(3);
/// Events that SQLite gets at once, and events a second that it keeps up with.
const BURST: u64 = 200_000;
const STEADY: u64 = 20_000;
/// Parts of the default.
const FACTORS: [(u64, u64); 5] = [(1, 4), (1, 2), (1, 1), (2, 1), (4, 1)];
/// What changes the batches, and so what the store does.
const WITH_SQLITE: [&str; 4] = ["batch.max_events", "batch.max_bytes", "batch.linger", "shards"];

macro_rules! settings {
    ($($key:literal),*) => {
        pub(crate) const PARTS: &[Definition] = &[$(Definition {
            group: GROUP,
            name: concat!("default-", $key),
            title: concat!("`", $key, "`"),
            method: "",
            measure,
        }),*];
    };
}
settings!("batch.max_events", "batch.max_bytes", "batch.linger", "queue.max_events", "queue.max_bytes", "shards");

fn measure(plan: &Plan, name: &str) -> Result<Option<Found>> {
    let key = name.trim_start_matches("default-");
    let setting = SETTINGS.iter().find(|setting| setting.key == key).context("there is no such setting")?;
    let (default, values) = match key {
        // The default is one per core.
        "shards" => {
            let cores = thread::available_parallelism()?.get() as u64;
            (cores.to_string(), values(&cores.to_string())?)
        }
        _ => (setting.default_text(), values(&setting.default_text())?),
    };
    let mut rows = discarding(plan, key, &values)?;
    if WITH_SQLITE.contains(&key) {
        rows.extend(storing(plan, key, &values)?);
    }
    let content = Content::Variants { setting: key.to_owned(), default, rows };
    Ok(Some(Found { content, databases: Vec::new() }))
}

/// The values around a default, as text that the setting takes.
fn values(default: &str) -> Result<Vec<String>> {
    let digits = default.find(|c: char| !c.is_ascii_digit()).unwrap_or(default.len());
    let (number, unit) = default.split_at(digits);
    let number: u64 = number.parse().with_context(|| format!("{default:?} does not begin with a number"))?;
    let mut values = Vec::new();
    for (times, part) in FACTORS {
        // The next smaller unit, where it would be no whole number.
        let value = match unit {
            _ if (number * times).is_multiple_of(part) => format!("{}{unit}", number * times / part),
            "MiB" => format!("{}KiB", number * 1024 * times / part),
            "ms" => format!("{}us", number * 1000 * times / part),
            _ => continue,
        };
        values.push(value);
    }
    Ok(values)
}

fn discarding(plan: &Plan, key: &str, values: &[String]) -> Result<Vec<Variant>> {
    let load = Load::time(plan.time(RUN));
    let mut points = Vec::new();
    for (index, value) in values.iter().enumerate() {
        let process = Rc::new(Process::service(&[("store", "discard"), (key, value)])?);
        warm_up(plan, &process, load)?;
        points.push(Point { line: "value", x: index as f64, process, load });
    }
    let measured = sweep(plan, ROUNDS, points)?;
    let pairs = |point: Measured| point.samples.iter().map(|sample| (sample.rate, sample.p99_ms)).collect();
    Ok(variants(
        "durable, events dropped; p99 of the acknowledgement",
        values,
        measured.into_iter().map(pairs).collect(),
    ))
}

/// How fast SQLite stores a burst; and, at a rate that it keeps up with, how long after its receipt an
/// event is stored.
fn storing(plan: &Plan, key: &str, values: &[String]) -> Result<Vec<Variant>> {
    let steady = Load { batch: 10, rate: STEADY, ..Load::time(plan.time(RUN)) };
    let burst = Load::new(Amount::Events(plan.count(BURST)));
    let measure = |value: &str| {
        let service = Process::service(&[("store", "sqlite"), (key, value)])?;
        let sent = steady.send(&service)?.events_acknowledged;
        service.wait_stored(sent)?;
        let p99_ms = service.metrics()?["storing_ms"]["p99"].as_f64().context("GET /metrics has no storing_ms")?;
        let since = Instant::now();
        let more = burst.send(&service)?.events_acknowledged;
        service.wait_stored(sent + more)?;
        Ok((more as f64 / since.elapsed().as_secs_f64(), p99_ms))
    };
    let mut sides: Vec<_> =
        values.iter().map(|value| Side::new(format!("sqlite, {key} {value}"), move || measure(value))).collect();
    let measured = interleaved(plan.rounds(ROUNDS), &mut sides)?;
    Ok(variants("a burst stored in SQLite; p99 from receipt to stored, at a steady rate", values, measured))
}

fn variants(scenario: &str, values: &[String], measured: Vec<Vec<(f64, f64)>>) -> Vec<Variant> {
    let variant = |(value, samples): (&String, Vec<(f64, f64)>)| Variant {
        scenario: scenario.to_owned(),
        value: value.clone(),
        rate: Series::new("throughput", "events/s", samples.iter().map(|(rate, _)| *rate)),
        p99: Series::new("p99", "ms", samples.iter().map(|(_, p99_ms)| *p99_ms)),
    };
    values.iter().zip(measured).map(variant).collect()
}
