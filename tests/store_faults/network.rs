//! Faults of the network between service and store.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    kit::{store::mysql::say, until},
    ledger::{bad_event, event},
    proxy::Traffic,
    scene::Scene,
};

const SECOND: Duration = Duration::from_secs(1);
/// The service's own limit on a call to the store.
const STORE_TIMEOUT: Duration = event_pipeline::storage::STORE_TIMEOUT;

#[test]
fn n1_a_connection_is_cut_before_the_request_is_passed_on() {
    let Some(scene) = Scene::start(&[]) else { return };
    for after in [0, 0, 1, 100, 0] {
        let before = scene.retries();
        scene.cut(Traffic::CutRequests { after });
        scene.fails_with(&["io", "driver"], &before);
        scene.heals_within(SECOND);
        scene.progresses();
    }
    assert_eq!(scene.server.metric("events_duplicate"), 0);
    scene.finish();
}

#[test]
fn n2_a_connection_is_cut_before_the_answer() {
    let Some(scene) = Scene::start(&[]) else { return };
    // The first byte, and in the middle of the packet.
    for after in [0, 4, 0, 9, 0] {
        let mut rounds = 0;
        loop {
            rounds += 1;
            assert!(rounds < 50, "no insert is cut");
            scene.progresses();
            let before = scene.proxy.faults();
            scene.proxy.set(Traffic::CutReplies { after });
            until("a reply is cut", || scene.proxy.faults() > before);
            // Rows that the service does not know to be stored: the case that this is about.
            let unknown = scene.count() > scene.server.metric("events_processed");
            scene.proxy.set(Traffic::Pass);
            if unknown {
                break;
            }
        }
        scene.heals_within(SECOND);
    }
    assert_eq!(scene.server.metric("events_duplicate"), 0, "rows of our own are no duplicates");
    scene.finish();
}

#[test]
fn n3_answers_come_after_they_were_given_up() {
    let Some(scene) = Scene::start(&[]) else { return };
    // Some rows are refused: an answer that is taken for another's then costs the wrong row.
    scene.sql("ALTER TABLE processed_events MODIFY user_id VARCHAR(20)");
    scene.send_bad_ones(20);
    scene.progresses();
    gives_up_answers_that_come_later(&scene);
    scene.heals_within(5 * SECOND);
    scene.progresses();
    scene.send_bad_ones(0);
    takes_no_answer_for_another(scene);
}

#[test]
fn n3_the_answer_to_one_event_comes_after_it_was_given_up() {
    let Some(scene) = Scene::start(&[("shards", "1")]) else { return };
    scene.sql("ALTER TABLE processed_events MODIFY user_id VARCHAR(20)");
    scene.falls_quiet();
    scene.post(&[bad_event()], "stored");
    let refused = scene.server.metric("events_failed");
    scene.proxy.set(Traffic::HoldReplies);
    scene.post(&[bad_event()], "queued");
    gives_up_answers_that_come_later(&scene);
    until("the bad one is given up", || scene.server.metric("events_failed") > refused);
    // The refusal comes twice. The second one is not these events'.
    for user in 0..5 {
        scene.post(&[event(&format!("u{user}"))], "stored");
    }
    scene.heals_within(SECOND);
    takes_no_answer_for_another(scene);
}

/// Holds the answers until they are given up, and then lets them come.
fn gives_up_answers_that_come_later(scene: &Scene) {
    let before = scene.retries();
    scene.proxy.set(Traffic::HoldReplies);
    let took = scene.fails_with(&["timeout"], &before);
    assert!(took < STORE_TIMEOUT + 3 * SECOND, "{took:?}");
    scene.is_graded("warn");
    scene.proxy.set(Traffic::Pass);
}

fn takes_no_answer_for_another(scene: Scene) {
    let mut codes = scene.retries();
    codes.retain(|code, _| !["timeout", "io", "1205"].contains(&code.as_str()));
    assert!(codes.is_empty(), "answers were mistaken: {codes:?}");
    assert_eq!(scene.server.metric("events_duplicate"), 0);
    scene.finish();
}

#[test]
fn n4_the_server_falls_silent() {
    let Some(scene) = Scene::start(&[]) else { return };
    let (before, since) = (scene.retries(), Instant::now());
    scene.proxy.set(Traffic::Silence);
    scene.fails_with(&["timeout"], &before);
    scene.is_graded("warn");
    assert!(since.elapsed() < STORE_TIMEOUT + 3 * SECOND, "noticed after {:?}", since.elapsed());
    say(&format!("n4: noticed after {:.1} s", since.elapsed().as_secs_f64()));
    scene.proxy.set(Traffic::Pass);
    scene.heals_within(5 * SECOND);
    scene.finish();
}

#[test]
fn n6_the_store_is_slow() {
    // The journal takes what the store does not, until it is full.
    let small = [("journal.segment_bytes", "64KiB"), ("journal.max_bytes", "1MiB"), ("http.max_body_bytes", "64KiB")];
    let Some(scene) = Scene::start(&[&small[..], &[("batch.max_events", "50")]].concat()) else { return };
    scene.proxy.set(Traffic::Slow(Duration::from_millis(700)));
    until("there is too much", || scene.ledger().refused > 0);
    thread::sleep(SECOND);
    scene.proxy.set(Traffic::Pass);
    scene.heals_within(2 * SECOND);
    scene.progresses();
    assert!(scene.retries().is_empty(), "slow is not down");
    scene.finish();
}
