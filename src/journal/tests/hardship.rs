//! Restarts without end, rot in what a restart wrote, disks that stay full, files that vanish: what
//! goes on is told truly, and what cannot ends without a loop.

use std::time::Duration;

use super::{
    fake_fs::{Fault, Op},
    kit::World,
};
use crate::journal::{Options, fs::Fs as _, segment::segment_name, state::lock};

/// One whose present segment is nearly full, with nothing stored, killed when the next one had its head
/// and no commit.
fn killed_in_a_new_segment() -> World {
    let mut world = World::new(1);
    world.options.max_bytes = 640 << 10;
    assert!(world.open());
    let room = |world: &World| {
        let writer = lock(&world.journal().shared.writer);
        writer.current.as_ref().unwrap().end() - writer.at
    };
    while room(&world) >= 7000 {
        world.keep();
        assert!(world.commit(0, 20, 200));
    }
    // The head is written twice, then the commit.
    world.fs.fail_nth(Op::WriteAt, world.fs.ops_of(Op::WriteAt) + 3, Fault::CrashBefore);
    assert!(!world.commit(0, 30, 300));
    world.crash(None);
    world
}

#[test]
fn a_lane_that_was_idle_while_its_segment_was_recycled_sees_no_damage() {
    let mut world = World::new(2);
    let (keep, keep_bytes) = (Duration::ZERO, 0);
    world.options = Options { segment_bytes: 512 << 10, max_bytes: 4 << 20, keep, keep_bytes, ..world.options };
    assert!(world.open());
    assert!(world.commit(1, 1, 100));
    for _ in 0..40 {
        assert!(world.commit(0, 10, 200));
    }
    assert!(world.store_one(1));
    for _ in 0..1600 {
        world.keep();
        assert!(world.commit(0, 10, 200));
        while world.store_one(0) {}
        world.write_watermarks();
        world.keep();
    }
    assert!(world.commit(1, 1, 100));
    assert!(world.store_one(1));
    assert_eq!(world.open.as_ref().unwrap().metrics.counts().damaged_extents, 0);
    world.assert_nothing_is_lost("an idle lane");
}

#[test]
fn after_rot_in_what_a_restart_wrote_later_events_are_still_read() {
    let mut world = World::new(2);
    assert!(world.open());
    assert!(world.commit(0, 20, 100));
    assert!(world.commit(1, 1, 100));
    while world.store_one(0) {}
    world.write_watermarks();
    world.crash(None);
    // The second shard's record is written again; the first shard's watermark is past all it has here.
    assert!(world.open());
    let name = segment_name(lock(&world.journal().shared.segments).live.back().unwrap().number());
    world.crash(None);
    world.fs.flip(&name, 4096 + 24 + 32 + 40, 1);
    assert!(world.open());
    assert_eq!(world.open.as_ref().unwrap().recovered.events, [0, 0]);
    let before = world.acked.clone();
    assert!(world.commit(0, 5, 100));
    assert!(world.commit(1, 5, 100));
    world.store_all();
    let later = world.acked.difference(&before);
    assert_eq!(later.clone().count(), 10);
    assert!(later.into_iter().all(|number| world.stored.contains_key(number)));
}

#[test]
fn restarts_use_up_no_segments() {
    let mut world = killed_in_a_new_segment();
    for _ in 0..30 {
        assert!(world.open());
        let figures = world.journal().figures();
        assert!(figures.live_segments <= 3 && figures.bytes <= world.options.max_bytes, "{figures:?}");
        world.crash(None);
    }
    world.assert_nothing_is_lost("thirty restarts");
}

#[test]
fn restarts_on_a_full_disk_leave_a_place_to_go_on() {
    let mut world = killed_in_a_new_segment();
    for _ in 0..6 {
        world.fs.set_free_bytes(0);
        assert!(world.open());
        world.crash(None);
    }
    world.fs.set_free_bytes(0);
    world.assert_nothing_is_lost("restarts on a full disk");
}

#[test]
fn larger_segments_on_a_full_disk_begin_in_a_smaller_one() {
    let mut world = World::new(1);
    assert!(world.open());
    world.fs.set_free_bytes(0);
    while world.commit(0, 20, 200) {}
    world.crash(None);
    world.fs.set_free_bytes(0);
    (world.options.segment_bytes, world.options.max_bytes) = (128 << 10, 8 << 20);
    assert!(world.open());
    world.store_all();
    world.write_watermarks();
    assert!(world.journal().shared.has_place());
    world.fs.set_free_bytes(2 << 20);
    world.keep();
    assert!(world.commit(0, 1, 10), "{:?}", world.journal().figures());
    world.assert_nothing_is_lost("larger segments");
}

#[test]
fn fingerprints_that_cannot_be_written_are_left_at_that_for_a_while() {
    let mut world = World::new(1);
    assert!(world.open());
    for _ in 0..40 {
        world.keep();
        world.commit(0, 20, 200);
    }
    world.fs.set_free_bytes(0);
    let before = world.fs.ops_of(Op::Create);
    for _ in 0..20 {
        world.journal().shared.index_sealed(std::time::Duration::ZERO);
    }
    assert!(world.fs.ops_of(Op::Create) + world.fs.ops_of(Op::WriteAt) > 0);
    assert!(world.fs.ops_of(Op::Create) - before <= 1, "{}", world.fs.log());
}

#[test]
fn a_run_larger_than_a_segment_takes_the_place_of_blank_ones_on_a_full_disk() {
    let mut world = World::new(1);
    world.options.ready_bytes = 300_000;
    assert!(world.open());
    world.keep();
    world.fs.set_free_bytes(10_000);
    assert!(world.commit(0, 1, 70_000), "{}", world.fs.log());
    assert!(world.journal().figures().bytes <= world.options.max_bytes);
    world.crash(Some(7));
    world.assert_nothing_is_lost("a large run");
}

#[test]
fn a_finished_segment_that_somebody_removed_is_no_trouble() {
    let mut world = World::new(1);
    world.options.keep_bytes = 64 << 10;
    assert!(world.open());
    let live_on = |world: &mut World| {
        world.keep();
        assert!(world.commit(0, 10, 200));
        world.store_all();
        world.write_watermarks();
        world.keep();
    };
    while world.journal().figures().kept_segments == 0 {
        live_on(&mut world);
    }
    let name = segment_name(lock(&world.journal().shared.segments).kept.front().unwrap().segment.number());
    world.fs.remove(&name).unwrap();
    for _ in 0..200 {
        live_on(&mut world);
    }
    world.assert_nothing_is_lost("a removed segment");
}
