//! D: the disk fails, fills up, is slow, or loses power.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use crate::{
    kit::{store::Store, until},
    load::{Dice, Habits},
    machine::{left_out, strace},
    rig::{Rig, has_journal, level, rounds, sync_call},
};

#[test]
fn d1_after_a_failed_sync_nobody_is_answered_and_the_process_ends() {
    let mut rig = Rig::new("D1", Store::Sqlite);
    let mut under_load = 0;
    for round in 0..rounds(3) {
        // Each thread is counted by itself: the first ones fail in the start, later ones under load.
        let fails_at = 1 + 15 * (round % 5);
        let Some(starter) = strace(&format!("{}:error=EIO:when={fails_at}", sync_call())) else { return };
        let is_started = rig.start_under(&starter).is_ok();
        if is_started && level() == "durable" {
            rig.aborts();
            under_load += 1;
        } else if is_started {
            // The embedded store is asked again.
            rig.load.flows(100);
            rig.kill();
            under_load += 1;
        }
        rig.rounds += 1;
    }
    assert!(under_load > 0 || rig.rounds < 3, "no sync failed under load");
    rig.finish();
}

/// A disk that fails one sync and drops what it was to write, as the kernel does: whoever asks
/// again is told that all is well. Then the power goes.
#[test]
fn d1_a_sync_that_failed_is_not_believed_the_second_time() {
    if !has_journal() {
        return;
    }
    let mut rig = Rig::new("D1 and power loss", Store::Sqlite);
    if !rig.on_ext4() {
        return;
    }
    let Some((_dir, library)) = lying_disk() else { return };
    let (mut dice, mut went_on) = (Dice::new(), false);
    for _ in 0..rounds(2) {
        let (library, fails_at) = (library.display(), 150 + dice.below(200));
        let starter = [format!("LD_PRELOAD={library}"), format!("SYNC_FAILS_AT={fails_at}")];
        rig.start_under(&["env".to_owned()].into_iter().chain(starter).collect::<Vec<_>>()).unwrap();
        // What reached the store would not be missed.
        let held = rig.hold_store();
        until("a sync to fail", || {
            rig.server().ended().is_some() || rig.server().log().iter().any(|line| line == "a sync has failed")
        });
        if rig.ends_within(Duration::from_secs(5)) {
            rig.aborts();
        } else {
            went_on = true;
            rig.kill();
        }
        drop(held);
        rig.mount().cut_power();
        rig.mount().restore_power();
        rig.rounds += 1;
        // Else the journal would be full some rounds on, and no sync would be there to fail.
        rig.start();
        until("the journal to have room", || {
            let metrics = rig.server().get("/metrics").json();
            metrics["journal"]["live_segments"].as_u64().unwrap() < 8
        });
        rig.kill();
    }
    rig.finish();
    assert!(!went_on, "it went on after a sync that failed");
}

/// Compiles the library that makes syncs lie.
fn lying_disk() -> Option<(tempfile::TempDir, PathBuf)> {
    let dir = tempfile::tempdir().unwrap();
    let library = dir.path().join("lying_disk.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faults/lying_disk.c");
    let made = Command::new("cc").args(["-shared", "-fPIC", "-O1", source, "-ldl", "-o"]).arg(&library).output();
    if !made.is_ok_and(|output| output.status.success()) {
        left_out("it needs a C compiler");
        return None;
    }
    Some((dir, library))
}

#[test]
fn d2_a_loss_of_power_under_load_loses_nothing() {
    for store in Store::all() {
        let is_embedded = matches!(store, Store::Sqlite);
        let (mut rig, mut dice) = (Rig::new("D2", store), Dice::new());
        if !rig.on_ext4() {
            return;
        }
        for _ in 0..rounds(3) {
            start_on_a_slow_disk_now_and_then(&mut rig, &mut dice);
            // Now and then the journal has it alone.
            let is_held = is_embedded && level() == "durable" && dice.below(2) == 0;
            let held = is_held.then(|| rig.hold_store());
            thread::sleep(Duration::from_millis(50 + dice.below(1000)));
            // Ext4 lets a sync of a file that grew return 0 where the cut catches it half-way, though
            // nothing was written. The journal's files never grow; the embedded store's do.
            if level() != "durable" {
                rig.stop();
            }
            rig.mount().cut_power();
            if level() == "durable" && dice.below(2) == 0 {
                // Every sync fails from now on: one that goes on answering is found out.
                rig.ends_within(Duration::from_millis(300));
            }
            rig.kill();
            drop(held);
            rig.mount().restore_power();
            rig.rounds += 1;
        }
        rig.finish();
    }
}

/// Nothing else on that disk makes it write: what the journal did not sync itself is not there.
#[test]
fn d2_a_loss_of_power_on_the_journals_own_disk_loses_nothing() {
    if !has_journal() {
        return;
    }
    let habits = Habits { writers: 8, events_per_s: 0, batch_max: 60, levels: &[""] };
    let (mut rig, mut dice) = (Rig::with_habits("D2 own disk", Store::Sqlite, &habits), Dice::new());
    // A new segment is synced, and all names with it: here each is made of one that is kept.
    for (key, value) in [("journal.keep", "1h"), ("journal.max_bytes", "8MiB")] {
        rig.set(key, value);
    }
    if !rig.journal_on_ext4() {
        return;
    }
    for _ in 0..rounds(2) {
        rig.start();
        // Each segment has come and gone; what the last ones have must not be in the store by then.
        rig.load.flows(15_000);
        let held = rig.hold_store();
        thread::sleep(Duration::from_millis(50 + dice.below(300)));
        rig.stop();
        rig.mount().keep_what_is_on_disk();
        rig.kill();
        drop(held);
        rig.mount().restore_power();
        rig.rounds += 1;
    }
    rig.finish();
}

/// Each second time on average, and where there is strace, a sync takes its time: whoever answers
/// before it has much to lose.
fn start_on_a_slow_disk_now_and_then(rig: &mut Rig, dice: &mut Dice) {
    let starter = match dice.below(2) {
        0 => strace(&format!("{}:delay_enter=20000", sync_call())).unwrap_or_default(),
        _ => Vec::new(),
    };
    rig.start_under(&starter).unwrap();
    rig.load.flows(20);
}

#[test]
fn d3_a_full_disk_is_a_503_and_when_there_is_room_it_goes_on() {
    if !has_journal() {
        return;
    }
    let mut rig = Rig::new("D3", Store::Sqlite);
    rig.set("journal.max_bytes", "1GiB");
    if !rig.journal_on_tmpfs(4 << 20) {
        return;
    }
    rig.start();
    for _ in 0..rounds(1) {
        rig.load.flows(50);
        let held = rig.hold_store();
        let refused = |rig: &Rig| rig.seen.refused.lock().unwrap().get("journal_full").copied().unwrap_or(0);
        let before = refused(&rig);
        until("the journal to be full", || refused(&rig) > before + 10);
        assert!(rig.server().ended().is_none(), "a full disk does not end it");
        drop(held);
        rig.load.flows(500);
        rig.rounds += 1;
    }
    rig.finish();
}

#[test]
fn d4_a_start_on_a_full_disk_serves_drains_and_goes_on() {
    if !has_journal() {
        return;
    }
    let mut rig = Rig::new("D4", Store::Sqlite);
    rig.set("journal.max_bytes", "1GiB");
    if !rig.journal_on_tmpfs(4 << 20) {
        return;
    }
    let filler = rig.journal().join("filler");
    for _ in 0..rounds(1) {
        rig.start();
        rig.load.flows(50);
        let held = rig.hold_store();
        rig.load.flows(300);
        rig.kill();
        drop(held);
        fill(&filler);
        // It may not be ready to accept, but it runs, and takes to the store what it has.
        rig.launch(&[]).unwrap();
        assert_eq!(rig.server().get("/livez").status, 200);
        rig.drained();
        assert!(rig.metric("events_recovered") > 0);
        fs::remove_file(&filler).unwrap();
        rig.load.flows(50);
        rig.kill();
        rig.rounds += 1;
    }
    rig.finish();
}

/// Takes what room there is.
fn fill(path: &Path) {
    let mut file = fs::File::create(path).unwrap();
    let zeros = [0; 4096];
    while file.write_all(&zeros).is_ok() {}
}

#[test]
fn d5_an_interrupted_write_is_made_again_and_one_that_takes_nothing_ends_the_process() {
    if !has_journal() {
        return;
    }
    let mut rig = Rig::new("D5", Store::Sqlite);
    for round in 0..rounds(2) {
        let is_interrupted = round % 2 == 0;
        let fault = if is_interrupted { "error=EINTR:when=2+3" } else { "retval=0:when=8" };
        let Some(starter) = strace(&format!("pwritev,pwritev2,pwrite64:{fault}")) else { return };
        // The embedded store would meet its faults too.
        rig.set("store", if is_interrupted { "sqlite" } else { "mysql://nobody:none@127.0.0.1:1/none" });
        let started = rig.start_under(&starter);
        if is_interrupted {
            started.unwrap();
            rig.load.flows(200);
            rig.kill();
        } else if started.is_ok() {
            rig.aborts();
        }
        rig.rounds += 1;
    }
    rig.set("store", "sqlite");
    rig.finish();
}

#[test]
fn d9_slow_syncs_slow_the_answers_and_no_memory_grows() {
    let mut rig = Rig::new("D9", Store::Sqlite);
    let Some(starter) = strace(&format!("{}:delay_enter=200000", sync_call())) else { return };
    rig.start_under(&starter).unwrap();
    rig.load.flows(100);
    let before = rig.resident_kib();
    let until = Instant::now() + Duration::from_secs(if rounds(1) > 1 { 60 } else { 3 });
    while Instant::now() < until {
        rig.load.flows(20);
    }
    let after = rig.resident_kib();
    assert!(after < before + (64 << 10), "{before} KiB have become {after}");
    rig.kill();
    rig.rounds += 1;
    let mut took = rig.finish().accepted_after.lock().unwrap().clone();
    took.sort_unstable();
    let median = took[took.len() / 2];
    assert!(median > Duration::from_millis(150) && median < Duration::from_secs(3), "the median is {median:?}");
}

/// Row B2, and what was kept for the store is killed besides.
#[test]
fn b2_the_store_is_away_and_the_process_killed_loses_nothing() {
    if !has_journal() {
        return;
    }
    let mut rig = Rig::new("B2", Store::Sqlite);
    for _ in 0..rounds(2) {
        rig.start();
        rig.load.flows(20);
        let held = rig.hold_store();
        // Some segments' worth.
        rig.load.flows(3000);
        rig.kill();
        rig.start();
        rig.load.flows(500);
        drop(held);
        rig.load.flows(100);
        rig.kill();
        rig.rounds += 1;
    }
    rig.finish();
}
