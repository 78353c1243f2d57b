//! A store that is away under load: one line says so, and one that it is back.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    kit::{
        Over,
        server::Server,
        store::{Store, mysql::Database},
        until,
    },
    proxy::{Proxy, Traffic},
};

const GOOD: &str = r#"{"type":"user_action","source":"web","data":{}}"#;
/// Long enough for many attempts.
const OUTAGE: Duration = Duration::from_secs(4);
const DOWN: &str = "the store is down; events wait";
const UP: &str = "the store is up";

#[test]
fn an_outage_under_load_is_one_line_down_and_one_line_up() {
    let server = Server::start(&[("batch.max_events", "20")]);
    let lock = || {
        let connection = rusqlite::Connection::open(server.sqlite_path()).unwrap();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        connection
    };
    outage(&server, lock, |connection| connection.execute_batch("ROLLBACK").unwrap());
}

#[test]
fn an_outage_of_a_server_is_one_line_down_and_one_line_up() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let Some(database) = runtime.block_on(Database::create()) else { return };
    let proxy = runtime.block_on(Proxy::start(database.address()));
    let server = Server::start(&[("store", &database.url_at(&proxy.address)), ("batch.max_events", "20")]);
    let begin = || proxy.set(Traffic::CutRequests { after: 0 });
    outage(&server, begin, |()| proxy.set(Traffic::Pass));
    drop(Store::MySql(database, runtime));
}

/// Load before, while and after the store is away.
fn outage<O>(server: &Server, begin: impl FnOnce() -> O, end: impl FnOnce(O)) {
    until("the store to be up", || server.said(UP).len() == 1);
    let (done, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    let took = thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let (mut client, batch) = (server.client(), format!("[{}]", [GOOD; 10].join(",")));
                while !done.load(Ordering::Relaxed) {
                    assert_eq!(client.post("/events/batch?ack=durable", &batch).status, 202);
                    sent.fetch_add(10, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(10));
                }
            });
        }
        let over = Over(&done);
        until("events to be stored", || server.metric("events_processed") > 100);
        let away = begin();
        until("the outage to be said", || !server.said(DOWN).is_empty());
        let since = Instant::now();
        thread::sleep(OUTAGE);
        let took = since.elapsed();
        end(away);
        until("its end to be said", || server.said(UP).len() > 1);
        let after = sent.load(Ordering::Relaxed) + 200;
        until("more events", || sent.load(Ordering::Relaxed) > after);
        drop(over);
        took
    });
    until("all to be stored", || server.metric("current_queue_depth") == 0);
    assert!(
        server.get("/metrics").json()["store"]["retries"].as_object().unwrap().values().any(|n| n.as_u64() > Some(1))
    );

    let log = server.log();
    let began = log.iter().position(|line| line["message"] == DOWN).unwrap();
    let said: Vec<&Value> = log[began..].iter().collect();
    let [down, up] = said.as_slice() else { panic!("more than two lines of one outage: {said:#?}") };
    assert_eq!((down["level"].as_str(), up["level"].as_str()), (Some("WARN"), Some("INFO")));
    assert_eq!(up["message"], UP);
    assert!(down["error"].is_string(), "{down}");
    assert!(up["after_s"].as_f64().unwrap() >= took.as_secs_f64() - 0.1, "{up}");
    assert!(up["waited"].as_u64().unwrap() > 100, "{up}");
}
