//! What the load generator itself costs: its part of the processor time that is spent in a comparison, beside that
//! of wrk, a lean one in C that many know.

use std::{
    fs,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    Found,
    goals::{DISCARD, warm_up},
    load::Load,
    plan::{Plan, SCRATCH},
    record::{Bound, Check, Content},
    rounds::{Series, Side, interleaved},
    say,
    service::{Process, cpu_seconds},
};

pub(crate) const METHOD: &str = "The service drops the events; 64 connections. How much of the processor time of both \
    processes is the load generator's. wrk sends the same single event each time, from one thread.";

const ROUNDS: usize = 5;
const RUN: Duration = Duration::from_secs(4);
/// Of the processor time of the pair.
const PERCENT_MAX: f64 = 25.0;
/// Between two looks at wrk's processor time, of which the last one before its end counts.
const LOOK_EVERY: Duration = Duration::from_millis(5);
const WRK_SCRIPT: &str = r#"wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"type":"user_action","source":"web","user_id":"user_00042","timestamp":"2026-01-15T10:30:00.123Z","data":' ..
  '{"action":"purchase","value":42.5,"currency":"EUR","metadata":{"page":"/checkout","session":"3b241101e2bb42558c"}}}'
"#;

/// Processor time for a request, in µs.
#[derive(Clone, Copy, Debug)]
struct Cost {
    generator_us: f64,
    service_us: f64,
}

impl Cost {
    fn percent(self) -> f64 {
        self.generator_us / (self.generator_us + self.service_us) * 100.0
    }
}

pub(crate) fn measure(plan: &Plan) -> Result<Option<Found>> {
    let service = Process::service(DISCARD)?;
    warm_up(plan, &service, Load::time(RUN))?;
    let ours = |batch: u64| {
        let before = service.cpu_seconds()?;
        let report = Load { batch, ..Load::time(plan.time(RUN)) }.send(&service)?;
        let requests = (report.events_acknowledged / batch).max(1) as f64;
        let service_us = (service.cpu_seconds()? - before) * 1e6 / requests;
        Ok(Cost { generator_us: report.cpu_seconds * 1e6 / requests, service_us })
    };
    let mut sides = vec![
        Side::new("event-pipeline bench, batches of 100", || ours(100)),
        Side::new("event-pipeline bench, single events", || ours(1)),
    ];
    if Command::new("wrk").arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok() {
        sides.push(Side::new("wrk, single events", || wrk(plan.time(RUN), &service)));
    } else {
        say(format_args!("  LEFT OUT: wrk is not installed"));
    }
    let measured = interleaved(plan.rounds(ROUNDS), &mut sides)?;
    let labels: Vec<String> = sides.iter().map(|side| side.label.clone()).collect();
    drop(sides);
    let series = |side: usize, what: &str, unit: &str, value: fn(&Cost) -> f64| {
        Series::new(format!("{}{what}", labels[side]), unit, measured[side].iter().map(value))
    };
    let percent = |side: usize| series(side, "", "% of the pair", |cost| cost.percent());
    let check = |side: usize| Check {
        title: format!("{}: of the pair's processor time", labels[side]),
        ours: percent(side),
        reference: None,
        bound: Bound::AtMost(PERCENT_MAX),
    };
    let mut checks = vec![check(0), check(1)];
    if measured.len() == 3 {
        let a_request = |side: usize| series(side, "", "µs a request", |cost| cost.generator_us);
        checks.push(Check {
            title: "single events: of wrk's processor time for a request".to_owned(),
            ours: a_request(1),
            reference: Some(a_request(2)),
            bound: Bound::Shown,
        });
        let title = format!("{}: of the pair's processor time", labels[2]);
        checks.push(Check { title, ours: percent(2), reference: None, bound: Bound::Shown });
    }
    let all = (0..measured.len()).flat_map(|side| {
        [
            series(side, ": its processor time", "µs a request", |cost| cost.generator_us),
            series(side, ": the service's processor time", "µs a request", |cost| cost.service_us),
        ]
    });
    Ok(Some(Found { content: Content::Goal { checks, all: all.collect() }, databases: Vec::new() }))
}

fn wrk(time: Duration, service: &Process) -> Result<Cost> {
    let dir = tempfile::tempdir_in(SCRATCH)?;
    let script = dir.path().join("single.lua");
    fs::write(&script, WRK_SCRIPT)?;
    let seconds = format!("{}s", time.as_secs().max(1));
    let before = service.cpu_seconds()?;
    let mut command = Command::new("wrk");
    command.args(["-t1", "-c64", "-d", &seconds, "-s"]).arg(&script).arg(service.url() + "/events");
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("wrk")?;
    let (said, wrk_seconds) = output_and_cpu(child, 10 * time.max(Duration::from_secs(1)))?;
    if said.contains("Non-2xx") || said.contains("Socket errors") {
        bail!("not everything went well with wrk: {said}");
    }
    let line = said.lines().find(|line| line.contains(" requests in ")).with_context(|| format!("wrk said: {said}"))?;
    let requests: f64 = line.split_whitespace().next().unwrap_or_default().parse().context("wrk's requests")?;
    let service_us = (service.cpu_seconds()? - before) * 1e6 / requests;
    Ok(Cost { generator_us: wrk_seconds * 1e6 / requests, service_us })
}

fn output_and_cpu(mut child: Child, time_max: Duration) -> Result<(String, f64)> {
    let (since, mut seconds) = (Instant::now(), 0.0);
    while child.try_wait()?.is_none() {
        if since.elapsed() > time_max {
            child.kill()?;
            bail!("wrk does not end");
        }
        // It may have ended since.
        seconds = cpu_seconds(child.id()).map_or(seconds, |now| now.max(seconds));
        thread::sleep(LOOK_EVERY);
    }
    Ok((String::from_utf8(child.wait_with_output()?.stdout)?, seconds))
}
