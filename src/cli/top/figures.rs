//! The figures of a sample, as far as they are shown. What a service does not send, or sends in another form,
//! is missing here and nothing else: a view of a newer service still shows what it knows.

use std::time::Duration;

use serde_json::Value;

use super::source::Sample;
use crate::cli::text::printable;

/// Longest texts of a service that are shown, in characters.
const WORD_CHARS: usize = 24;
const MESSAGE_CHARS: usize = 300;
/// More shards than a service can have.
const SHARDS_MAX: usize = 1024;

/// The names of [`Latency`]'s values.
pub(super) const QUANTILES: [&str; 6] = ["mean", "p50", "p90", "p99", "p99.9", "max"];

/// Times in ms, in the order of [`QUANTILES`].
pub(super) type Latency = [Option<f64>; 6];

/// What is shown of a service.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    /// `pass`, `warn` or `fail`.
    pub(super) status: Option<String>,
    pub(super) version: Option<String>,
    pub(super) uptime: Option<Duration>,
    pub(super) received: Option<u64>,
    pub(super) processed: Option<u64>,
    pub(super) failed: Option<u64>,
    pub(super) depth: Option<u64>,
    pub(super) duplicate: Option<u64>,
    pub(super) recovered: Option<u64>,
    pub(super) rejected: Option<u64>,
    pub(super) shed: Option<u64>,
    /// Dead letters that nobody has resolved.
    pub(super) dead_letters: Option<u64>,
    /// Stored a second, as the service counts it.
    pub(super) stored_per_second: Option<f64>,
    pub(super) acknowledging: Latency,
    pub(super) storing: Latency,
    pub(super) journal: Journal,
    pub(super) store: Store,
    pub(super) shards: Vec<Shard>,
}

/// The journal's part.
#[derive(Clone, Debug, Default)]
pub(super) struct Journal {
    pub(super) accepting: Option<bool>,
    pub(super) bytes: Option<u64>,
    pub(super) free_bytes: Option<u64>,
    pub(super) live_segments: Option<u64>,
    /// Of the oldest event that is not stored.
    pub(super) oldest: Option<Duration>,
    /// Places that were found damaged.
    pub(super) damaged: Option<u64>,
}

/// The store's part.
#[derive(Clone, Debug, Default)]
pub(super) struct Store {
    pub(super) state: Option<String>,
    pub(super) since: Option<Duration>,
    /// Failed attempts by code, most first.
    pub(super) retries: Vec<(String, u64)>,
    /// Why it is down.
    pub(super) error: Option<String>,
}

/// A shard's part.
#[derive(Clone, Debug, Default)]
pub(super) struct Shard {
    pub(super) shard: Option<u64>,
    pub(super) received: Option<u64>,
    pub(super) processed: Option<u64>,
    pub(super) failed: Option<u64>,
    pub(super) depth: Option<u64>,
    pub(super) queue_bytes: Option<u64>,
}

impl Figures {
    pub(super) fn of(sample: &Sample) -> Self {
        let Sample { metrics, health, .. } = sample;
        let check = |name: &str| &health["checks"][name][0];
        let latency =
            |name: &str| ["mean", "p50", "p90", "p99", "p999", "max"].map(|quantile| metrics[name][quantile].as_f64());
        let letters = metrics["dead_letters"].as_array();
        let shards = metrics["shards"].as_array().map(Vec::as_slice).unwrap_or_default();
        let journal = &metrics["journal"];
        Self {
            status: word(&health["status"]),
            version: word(&health["version"]),
            uptime: span(&metrics["uptime_seconds"]),
            received: count(&metrics["events_received"]),
            processed: count(&metrics["events_processed"]),
            failed: count(&metrics["events_failed"]),
            depth: count(&metrics["current_queue_depth"]),
            duplicate: count(&metrics["events_duplicate"]),
            recovered: count(&metrics["events_recovered"]),
            rejected: count(&metrics["events_rejected"]),
            shed: count(&metrics["events_shed"]),
            dead_letters: letters.map(|letters| {
                letters.iter().filter_map(|letters| count(&letters["letters"])).fold(0, u64::saturating_add)
            }),
            stored_per_second: metrics["events_per_second"].as_f64(),
            acknowledging: latency("acknowledgement_ms"),
            storing: latency("storing_ms"),
            journal: Journal {
                accepting: check("journal")["accepting"].as_bool(),
                bytes: count(&journal["bytes"]),
                free_bytes: count(&journal["free_bytes"]),
                live_segments: count(&journal["live_segments"]),
                oldest: span(&journal["oldest_unstored_seconds"]),
                damaged: count(&journal["damaged_extents"]),
            },
            store: Store {
                state: word(&metrics["store"]["state"]),
                since: span(&metrics["store"]["state_seconds"]),
                retries: retries(&metrics["store"]["retries"]),
                error: check("store")["output"].as_str().map(|text| printable(text, MESSAGE_CHARS)),
            },
            shards: shards.iter().take(SHARDS_MAX).map(Shard::of).collect(),
        }
    }
}

impl Shard {
    fn of(shard: &Value) -> Self {
        Self {
            shard: count(&shard["shard"]),
            received: count(&shard["events_received"]),
            processed: count(&shard["events_processed"]),
            failed: count(&shard["events_failed"]),
            depth: count(&shard["current_queue_depth"]),
            queue_bytes: count(&shard["queue_bytes"]),
        }
    }
}

fn count(value: &Value) -> Option<u64> {
    // What is negative or too large becomes the nearest count.
    value.as_u64().or_else(|| value.as_f64().map(|number| number as u64))
}

fn span(value: &Value) -> Option<Duration> {
    Duration::try_from_secs_f64(value.as_f64()?).ok()
}

fn word(value: &Value) -> Option<String> {
    value.as_str().map(|text| printable(text, WORD_CHARS))
}

fn retries(value: &Value) -> Vec<(String, u64)> {
    let retries = value.as_object().into_iter().flatten();
    let mut retries: Vec<_> =
        retries.filter_map(|(code, times)| Some((printable(code, WORD_CHARS), count(times)?))).collect();
    retries.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
    retries
}
