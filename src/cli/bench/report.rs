//! What a run is told by: the bar while it goes on, text for people, JSON for programs.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::{
    Wanted,
    figures::Figures,
    load::Amount,
    verify::{LOST_NAMED_MAX, Verified},
};
use crate::cli::text::grouped;

const MICROS_A_MILLI: f64 = 1000.0;
const BAR: &str = "{bar:24} {msg}";

/// The bar on standard error, where that is a terminal and nobody asked for JSON.
pub(super) struct Bar {
    bar: ProgressBar,
    amount: Amount,
    acknowledged: u64,
    errors: u64,
}

impl Bar {
    pub(super) fn new(amount: Amount, is_wanted: bool) -> Self {
        let length = match amount {
            Amount::Events(events) => events,
            Amount::Time(time) => time.as_millis() as u64,
        };
        let target = if is_wanted { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(length), target);
        let bar = match ProgressStyle::with_template(BAR) {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        };
        Self { bar, amount, acknowledged: 0, errors: 0 }
    }

    /// Shows what was counted within `span`, after the run has gone on for `since_start`.
    pub(super) fn show(&mut self, recent: &Figures, span: Duration, since_start: Duration) {
        self.acknowledged += recent.events_acknowledged;
        self.errors += recent.errors;
        self.bar.set_position(match self.amount {
            Amount::Events(_) => self.acknowledged,
            Amount::Time(_) => since_start.as_millis() as u64,
        });
        let rate = recent.events_acknowledged as f64 / span.as_secs_f64().max(f64::MIN_POSITIVE);
        let p99 = recent.latency.value_at_quantile(0.99) as f64 / MICROS_A_MILLI;
        let refused: u64 = recent.responses.range(300..).map(|(_, count)| count).sum();
        let mut message = format!("{} events/s, p99 {p99:.1} ms, {} errors", grouped(rate as u64), self.errors);
        if refused > 0 {
            // Writing to a String cannot fail.
            let _ = write!(message, ", {refused} requests refused");
        }
        self.bar.set_message(message);
    }

    pub(super) fn say(&self, message: String) {
        self.bar.set_message(message);
    }

    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// The result of a run; its JSON is what `--json` prints.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    url: String,
    r#loop: &'static str,
    connections: usize,
    batch: usize,
    event_bytes: usize,
    users: u64,
    ack: String,
    ids: &'static str,
    rate: u64,
    seconds: f64,
    requests: u64,
    requests_per_second: f64,
    events_sent: u64,
    events_acknowledged: u64,
    events_rejected: u64,
    events_per_second: f64,
    responses: BTreeMap<u16, u64>,
    errors: u64,
    latency_ms: Latency,
    cpu_seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) verify: Option<Verified>,
}

#[derive(Debug, Serialize)]
struct Latency {
    mean: f64,
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

impl Report {
    pub(super) fn new(wanted: &Wanted, figures: &Figures, cpu: Duration) -> Self {
        let seconds = match (figures.first_send, figures.last_answer) {
            (Some(first), Some(last)) => last.saturating_duration_since(first).as_secs_f64(),
            _ => 0.0,
        };
        let per_second = |count: u64| if seconds > 0.0 { rounded(count as f64 / seconds) } else { 0.0 };
        let millis = |quantile| figures.latency.value_at_quantile(quantile) as f64 / MICROS_A_MILLI;
        Self {
            url: wanted.url.as_str().to_owned(),
            r#loop: if wanted.rate == 0 { "closed" } else { "open" },
            connections: wanted.connections,
            batch: wanted.batch,
            event_bytes: wanted.event_bytes,
            users: wanted.users,
            ack: figures.ack.clone().or_else(|| wanted.ack.clone()).unwrap_or_else(|| "unknown".to_owned()),
            ids: if wanted.with_ids { "v7" } else { "none" },
            rate: wanted.rate,
            seconds: rounded(seconds),
            requests: figures.requests,
            requests_per_second: per_second(figures.requests),
            events_sent: figures.events_sent,
            events_acknowledged: figures.events_acknowledged,
            events_rejected: figures.events_rejected,
            events_per_second: per_second(figures.events_acknowledged),
            responses: figures.responses.clone(),
            errors: figures.errors,
            latency_ms: Latency {
                mean: rounded(figures.latency.mean() / MICROS_A_MILLI),
                p50: millis(0.5),
                p90: millis(0.9),
                p99: millis(0.99),
                p999: millis(0.999),
                max: figures.latency.max() as f64 / MICROS_A_MILLI,
            },
            cpu_seconds: rounded(cpu.as_secs_f64()),
            verify: None,
        }
    }

    /// The report for people.
    pub(super) fn text(&self) -> String {
        let Self { url, r#loop, connections, batch, event_bytes, ack, seconds, latency_ms, .. } = self;
        let rate = if self.rate == 0 { String::new() } else { format!(" of {} events/s", grouped(self.rate)) };
        let statuses = self.responses.iter().map(|(status, count)| format!("{status}: {}", grouped(*count)));
        let responses = statuses.collect::<Vec<_>>().join(", ");
        let Latency { mean, p50, p90, p99, p999, max } = latency_ms;
        let whole = |number: f64| grouped(number.round() as u64);
        let share = if *seconds > 0.0 { 100.0 * self.cpu_seconds / seconds } else { 0.0 };
        let rows = [
            ("events/s", format!("{} acknowledged", whole(self.events_per_second))),
            (
                "events",
                format!(
                    "{} sent, {} acknowledged, {} rejected",
                    grouped(self.events_sent),
                    grouped(self.events_acknowledged),
                    grouped(self.events_rejected)
                ),
            ),
            (
                "requests",
                format!("{} in {seconds:.2} s, {}/s", grouped(self.requests), whole(self.requests_per_second)),
            ),
            ("responses", if responses.is_empty() { "none".to_owned() } else { responses }),
            ("errors", grouped(self.errors)),
            (
                "latency",
                format!("mean {mean:.2}, p50 {p50:.2}, p90 {p90:.2}, p99 {p99:.2}, p99.9 {p999:.2}, max {max:.2} ms"),
            ),
            ("own CPU", format!("{:.2} s, {share:.0} % of one core", self.cpu_seconds)),
        ];
        let mut text = format!(
            "{url}: {loop} loop{rate}, {connections} connections, {batch} events a request, {event_bytes} bytes an \
             event, ack {ack}\n\n"
        );
        for (name, value) in rows {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name:>11}  {value}");
        }
        text
    }
}

/// The result of a verification, for people.
pub(super) fn verified(verified: &Verified) -> String {
    let Verified { acknowledged, stored, lost, duplicated, .. } = verified;
    let counts = [*acknowledged, *stored, *lost, *duplicated].map(grouped);
    let [acknowledged, stored, lost_text, duplicated] = counts;
    let mut text = format!(
        "{:>11}  acknowledged {acknowledged}, stored {stored}, lost {lost_text}, duplicated {duplicated}",
        "verify"
    );
    if *lost > 0 {
        let numbers: Vec<String> = verified.lost_numbers.iter().map(u64::to_string).collect();
        let more = if *lost as usize > LOST_NAMED_MAX { ", …" } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\n{:>11}  acknowledged and not in the store: data.bench.n {}{more} of data.bench.run {}",
            "",
            numbers.join(", "),
            verified.run
        );
    }
    text
}

/// Three digits behind the point: what was measured is no more exact.
fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

/// For how long something has gone on.
pub(super) fn elapsed(since: Option<Instant>) -> Duration {
    since.map_or(Duration::ZERO, |since| since.elapsed())
}
