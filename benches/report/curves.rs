//! What comes of more: connections, events of a request, bytes, shards, users, backlog, rows.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    Definition, Found,
    databases::Database,
    goals::{DISCARD, warm_up},
    load::{Amount, Load},
    memory::{AWAY, has_room},
    plan::Plan,
    record::{Content, Curve, Line, Panel},
    say,
    service::Process,
    sides,
    sweep::{Measured, Point, panel, panels, sweep},
};

const GROUP: &str = "curves";
const ROUNDS: usize = 3;
const RUN: Duration = Duration::from_secs(3);
const OURS: &str = "event-pipeline";
const HYPER: &str = "hyper, body dropped";
/// Below the limit on a body, with room for what is around the events.
const BODY_BYTES: u64 = 900 << 10;
const BACKLOG: u64 = 10_000_000;
const BACKLOG_STEPS: u64 = 20;
const DRAINED: [u64; 4] = [100_000, 300_000, 1_000_000, 2_000_000];
const TABLE_ROWS: u64 = 5_000_000;
const TABLE_STEPS: u64 = 20;
/// The rows' curve ends early where a database takes longer than this.
const TABLE_TIME_MAX: Duration = Duration::from_secs(180);

const fn curve(
    name: &'static str,
    title: &'static str,
    method: &'static str,
    measure: fn(&Plan, &str) -> Result<Option<Found>>,
) -> Definition {
    Definition { group: GROUP, name, title, method, measure }
}

pub(crate) const PARTS: &[Definition] = &[
    curve("connections", "Connections", "Batches of 100, durable, events dropped.", |plan, _| connections(plan)),
    curve("batch-size", "Events of a request", "64 connections, durable, events dropped.", |plan, _| batch_size(plan)),
    curve(
        "event-size",
        "Bytes of an event",
        "64 connections, durable, events dropped; 100 events a request, or as many as a body may hold.",
        |plan, _| event_size(plan),
    ),
    curve("shards", "Shards", "64 connections, batches of 100, durable, events dropped.", |plan, _| shards(plan)),
    curve(
        "users",
        "Users",
        "64 connections, batches of 100, durable, events dropped. All events of a user go to one shard.",
        |plan, _| users(plan),
    ),
    curve(
        "backlog",
        "Backlog",
        "The store is a server that is not there; batches of 100 are acknowledged as durable and wait in the journal. \
         Then, each with a service of its own, how fast SQLite takes a backlog when nothing more comes.",
        |plan, _| backlog(plan),
    ),
    curve(
        "rows",
        "Rows in the table",
        "Events stored in a second, from the first send to the last stored, in equal steps that begin when the step before \
         is stored.",
        |plan, _| rows(plan),
    ),
];

fn found(x: &str, log_x: bool, panels: Vec<Panel>) -> Result<Option<Found>> {
    let curve = Curve { x: x.to_owned(), log_x, panels };
    Ok(Some(Found { content: Content::Curve(curve), databases: Vec::new() }))
}

fn load(plan: &Plan) -> Load {
    Load::time(plan.time(RUN))
}

/// The service and hyper, each with every load.
fn both(plan: &Plan, loads: impl Iterator<Item = (f64, Load)> + Clone) -> Result<Vec<Measured>> {
    let service = Rc::new(Process::service(DISCARD)?);
    let hyper = Rc::new(Process::side(sides::HYPER, &[])?);
    warm_up(plan, &service, load(plan))?;
    let line = |line, process: &Rc<Process>| {
        let process = Rc::clone(process);
        loads.clone().map(move |(x, load)| Point { line, x, process: Rc::clone(&process), load })
    };
    sweep(plan, ROUNDS, line(OURS, &service).chain(line(HYPER, &hyper)).collect())
}

/// The service alone, with every load.
fn ours(plan: &Plan, loads: impl Iterator<Item = (f64, Load)>) -> Result<Vec<Measured>> {
    let service = Rc::new(Process::service(DISCARD)?);
    warm_up(plan, &service, load(plan))?;
    let points = loads.map(|(x, load)| Point { line: OURS, x, process: Rc::clone(&service), load });
    sweep(plan, ROUNDS, points.collect())
}

fn connections(plan: &Plan) -> Result<Option<Found>> {
    let load = load(plan);
    let loads = [1, 4, 16, 64, 256, 1024, 4096].map(|connections| (connections as f64, Load { connections, ..load }));
    found("connections", true, panels(&both(plan, loads.into_iter())?))
}

fn batch_size(plan: &Plan) -> Result<Option<Found>> {
    let load = load(plan);
    let loads = [1, 2, 5, 10, 20, 50, 100].map(|batch| (batch as f64, Load { batch, ..load }));
    found("events of a request", true, panels(&both(plan, loads.into_iter())?))
}

fn event_size(plan: &Plan) -> Result<Option<Found>> {
    let load = load(plan);
    let loads = [200, 1 << 10, 4 << 10, 16 << 10, 64 << 10].map(|event_bytes| {
        (event_bytes as f64, Load { event_bytes, batch: (BODY_BYTES / event_bytes).clamp(2, 100), ..load })
    });
    let measured = ours(plan, loads.into_iter())?;
    let mut panels = panels(&measured);
    let bytes = panel("MB/s", &measured, |point, sample| sample.rate * point.load.event_bytes as f64 / 1e6);
    panels.insert(1, bytes);
    found("bytes of an event", true, panels)
}

fn shards(plan: &Plan) -> Result<Option<Found>> {
    let mut points = Vec::new();
    for shards in [1_u32, 2, 4, 8, 16] {
        let process = Rc::new(Process::service(&[("store", "discard"), ("shards", &shards.to_string())])?);
        warm_up(plan, &process, load(plan))?;
        points.push(Point { line: OURS, x: shards.into(), process, load: load(plan) });
    }
    found("shards", true, panels(&sweep(plan, ROUNDS, points)?))
}

fn users(plan: &Plan) -> Result<Option<Found>> {
    let load = load(plan);
    let loads = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000].map(|users| (users as f64, Load { users, ..load }));
    found("users", true, panels(&ours(plan, loads.into_iter())?))
}

fn line(label: &str, points: &[(f64, f64)]) -> Line {
    Line { label: label.to_owned(), points: points.iter().map(|(x, y)| (*x, vec![*y])).collect() }
}

fn backlog(plan: &Plan) -> Result<Option<Found>> {
    let events = plan.count(BACKLOG);
    if !has_room(events) {
        return Ok(None);
    }
    let (mut rates, mut tails, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    {
        let service = Process::service(&[AWAY, ("journal.max_bytes", "16GiB")])?;
        let step = (events / BACKLOG_STEPS).next_multiple_of(100);
        for number in 0..BACKLOG_STEPS {
            let sample = Load::new(Amount::Events(step)).measure(&service)?;
            // What was there when the step had half of its events.
            let x = (number * step + step / 2) as f64;
            say(format_args!("  backlog {x}: {:.0} events/s", sample.rate));
            rates.push((x, sample.rate));
            tails.push((x, sample.p99_ms));
            memory.push((x, service.memory()?.now_mb));
        }
    }
    let mut drained = Vec::new();
    for events in DRAINED.map(|events| plan.count(events)) {
        let service = Process::service(&[("store", "sqlite")])?;
        Load::new(Amount::Events(events)).send(&service)?;
        let (stored, since) = (service.stored()?, Instant::now());
        service.wait_stored(events)?;
        let left = events.saturating_sub(stored) as f64;
        let rate = left / since.elapsed().as_secs_f64();
        say(format_args!("  drained {left}: {rate:.0} events/s"));
        if left > 0.0 {
            drained.push((left, rate));
        }
    }
    let panel = |unit: &str, label: &str, points: &[(f64, f64)]| Panel {
        unit: unit.to_owned(),
        lines: vec![line(label, points)],
    };
    let panels = vec![
        panel("events/s", "acknowledged while the backlog grows", &rates),
        panel("p99, ms", "acknowledged while the backlog grows", &tails),
        panel("MB", "resident memory", &memory),
        panel("events/s", "stored in SQLite, from a backlog of so many", &drained),
    ];
    found("events that wait", false, panels)
}

fn rows(plan: &Plan) -> Result<Option<Found>> {
    let (mut lines, mut databases) = (Vec::new(), Vec::new());
    if has_room(3 * plan.count(TABLE_ROWS)) {
        lines.push(growing(plan, "SQLite", &Process::service(&[("store", "sqlite")])?)?);
        databases.push(format!("SQLite {} (embedded)", rusqlite::version()));
    }
    for variable in ["TEST_MYSQL_URL", "TEST_REAL_MYSQL_URL"] {
        if let Some(database) = Database::create(variable)? {
            let service = Process::service(&[("store", &database.url)])?;
            lines.push(growing(plan, &database.server, &service)?);
            databases.push(database.description()?);
        }
    }
    let panels = vec![Panel { unit: "events/s".to_owned(), lines }];
    let curve = Curve { x: "rows in the table".to_owned(), log_x: false, panels };
    Ok(Some(Found { content: Content::Curve(curve), databases }))
}

/// Stores step after step.
fn growing(plan: &Plan, label: &str, service: &Process) -> Result<Line> {
    service.wait_store_up()?;
    let step = (plan.count(TABLE_ROWS) / TABLE_STEPS).next_multiple_of(100);
    let (begun, mut stored, mut points) = (Instant::now(), 0, Vec::new());
    for _ in 0..TABLE_STEPS {
        let since = Instant::now();
        let sent = Load::new(Amount::Events(step)).send(service)?.events_acknowledged;
        service.wait_stored(stored + sent)?;
        let rate = sent as f64 / since.elapsed().as_secs_f64();
        points.push(((stored + sent / 2) as f64, rate));
        stored += sent;
        say(format_args!("  {label}, {stored} rows: {rate:.0} events/s"));
        if begun.elapsed() > TABLE_TIME_MAX {
            say(format_args!("  {label}: ends here, for it takes too long"));
            break;
        }
    }
    Ok(line(label, &points))
}
