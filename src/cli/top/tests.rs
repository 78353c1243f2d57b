//! The view in terminals of all sizes, with figures of all kinds.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use ratatui::{Terminal, backend::TestBackend, style::Color};
use serde_json::{Value, json};

use super::{sections::Look, source::Sample, state::State, text, view};

fn metrics(events: u64) -> Value {
    let latency =
        json!({"count": 9, "mean": 0.912, "p50": 0.8, "p90": 1.25, "p99": 12.34, "p999": 99.9, "max": 1234.5});
    let shard = |shard: u64, depth: u64| {
        json!({"shard": shard, "events_received": events, "events_processed": events, "events_failed": 1,
               "current_queue_depth": depth, "queue_bytes": 4096, "batches": 3, "record_bytes": 900})
    };
    json!({
        "events_received": events, "events_processed": events / 2, "events_failed": 2,
        "average_processing_latency_ms": 1.5, "current_queue_depth": 12_345, "active_workers": 2,
        "events_per_second": 17.5, "uptime_seconds": 3725, "events_recovered": 4, "events_duplicate": 5,
        "events_rejected": 6, "events_shed": 7, "body_bytes": 8, "queue_bytes": 9,
        "acknowledgement_ms": latency, "storing_ms": latency,
        "journal": {"bytes": 268_435_456_u64, "free_bytes": 8_321_499_136_u64, "live_segments": 4,
                    "oldest_unstored_seconds": 1.25, "damaged_extents": 0},
        "dead_letters": [{"reason": "store_refused", "code": "1406", "letters": 2},
                         {"reason": "processing_failed", "code": "x", "letters": 1}],
        "store": {"state": "down", "state_seconds": 61, "retries": {"2013": 30, "1040": 4}},
        "shards": [shard(0, 10), shard(1, 12_335)],
    })
}

fn health() -> Value {
    json!({"status": "warn", "version": "0.1.0", "checks": {
        "journal": [{"status": "pass", "accepting": true, "oldestUnstoredSeconds": 1.25}],
        "store": [{"status": "warn", "state": "down", "output": "the store's answer was lost (2013): gone away"}],
        "shards": [{"status": "pass"}]}})
}

fn sample(at: Instant, metrics: Value, health: Value) -> Sample {
    Sample { at, metrics, health }
}

fn state(samples: impl IntoIterator<Item = anyhow::Result<Sample>>) -> State {
    let mut state = State::new("http://127.0.0.1:8080".to_owned(), Duration::from_secs(1), Look { colours: true });
    samples.into_iter().for_each(|sample| state.take(sample));
    state
}

/// A service after two samples, a second apart.
fn usual() -> State {
    let begin = Instant::now();
    state([
        Ok(sample(begin, metrics(1000), health())),
        Ok(sample(begin + Duration::from_secs(1), metrics(13_345), health())),
    ])
}

fn drawn(state: &State, width: u16, height: u16) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| view::draw(frame, state)).unwrap();
    terminal
}

fn screen(state: &State, width: u16, height: u16) -> String {
    drawn(state, width, height).backend().to_string()
}

#[track_caller]
fn assert_has(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} is missing in\n{text}");
    }
}

#[test]
fn a_usual_terminal_shows_everything() {
    assert_has(
        &screen(&usual(), 80, 24),
        &[
            "event-pipeline 0.1.0 at http://127.0.0.1:8080, up for 1h 2m",
            "WARN",
            "received    12,345/s",
            "stored       6,172/s",
            "acknowledging      0.91     0.80     1.25     12.3     99.9    1,235",
            "down for 1m 1s   retries 34 (2013: 30, 1040: 4)",
            "the store's answer was lost (2013): gone away",
            "256.0 MiB   7.8 GiB free   oldest unstored 1.2 s",
            "depth 12,345   shed 7   rejected 6   failed 2   dead letters 3",
            "recovered 4",
            "4.0 KiB",
            "every 1s   q quits",
        ],
    );
}

#[test]
fn a_small_terminal_shows_what_matters_most() {
    assert_has(
        &screen(&usual(), 40, 12),
        &[
            "WARN",
            "received    12,345/s",
            "stored       6,172/s",
            "p50 0.80 p99 12.3 max 1,235 ms",
            "down for 1m 1s",
            "oldest unstored 1.2 s",
            "256.0 MiB",
            "retries 34",
            "depth 12,345  shed 7",
            "letters 3",
        ],
    );
}

#[test]
fn the_curve_rises_with_the_rate_and_is_newest_at_the_right() {
    let begin = Instant::now();
    let at = |seconds: u64, events: u64| Ok(sample(begin + Duration::from_secs(seconds), metrics(events), health()));
    let state = state([at(0, 0), at(1, 100), at(2, 900), at(3, 1000)]);
    let screen = screen(&state, 60, 20);
    let curve = screen.lines().find(|line| line.contains("received")).unwrap();
    assert!(curve.trim_matches('"').ends_with("▁█▁"), "{curve}");
}

#[test]
fn more_shards_than_lines_are_counted() {
    let mut many = metrics(1);
    many["shards"] = (0..64).map(|shard| json!({"shard": shard, "current_queue_depth": 1})).collect();
    let screen = screen(&state([Ok(sample(Instant::now(), many, health()))]), 80, 30);
    let (shown, rest) = screen.split_once("  and ").unwrap();
    let hidden: usize = rest.split(' ').next().unwrap().parse().unwrap();
    let rows = shown.lines().rev().take_while(|line| !line.contains("in memory")).count() - 1;
    assert_eq!(rows + hidden, 64, "{screen}");
}

#[test]
fn a_service_that_cannot_be_reached_is_told_and_its_last_figures_stay() {
    let never = state([Err(anyhow::anyhow!("connection refused"))]);
    assert_has(&screen(&never, 80, 24), &["UNKNOWN", "connection refused; trying on."]);
    let begin = Instant::now();
    let lost = state([Ok(sample(begin, metrics(1), health())), Err(anyhow::anyhow!("connection refused"))]);
    let seen = screen(&lost, 80, 24);
    assert_has(&seen, &["connection refused; trying on. What is shown was seen 0s ago.", "depth 12,345"]);
    let back = state([
        Err(anyhow::anyhow!("connection refused")),
        Ok(sample(begin + Duration::from_secs(1), metrics(1), health())),
    ]);
    assert!(!screen(&back, 80, 24).contains("refused;"));
}

#[test]
fn without_colours_nothing_has_one() {
    let mut state = usual();
    let colours = |state: &State| {
        let terminal = drawn(state, 80, 24);
        let cells = terminal.backend().buffer().content().iter();
        cells.filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset).count()
    };
    assert!(colours(&state) > 0);
    state.look = Look { colours: false };
    assert_eq!(colours(&state), 0);
}

#[test]
fn text_has_the_counts_and_no_control_characters() {
    let text = text(&usual());
    assert_has(
        &text,
        &[
            "event-pipeline 0.1.0 at http://127.0.0.1:8080, up for 1h 2m: warn",
            "received 13,345 since the start",
            "stored   6,672 since the start   18/s over the last 10 s",
            "shard         depth      received        stored    failed   in memory",
            "    1        12,335        13,345        13,345         1     4.0 KiB",
        ],
    );
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
}

#[test]
fn what_the_service_and_its_store_say_cannot_drive_the_terminal() {
    let evil = "\x1b[2J\r\u{9b}31m\u{202e}evil";
    let (mut metrics, mut health) = (metrics(1), health());
    for place in ["/status", "/version", "/checks/store/0/output"] {
        *health.pointer_mut(place).unwrap() = json!(evil);
    }
    metrics["store"] = json!({"state": evil, "state_seconds": 1, "retries": {evil: 3}});
    let state = state([Ok(sample(Instant::now(), metrics, health))]);
    for shown in [text(&state), screen(&state, 100, 30), screen(&state, 40, 12)] {
        assert!(shown.contains("evil"), "{shown}");
        assert!(!shown.chars().any(|c| c.is_control() && c != '\n' || c == '\u{202e}'), "{shown:?}");
    }
}

#[test]
fn no_size_is_too_small() {
    let state = usual();
    for (width, height) in (0..100).step_by(3).flat_map(|width| (0..45).map(move |height| (width, height))) {
        drawn(&state, width, height);
    }
}

/// Any JSON that may stand where a figure is expected.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        Just(json!(1e308)),
        Just(json!(u64::MAX)),
        "[\\x00-\\x20a-z\\x1b\u{202e}🦀é]{0,40}".prop_map(Value::from),
        ".{0,400}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-z_]{0,8}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The places of all values in a document.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| places(value, &format!("{at}/{name}"), found))
        }
        Value::Array(values) => {
            values.iter().enumerate().for_each(|(index, value)| places(value, &format!("{at}/{index}"), found));
        }
        _ => {}
    }
    found.push(at.to_owned());
}

/// The document with other values at some places.
fn spoilt(document: Value) -> impl Strategy<Value = Value> {
    let mut all = Vec::new();
    places(&document, "", &mut all);
    prop::collection::vec((prop::sample::select(all), anything()), 0..6).prop_map(move |changes| {
        let mut document = document.clone();
        for (place, value) in changes {
            if let Some(old) = document.pointer_mut(&place) {
                *old = value;
            }
        }
        document
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_a_service_sends_is_shown_without_harm(
        first in spoilt(metrics(100)),
        second in spoilt(metrics(9000)),
        health in spoilt(health()),
        (width, height) in (1_u16..130, 1_u16..50),
        micros in 0_u64..3_000_000,
    ) {
        let begin = Instant::now();
        let state = state([
            Ok(sample(begin, first, health.clone())),
            Ok(sample(begin + Duration::from_micros(micros), second, health)),
        ]);
        let terminal = drawn(&state, width, height);
        for cell in terminal.backend().buffer().content() {
            prop_assert!(!cell.symbol().chars().any(char::is_control), "{:?}", cell);
        }
        let text = text(&state);
        prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{:?}", text);
    }
}
