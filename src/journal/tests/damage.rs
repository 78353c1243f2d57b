//! Bits that rot, files that are cut, bytes that are anything: it opens, tells, and keeps the rest.

use proptest::prelude::*;

use super::{
    fake_fs::FakeFs,
    kit::{World, damage},
};

/// A journal of a few segments with nothing stored, killed.
fn killed() -> World {
    let mut world = World::new(2);
    assert!(world.open());
    for round in 0..14 {
        world.keep();
        assert!(world.commit(round % 2, 12, if round % 5 == 0 { 900 } else { 150 }));
    }
    world.crash(None);
    world
}

/// Opens a damaged journal and stores what is there; how many acknowledged events are missing.
fn missing(world: &World, inflict: impl FnOnce(&FakeFs)) -> (World, usize) {
    let mut damaged = World::new(2);
    damaged.fs = world.fs.kill();
    inflict(&damaged.fs);
    assert!(damaged.open());
    damaged.store_all();
    let missing = world.acked.iter().filter(|number| !damaged.stored.contains_key(*number)).count();
    assert!(damaged.stored.keys().all(|number| world.sent.contains(number)), "nothing is invented");
    (damaged, missing)
}

fn used(world: &World) -> Vec<(String, usize)> {
    let files = world.fs.names().into_iter();
    files
        .map(|name| {
            let bytes = world.fs.read_file(&name);
            let end = bytes.len() - 4096;
            (name, bytes[..end].iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1))
        })
        .filter(|(_, used)| *used > 0)
        .collect()
}

#[test]
fn d7_a_flipped_byte_costs_one_extent_at_most_and_is_told() {
    let world = killed();
    let files = used(&world);
    assert!(files.len() >= 2, "{files:?}");
    for (name, used) in &files {
        for at in (0..*used).step_by(7) {
            let (damaged, missing) = missing(&world, |fs| damage(fs, name, |bytes| bytes[at] ^= 0x20));
            // A commit has one extent here, of twelve records.
            assert!(missing <= 12, "{name} at {at}: {missing} are missing");
            if missing > 0 {
                let open = damaged.open.as_ref().unwrap();
                let told = damaged.lost + open.recovered.damaged + open.metrics.counts().damaged_extents;
                let torn = open.recovered.torn_bytes;
                assert!(told > 0 || torn > 0, "{name} at {at}: {missing} are missing, silently");
            }
        }
    }
}

#[test]
fn d7_a_damaged_segment_is_kept_for_a_person_to_look_at() {
    let world = killed();
    let (name, used) = used(&world).remove(0);
    let (damaged, missing) = missing(&world, |fs| damage(fs, &name, |bytes| bytes[used / 2] ^= 1));
    assert_eq!((missing, damaged.lost), (12, 12));
    damaged.write_watermarks();
    damaged.keep();
    assert!(damaged.fs.names().iter().any(|name| name.ends_with(".corrupt")), "{:?}", damaged.fs.names());
}

#[test]
fn d6_a_file_cut_anywhere_loses_its_end_only() {
    let world = killed();
    let (name, used) = used(&world).pop().unwrap();
    let mut before = usize::MAX;
    for length in (4096..used).step_by(13) {
        let (_, missing) = missing(&world, |fs| damage(fs, &name, |bytes| bytes.truncate(length)));
        assert!(missing <= before, "more is missing with {length} bytes than with fewer");
        before = missing;
    }
}

#[test]
fn d6_zeros_at_the_end_are_the_end() {
    let world = killed();
    let (name, used) = used(&world).pop().unwrap();
    for zeros in [1, 8, 100, 512, 4096] {
        let (damaged, missing) =
            missing(&world, |fs| damage(fs, &name, |bytes| bytes[used - zeros.min(used - 4096)..used].fill(0)));
        let open = damaged.open.as_ref().unwrap();
        assert_eq!(open.recovered.damaged, 0, "a torn tail is no damage");
        assert!(missing % 12 == 0 && missing <= 12 * (1 + zeros / 1000), "{zeros}: {missing}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever the files hold, it opens, ends, and invents nothing.
    #[test]
    fn any_bytes_anywhere_are_survived(
        blows in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 1..200)), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let world = killed();
        let names = world.fs.names();
        let (mut damaged, _) = missing(&world, |fs| {
            for (file, at, bytes) in &blows {
                damage(fs, &names[file.index(names.len())], |content| {
                    let at = at.index(content.len());
                    for (place, byte) in content[at..].iter_mut().zip(bytes) {
                        *place = *byte;
                    }
                });
            }
            if let Some(cut) = cut {
                damage(fs, &names[cut.index(names.len())], |content| content.truncate(cut.index(content.len())));
            }
        });
        damaged.keep();
        damaged.write_watermarks();
        damaged.keep();
        damaged.crash(None);
        prop_assert!(damaged.open());
    }
}
