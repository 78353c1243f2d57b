//! The end of the service: what was acknowledged is stored, and what was not is said.

use std::{
    collections::HashSet,
    env,
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use serde_json::json;

use crate::kit::{
    client::{Client, request},
    server::Server,
    store::Store,
    until,
};

const GOOD: &str = r#"{"type":"user_action","source":"web","user_id":"u","data":{}}"#;
const CLIENTS: usize = 8;

/// Sends batches until the server ends; the ids that were acknowledged as stored.
fn send_until_the_end(server: &Server, client: usize, acknowledged: &AtomicUsize) -> Vec<String> {
    let mut connection = server.client();
    let events = |round: usize| {
        let event = |n: usize| json!({"type":"sensor_data","source":"web","user_id":format!("{client}-{n}"),"data":{"round":round}});
        json!((0..20).map(event).collect::<Vec<_>>()).to_string()
    };
    let mut ids = Vec::new();
    for round in 0.. {
        if connection.send(request("POST", "/events/batch?ack=stored", &[], events(round).as_bytes())).is_err() {
            return ids;
        }
        let Ok(answer) = connection.answer() else { return ids };
        match answer.status {
            200 => {
                ids.extend(answer.json()["ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()));
                acknowledged.fetch_add(20, Ordering::Relaxed);
            }
            202 | 503 => {}
            other => panic!("{other}: {}", answer.text()),
        }
        if answer.header("connection") == "close" {
            return ids;
        }
    }
    ids
}

/// `TEST_SHUTDOWN_ROUNDS` makes a campaign of it.
#[test]
fn what_is_acknowledged_under_full_load_is_stored_when_sigterm_comes() {
    let rounds: usize = env::var("TEST_SHUTDOWN_ROUNDS").map_or(3, |rounds| rounds.parse().unwrap());
    for store in Store::all() {
        let mut lost = 0;
        for round in 0..rounds {
            let mut server = Server::start(&[("store", &store.setting())]);
            let acknowledged = AtomicUsize::new(0);
            let ids: Vec<String> = thread::scope(|scope| {
                let clients: Vec<_> = (0..CLIENTS)
                    .map(|client| {
                        scope.spawn({
                            let (server, acknowledged) = (&server, &acknowledged);
                            move || send_until_the_end(server, client, acknowledged)
                        })
                    })
                    .collect();
                until("the load to flow", || acknowledged.load(Ordering::Relaxed) > 500 + round * 40);
                server.signal("TERM");
                clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
            });
            assert_eq!(server.wait().code(), Some(0), "{}: round {round}: {:#?}", store.name(), server.log());
            let stored: HashSet<String> = store.rows(&server).into_iter().map(|row| row.id).collect();
            lost += ids.iter().filter(|id| !stored.contains(*id)).count();
            assert_eq!(lost, 0, "{}: round {round}", store.name());
        }
        eprintln!("{}: {rounds} of {rounds} shutdowns under load lost nothing", store.name());
    }
}

#[test]
fn what_is_only_queued_is_stored_before_the_end() {
    let mut server = Server::start(&[("batch.linger", "1s"), ("batch.max_events", "100000")]);
    let batch = format!("[{}]", vec![GOOD; 100].join(","));
    for _ in 0..20 {
        assert_eq!(server.post("/events/batch?ack=queued", &batch).status, 202);
    }
    assert_eq!(server.stop(), Some(0));
    assert_eq!(Store::Sqlite.rows(&server).len(), 2000);
}

#[test]
fn requests_that_have_begun_are_finished() {
    let mut server = Server::start(&[]);
    let mut client = server.client();
    let bytes = request("POST", "/events", &[], GOOD.as_bytes());
    let (first, rest) = bytes.split_at(bytes.len() - 10);
    client.send(first).unwrap();
    // Another connection's answer shows that the head was read.
    assert_eq!(server.get("/livez").status, 200);
    server.signal("TERM");
    let address = server.address();
    until("no connection to be accepted", || TcpStream::connect(address).is_err());
    client.send(rest).unwrap();
    let answer = client.answer().unwrap();
    assert_eq!((answer.status, answer.header("connection")), (200, "close"));
    assert_eq!(server.wait().code(), Some(0));
    assert_eq!(Store::Sqlite.rows(&server).len(), 1);
}

#[test]
fn readiness_ends_first_and_requests_are_served_for_the_drain_delay() {
    let mut server = Server::start(&[("shutdown.drain_delay", "1s")]);
    let mut client: Client = server.client();
    assert_eq!(client.get("/readyz").status, 200);
    server.signal("TERM");
    until("readiness to end", || client.get("/readyz").status == 503);
    assert_eq!(client.get("/readyz").problem(), "draining");
    assert_eq!(client.post("/events", GOOD).status, 200, "it serves on");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn what_could_not_be_stored_is_said_and_stored_by_the_next_start() {
    let away = ("store", "mysql://nobody:none@127.0.0.1:1/none");
    let mut server = Server::start(&[away, ("shutdown.grace", "10m")]);
    assert_eq!(server.post("/events?ack=queued", GOOD).status, 202);
    assert_eq!(server.post("/events?ack=durable", GOOD).status, 202);
    assert_eq!(server.stop(), Some(0), "with the store away it does not wait for the grace");
    // The log is read by another thread.
    until("it to be said", || server.log().iter().any(|line| line.to_string().contains("\"unstored\":2")));

    let mut again = Server::start_in(Arc::clone(&server.data_dir), &[]);
    assert_eq!(again.metric("events_recovered"), 2);
    until("both to be stored", || again.metric("events_processed") == 2);
    assert_eq!(again.stop(), Some(0));
    assert_eq!(Store::Sqlite.rows(&again).len(), 2);
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut server = Server::start(&[("shutdown.grace", "10m")]);
    let mut client = server.client();
    let bytes = request("POST", "/events", &[], GOOD.as_bytes());
    client.send(&bytes[..bytes.len() - 10]).unwrap();
    // Another connection's answer shows that the head was read.
    assert_eq!(server.get("/livez").status, 200);
    server.signal("INT");
    until("the shutdown to begin", || server.log().iter().any(|line| line.to_string().contains("shutting down")));
    server.signal("INT");
    assert_eq!(server.wait().code(), Some(1));
}

#[test]
fn ctrl_c_is_a_clean_stop() {
    let mut server = Server::start(&[]);
    assert_eq!(server.post("/events", GOOD).status, 200);
    server.signal("INT");
    assert_eq!(server.wait().code(), Some(0));
}
