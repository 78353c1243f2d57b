//! Crashes at every operation, killed or without power: nothing that was acknowledged is lost.

use std::{
    thread,
    time::{Duration, Instant},
};

use rustix::io::Errno;

use super::{
    chance::Chance,
    fake_fs::{Fault, Op},
    kit::{World, one_in},
};
use crate::journal::Pending;

/// A short life that does all there is: commits of two shards, storing, watermarks, new segments,
/// recycled ones, a restart.
fn short_life(world: &mut World, seed: u64) {
    let mut random = Chance::new(seed + 2);
    if world.open() {
        world.live(&mut random, 40);
        world.write_watermarks();
        world.keep();
        world.live(&mut random, 20);
    }
}

#[test]
fn a_crash_at_any_operation_loses_nothing() {
    let mut runs = 0;
    for seed in 0..3 {
        let mut whole = World::new(2);
        short_life(&mut whole, seed);
        let ops = whole.fs.ops();
        assert!(ops > 40, "{ops}");
        for op in 1..=ops {
            for (fault, power) in [
                (Fault::CrashBefore, Some(op)),
                (Fault::CrashAfter, Some(op + 1000)),
                (Fault::CrashBefore, None),
                (Fault::CrashAfter, None),
            ] {
                let mut world = World::new(2);
                world.fs.fail_at(op, fault);
                short_life(&mut world, seed);
                world.crash(power);
                let story = format!("seed {seed}, {fault:?} at {op}, power loss {power:?}");
                world.assert_nothing_is_lost(&story);
                assert_eq!(world.lost, 0, "nothing is taken for damage: {story}");
                assert_eq!(world.open.as_ref().unwrap().recovered.damaged, 0, "{story}");
                runs += 1;
            }
        }
    }
    assert!(runs > 500, "{runs}");
}

#[test]
fn a_crash_at_any_operation_of_a_recovery_loses_nothing() {
    for seed in 10..12 {
        let prepared = || {
            let mut world = World::new(2);
            short_life(&mut world, seed);
            world.crash(Some(seed));
            world.shards = 3;
            world
        };
        let mut whole = prepared();
        assert!(whole.open());
        let ops = whole.fs.ops();
        for op in 1..=ops {
            for power in [Some(op), None] {
                let mut world = prepared();
                world.fs.fail_at(op, Fault::CrashAfter);
                world.open();
                world.crash(power);
                // And once more, somewhere in the next.
                world.fs.fail_at(1 + op / 2, Fault::CrashBefore);
                world.open();
                world.crash(power.map(|seed| seed + 7));
                world.assert_nothing_is_lost(&format!("seed {seed}, at {op}, power loss {power:?}"));
            }
        }
    }
}

#[test]
fn lives_with_many_crashes_lose_nothing() {
    let lives = std::env::var("TEST_JOURNAL_LIVES").map_or(60, |lives| lives.parse().unwrap());
    for seed in 0..lives {
        let mut random = Chance::new(seed + 2);
        let mut world = World::new(1 + random.below(4));
        for _ in 0..12 {
            let crash_at = 1 + random.below(120) as u64;
            world.fs.fail_at(crash_at, if one_in(&mut random, 2) { Fault::CrashBefore } else { Fault::CrashAfter });
            if world.open() {
                world.live(&mut random, 60);
            }
            let power = (!one_in(&mut random, 3)).then(|| random.below(1 << 30) as u64);
            world.crash(power);
            if one_in(&mut random, 4) {
                world.shards = 1 + random.below(4);
            }
        }
        world.assert_nothing_is_lost(&format!("seed {seed}"));
    }
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged_and_nothing_acknowledged_is_lost() {
    for seed in 0..40 {
        let mut random = Chance::new(seed + 2);
        let mut world = World::new(2);
        assert!(world.open());
        world.live(&mut random, 10);
        let failed_at = world.fs.ops() + 2;
        world.fs.fail_at(failed_at, Fault::Error(Errno::IO));
        world.live(&mut random, 30);
        if world.fs.ops() >= failed_at && !world.commit(0, 1, 10) {
            assert!(!world.commit(1, 1, 10), "failed once, failed for ever");
        }
        // The process ends; what the failed sync left is read as if it were there.
        world.crash(None);
        assert!(world.open());
        world.live(&mut random, 10);
        world.crash(Some(seed));
        world.assert_nothing_is_lost(&format!("seed {seed}"));
    }
}

#[test]
fn a_failed_sync_of_the_keepers_is_final_although_a_shard_commits_meanwhile() {
    let mut world = World::new(1);
    assert!(world.open());
    let (journal, group) = (world.journal(), &world.journal().shared.group);
    world.fs.fail_nth(Op::SyncData, world.fs.ops_of(Op::SyncData) + 1, Fault::Error(Errno::IO));
    let committed = thread::scope(|scope| {
        let lead = |_: &mut [_]| {
            scope.spawn(|| journal.keep(3));
            // It need not wait for who commits.
            let since = Instant::now();
            while !group.is_failed() {
                assert!(since.elapsed() < Duration::from_secs(10), "the failure is told to nobody");
                thread::yield_now();
            }
            true
        };
        group.commit(0, Pending::default(), |_| false, lead)
    });
    assert!(committed.is_ok(), "what was synced is acknowledged");
    assert!(!world.commit(0, 1, 10), "failed once, failed for ever");
}

#[test]
fn d5_short_and_interrupted_writes_are_gone_on_with() {
    let mut world = World::new(1);
    assert!(world.open());
    for round in 0..20 {
        world.fs.fail_at(world.fs.ops() + 1, if round % 2 == 0 { Fault::ShortWrite(13) } else { Fault::Interrupted });
        assert!(world.commit(0, 3, 100), "{}", world.fs.log());
    }
    world.crash(Some(1));
    world.assert_nothing_is_lost("short writes");
}
