//! The load: `event-pipeline bench`, the same against every side.

use std::{
    collections::BTreeMap,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::service::Process;

/// Taken, or refused for load.
const EXPECTED: [&str; 3] = ["200", "202", "503"];

/// How much is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Amount {
    /// For so long.
    Time(Duration),
    /// So many events, of which each is acknowledged.
    Events(u64),
}

/// What is sent, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) amount: Amount,
    pub(crate) connections: usize,
    /// Events of a request; 1 goes to `POST /events`.
    pub(crate) batch: u64,
    /// Events a second that are due, however long answers take; 0 waits for each answer.
    pub(crate) rate: u64,
    pub(crate) ack: &'static str,
    pub(crate) users: u64,
    pub(crate) event_bytes: u64,
}

impl Load {
    pub(crate) fn new(amount: Amount) -> Self {
        Self { amount, connections: 64, batch: 100, rate: 0, ack: "durable", users: 100_000, event_bytes: 230 }
    }

    pub(crate) fn time(time: Duration) -> Self {
        Self::new(Amount::Time(time))
    }

    /// Sends it.
    ///
    /// # Errors
    /// Where an answer was none, or an event was refused for another reason than load.
    pub(crate) fn send(&self, to: &Process) -> Result<Report> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_event-pipeline"));
        command.args(["bench", "--json", "--url", &to.url(), "--ack", self.ack]);
        let amount = match self.amount {
            Amount::Time(time) => ["--duration".to_owned(), format!("{}ms", time.as_millis())],
            Amount::Events(events) => ["--events".to_owned(), events.to_string()],
        };
        command.args(amount);
        let numbers = [
            ("--connections", self.connections as u64),
            ("--batch", self.batch),
            ("--rate", self.rate),
            ("--users", self.users),
            ("--event-bytes", self.event_bytes),
        ];
        for (flag, number) in numbers {
            command.args([flag, &number.to_string()]);
        }
        let output = command.stdin(Stdio::null()).stderr(Stdio::piped()).output().context("the load generator")?;
        if !output.status.success() {
            bail!("the load generator failed ({self:?}): {}", String::from_utf8_lossy(&output.stderr));
        }
        let report: Report = serde_json::from_slice(&output.stdout).context("the load generator's answer")?;
        if report.errors > 0 || report.events_rejected > 0 {
            bail!("not everything went well ({self:?}): {report:?}");
        }
        if let Some(status) = report.responses.keys().find(|status| !EXPECTED.contains(&status.as_str())) {
            bail!("an answer was {status} ({self:?}): {report:?}");
        }
        if let Amount::Events(events) = self.amount
            && report.events_acknowledged < events
        {
            bail!("of {events} events only {} were acknowledged: {report:?}", report.events_acknowledged);
        }
        Ok(report)
    }

    /// Sends it, and says what it cost the other end.
    pub(crate) fn measure(&self, to: &Process) -> Result<Sample> {
        let before = to.cpu_seconds()?;
        let report = self.send(to)?;
        let cpu_seconds = to.cpu_seconds()? - before;
        Ok(Sample::new(&report, cpu_seconds))
    }
}

/// What the load generator says.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Report {
    pub(crate) seconds: f64,
    pub(crate) events_acknowledged: u64,
    pub(crate) events_rejected: u64,
    pub(crate) events_per_second: f64,
    pub(crate) responses: BTreeMap<String, u64>,
    pub(crate) errors: u64,
    pub(crate) latency_ms: Latency,
    pub(crate) cpu_seconds: f64,
}

/// Of acknowledged requests.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// One measurement under load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Acknowledged events a second.
    pub(crate) rate: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// Processor time of the measured process for an acknowledged event.
    pub(crate) cpu_us: f64,
    /// How much of one core the load generator used, in percent.
    pub(crate) generator_percent: f64,
    /// How many of the requests were refused for load, in percent.
    pub(crate) shed_percent: f64,
}

impl Sample {
    fn new(report: &Report, cpu_seconds: f64) -> Self {
        let requests: u64 = report.responses.values().sum();
        let shed = report.responses.get("503").copied().unwrap_or(0);
        Self {
            rate: report.events_per_second,
            p50_ms: report.latency_ms.p50,
            p99_ms: report.latency_ms.p99,
            cpu_us: cpu_seconds * 1e6 / (report.events_acknowledged.max(1) as f64),
            generator_percent: report.cpu_seconds / report.seconds.max(1e-9) * 100.0,
            shed_percent: shed as f64 / requests.max(1) as f64 * 100.0,
        }
    }
}
