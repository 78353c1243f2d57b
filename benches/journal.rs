//! One log for all shards against one log for each: `cargo bench --bench journal`.
//!
//! Two threads commit as fast as they can, small extents as single events make them and large ones as
//! batches do, into one journal that they share and into a journal for each. Both run in turns, so that
//! what else the disk does falls on both alike; the ratio of the medians is what counts.

use std::{
    env, fmt,
    io::Write as _,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use event_pipeline::journal::{Journal, Options, Pending, fs::Disk};

const ROUNDS: usize = 7;
const SHARDS: usize = 2;
const EVENT_BYTES: usize = 240;

fn main() {
    let measures = env::args().any(|argument| argument == "--bench");
    let time = Duration::from_millis(if measures { 1500 } else { 20 });
    for (name, events) in [("single events, 32 a commit", 32), ("batches, 2,000 events a commit", 2000)] {
        let (mut shared, mut own) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            shared.push(events_per_second(1, events, time));
            own.push(events_per_second(SHARDS, events, time));
        }
        let (shared, own) = (median(shared), median(own));
        say(format_args!("{name}: one log {shared:.0} events/s, a log each {own:.0}: {:.2}", shared / own));
    }
}

fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// What two threads commit a second into so many journals.
fn events_per_second(journals: usize, events: usize, time: Duration) -> f64 {
    let dirs: Vec<_> = (0..journals).map(|_| tempfile::tempdir_in(".").expect("a temporary directory")).collect();
    let shards = SHARDS / journals;
    let options = Options { keep_bytes: 128 << 20, ..Options::default() };
    let open = |dir: &tempfile::TempDir| {
        let disk = Arc::new(Disk::open(dir.path()).expect("a directory"));
        let (journal, _) = Journal::open(disk, options, shards, Arc::default()).expect("an empty directory");
        let kept = journal.clone();
        (journal, thread::spawn(move || kept.keep_until_closed()))
    };
    let opened: Vec<_> = dirs.iter().map(open).collect();
    let record = vec![7; EVENT_BYTES];
    let since = Instant::now();
    let committed: u64 = thread::scope(|scope| {
        let threads: Vec<_> = (0..SHARDS)
            .map(|index| {
                let (journal, shard) = (opened[index % journals].0.clone(), index / journals);
                let record = &record;
                scope.spawn(move || {
                    let (mut pending, mut committed) = (Pending::default(), 0);
                    while since.elapsed() < time {
                        let cost = journal.cost((events * EVENT_BYTES) as u64);
                        if !journal.promise(cost) {
                            // The keeper makes room.
                            thread::yield_now();
                            continue;
                        }
                        for _ in 0..events {
                            pending.push(record, 1, 0);
                        }
                        pending.push(&[], 0, cost);
                        let first = journal.commit(shard, &mut pending, |_| false).expect("the disk takes it");
                        journal.advance(shard, first + events as u64);
                        pending.clear(usize::MAX);
                        committed += events as u64;
                    }
                    committed
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    let rate = committed as f64 / since.elapsed().as_secs_f64();
    for (journal, keeper) in opened {
        journal.close();
        keeper.join().expect("no panic").expect("the disk takes it");
    }
    rate
}
