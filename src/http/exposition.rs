//! The metrics as Prometheus reads them: OpenMetrics 1.0, or the text format 0.0.4, as `Accept` asks.
//!
//! What is exposed is one [`Snapshot`], so that the law holds in every scrape: received + recovered =
//! processed + failed + depth. No label value comes from a client. Names never change their meaning; units
//! are seconds and bytes. Beside them stands what the system says of the process, as everywhere.

use std::fmt::{self, Write as _};

use hyper::{
    HeaderMap,
    header::{ACCEPT, HeaderValue},
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, NoLabelSet, text},
    metrics::MetricType,
    registry::{Registry, Unit},
};

use crate::{
    metrics::{Distribution, Distributions, Snapshot},
    pipeline::Pipeline,
};

#[cfg(target_os = "linux")]
mod process;

/// Upper bounds of the buckets of times, in µs: from a sync of a fast disk to a store that was away.
const TIME_BOUNDS_US: [u64; 19] = [
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    600_000_000,
];
/// The same of the events of a commit.
const EVENT_BOUNDS: [u64; 12] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 10_000];

/// A format of the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Our own, for everyone who does not ask for another.
    Json,
    /// Prometheus's text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// The one that a request asks for; of several, the one it prefers.
    pub(super) fn asked_for(headers: &HeaderMap) -> Self {
        let ranges = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let asked = ranges.flat_map(|value| value.split(',')).filter_map(Self::of_range);
        // The first of equals.
        asked.fold((0, Self::Json), |best, (quality, format)| if quality > best.0 { (quality, format) } else { best }).1
    }

    /// What a media range asks for, and how much it is wanted, in thousandths.
    fn of_range(range: &str) -> Option<(u32, Self)> {
        let mut parts = range.split(';').map(str::trim);
        let essence = parts.next()?;
        let (mut version, mut quality) = (None, 1000);
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name.trim().to_ascii_lowercase().as_str() {
                "version" => version = Some(value.trim().trim_matches('"')),
                "q" => quality = value.trim().parse::<f32>().map_or(0, |quality| (quality * 1000.0) as u32),
                _ => {}
            }
        }
        let is = |name: &str| essence.eq_ignore_ascii_case(name);
        match version {
            None | Some("1.0.0") if is("application/openmetrics-text") => Some((quality, Self::OpenMetrics)),
            None | Some("0.0.4") if is("text/plain") => Some((quality, Self::Text)),
            None if is("application/json") => Some((quality, Self::Json)),
            _ => None,
        }
    }

    /// Its media type.
    pub(super) fn media_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Json => "application/json",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        })
    }
}

/// All metrics in one of Prometheus's formats.
pub(super) fn write(pipeline: &Pipeline, format: Format) -> String {
    let mut registry = Registry::default();
    #[cfg(target_os = "linux")]
    match process::Process::read() {
        Ok(process) => registry.register_collector(Box::new(process)),
        Err(error) => tracing::debug!(%error, "the process's own metrics are left out: /proc cannot be read"),
    }
    let own = registry.sub_registry_with_prefix("event_pipeline");
    own.register_collector(Box::new(Exposition {
        snapshot: pipeline.metrics(),
        distributions: pipeline.distributions(),
        queue_events: pipeline.options().queue.events,
        queue_bytes: pipeline.options().queue.bytes,
    }));
    let mut open_metrics = String::with_capacity(16 << 10);
    text::encode(&mut open_metrics, &registry).expect("a String takes everything");
    if format == Format::Text { to_text(&open_metrics) } else { open_metrics }
}

/// OpenMetrics as text format 0.0.4, which names a counter by its sample, and knows no units and no end.
fn to_text(open_metrics: &str) -> String {
    let mut out = String::with_capacity(open_metrics.len());
    let mut lines = open_metrics.lines().peekable();
    while let Some(line) = lines.next() {
        if line == "# EOF" || line.starts_with("# UNIT ") {
            continue;
        }
        let described = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' '));
        let typed = line.strip_prefix("# TYPE ").and_then(|rest| rest.strip_suffix(" counter"));
        // A family's help comes before its type.
        let of_counter = lines.peek().is_some_and(|next| next.starts_with("# TYPE ") && next.ends_with(" counter"));
        let written = match (described, typed) {
            (Some((name, help)), _) if of_counter => writeln!(out, "# HELP {name}_total {help}"),
            (_, Some(name)) => writeln!(out, "# TYPE {name}_total counter"),
            _ => writeln!(out, "{line}"),
        };
        written.expect("a String takes everything");
    }
    out
}

/// What one scrape shows.
#[derive(Debug)]
struct Exposition {
    snapshot: Snapshot,
    distributions: Distributions,
    /// Most events and bytes that a shard holds in memory.
    queue_events: u32,
    queue_bytes: u64,
}

impl Collector for Exposition {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Out(encoder);
        self.law(&mut out)?;
        self.requests(&mut out)?;
        self.shards(&mut out)?;
        self.journal(&mut out)?;
        self.store(&mut out)
    }
}

impl Exposition {
    fn law(&self, out: &mut Out<'_>) -> fmt::Result {
        let seen = &self.snapshot;
        out.counter("events_received", "Events accepted since the start.", None, seen.events_received)?;
        out.counter(
            "events_recovered",
            "Events found accepted and not stored at the start.",
            None,
            seen.events_recovered,
        )?;
        out.counter("events_processed", "Events in the store, duplicates included.", None, seen.events_processed)?;
        out.counter(
            "events_failed",
            "Events refused for good by the processor or the store.",
            None,
            seen.events_failed,
        )?;
        out.gauge(
            "current_queue_depth",
            "Events accepted, and neither stored nor failed.",
            None,
            &seen.current_queue_depth,
        )
    }

    fn requests(&self, out: &mut Out<'_>) -> fmt::Result {
        let seen = &self.snapshot;
        let version = [([("version", env!("CARGO_PKG_VERSION").to_owned())], 1)];
        out.family(Kind::Gauge, "build_info", "The version that runs.", None, version)?;
        out.gauge("uptime", "Time since the start.", Some(&Unit::Seconds), &seen.uptime_seconds)?;
        out.counter("events_duplicate", "Processed events that the store had already.", None, seen.events_duplicate)?;
        let help = "Processed events that the processor filtered out.";
        out.counter("events_filtered", help, None, seen.events_filtered)?;
        out.counter("events_rejected", "Events that were not valid, and never accepted.", None, seen.events_rejected)?;
        out.counter("events_shed", "Events refused for load, and never accepted.", None, seen.events_shed)?;
        out.counter("body", "Bodies that events were accepted from.", Some(&Unit::Bytes), seen.body_bytes)?;
        let help = "From the receipt of a request to its answer.";
        out.times("acknowledgement", help, &self.distributions.acknowledgement)?;
        out.times("storing", "From the receipt of an event to its being stored.", &self.distributions.storing)
    }

    fn shards(&self, out: &mut Out<'_>) -> fmt::Result {
        let shards = &self.snapshot.shards;
        out.gauge("active_workers", "Shard workers that run.", None, &self.snapshot.active_workers)?;
        let depths = shards.iter().map(|shard| ([("shard", shard.shard.to_string())], shard.current_queue_depth));
        out.family(
            Kind::Gauge,
            "shard_depth_events",
            "Events of a shard that are neither stored nor failed.",
            None,
            depths,
        )?;
        let bytes = shards.iter().map(|shard| ([("shard", shard.shard.to_string())], shard.queue_bytes));
        out.family(
            Kind::Gauge,
            "shard_queue",
            "Records of a shard that the journal does not have yet.",
            Some(&Unit::Bytes),
            bytes,
        )?;
        let help = "The most that a shard holds until the journal has it.";
        out.gauge("shard_queue_capacity", help, Some(&Unit::Bytes), &self.queue_bytes)?;
        let help = "The most events that a shard holds until the journal has them.";
        out.gauge("shard_queue_capacity_events", help, None, &self.queue_events)
    }

    fn journal(&self, out: &mut Out<'_>) -> fmt::Result {
        let (figures, counts) = (&self.snapshot.journal.figures, &self.snapshot.journal.counts);
        out.gauge("journal_files", "All files of the journal.", Some(&Unit::Bytes), &figures.bytes)?;
        out.gauge("journal_free", "What the journal still accepts.", Some(&Unit::Bytes), &figures.free_bytes)?;
        out.gauge("journal_kept", "Stored events that stay for a replay.", Some(&Unit::Bytes), &figures.kept_bytes)?;
        let segments =
            [("live", figures.live_segments), ("kept", figures.kept_segments), ("blank", figures.blank_segments)];
        let segments = segments.into_iter().map(|(state, count)| ([("state", state.to_owned())], count as u64));
        out.family(Kind::Gauge, "journal_segments", "Files of the journal, by what they hold.", None, segments)?;
        let oldest = self.snapshot.journal.oldest_unstored_seconds;
        out.gauge("journal_oldest_unstored", "How long the oldest event has waited.", Some(&Unit::Seconds), &oldest)?;
        out.counter("journal_commits", "Commits, each one write and one sync.", None, counts.commits)?;
        out.counter("journal_written", "What commits wrote.", Some(&Unit::Bytes), counts.written_bytes)?;
        out.counter("journal_damaged_extents", "Places that were found damaged.", None, counts.damaged_extents)?;
        out.counter("journal_lost_events", "Events lost to damage, among the failed.", None, counts.lost_events)?;
        let recovery = counts.recovery_ms as f64 / 1000.0;
        out.gauge("journal_recovery", "How long the start took to recover.", Some(&Unit::Seconds), &recovery)?;
        out.times("journal_sync", "Syncs of the journal.", &self.distributions.sync)?;
        out.histogram(
            "journal_commit_events",
            "Events of a commit.",
            None,
            &self.distributions.commit_events,
            &EVENT_BOUNDS,
            1.0,
        )
    }

    fn store(&self, out: &mut Out<'_>) -> fmt::Result {
        let store = &self.snapshot.store;
        out.gauge("store_up", "Whether the store takes events: 1 or 0.", None, &u32::from(store.state == "up"))?;
        out.gauge("store_state", "How long the store has been so.", Some(&Unit::Seconds), &store.state_seconds)?;
        let retries = store.retries.iter().map(|(code, retries)| ([("code", code.clone())], *retries));
        out.family(
            Kind::Counter,
            "store_retries",
            "Failed attempts to store, by the code of the server.",
            None,
            retries,
        )?;
        let letters = self.snapshot.dead_letters.iter();
        let letters =
            letters.map(|dead| ([("reason", dead.reason.to_owned()), ("code", dead.code.clone())], dead.letters));
        out.family(Kind::Gauge, "dead_letters", "Dead letters that nobody has resolved yet.", None, letters)
    }
}

/// What the metrics of a family are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
}

/// Metrics, one after another.
struct Out<'a>(DescriptorEncoder<'a>);

impl Out<'_> {
    fn counter(&mut self, name: &str, help: &str, unit: Option<&Unit>, value: impl EncodeCounterValue) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, unit, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    fn gauge(&mut self, name: &str, help: &str, unit: Option<&Unit>, value: &impl EncodeGaugeValue) -> fmt::Result {
        self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?.encode_gauge(value)
    }

    /// A metric for each of some labels; nothing at all where there are none.
    fn family<const N: usize>(
        &mut self,
        kind: Kind,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        values: impl IntoIterator<Item = ([(&'static str, String); N], u64)>,
    ) -> fmt::Result {
        let mut values = values.into_iter().peekable();
        if values.peek().is_none() {
            return Ok(());
        }
        let metric_type = if kind == Kind::Counter { MetricType::Counter } else { MetricType::Gauge };
        let mut metric = self.0.encode_descriptor(name, help, unit, metric_type)?;
        for (labels, value) in values {
            let mut metric = metric.encode_family(&labels)?;
            match kind {
                Kind::Counter => metric.encode_counter::<NoLabelSet, _, u64>(&value, None)?,
                Kind::Gauge => metric.encode_gauge(&value)?,
            }
        }
        Ok(())
    }

    fn times(&mut self, name: &str, help: &str, times_us: &Distribution) -> fmt::Result {
        self.histogram(name, help, Some(&Unit::Seconds), times_us, &TIME_BOUNDS_US, 1e6)
    }

    /// A distribution whose values count `per_unit` to the unit.
    fn histogram(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        values: &Distribution,
        bounds: &[u64],
        per_unit: f64,
    ) -> fmt::Result {
        let uppers = bounds.iter().map(|bound| *bound as f64 / per_unit).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = uppers.zip(values.between(bounds)).collect();
        let mut metric = self.0.encode_descriptor(name, help, unit, MetricType::Histogram)?;
        metric.encode_histogram::<NoLabelSet>(values.sum() / per_unit, values.count(), &buckets, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(accept: &str) -> Format {
        let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_str(accept).expect("a header's value"))]);
        Format::asked_for(&headers)
    }

    #[test]
    fn prometheus_gets_its_formats_and_everybody_else_json() {
        // What Prometheus 3 and 2 send.
        let stock = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                     application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,\
                     text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        assert_eq!(asked(stock), Format::OpenMetrics);
        assert_eq!(asked("text/plain;version=0.0.4;q=1,*/*;q=0.1"), Format::Text);
        assert_eq!(asked("text/plain; version=0.0.4, application/openmetrics-text; q=0.5"), Format::Text);
        for other in ["*/*", "application/json", "text/html,application/xhtml+xml,*/*;q=0.8", "text/plain;q=0", ""] {
            assert_eq!(asked(other), Format::Json, "{other}");
        }
        assert_eq!(asked("application/json, text/plain;q=0.5"), Format::Json);
        assert_eq!(Format::asked_for(&HeaderMap::new()), Format::Json);
    }

    #[test]
    fn text_names_counters_by_their_samples_and_leaves_out_units_and_the_end() {
        let open_metrics = "# HELP a Help.\n# TYPE a counter\n# UNIT a bytes\na_total 3\n\
                            # HELP b More help.\n# TYPE b gauge\nb 1\n# EOF\n";
        let text = "# HELP a_total Help.\n# TYPE a_total counter\na_total 3\n\
                    # HELP b More help.\n# TYPE b gauge\nb 1\n";
        assert_eq!(to_text(open_metrics), text);
    }
}
