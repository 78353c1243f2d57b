//! A journal that runs: room, turning over, full disks, looking up, keeping.

use std::time::Duration;

use uuid::Uuid;

use super::fake_fs::Op;
use super::kit::{World, damage, numbers};
use crate::journal::{Keeping, Options};

#[test]
fn what_is_promised_always_has_its_place() {
    for bytes in [10, 300, 4_000, 9_000, 20_000, 70_000] {
        let mut world = World::new(2);
        world.options.ready_bytes = 200_000;
        world.options.max_bytes = 2 << 20;
        assert!(world.open());
        let mut committed = 0;
        for round in 0..400 {
            world.keep();
            committed += usize::from(world.commit(round % 2, 1 + round % 3, bytes));
            assert!(!world.fs.is_gone() && !world.journal().shared.group.is_failed(), "{bytes} bytes, round {round}");
        }
        let figures = world.journal().figures();
        assert!(committed > 10, "{bytes}: {committed}");
        assert!(figures.blank_segments >= 1, "a restart has a place: {figures:?}");
        // All of it is stored, and then there is room again.
        world.store_all();
        world.write_watermarks();
        world.keep();
        assert!(world.commit(0, 1, bytes), "{bytes}: {:?}", world.journal().figures());
        world.crash(None);
        world.assert_nothing_is_lost(&format!("{bytes} bytes"));
    }
}

#[test]
fn a_full_disk_refuses_and_a_start_needs_no_room() {
    let mut world = World::new(1);
    assert!(world.open());
    world.fs.set_free_bytes(0);
    while world.commit(0, 20, 200) {}
    let acked = world.acked.len();
    assert!(acked > 50, "{acked}");
    world.crash(Some(3));
    world.fs.set_free_bytes(0);
    assert!(world.open());
    assert!(!world.commit(0, 20, 200), "nothing fits yet");
    world.store_all();
    assert_eq!(world.stored.len(), acked);
    for _ in 0..4 {
        world.write_watermarks();
        world.keep();
    }
    assert!(world.commit(0, 20, 200), "what was stored makes room: {:?}", world.journal().figures());
    world.assert_nothing_is_lost("a full disk");
}

#[test]
fn finished_segments_stay_for_a_replay_and_give_way_when_room_is_needed() {
    let mut world = World::new(1);
    world.options = Options { max_bytes: 640 << 10, keep_bytes: u64::MAX, ..world.options };
    assert!(world.open());
    for _ in 0..300 {
        assert!(world.commit(0, 10, 200), "{:?}", world.journal().figures());
        world.store_all();
        world.write_watermarks();
        world.keep();
    }
    let figures = world.journal().figures();
    assert!(figures.kept_segments >= 3, "{figures:?}");
    assert!(figures.bytes <= world.options.max_bytes, "{figures:?}");

    // With no time to stay they go at once.
    world.crash(None);
    world.options.keep = Duration::ZERO;
    assert!(world.open());
    world.keep();
    assert_eq!(world.journal().figures().kept_segments, 0);
}

#[test]
fn how_much_is_kept_and_ready_can_change_while_it_is_open() {
    let mut world = World::new(1);
    world.options = Options { max_bytes: 4 << 20, keep_bytes: u64::MAX, ..world.options };
    assert!(world.open());
    for _ in 0..40 {
        assert!(world.commit(0, 30, 100));
        world.store_all();
        world.write_watermarks();
        world.keep();
    }
    let kept = world.journal().figures();
    assert!(kept.kept_segments >= 3, "{kept:?}");
    let keeping = world.options.keeping();

    world.journal().change(Keeping { keep_bytes: kept.kept_bytes / 2, ..keeping });
    world.keep();
    let fewer = world.journal().figures();
    assert!(fewer.kept_segments > 0 && fewer.kept_bytes <= kept.kept_bytes / 2, "{fewer:?}");

    world.journal().change(Keeping { keep: Duration::ZERO, ready_bytes: 1 << 20, ..keeping });
    world.keep();
    let none = world.journal().figures();
    assert_eq!(none.kept_segments, 0);
    assert!(none.free_bytes >= 1 << 20 && fewer.free_bytes < 1 << 20, "{fewer:?}, {none:?}");
}

#[test]
fn in_fast_use_segments_go_round_and_hardly_any_are_made() {
    let mut world = World::new(1);
    (world.options.max_bytes, world.options.keep) = (4 << 20, Duration::ZERO);
    assert!(world.open());
    let mut rounds = |rounds: u32| {
        for _ in 0..rounds {
            // The store lags behind by some segments, and then catches up.
            for _ in 0..30 {
                assert!(world.commit(0, 30, 100));
                world.keep();
            }
            world.store_all();
            world.write_watermarks();
            world.keep();
        }
        let newest = world.journal().shared.segments.lock().unwrap().live.back().unwrap().number();
        (newest, world.fs.ops_of(Op::Create))
    };
    let (before, made_before) = rounds(10);
    let (after, made) = rounds(20);
    assert!(after > before + 40, "segments were used up: {before}, {after}");
    assert_eq!(made, made_before, "each is one that was used before");
}

#[test]
fn an_event_is_found_wherever_it_is() {
    let mut world = World::new(2);
    world.options.max_bytes = 4 << 20;
    assert!(world.open());
    for round in 0..60 {
        world.keep();
        assert!(world.commit(round % 2, 30, 100));
    }
    let shared = &world.journal().shared;
    assert!(world.journal().figures().live_segments > 4);
    for indexed in [false, true] {
        if indexed {
            for _ in 0..20 {
                shared.index_sealed(std::time::Duration::ZERO);
            }
            assert!(world.fs.names().iter().any(|name| name.ends_with(".ids")), "{:?}", world.fs.names());
        }
        for number in (1..=1800).step_by(37) {
            let found = world.journal().find(Uuid::from_u128(number)).unwrap();
            assert_eq!(found.map(|record| numbers(&record)), Some(vec![number as u64]), "indexed: {indexed}");
        }
        assert_eq!(world.journal().find(Uuid::from_u128(1_000_000)).unwrap(), None);
    }
    world.store_all();
    world.write_watermarks();
    world.keep();
    assert!(!world.fs.names().iter().any(|name| name.ends_with(".ids")), "{:?}", world.fs.names());
}

#[test]
fn a_later_version_is_refused_and_nothing_is_changed() {
    let mut world = World::new(1);
    assert!(world.open());
    world.crash(None);
    let name = world.fs.names().remove(0);
    damage(&world.fs, &name, |bytes| {
        bytes[8] = 2;
        let checksum = crc32c::crc32c(&bytes[..72 + 24]).to_le_bytes();
        bytes[72 + 24..72 + 28].copy_from_slice(&checksum);
    });
    let before = world.fs.read_file(&name);
    let opened = crate::journal::Journal::open(
        std::sync::Arc::new(world.fs.clone()),
        world.options,
        1,
        std::sync::Arc::default(),
    );
    let error = opened.map(|_| ()).unwrap_err().to_string();
    assert!(error.contains(&name) && error.contains("version 2"), "{error}");
    assert_eq!(world.fs.read_file(&name), before);
    assert_eq!(world.fs.ops(), world.fs.ops_of(Op::SyncDir), "{}", world.fs.log());
}
