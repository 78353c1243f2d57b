//! A pipeline of one's own, without the HTTP side: `cargo run --example embed`.
//!
//! Takes a batch with an event that is not valid, waits until the store has the others, reads one back, and
//! stops. The store here is the embedded one; any other does.

use std::{
    error::Error,
    io::{self, Write as _},
    sync::Arc,
    time::Duration,
};

use event_pipeline::{
    event::{Code, Shape},
    pipeline::{AckLevel, Found, Pipeline},
    storage::Sqlite,
};

const BATCH: &str = r#"[
    {"type":"sensor_data","source":"iot_device","user_id":"boiler","data":{"temperature":23.5}},
    {"type":"click","source":"web"},
    {"type":"user_action","source":"web","user_id":"ada","data":{"action":"purchase","value":99.99}}
]"#;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let store = Arc::new(Sqlite::open(&dir.path().join("events.db"))?);
    // The journal lies in this directory: whatever is acknowledged as durable outlives the process in it.
    let pipeline = Pipeline::builder(store, dir.path()).start()?;

    // One intake for each thread that takes events. It never waits: it takes a body's events, or says why not.
    let mut intake = pipeline.intake();
    let taken = intake.submit(BATCH.as_bytes(), Shape::Batch { events_max: 100 }, AckLevel::Stored)?;
    assert_eq!((taken.received, taken.accepted.len()), (3, 2));
    assert_eq!((taken.rejections[0].index, taken.rejections[0].code), (1, Code::InvalidType));

    // What takes time is asynchronous, and runs on any tokio runtime.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let reached = runtime.block_on(taken.ack.wait());
    // Less than `stored` would be no error: the journal has the events, and the store will.
    assert_eq!(reached.level, AckLevel::Stored);
    assert!(reached.outcome.dead.is_empty());

    let (_, purchase) = taken.accepted[1];
    let Some(Found::Stored(row)) = runtime.block_on(pipeline.find(purchase))? else {
        return Err("it was acknowledged as stored, and is not there".into());
    };
    assert_eq!((row.kind.as_str(), row.user_id.as_deref()), ("user_action", Some("ada")));
    writeln!(io::stdout(), "{} is stored: {}", row.id, row.processed_data.unwrap_or_default())?;

    // Takes no more, stores what is left, and ends the threads.
    let drained = pipeline.drain(Duration::from_secs(10));
    assert!(drained.journaled && drained.unstored == 0);
    let seen = pipeline.metrics();
    assert_eq!((seen.events_received, seen.events_processed, seen.events_rejected), (2, 2, 1));
    Ok(())
}

#[test]
fn it_runs_to_its_end() {
    main().unwrap();
}
