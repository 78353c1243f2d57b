//! The view as lines of text: what both the live view and `--once` show.

use std::time::Duration;

use ratatui::{
    style::{Color, Modifier, Style},
    text::{Line, Span},
};

use super::{
    figures::{Figures, Journal, Latency, QUANTILES, Shard, Store},
    history::{History, Rates},
};
use crate::cli::text::{grouped, size, span};

/// Width of what stands in front of a line.
const LABEL: usize = 9;
/// Narrower than this, less is shown.
const WIDE: usize = 70;
/// Codes of retries that are named.
const CODES_SHOWN: usize = 3;
const GAP: &str = "   ";
const GAP_NARROW: &str = "  ";
/// From here on a number is written with an exponent.
const HUGE: f64 = 1e12;

/// How things look: with colours or without, what matters is told by words.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) colours: bool,
}

impl Look {
    fn coloured(self, colour: Color) -> Style {
        if self.colours { Style::new().fg(colour) } else { Style::new() }
    }

    pub(super) fn good(self) -> Style {
        self.coloured(Color::Green)
    }

    pub(super) fn warning(self) -> Style {
        self.coloured(Color::Yellow).add_modifier(Modifier::BOLD)
    }

    pub(super) fn bad(self) -> Style {
        self.coloured(Color::Red).add_modifier(Modifier::BOLD)
    }

    pub(super) fn label(self) -> Style {
        self.coloured(Color::Cyan)
    }

    /// For a count that should be zero.
    fn count(self, count: Option<u64>) -> Style {
        if count.is_some_and(|count| count > 0) { self.warning() } else { Style::new() }
    }

    /// For a word of the health format.
    pub(super) fn grade(self, grade: &str) -> Style {
        match grade {
            "pass" => self.good(),
            "warn" => self.warning(),
            _ => self.bad(),
        }
    }
}

/// `12,345/s`, `0.4/s`, `-`.
pub(super) fn per_second(rate: Option<f64>) -> String {
    match rate {
        None => "-".to_owned(),
        Some(rate) if rate >= HUGE => format!("{rate:.1e}/s"),
        Some(rate) if rate > 0.0 && rate < 10.0 => format!("{rate:.1}/s"),
        Some(rate) => format!("{}/s", grouped(rate.round() as u64)),
    }
}

fn number(number: Option<u64>) -> String {
    number.map_or_else(|| "-".to_owned(), grouped)
}

/// Milliseconds with as many digits as mean something.
fn ms(ms: Option<f64>) -> String {
    match ms {
        None => "-".to_owned(),
        Some(ms) if ms.abs() >= HUGE => format!("{ms:.1e}"),
        Some(ms) if ms >= 1000.0 => grouped(ms.round() as u64),
        Some(ms) if ms >= 10.0 => format!("{ms:.1}"),
        Some(ms) => format!("{ms:.2}"),
    }
}

/// Seconds below a minute with a digit behind the point.
fn age(age: Duration) -> String {
    if age < Duration::from_secs(60) { format!("{:.1} s", age.as_secs_f64()) } else { span(age) }
}

/// Counts since the start, for where there is no time to take a rate.
pub(super) fn totals(figures: &Figures, look: Look, width: usize) -> Vec<Line<'static>> {
    let stored = vec![
        Span::raw(format!("{} since the start", number(figures.processed))),
        Span::raw(format!("{} over the last 10 s", per_second(figures.stored_per_second))),
    ];
    let received = vec![Span::raw(format!("{} since the start", number(figures.received)))];
    [flow("received", received, look, width), flow("stored", stored, look, width)].concat()
}

/// Percentiles since the start.
pub(super) fn latency(figures: &Figures, look: Look, width: usize) -> Vec<Line<'static>> {
    let rows = [("acknowledging", "ack", &figures.acknowledging), ("storing", "storing", &figures.storing)];
    if width < WIDE {
        let row = |label: &'static str, latency: &Latency| {
            let shown = [(QUANTILES[1], latency[1]), (QUANTILES[3], latency[3]), (QUANTILES[5], latency[5])];
            let shown = shown.map(|(name, value)| format!("{name} {}", ms(value))).join(" ");
            Line::from(vec![label_of(label, look), Span::raw(format!("{shown} ms"))])
        };
        return rows.map(|(_, label, latency)| row(label, latency)).to_vec();
    }
    let columns = |texts: [String; 6]| texts.map(|text| format!("{text:>9}")).concat();
    let head = format!("{:<14}{}", "latency, ms", columns(QUANTILES.map(str::to_owned)));
    let row = |label: &str, latency: &Latency| {
        Line::from(vec![Span::styled(format!("{label:<14}"), look.label()), Span::raw(columns(latency.map(ms)))])
    };
    let mut lines = vec![Line::styled(head, look.label())];
    lines.extend(rows.map(|(label, _, latency)| row(label, latency)));
    lines
}

/// Store, journal and what became of events.
pub(super) fn state(figures: &Figures, look: Look, width: usize) -> Vec<Line<'static>> {
    let is_wide = width >= WIDE;
    let words = figures.store.error.iter().flat_map(|error| error.split_whitespace());
    let error: Vec<_> = words.map(|word| Span::styled(word.to_owned(), look.bad())).collect();
    let error = if error.is_empty() { Vec::new() } else { flow("", error, look, width) };
    let store = flow("store", store(&figures.store, look, is_wide), look, width);
    let journal = flow("journal", journal(&figures.journal, look, is_wide), look, width);
    let events = flow("events", events(figures, look, is_wide), look, width);
    // Where there is little room, figures come before the explanation.
    if is_wide { [store, error, journal, events].concat() } else { [store, journal, events, error].concat() }
}

fn events(figures: &Figures, look: Look, is_wide: bool) -> Vec<Span<'static>> {
    let event = |name: &str, count, style| Span::styled(format!("{name} {}", number(count)), style);
    let letters = if is_wide { "dead letters" } else { "letters" };
    let mut events = vec![
        event("depth", figures.depth, Style::new()),
        event("shed", figures.shed, look.count(figures.shed)),
        event("rejected", figures.rejected, Style::new()),
        event("failed", figures.failed, look.count(figures.failed)),
        event(letters, figures.dead_letters, look.count(figures.dead_letters)),
    ];
    if is_wide {
        events.push(event("duplicates", figures.duplicate, Style::new()));
    }
    if figures.recovered.is_some_and(|recovered| recovered > 0) {
        events.push(event("recovered", figures.recovered, Style::new()));
    }
    events
}

fn store(store: &Store, look: Look, is_wide: bool) -> Vec<Span<'static>> {
    let state = store.state.clone().unwrap_or_else(|| "unknown".to_owned());
    let style = match state.as_str() {
        "up" => look.good(),
        "starting" => look.warning(),
        _ => look.bad(),
    };
    let since = store.since.map_or_else(String::new, |since| format!(" for {}", span(since)));
    let times = store.retries.iter().map(|(_, times)| *times).fold(0, u64::saturating_add);
    let codes: Vec<_> =
        store.retries.iter().take(CODES_SHOWN).map(|(code, times)| format!("{code}: {}", grouped(*times))).collect();
    let more = if store.retries.len() > CODES_SHOWN { ", …" } else { "" };
    let codes = if codes.is_empty() || !is_wide { String::new() } else { format!(" ({}{more})", codes.join(", ")) };
    vec![Span::styled(format!("{state}{since}"), style), Span::raw(format!("retries {}{codes}", grouped(times)))]
}

fn journal(journal: &Journal, look: Look, is_wide: bool) -> Vec<Span<'static>> {
    let bytes = |bytes: Option<u64>| bytes.map_or_else(|| "-".to_owned(), size);
    let mut spans = vec![
        Span::raw(bytes(journal.bytes)),
        Span::raw(format!("{} free", bytes(journal.free_bytes))),
        Span::raw(format!("oldest unstored {}", journal.oldest.map_or_else(|| "-".to_owned(), age))),
    ];
    if is_wide {
        spans.push(Span::raw(format!("live segments {}", number(journal.live_segments))));
    }
    if journal.accepting == Some(false) {
        spans.insert(0, Span::styled("FULL", look.bad()));
    }
    if journal.damaged.is_some_and(|damaged| damaged > 0) {
        spans.push(Span::styled(format!("damaged places {}", number(journal.damaged)), look.bad()));
    }
    spans
}

/// A line a shard, below a head: with rates, or where there is no history with counts since the start.
pub(super) fn shards(figures: &Figures, history: Option<&History>, look: Look, width: usize) -> Vec<Line<'static>> {
    let deepest = figures.shards.iter().filter_map(|shard| shard.depth).max().unwrap_or_default();
    let cells = |texts: [&str; 6]| {
        let [shard, depth, received, stored, failed, memory] = texts;
        match width < WIDE {
            true => format!("{shard:>5}{depth:>12}{stored:>12}{memory:>11}"),
            false => format!("{shard:>5}{depth:>14}{received:>14}{stored:>14}{failed:>10}{memory:>12}"),
        }
    };
    let head = cells(["shard", "depth", "received", "stored", "failed", "in memory"]);
    // What is left of the width shows the depths against each other.
    let bar_max = width.saturating_sub(head.len() + GAP.len()).min(40);
    let mut lines = vec![Line::styled(head, look.label())];
    lines.extend(figures.shards.iter().enumerate().map(|(index, shard)| {
        let Shard { shard, received, processed, depth, failed, queue_bytes } = shard;
        let (received, stored) = match history.map(|history| history.shard(index)) {
            Some(Rates { received, stored }) => (per_second(received), per_second(stored)),
            None => (number(*received), number(*processed)),
        };
        let mut line = cells([
            &number(*shard),
            &number(*depth),
            &received,
            &stored,
            &number(*failed),
            &queue_bytes.map_or_else(|| "-".to_owned(), size),
        ]);
        let part = depth.unwrap_or_default() as f64 / deepest.max(1) as f64;
        let bar = (part * bar_max as f64).round() as usize;
        if bar > 0 {
            line.push_str(GAP);
            line.push_str(&"▇".repeat(bar.min(bar_max)));
        }
        Line::raw(line)
    }));
    lines
}

fn label_of(label: &str, look: Look) -> Span<'static> {
    Span::styled(format!("{label:<LABEL$}"), look.label())
}

/// Spans side by side behind a label, on as many lines as it takes.
fn flow(label: &str, spans: Vec<Span<'static>>, look: Look, width: usize) -> Vec<Line<'static>> {
    // Words of one sentence stand closer than figures do.
    let gap = match label {
        "" => " ",
        _ if width < WIDE => GAP_NARROW,
        _ => GAP,
    };
    let (mut lines, mut line, mut used) = (Vec::new(), vec![label_of(label, look)], LABEL);
    for span in spans {
        if used > LABEL && used + gap.len() + span.width() > width {
            lines.push(Line::from(std::mem::replace(&mut line, vec![label_of("", look)])));
            used = LABEL;
        } else if used > LABEL {
            line.push(Span::raw(gap));
            used += gap.len();
        }
        used += span.width();
        line.push(span);
    }
    lines.push(Line::from(line));
    lines
}
