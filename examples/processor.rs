//! A processor of one's own, which enriches, filters and fails: `cargo run --example processor`.
//!
//! It sees every event after the acknowledgement and before the store. What it filters out is counted and
//! not stored; what it fails becomes a dead letter, with its reason, and can be tried again.

use std::{
    error::Error,
    io::{self, Write as _},
    sync::Arc,
    time::Duration,
};

use event_pipeline::{
    event::{Event, EventType, Shape},
    pipeline::{AckLevel, Fields, Found, Pipeline, ProcessingError, Processor, Verdict},
    storage::Sqlite,
};
use serde::Deserialize;

/// Stores measurements in °C and °F, and leaves out what only developers read.
struct Thermometer;

/// The part of `data` that is of interest here.
#[derive(Deserialize)]
struct Data {
    level: Option<String>,
    temperature: Option<f64>,
}

impl Processor for Thermometer {
    fn process(&self, event: &Event<'_>, fields: &mut Fields<'_>) -> Result<Verdict, ProcessingError> {
        let data: Data = serde_json::from_str(event.data)
            .map_err(|error| ProcessingError { reason: format!("data is not as expected: {error}") })?;
        if event.kind == EventType::SystemLog && data.level.as_deref() == Some("debug") {
            return Ok(Verdict::FilterOut);
        }
        // As it was sent; nothing is parsed or written anew.
        fields.raw("data", event.data);
        fields.time("received_at", event.received);
        if event.kind == EventType::SensorData {
            let Some(celsius) = data.temperature else {
                return Err(ProcessingError { reason: "a measurement without a temperature".to_owned() });
            };
            fields.value("fahrenheit", &(celsius * 1.8 + 32.0))?;
        }
        Ok(Verdict::Store)
    }
}

const BATCH: &str = r#"[
    {"type":"sensor_data","source":"iot_device","data":{"temperature":22.5}},
    {"type":"system_log","source":"system","data":{"level":"debug","message":"still here"}},
    {"type":"sensor_data","source":"iot_device","data":{"humidity":0.4}},
    {"type":"system_log","source":"system","data":{"level":"error","message":"Connection timeout"}}
]"#;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let store = Arc::new(Sqlite::open(&dir.path().join("events.db"))?);
    let pipeline = Pipeline::builder(store, dir.path()).processor(Thermometer).start()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let find = |id| runtime.block_on(pipeline.find(id));

    let taken = pipeline.intake().submit(BATCH.as_bytes(), Shape::Batch { events_max: 100 }, AckLevel::Stored)?;
    let ids: Vec<_> = taken.accepted.iter().map(|(_, id)| *id).collect();
    let reached = runtime.block_on(taken.ack.wait());

    // Enriched.
    let Some(Found::Stored(row)) = find(ids[0])? else { return Err("the measurement is not stored".into()) };
    let stored: serde_json::Value = serde_json::from_str(&row.processed_data.unwrap_or_default())?;
    assert_eq!(stored["data"]["temperature"], 22.5);
    assert_eq!(stored["fahrenheit"], 72.5);
    writeln!(io::stdout(), "stored: {stored}")?;

    // Failed: whoever waits is told, and the event is kept.
    let [dead] = reached.outcome.dead.as_slice() else { return Err("one event should have failed".into()) };
    assert_eq!((dead.index, dead.code), (2, "processing_failed"));
    let Some(Found::Dead(letter)) = find(ids[2])? else { return Err("the failed event is lost".into()) };
    assert_eq!(letter.detail, "a measurement without a temperature");
    writeln!(io::stdout(), "dead: {}", letter.detail)?;

    // Filtered out: neither of both, and counted.
    let seen = pipeline.metrics();
    assert_eq!((seen.events_received, seen.events_processed, seen.events_failed), (4, 3, 1));
    assert_eq!(seen.events_filtered, 1);
    assert!(!matches!(find(ids[1])?, Some(Found::Stored(_) | Found::Dead(_))));
    pipeline.drain(Duration::from_secs(10));
    Ok(())
}

#[test]
fn it_runs_to_its_end() {
    main().unwrap();
}
