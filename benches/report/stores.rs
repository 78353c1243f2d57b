//! The goals of storing: how fast the last of many events is in the database, and what that costs.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};

use crate::{
    Found,
    databases::Database,
    load::{Amount, Load},
    plan::{Plan, SCRATCH},
    record::{Bound, Check, Content},
    rounds::{Series, Side, interleaved},
    say,
    service::{Process, cpu_seconds},
    sides::{
        self, load_data,
        loader::{self, Way},
        rows::Rows,
        sqlite,
    },
};

pub(crate) const METHOD: &str = "300,000 events are sent in batches of 100 (100,000 singly) and acknowledged as durable; the \
    clock runs from the first send until the store has the last one. The loader inserts the same rows into the same table \
    with prepared statements of many rows and nothing else, `LOAD DATA LOCAL INFILE` likewise; each uses as many \
    connections as were best for it. `naive` is a service on hyper, serde_json and a pool of connections that inserts \
    each event by itself and then answers; its rate is that of its answers. What is to be done at least for single events is \
    hyper that drops them, or with durable answers hyper that only appends them to a file and syncs it, while the loader \
    inserts as many rows.";
pub(crate) const METHOD_EMBEDDED: &str = "2 million events are sent in batches of 100 and acknowledged as durable; the clock \
    runs from the first send until SQLite has the last one. The other side inserts the same rows into the same table from \
    a loop with rusqlite: WAL, synchronous FULL, a checkpoint every 128 MiB, a cache of 64 MiB, large transactions; of \
    one row and fifty rows a statement, and of transactions of 10,000 and 50,000 rows, the best.";

const ROUNDS: usize = 5;
const EVENTS: u64 = 300_000;
const SINGLES: u64 = 100_000;
/// Connections: as in all parts where nothing else is said, and more of them.
const FEW: usize = 64;
const MANY: usize = 256;
const NAIVE_RUN: Duration = Duration::from_secs(5);
const ROUNDS_EMBEDDED: usize = 3;
const EVENTS_EMBEDDED: u64 = 2_000_000;
const SCOUTED_EMBEDDED: u64 = 200_000;
const CONNECTIONS: [usize; 3] = [1, 2, 4];
const STATEMENT_ROWS: [usize; 2] = [512, 1024];
const LOADER_PART: f64 = 0.85;
const NAIVE_TIMES: f64 = 10.0;
const CPU_US_MAX: f64 = 3.0;
const EMBEDDED_RATE: f64 = 80_000.0;
const EMBEDDED_PART: f64 = 0.9;

/// The sides' places in their list; the last one is left out where a server does not allow it.
const OURS: usize = 0;
const LOADER: usize = 1;
const OURS_SINGLE: usize = 2;
const NAIVE: usize = 3;
const NAIVE_SINGLE: usize = 4;
const LEAST: usize = 5;
const OURS_SINGLE_MANY: usize = 6;
const NAIVE_SINGLE_MANY: usize = 7;
const LEAST_DURABLE: usize = 8;
const LEAST_DURABLE_MANY: usize = 9;
const LOAD_DATA: usize = 10;

/// Events from the first send until the last was stored.
#[derive(Clone, Copy, Debug)]
struct Stored {
    rate: f64,
    cpu_us: f64,
}

/// Sends so many events, and waits until all are stored: from the first send on. The load generator makes all bodies
/// before it.
fn store(service: &Process, load: Load) -> Result<Stored> {
    let before = service.cpu_seconds()?;
    let report = load.send(service)?;
    let ended = Instant::now();
    service.wait_stored(report.events_acknowledged)?;
    let events = report.events_acknowledged as f64;
    let rate = events / (report.seconds + ended.elapsed().as_secs_f64());
    Ok(Stored { rate, cpu_us: (service.cpu_seconds()? - before) * 1e6 / events })
}

pub(crate) fn end_to_end(plan: &Plan, variable: &str) -> Result<Option<Found>> {
    let Some(database) = Database::create(variable)? else { return Ok(None) };
    let (events, singles) = (plan.count(EVENTS), plan.count(SINGLES));
    let ours = |load: Load| {
        database.empty()?;
        let service = Process::service(&[("store", &database.url)])?;
        service.wait_store_up()?;
        store(&service, load)
    };
    let (batches, single) =
        (Load::new(Amount::Events(events)), Load { batch: 1, ..Load::new(Amount::Events(singles)) });
    say(format_args!("  {}: rows for the other sides", database.server));
    ours(batches)?;
    let runtime = &database.runtime;
    let rows = runtime.block_on(Rows::of_mysql(&database.url))?;
    let loader = |way: Way| {
        database.empty()?;
        runtime.block_on(loader::rate(&database.url, &rows, events, way))
    };
    let load_data = |connections: usize| {
        database.empty()?;
        runtime.block_on(load_data::rate(&database.url, &rows, events, connections))
    };
    let naive = |batch: u64, connections: usize| {
        database.empty()?;
        let side = Process::side(sides::NAIVE, &[&database.url])?;
        Ok(Load { batch, connections, ..Load::time(plan.time(NAIVE_RUN)) }.measure(&side)?.rate)
    };

    // First every way once, then the best of each kind in turns with ours.
    let mut all = Vec::new();
    let ways = CONNECTIONS.into_iter().flat_map(|connections| STATEMENT_ROWS.map(|rows| Way { connections, rows }));
    let mut best = (0.0, Way { connections: 1, rows: STATEMENT_ROWS[0] });
    for way in ways {
        let rate = loader(way)?;
        let label = format!("first look: loader, connections {}, rows a statement {}", way.connections, way.rows);
        all.push(Series::new(label, "rows/s", [rate]));
        if rate > best.0 {
            best = (rate, way);
        }
    }
    let best = best.1;
    let mut best_load_data = None;
    if runtime.block_on(load_data::is_allowed(&database.url))? {
        let mut rate_max = 0.0;
        for connections in CONNECTIONS {
            let rate = load_data(connections)?;
            all.push(Series::new(format!("first look: LOAD DATA, connections {connections}"), "rows/s", [rate]));
            if rate > rate_max {
                (rate_max, best_load_data) = (rate, Some(connections));
            }
        }
    } else {
        say(format_args!("  LEFT OUT: LOAD DATA, for the server's local_infile is off, and this user may not set it"));
    }

    let loader_label = format!("loader, connections {}, rows a statement {}", best.connections, best.rows);
    let plain = |rate: Result<f64>| rate.map(|rate| Stored { rate, cpu_us: 0.0 });
    // This process does nothing but load meanwhile.
    let loader_with_cpu = || {
        let before = cpu_seconds(std::process::id())?;
        let rate = loader(best)?;
        Ok(Stored { rate, cpu_us: (cpu_seconds(std::process::id())? - before) * 1e6 / events as f64 })
    };
    // What the machine has to do at least for single events: taking them in, kept nowhere or in a file only, and
    // inserting rows.
    let least = |side: &'static str, connections: usize| {
        database.empty()?;
        let hyper = Process::side(side, &[])?;
        let load = Load { connections, ..single };
        thread::scope(|scope| {
            let inserting = scope.spawn(|| runtime.block_on(loader::rate(&database.url, &rows, singles, best)));
            let taken = load.send(&hyper)?.seconds;
            let inserted = singles as f64 / inserting.join().map_err(|_| anyhow!("the loader panicked"))??;
            Ok(singles as f64 / taken.max(inserted))
        })
    };
    let mut sides = vec![
        Side::new("event-pipeline", || ours(batches)),
        Side::new(loader_label.as_str(), loader_with_cpu),
        Side::new("event-pipeline, single events", || ours(single)),
        Side::new("naive", || plain(naive(100, FEW))),
        Side::new("naive, single events", || plain(naive(1, FEW))),
        Side::new("single events dropped by hyper, while the loader inserts as many rows", || {
            plain(least(sides::HYPER, FEW))
        }),
        Side::new("event-pipeline, single events, 256 connections", || ours(Load { connections: MANY, ..single })),
        Side::new("naive, single events, 256 connections", || plain(naive(1, MANY))),
        Side::new("single events appended and synced by hyper, while the loader inserts as many rows", || {
            plain(least(sides::HYPER_SYNC, FEW))
        }),
        Side::new("the same with 256 connections", || plain(least(sides::HYPER_SYNC, MANY))),
    ];
    if let Some(connections) = best_load_data {
        let label = format!("LOAD DATA, connections {connections}");
        sides.push(Side::new(label, move || plain(load_data(connections))));
    }
    let measured = interleaved(plan.rounds(ROUNDS), &mut sides)?;
    let rates: Vec<Series> = sides
        .iter()
        .zip(&measured)
        .map(|(side, samples)| Series::new(side.label.as_str(), "events/s", samples.iter().map(|sample| sample.rate)))
        .collect();
    drop(sides);
    let cpu =
        |label: &str, side: usize| Series::new(label, "µs/event", measured[side].iter().map(|sample| sample.cpu_us));
    let against = |title: &str, ours: usize, reference: &Series, bound| Check {
        title: format!("{}: {title}", database.server),
        ours: rates[ours].clone(),
        reference: Some(reference.clone()),
        bound,
    };
    let mut checks = vec![against("of the loader", OURS, &rates[LOADER], Bound::AtLeast(LOADER_PART))];
    checks.extend(rates.get(LOAD_DATA).map(|load_data| against("of LOAD DATA", OURS, load_data, Bound::Shown)));
    checks.push(against("of naive, batches", OURS, &rates[NAIVE], Bound::AtLeast(NAIVE_TIMES)));
    checks.push(against("of naive, single events", OURS_SINGLE, &rates[NAIVE_SINGLE], Bound::AtLeast(NAIVE_TIMES)));
    checks.push(against(
        "of naive, single events of 256 connections",
        OURS_SINGLE_MANY,
        &rates[NAIVE_SINGLE_MANY],
        Bound::AtLeast(NAIVE_TIMES),
    ));
    for (title, least, naive) in [
        ("the least that is to be done, of naive, single events", LEAST, NAIVE_SINGLE),
        ("the least with a sync before each answer, of naive, single events", LEAST_DURABLE, NAIVE_SINGLE),
        ("the same of 256 connections", LEAST_DURABLE_MANY, NAIVE_SINGLE_MANY),
    ] {
        checks.push(against(title, least, &rates[naive], Bound::Shown));
    }
    checks.push(Check {
        title: format!("{}: the service's processor time for a stored event", database.server),
        ours: cpu("event-pipeline", OURS),
        reference: None,
        bound: Bound::AtMost(CPU_US_MAX),
    });
    all.extend(rates);
    all.push(cpu("event-pipeline: processor time", OURS));
    all.push(cpu("event-pipeline, single events: processor time", OURS_SINGLE));
    all.push(cpu("loader: processor time", LOADER));
    let content = Content::Goal { checks, all };
    Ok(Some(Found { content, databases: vec![database.description()?] }))
}

pub(crate) fn embedded(plan: &Plan) -> Result<Option<Found>> {
    let events = plan.count(EVENTS_EMBEDDED);
    if !crate::memory::has_room(3 * events) {
        return Ok(None);
    }
    let ours = |events| {
        let service = Process::service(&[("store", "sqlite")])?;
        let stored = store(&service, Load::new(Amount::Events(events)))?;
        anyhow::Ok((service, stored))
    };
    let scouted = plan.count(SCOUTED_EMBEDDED);
    let (service, _) = ours(scouted)?;
    let rows = Rows::of_sqlite(&service.database())?;
    drop(service);
    let direct = |count, way| {
        let dir = tempfile::tempdir_in(SCRATCH)?;
        sqlite::rate(&dir.path().join("events.db"), &rows, count, way)
    };
    let mut all = Vec::new();
    let mut best = None;
    for way in sqlite::WAYS {
        let rate = direct(scouted, way)?;
        let label = format!("first look: rusqlite, rows a statement {}, a transaction {}", way.rows, way.transaction);
        all.push(Series::new(label, "rows/s", [rate]));
        if best.is_none_or(|(most, _)| rate > most) {
            best = Some((rate, way));
        }
    }
    let (_, way) = best.context("no way was tried")?;
    let label = format!("rusqlite, rows a statement {}, a transaction {}", way.rows, way.transaction);
    let mut sides = [
        Side::new("event-pipeline", || ours(events).map(|(_, stored)| stored)),
        Side::new(label.as_str(), || direct(events, way).map(|rate| Stored { rate, cpu_us: 0.0 })),
    ];
    let measured = interleaved(plan.rounds(ROUNDS_EMBEDDED), &mut sides)?;
    let rate =
        |label: &str, side: usize| Series::new(label, "events/s", measured[side].iter().map(|sample| sample.rate));
    let (ours, theirs) = (rate("event-pipeline", 0), rate(&label, 1));
    let checks = vec![
        Check {
            title: "stored in a second".to_owned(),
            ours: ours.clone(),
            reference: None,
            bound: Bound::AtLeast(EMBEDDED_RATE),
        },
        Check {
            title: "of rusqlite in a loop".to_owned(),
            ours: ours.clone(),
            reference: Some(theirs.clone()),
            bound: Bound::AtLeast(EMBEDDED_PART),
        },
    ];
    let cpu = measured[0].iter().map(|sample| sample.cpu_us);
    all.extend([ours, theirs, Series::new("event-pipeline: processor time, SQLite's too", "µs/event", cpu)]);
    let content = Content::Goal { checks, all };
    Ok(Some(Found { content, databases: vec![format!("SQLite {} (embedded)", rusqlite::version())] }))
}
