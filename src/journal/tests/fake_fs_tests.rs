//! The fake file system itself: it loses what may be lost, and nothing else.

use std::{
    collections::BTreeSet,
    io::{self, IoSlice},
    sync::Arc,
};

use rustix::io::Errno;

use super::fake_fs::{FakeFs, Fault, Op};
use crate::journal::fs::{File, Fs as _};

const SEEDS: std::ops::Range<u64> = 0..200;

fn write(file: &Arc<dyn File>, offset: u64, bytes: &[u8]) -> io::Result<usize> {
    file.write_at(&[IoSlice::new(bytes)], offset)
}

/// A file whose name is durable, full of `byte`, which is durable too.
fn durable(fs: &FakeFs, name: &str, bytes: usize, byte: u8) -> Arc<dyn File> {
    let file = fs.create(name, bytes as u64).unwrap();
    assert_eq!(write(&file, 0, &vec![byte; bytes]).unwrap(), bytes);
    file.sync_data().unwrap();
    fs.sync_dir().unwrap();
    file
}

/// What a file holds after each of the power losses that seeds make.
fn outcomes(fs: &FakeFs, name: &str) -> BTreeSet<Vec<u8>> {
    SEEDS.map(|seed| fs.power_loss(seed).read_file(name)).collect()
}

/// The names that there are after each of them.
fn names(fs: &FakeFs) -> BTreeSet<Vec<String>> {
    SEEDS.map(|seed| fs.power_loss(seed).names()).collect()
}

fn errno<T>(result: io::Result<T>) -> Option<Errno> {
    result.err().and_then(|error| Errno::from_io_error(&error))
}

#[test]
fn what_was_synced_survives_every_power_loss() {
    let fs = FakeFs::new();
    let file = durable(&fs, "a", 3000, 1);
    write(&file, 1000, &[2; 5000]).unwrap();
    file.sync_data().unwrap();
    let expected = [vec![1; 1000], vec![2; 5000]].concat();
    assert_eq!(outcomes(&fs, "a"), BTreeSet::from([expected]));
}

#[test]
fn what_was_not_synced_is_kept_or_dropped_or_torn() {
    let fs = FakeFs::new();
    let file = durable(&fs, "a", 4096, 1);
    write(&file, 0, &[2; 2048]).unwrap();
    write(&file, 2048, &[3; 2048]).unwrap();
    let found = outcomes(&fs, "a");
    let halves = |first: u8, second: u8| [vec![first; 2048], vec![second; 2048]].concat();
    for whole in [halves(1, 1), halves(2, 1), halves(1, 3), halves(2, 3)] {
        assert!(found.contains(&whole), "each write is kept or dropped by itself");
    }
    let sectors = |bytes: &Vec<u8>| bytes[..2048].chunks(512).map(|sector| sector[0]).collect::<Vec<_>>();
    let torn: BTreeSet<_> = found.iter().map(sectors).collect();
    for pattern in [[2, 2, 1, 1], [1, 1, 1, 2], [2, 1, 2, 1]] {
        assert!(torn.contains(&pattern[..]), "{pattern:?} is not in {torn:?}");
    }
    assert!(found.iter().any(|bytes| bytes[..512].windows(2).any(|pair| pair == [2, 1])), "a sector is torn");
    assert!(found.iter().all(|bytes| bytes[..2048].iter().all(|byte| [1, 2].contains(byte))));
}

#[test]
fn one_seed_keeps_nothing_and_one_everything_and_each_is_always_the_same() {
    let fs = FakeFs::new();
    let file = durable(&fs, "a", 600, 1);
    write(&file, 100, &[2; 2000]).unwrap();
    fs.rename("a", "b").unwrap();
    let nothing = fs.power_loss(FakeFs::NOTHING_KEPT);
    assert_eq!((nothing.names(), nothing.read_file("a")), (vec!["a".to_owned()], vec![1; 600]));
    let everything = fs.power_loss(FakeFs::ALL_KEPT);
    assert_eq!(everything.names(), ["b"]);
    assert_eq!(everything.read_file("b"), [vec![1; 100], vec![2; 2000]].concat());
    for seed in SEEDS {
        assert_eq!(fs.power_loss(seed).log(), fs.power_loss(seed).log());
    }
}

#[test]
fn a_file_may_grow_without_the_bytes_it_grew_by() {
    let fs = FakeFs::new();
    let file = durable(&fs, "a", 512, 1);
    write(&file, 512, &[2; 512]).unwrap();
    let found = outcomes(&fs, "a");
    for grown in [vec![], vec![0; 512], vec![2; 512]] {
        assert!(found.contains(&[vec![1; 512], grown].concat()));
    }
}

#[test]
fn a_new_file_may_be_gone_or_shorter_until_it_and_its_name_are_synced() {
    for synced in [false, true] {
        let fs = FakeFs::new();
        let file = fs.create("a", 1024).unwrap();
        if synced {
            file.sync_data().unwrap();
        }
        // Syncing a file is not syncing its name.
        assert_eq!(names(&fs), BTreeSet::from([vec![], vec!["a".to_owned()]]));
    }

    let fs = FakeFs::new();
    fs.create("a", 1024).unwrap();
    fs.sync_dir().unwrap();
    let lengths: BTreeSet<_> = outcomes(&fs, "a").iter().map(Vec::len).collect();
    assert!(lengths.contains(&0) && lengths.contains(&1024), "{lengths:?}");
}

#[test]
fn a_rename_that_was_not_synced_leaves_the_old_name_or_the_new_one() {
    let fs = FakeFs::new();
    durable(&fs, "old", 10, 1);
    durable(&fs, "there", 10, 2);
    fs.rename("old", "there").unwrap();
    assert_eq!((fs.names(), fs.read_file("there")), (vec!["there".to_owned()], vec![1; 10]));
    let mut found = BTreeSet::new();
    for fs in SEEDS.map(|seed| fs.power_loss(seed)) {
        let files: Vec<_> = fs.names().into_iter().map(|name| (fs.read_file(&name)[0], name)).collect();
        found.insert(files);
    }
    let (old, there, both) = (1, 2, ["old".to_owned(), "there".to_owned()]);
    let kept = vec![(old, both[1].clone())];
    let reverted = vec![(old, both[0].clone()), (there, both[1].clone())];
    assert_eq!(found, BTreeSet::from([kept, reverted]));
    fs.sync_dir().expect_err("the power is gone");
}

#[test]
fn no_change_of_names_that_was_reverted_loses_a_file_that_nobody_removed() {
    let fs = FakeFs::new();
    durable(&fs, "a", 1, 1);
    durable(&fs, "b", 1, 2);
    durable(&fs, "c", 1, 3);
    fs.rename("a", "d").unwrap();
    fs.rename("b", "a").unwrap();
    fs.create("b", 1).unwrap();
    fs.rename("a", "e").unwrap();
    fs.rename("d", "a").unwrap();
    fs.remove("c").unwrap();
    let mut with_c = 0;
    for seed in SEEDS {
        let after = fs.power_loss(seed);
        let all = after.names().iter().map(|name| after.read_file(name)).collect::<Vec<_>>();
        for byte in [1, 2] {
            assert_eq!(all.iter().filter(|bytes| ***bytes == [byte]).count(), 1, "{}", after.log());
        }
        with_c += usize::from(all.contains(&vec![3]));
    }
    assert!((1..SEEDS.count()).contains(&with_c), "a removal is kept or reverted: {with_c}");
}

#[test]
fn names_that_were_synced_survive_every_power_loss() {
    let fs = FakeFs::new();
    durable(&fs, "a", 1, 1);
    durable(&fs, "b", 1, 1);
    fs.rename("a", "c").unwrap();
    fs.remove("b").unwrap();
    fs.sync_dir().unwrap();
    assert_eq!(names(&fs), BTreeSet::from([vec!["c".to_owned()]]));
}

#[test]
fn after_a_failed_sync_the_next_one_lies() {
    let fs = FakeFs::new();
    let file = durable(&fs, "a", 512, 1);
    write(&file, 0, &[2; 512]).unwrap();
    fs.fail_nth(Op::SyncData, 2, Fault::Error(Errno::IO));
    assert_eq!(errno(file.sync_data()), Some(Errno::IO));
    file.sync_data().unwrap();
    assert_eq!(fs.read_file("a"), [2; 512], "reads see what is not on the disk");

    let restarted = fs.kill();
    let file = restarted.open("a").unwrap();
    file.sync_data().unwrap();
    assert_eq!(restarted.power_loss(FakeFs::NOTHING_KEPT).read_file("a"), [1; 512], "{}", restarted.log());
    assert!(outcomes(&restarted, "a").len() > 2);

    // Only what is written again is durable.
    let restarted = fs.kill();
    let file = restarted.open("a").unwrap();
    write(&file, 100, &[3; 100]).unwrap();
    file.sync_data().unwrap();
    let expected = [vec![1; 100], vec![3; 100], vec![1; 312]].concat();
    assert_eq!(restarted.power_loss(FakeFs::NOTHING_KEPT).read_file("a"), expected);
    assert!(outcomes(&restarted, "a").iter().all(|bytes| bytes[100..200] == [3; 100]));
}

#[test]
fn after_names_failed_to_sync_they_are_durable_only_in_another_life() {
    let fs = FakeFs::new();
    fs.create("a", 0).unwrap();
    fs.fail_at(2, Fault::Error(Errno::IO));
    assert_eq!(errno(fs.sync_dir()), Some(Errno::IO));
    fs.sync_dir().unwrap();
    assert_eq!(names(&fs).len(), 2);
    let restarted = fs.kill();
    restarted.sync_dir().unwrap();
    assert_eq!(names(&restarted), BTreeSet::from([vec!["a".to_owned()]]));
}

#[test]
fn a_kill_keeps_all_that_was_written_but_syncs_none_of_it() {
    let fs = FakeFs::new();
    let file = durable(&fs, "a", 512, 1);
    write(&file, 0, &[2; 512]).unwrap();
    fs.create("b", 10).unwrap();
    let restarted = fs.kill();
    assert_eq!((restarted.names().len(), restarted.read_file("a")), (2, vec![2; 512]));
    assert_eq!(restarted.power_loss(FakeFs::NOTHING_KEPT).names(), ["a"]);
    assert_eq!(restarted.power_loss(FakeFs::NOTHING_KEPT).read_file("a"), [1; 512]);

    let restarted = fs.kill();
    restarted.open("a").unwrap().sync_data().unwrap();
    restarted.sync_dir().unwrap();
    let after = restarted.power_loss(FakeFs::NOTHING_KEPT);
    assert_eq!((after.names().len(), after.read_file("a")), (2, vec![2; 512]));
}

#[test]
fn whoever_lost_the_disk_can_do_nothing_any_more() {
    for end in [|fs: &FakeFs| fs.kill(), |fs: &FakeFs| fs.power_loss(FakeFs::ALL_KEPT)] {
        let fs = FakeFs::new();
        let file = durable(&fs, "a", 10, 1);
        let (after, ops) = (end(&fs), fs.ops());
        assert!(fs.is_gone() && !after.is_gone());
        let failed = [
            errno(write(&file, 0, &[2])),
            errno(file.read_at(&mut [0], 0)),
            errno(file.sync_data()),
            errno(file.bytes()),
            errno(fs.create("b", 1)),
            errno(fs.open("a")),
            errno(fs.list()),
            errno(fs.rename("a", "b")),
            errno(fs.remove("a")),
            errno(fs.sync_dir()),
            errno(fs.free_bytes()),
        ];
        assert_eq!(failed, [Some(Errno::IO); 11]);
        assert_eq!((fs.ops(), after.names(), after.read_file("a")), (ops, vec!["a".to_owned()], vec![1; 10]));
    }
}

/// Calls of every kind, each of them once.
fn every_kind(fs: &FakeFs) -> Vec<Option<Errno>> {
    let Ok(file) = fs.create("a", 4) else { return vec![] };
    vec![
        errno(write(&file, 0, &[7; 4])),
        errno(file.sync_data()),
        errno(fs.rename("a", "b")),
        errno(fs.sync_dir()),
        errno(fs.remove("b")),
    ]
}

#[test]
fn a_fault_hits_the_call_with_its_number_and_no_other() {
    let fs = FakeFs::new();
    assert_eq!(every_kind(&fs), [None; 5]);
    assert_eq!(fs.ops(), 6);
    for number in 2..=6_usize {
        let faults = [
            (Fault::Error(Errno::NOSPC), Errno::NOSPC),
            (Fault::Interrupted, Errno::INTR),
            (Fault::CrashBefore, Errno::IO),
            (Fault::CrashAfter, Errno::IO),
        ];
        for (fault, expected) in faults {
            let fs = FakeFs::new();
            fs.fail_at(number as u64, fault);
            let found = every_kind(&fs);
            assert!(found[..number - 2].iter().all(Option::is_none), "{}", fs.log());
            assert_eq!(found[number - 2], Some(expected), "{}", fs.log());
            let crashed = matches!(fault, Fault::CrashBefore | Fault::CrashAfter);
            assert_eq!(fs.is_gone(), crashed);
            if crashed {
                assert!(found[number - 2..].iter().all(|errno| *errno == Some(Errno::IO)), "{}", fs.log());
            }
        }
    }
}

#[test]
fn a_crash_comes_before_a_call_or_after_it() {
    for (fault, expected) in [(Fault::CrashBefore, [1; 512]), (Fault::CrashAfter, [2; 512])] {
        let fs = FakeFs::new();
        let file = durable(&fs, "a", 512, 1);
        write(&file, 0, &[2; 512]).unwrap();
        fs.fail_at(fs.ops() + 1, fault);
        file.sync_data().unwrap_err();
        assert_eq!(fs.power_loss(FakeFs::NOTHING_KEPT).read_file("a"), expected, "{}", fs.log());
    }
}

#[test]
fn a_short_write_takes_what_it_says_and_an_interrupted_sync_may_be_repeated() {
    let fs = FakeFs::new();
    let file = durable(&fs, "a", 8, 1);
    fs.fail_nth(Op::WriteAt, 2, Fault::ShortWrite(3));
    fs.fail_nth(Op::SyncData, 2, Fault::Interrupted);
    assert_eq!(file.write_at(&[IoSlice::new(&[2, 2]), IoSlice::new(&[3, 3])], 1).unwrap(), 3);
    assert_eq!(fs.read_file("a"), [1, 2, 2, 3, 1, 1, 1, 1]);
    assert_eq!(errno(file.sync_data()), Some(Errno::INTR));
    file.sync_data().unwrap();
    assert_eq!(fs.power_loss(FakeFs::NOTHING_KEPT).read_file("a"), [1, 2, 2, 3, 1, 1, 1, 1]);
    assert_eq!(fs.ops_of(Op::SyncData), 3);
}

#[test]
fn a_full_disk_takes_no_file_until_another_is_removed() {
    let fs = FakeFs::new();
    durable(&fs, "a", 100, 1);
    fs.set_free_bytes(150);
    assert_eq!(errno(fs.create("b", 151)), Some(Errno::NOSPC));
    assert_eq!((fs.names(), fs.free_bytes().unwrap()), (vec!["a".to_owned()], 150));
    let file = fs.create("b", 140).unwrap();
    assert_eq!(write(&file, 130, &[1; 30]).unwrap(), 20, "there is room for some of it");
    assert_eq!(errno(write(&file, 150, &[1])), Some(Errno::NOSPC));
    assert_eq!(write(&file, 0, &[2; 150]).unwrap(), 150, "what is there can be written again");
    assert_eq!(fs.free_bytes().unwrap(), 0);
    fs.remove("a").unwrap();
    assert_eq!(fs.free_bytes().unwrap(), 100);
    assert_eq!(fs.kill().free_bytes().unwrap(), 100);
}

#[test]
fn damage_stays_whatever_the_power_loss() {
    let fs = FakeFs::new();
    let file = durable(&fs, "a", 600, 1);
    write(&file, 0, &[2; 600]).unwrap();
    fs.flip("a", 1, 0x80);
    fs.overwrite("a", 2, &[9, 9]);
    fs.truncate("a", 5);
    assert_eq!(outcomes(&fs, "a"), BTreeSet::from([vec![2, 0x82, 9, 9, 2]]));
    let mut buffer = [0; 8];
    let fs = fs.kill();
    fs.limit_reads(2);
    assert_eq!(fs.open("a").unwrap().read_at(&mut buffer, 1).unwrap(), 2);
    assert_eq!(buffer[..3], [0x82, 9, 0]);
}
