//! Rules of one's own, on top of the contract's: `cargo run --example validator`.
//!
//! A validator is asked before anything is acknowledged, so that the client is told: with a code that
//! programs can rely on, a pointer to the place, and a sentence for people. This example asks over HTTP.

use std::{
    error::Error,
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::Arc,
    time::Duration,
};

use event_pipeline::{
    event::{Code, Event, EventType, Refusal, Validator},
    http::{Options, Server},
    pipeline::Pipeline,
    storage::Discard,
};

/// Believes no sensor that reports what no air on earth has been.
struct Plausible;

const CELSIUS: std::ops::RangeInclusive<f64> = -90.0..=60.0;

impl Validator for Plausible {
    fn validate(&self, event: &Event<'_>) -> Result<(), Refusal> {
        if event.kind != EventType::SensorData {
            return Ok(());
        }
        // Runs on the threads that take requests: nothing slow belongs here.
        let refuse =
            |code, detail| Err(Refusal { code: Code::Own(code), pointer: "/data/temperature".to_owned(), detail });
        let data: serde_json::Value = serde_json::from_str(event.data).unwrap_or_default();
        match data["temperature"].as_f64() {
            None => refuse("no_temperature", "a sensor sends its temperature, a number".to_owned()),
            Some(celsius) if !CELSIUS.contains(&celsius) => {
                let (low, high) = (CELSIUS.start(), CELSIUS.end());
                refuse("impossible_temperature", format!("{celsius} °C is not within {low} to {high} °C"))
            }
            Some(_) => Ok(()),
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let pipeline = Pipeline::builder(Arc::new(Discard::default()), dir.path()).validator(Plausible).start()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let server = Server::start(listener, pipeline.clone(), Options::default())?;

    let sensor = |data: &str| format!(r#"{{"type":"sensor_data","source":"iot_device","data":{data}}}"#);
    let body = [sensor(r#"{"temperature":23.5}"#), sensor(r#"{"temperature":451}"#), sensor("{}")].join(",");
    let answer = post(&server, &format!("[{body}]"))?;
    writeln!(io::stdout(), "{answer}")?;
    assert_eq!((&answer["accepted"], &answer["rejected"]), (&1.into(), &2.into()));
    let errors = &answer["errors"];
    assert_eq!(errors[0]["code"], "impossible_temperature");
    assert_eq!(errors[0]["pointer"], "/1/data/temperature");
    assert_eq!(errors[0]["detail"], "451 °C is not within -90 to 60 °C");
    assert_eq!(errors[1]["code"], "no_temperature");

    server.stop(Duration::from_secs(5));
    pipeline.drain(Duration::from_secs(5));
    assert_eq!((pipeline.metrics().events_received, pipeline.metrics().events_rejected), (1, 2));
    Ok(())
}

/// What a client gets for a batch.
fn post(server: &Server, body: &str) -> Result<serde_json::Value, Box<dyn Error>> {
    let mut stream = TcpStream::connect(server.address())?;
    let head = "POST /events/batch HTTP/1.1\r\nHost: localhost\r\nConnection: close";
    stream.write_all(format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (_, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
    Ok(serde_json::from_str(body)?)
}

#[test]
fn it_runs_to_its_end() {
    main().unwrap();
}
