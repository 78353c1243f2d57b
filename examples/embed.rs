//! A pipeline of one's own, without the HTTP side: `cargo run --example embed`.

use std::{error::Error, sync::Arc, time::Duration};

use event_pipeline::{
    event::Shape,
    pipeline::{AckLevel, Pipeline},
    storage::Discard,
};

fn main() -> Result<(), Box<dyn Error>> {
    let store = Arc::new(Discard::default());
    let dir = std::env::temp_dir().join("event-pipeline-embed");
    let pipeline = Pipeline::builder(store.clone(), dir).start()?;
    let mut intake = pipeline.intake();
    let body = br#"{"type":"sensor_data","source":"iot_device","data":{"temperature":23.5}}"#;
    let taken = intake.submit(body, Shape::Single, AckLevel::Queued)?;
    tracing::info!(accepted = taken.accepted.len(), "taken");
    let drained = pipeline.drain(Duration::from_secs(5));
    assert_eq!((store.rows(), drained.unstored), (1, 0));
    Ok(())
}
