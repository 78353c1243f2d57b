//! The goals of memory: resident set of the service's process, of which the kernel keeps the peak.

use std::{thread, time::Duration};

use anyhow::Result;

use crate::{
    Found,
    goals::DISCARD,
    load::{Amount, Load},
    plan::{Plan, SCRATCH},
    record::{Bound, Check, Content},
    rounds::{Series, Side, interleaved},
    say,
    service::Process,
};

pub(crate) const METHOD_IDLE: &str = "Resident memory a second after the start with all defaults, nothing sent.";
pub(crate) const METHOD_CONNECTIONS: &str = "The peak of resident memory over a run with 4096 connections, each with a batch of 100 events under way at all times.";
pub(crate) const METHOD_BACKLOG: &str = "The store is a MySQL server that is not there. 10 million events are sent in \
    batches of 100, and acknowledged as durable; all of them wait in the journal then. The peak of resident memory until then.";

const ROUNDS: usize = 3;
const RUN: Duration = Duration::from_secs(8);
const CONNECTIONS: usize = 4096;
const BACKLOG: u64 = 10_000_000;
/// A server that is not there.
pub(crate) const AWAY: (&str, &str) = ("store", "mysql://nobody:nothing@127.0.0.1:1/eventdb");
/// About what the journal takes for an event, rather more than less.
const EVENT_BYTES: u64 = 500;

pub(crate) fn idle(plan: &Plan) -> Result<Option<Found>> {
    let measure = || {
        let service = Process::service(&[])?;
        thread::sleep(Duration::from_secs(1));
        service.memory()
    };
    let measured = interleaved(plan.rounds(ROUNDS), &mut [Side::new("idle", measure)])?.concat();
    let anonymous = measured.iter().map(|memory| memory.anonymous_mb);
    let all = vec![Series::new("without the program's own file", "MB", anonymous)];
    Ok(found("resident memory", measured.iter().map(|memory| memory.now_mb).collect(), 30.0, all))
}

pub(crate) fn connections(plan: &Plan) -> Result<Option<Found>> {
    let load = Load { connections: CONNECTIONS, ..Load::time(plan.time(RUN)) };
    let measure = || {
        let service = Process::service(DISCARD)?;
        let sample = load.measure(&service)?;
        Ok((service.memory()?.peak_mb, sample))
    };
    let side = Side::new("4096 connections", measure);
    let measured = interleaved(plan.rounds(ROUNDS), &mut [side])?.concat();
    let (peaks, samples): (Vec<_>, Vec<_>) = measured.into_iter().unzip();
    Ok(found("peak of resident memory", peaks, 300.0, crate::goals::series("event-pipeline", &samples)))
}

pub(crate) fn backlog(plan: &Plan) -> Result<Option<Found>> {
    let events = plan.count(BACKLOG);
    if !has_room(events) {
        return Ok(None);
    }
    let service = Process::service(&[AWAY, ("journal.max_bytes", "16GiB")])?;
    let report = Load::new(Amount::Events(events)).send(&service)?;
    let metrics = service.metrics()?;
    let all = vec![
        Series::new("backlog", "events", [metrics["current_queue_depth"].as_f64().unwrap_or(0.0)]),
        Series::new("bytes of the journal's files", "MB", [metrics["journal"]["bytes"].as_f64().unwrap_or(0.0) / 1e6]),
        Series::new("acknowledged", "events/s", [report.events_per_second]),
    ];
    Ok(found("peak of resident memory", vec![service.memory()?.peak_mb], 200.0, all))
}

/// Whether the disk has room for so many events; says so where it has not.
pub(crate) fn has_room(events: u64) -> bool {
    let free = rustix::fs::statvfs(SCRATCH).map_or(0, |disk| disk.f_bavail * disk.f_frsize);
    let fits = free / 2 > events * EVENT_BYTES;
    if !fits {
        say(format_args!("  LEFT OUT: {} MB of disk are free, and {events} events need more", free / 1_000_000));
    }
    fits
}

fn found(title: &str, peaks_mb: Vec<f64>, most: f64, all: Vec<Series>) -> Option<Found> {
    let ours = Series::new("event-pipeline", "MB", peaks_mb);
    let check = Check { title: title.to_owned(), ours, reference: None, bound: Bound::AtMost(most) };
    Some(Found { content: Content::Goal { checks: vec![check], all }, databases: Vec::new() })
}
