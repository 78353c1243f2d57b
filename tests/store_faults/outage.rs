//! Servers that are stopped, killed and away for long.

use std::{env, thread, time::Duration};

use crate::{kit::store::mysql::Server, scene::Scene, victim::Victim};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn b1_the_server_is_restarted_in_the_middle_of_a_batch() {
    for victim in Victim::all() {
        let scene = Scene::start_on(victim.url(), &[]);
        for _ in 0..2 {
            victim.stop();
            scene.is_graded("warn");
            victim.start();
            scene.heals_within(5 * SECOND);
            scene.progresses();
        }
        scene.finish();
    }
}

#[test]
fn b2_the_server_is_down_for_long() {
    let seconds = env::var("TEST_OUTAGE_S").map_or(4, |seconds| seconds.parse().unwrap());
    let Some(server) = Server::start(&[]) else { return };
    let scene = Scene::start_on(&server.url, &[]);
    server.stop();
    scene.is_graded("warn");
    let acknowledged = scene.ledger().acknowledged.len();
    thread::sleep(Duration::from_secs(seconds));
    assert!(scene.ledger().acknowledged.len() > acknowledged, "nothing was accepted while the store was away");
    let depth = scene.server.metric("current_queue_depth");
    server.start_again(&[]);
    // What waited is stored at 5000 a second at least.
    scene.heals_within(5 * SECOND + Duration::from_millis(depth / 5));
    scene.progresses();
    scene.finish();
}

#[test]
fn b3_the_server_is_killed() {
    for victim in Victim::all() {
        let scene = Scene::start_on(victim.url(), &[]);
        for _ in 0..2 {
            victim.kill();
            scene.is_graded("warn");
            victim.start();
            scene.heals_within(10 * SECOND);
            scene.progresses();
        }
        scene.finish();
    }
}
