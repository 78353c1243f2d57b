//! Servers that are there and refuse.

use std::{thread, time::Duration};

use mysql_async::prelude::Queryable as _;
use serde_json::json;

use crate::{
    kit::{store::mysql::Server, until},
    ledger::{bad_event, event, id},
    scene::Scene,
};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn b4_the_server_turns_read_only() {
    let Some(server) = Server::start(&[]) else { return };
    let scene = Scene::start_on(&server.url, &[]);
    let (before, said) = (scene.retries(), scene.said_down());
    server.sql("SET GLOBAL read_only = 1");
    scene.fails_with(&["1290"], &before);
    scene.is_graded("warn");
    for _ in 0..30 {
        thread::sleep(SECOND / 10);
        assert_eq!(scene.health(), "warn", "a server that only answers is not well");
    }
    assert_eq!(scene.said_down() - said, 1, "the log has one line for one change");
    server.sql("SET GLOBAL read_only = 0");
    scene.heals_within(5 * SECOND);
    scene.finish();
}

#[test]
fn b6_another_session_holds_locks() {
    let Some(scene) = Scene::start(&[]) else { return };
    let (database, runtime) = scene.database();
    let mut lock = runtime.block_on(database.conn());
    let mut locked = |statement: String| runtime.block_on(lock.query_drop(statement)).unwrap();
    let insert =
        |id: &str| format!("INSERT INTO processed_events (id, type, source) VALUES ('{id}', 'user_action', 'web')");
    let events: Vec<_> = (0..64).map(|_| event("locked")).collect();
    let (first, last) = (id(&events[0]), id(&events[63]));

    // A deadlock, in which the other one has more to lose and so wins.
    locked("START TRANSACTION".to_owned());
    for _ in 0..200 {
        locked(insert(&uuid::Uuid::now_v7().to_string()));
    }
    locked(insert(&last));
    let before = scene.retries();
    scene.post(&events, &crate::scene::level());
    runtime.block_on(database.wait_for_a_lock());
    locked(insert(&first));
    scene.fails_with(&["1213"], &before);
    // And now the locks are only held.
    scene.fails_with(&["1205"], &before);
    locked("ROLLBACK".to_owned());
    scene.heals_within(5 * SECOND);
    scene.finish();
}

#[test]
fn b7_the_store_refuses_some_rows() {
    let Some(scene) = Scene::start(&[]) else { return };
    scene.sql("ALTER TABLE processed_events MODIFY user_id VARCHAR(20)");
    scene.send_bad_ones(4);
    until("some are refused", || scene.server.metric("events_failed") > 20);
    assert_eq!(scene.health(), "pass", "a row that is refused is not a store that is down");
    // Who waits is told which one.
    let mut events: Vec<_> = (0..50).map(|n| event(&format!("u{n}"))).collect();
    events[17] = bad_event();
    let answer = scene.post(&events, "stored").json();
    assert_eq!(answer["ack"], "stored", "{answer}");
    assert_eq!(answer["dead"].as_array().unwrap().len(), 1, "{answer}");
    assert_eq!((&answer["dead"][0]["index"], &answer["dead"][0]["id"]), (&json!(17), &events[17]["id"]));
    assert!(answer["dead"][0]["detail"].as_str().unwrap().contains("1406"), "{answer}");
    scene.finish();
}

#[test]
fn b8_the_server_takes_smaller_packets_than_before() {
    let Some(server) = Server::start(&[]) else { return };
    let scene = Scene::start_on(&server.url, &[("shards", "1")]);
    server.sql("SET GLOBAL max_allowed_packet = 262144");
    let large = |bytes: usize| {
        let mut event = event("large");
        event["data"]["text"] = json!("x".repeat(bytes));
        event
    };
    let too_large = large(300_000);
    for _ in 0..3 {
        // 800 kB at once, in several packets now.
        let events: Vec<_> = (0..40).map(|_| large(20_000)).collect();
        scene.post(&events, &crate::scene::level());
        let (database, runtime) = scene.database();
        runtime.block_on(database.kill_connections());
        scene.post(&events[..1].iter().map(|_| large(200_000)).collect::<Vec<_>>(), &crate::scene::level());
        scene.heals_within(SECOND);
    }
    assert_eq!(scene.server.metric("events_failed"), 0);
    scene.post(std::slice::from_ref(&too_large), &crate::scene::level());
    scene.ledger().expect_refused(&id(&too_large));
    until("the one that no packet holds is given up", || scene.server.metric("events_failed") == 1);
    scene.heals_within(SECOND);
    scene.finish();
}

/// What it is called, the codes it is told by, how it is made and how it is mended.
type Fault<'a> = (&'a str, &'a [&'a str], &'a dyn Fn(), &'a dyn Fn());

#[test]
fn b9_the_store_is_not_set_up_right_any_more() {
    let Some(server) = Server::start(&[]) else { return };
    let scene = Scene::start_on(&server.url, &[]);
    let name = scene.database().0.name.clone();
    let password = server.url.split_once('@').unwrap().0.rsplit_once(':').unwrap().1;
    // For an ordinary user at each host that it may come from.
    let users = |statement: &str| {
        for host in ["127.0.0.1", "localhost"] {
            server.sql(&statement.replace("USER", &format!("'event'@'{host}'")));
        }
    };
    let rename = |from: &str, to: &str| server.sql(&format!("RENAME TABLE {name}.{from} TO {name}.{to}"));
    let grants = |rights: &str| {
        users("REVOKE ALL ON `eventdb\\_%`.* FROM USER");
        users(&format!("GRANT {rights} ON `eventdb\\_%`.* TO USER"));
    };
    let kill = || {
        let (database, runtime) = scene.database();
        runtime.block_on(database.kill_connections());
    };
    let faults: [Fault<'_>; 3] = [
        ("renamed", &["1146"], &|| rename("processed_events", "hidden"), &|| rename("hidden", "processed_events")),
        (
            "no right to insert",
            &["1142"],
            &|| {
                grants("SELECT");
                kill();
            },
            &|| grants("ALL"),
        ),
        (
            "another password",
            &["1045"],
            &|| {
                users("SET PASSWORD FOR USER = PASSWORD('another')");
                server.sql("KILL USER event");
            },
            &|| users(&format!("SET PASSWORD FOR USER = PASSWORD('{password}')")),
        ),
    ];
    for (what, codes, make, mend) in faults {
        let (before, said) = (scene.retries(), scene.said_down());
        make();
        scene.fails_with(codes, &before);
        scene.is_graded("warn");
        thread::sleep(SECOND);
        assert_eq!(scene.health(), "warn", "{what}");
        mend();
        scene.heals_within(30 * SECOND);
        // Each of the four connections that were killed first may be a change of its own.
        let (said, most) = (scene.said_down() - said, if what == "renamed" { 1 } else { 5 });
        assert!((1..=most).contains(&said), "{what}: the log has {said} lines");
        assert_eq!(scene.server.metric("events_failed"), 0, "{what}: nothing is given up");
    }
    scene.finish();
}

#[test]
fn b13_the_same_rows_come_twice() {
    let Some(scene) = Scene::start(&[]) else { return };
    let events: Vec<_> = (0..100).map(|n| event(&format!("u{n}"))).collect();
    let first = scene.post(&events, "stored").json();
    let again = scene.post(&events, "stored").json();
    assert_eq!((&first["ack"], &first["duplicate"]), (&json!("stored"), &json!(0)), "{first}");
    assert_eq!((&again["ack"], &again["duplicate"]), (&json!("stored"), &json!(100)), "{again}");
    assert_eq!(scene.server.metric("events_duplicate"), 100);
    scene.finish();
}
