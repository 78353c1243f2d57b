//! A campaign: a server that is made to fail round after round, clients that go on, and the
//! reckoning at the end.

use std::{
    env,
    fs::{self, OpenOptions},
    io::Write as _,
    net::SocketAddr,
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::ExitStatus,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use event_pipeline::config::SETTINGS;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    kit::{
        client::Client,
        server::{Server, binary_under},
        store::Store,
        until,
    },
    ledger::{Ledger, Verdict},
    load::{Habits, Load, Seen},
    machine::{Mount, left_out, say},
};

/// Longer than any recovery here may take.
const RECOVERY_MAX: Duration = Duration::from_secs(30);
/// A fresh event is through within this time, once all is over.
const FRESH_MAX: Duration = Duration::from_secs(1);

/// How often a campaign's fault comes: `TEST_FAULT_ROUNDS`, or a few times.
pub(crate) fn rounds(few: usize) -> usize {
    env::var("TEST_FAULT_ROUNDS").map_or(few, |rounds| rounds.parse().unwrap())
}

/// The level whose promise is tried: `TEST_ACK`, or `durable` where there is a journal.
pub(crate) fn level() -> String {
    let has_journal = SETTINGS.iter().any(|setting| setting.key == "journal.segment_bytes");
    env::var("TEST_ACK").unwrap_or_else(|_| if has_journal { "durable" } else { "stored" }.to_owned())
}

/// Whether `durable` is tried; says so where it is not.
pub(crate) fn has_journal() -> bool {
    let has = level() == "durable";
    if !has {
        left_out("it is about the journal, and the level that is tried is not `durable`");
    }
    has
}

/// The system calls that make it durable: the journal's, or the embedded store's.
pub(crate) fn sync_call() -> &'static str {
    if level() == "durable" { "fdatasync" } else { "fsync" }
}

/// One campaign.
pub(crate) struct Rig {
    row: String,
    // Dropped in this order: the files go last.
    pub(crate) load: Load,
    server: Option<Server>,
    mount: Option<Mount>,
    store: Store,
    settings: Vec<(String, String)>,
    pub(crate) seen: Arc<Seen>,
    ledger: Arc<Ledger>,
    recovery_max: Duration,
    pub(crate) rounds: usize,
    is_over: bool,
    _own: TempDir,
    dir: Arc<TempDir>,
}

impl Rig {
    /// A campaign of that row on that store, with the usual clients.
    pub(crate) fn new(row: &str, store: Store) -> Self {
        let levels: &[&str] = if level() == "durable" { &["", "", "", "", "stored", "queued"] } else { &["stored"] };
        let habits = Habits { writers: 8, events_per_s: 1500, batch_max: 30, levels };
        Self::with_habits(row, store, &habits)
    }

    pub(crate) fn with_habits(row: &str, store: Store, habits: &Habits) -> Self {
        let own = TempDir::new().unwrap();
        let ledger = Arc::new(Ledger::new(own.path()));
        let seen = Arc::new(Seen::default());
        let load = Load::start(&ledger, habits, &seen);
        // Segments are small, so that they are sealed and recycled all the time.
        let timeout = if level() == "durable" { "300ms" } else { "10s" };
        let settings = [
            ("store", &*store.setting()),
            ("ack", &level()),
            ("ack_timeout", timeout),
            ("shards", "2"),
            ("journal.segment_bytes", "256KiB"),
            ("journal.max_bytes", "16MiB"),
            ("journal.keep", "0s"),
        ]
        .map(|(key, value)| (key, value.to_owned()));
        let mut rig = Self {
            row: format!("{row} on {}", store.name()),
            load,
            server: None,
            mount: None,
            store,
            settings: Vec::new(),
            seen,
            ledger,
            recovery_max: Duration::ZERO,
            rounds: 0,
            is_over: false,
            _own: own,
            dir: Arc::new(TempDir::new().unwrap()),
        };
        for (key, value) in settings {
            rig.set(key, &value);
        }
        rig
    }

    /// A setting of the servers that are started from now on.
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        if key.starts_with("journal.") && level() != "durable" {
            return;
        }
        self.settings.retain(|(known, _)| known != key);
        self.settings.push((key.to_owned(), value.to_owned()));
    }

    /// Puts the data directory onto an ext4 of its own; false where that cannot be had.
    pub(crate) fn on_ext4(&mut self) -> bool {
        self.mount = Mount::ext4(self.dir.path());
        self.mount.is_some()
    }

    /// Puts the journal alone onto an ext4 of its own; false where that cannot be had.
    pub(crate) fn journal_on_ext4(&mut self) -> bool {
        fs::create_dir_all(self.journal()).unwrap();
        self.mount = Mount::ext4(&self.journal());
        self.mount.is_some()
    }

    /// Puts the journal onto a small file system in memory; false where that cannot be had.
    pub(crate) fn journal_on_tmpfs(&mut self, bytes: u64) -> bool {
        fs::create_dir_all(self.journal()).unwrap();
        self.mount = Mount::tmpfs(&self.journal(), bytes);
        self.mount.is_some()
    }

    pub(crate) fn mount(&self) -> &Mount {
        self.mount.as_ref().unwrap()
    }

    /// Where the journal lies.
    pub(crate) fn journal(&self) -> PathBuf {
        self.dir.path().join("data/journal")
    }

    pub(crate) fn server(&mut self) -> &mut Server {
        self.server.as_mut().unwrap()
    }

    /// Starts the server, which must become ready.
    pub(crate) fn start(&mut self) {
        self.start_under(&[]).unwrap_or_else(|log| panic!("it ended before it was ready: {log:#?}"));
    }

    /// Starts it by another program; its log where it ends before it is ready.
    pub(crate) fn start_under(&mut self, starter: &[String]) -> Result<(), Vec<Value>> {
        let began = Instant::now();
        self.launch(starter)?;
        let address = self.server().address();
        loop {
            if let Some(status) = self.server().ended() {
                let mut log = self.server.take().unwrap().log();
                log.push(json!(format!("{status}")));
                return Err(log);
            }
            if is_ready(address) {
                break;
            }
            assert!(began.elapsed() < RECOVERY_MAX, "it does not become ready: {:#?}", self.server().log());
            thread::sleep(Duration::from_millis(2));
        }
        // What slows it down is no recovery.
        if starter.is_empty() {
            self.recovery_max = self.recovery_max.max(began.elapsed());
        }
        Ok(())
    }

    /// Starts it and waits only until it listens; from then on the load is aimed at it.
    pub(crate) fn launch(&mut self, starter: &[String]) -> Result<(), Vec<Value>> {
        assert!(self.server.is_none(), "the last one still runs");
        let settings: Vec<_> = self.settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        self.server = Some(Server::try_start(binary_under(starter), Arc::clone(&self.dir), &settings)?);
        let address = self.server().address();
        self.load.aim(address);
        Ok(())
    }

    /// SIGKILL, where it has not ended by itself.
    pub(crate) fn kill(&mut self) {
        if self.server().ended().is_none() {
            self.server().signal("KILL");
        }
        self.wait();
    }

    /// SIGSTOP, and waits until no thread can do anything more on its own.
    pub(crate) fn stop(&mut self) {
        self.server().signal("STOP");
        let tasks = format!("/proc/{}/task", self.server().pid());
        // `t` is a thread that strace holds; it stops before it is back from its call.
        let is_still = |stat: String| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['T', 't']));
        until("all threads to stand still", || {
            let mut tasks = fs::read_dir(&tasks).unwrap().flatten();
            tasks.all(|task| fs::read_to_string(task.path().join("stat")).is_ok_and(is_still))
        });
    }

    /// Waits for the end of a server that ends by itself, and is then gone.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let status = self.server().wait();
        self.server = None;
        status
    }

    /// Whether it ends by itself within that time.
    pub(crate) fn ends_within(&mut self, time: Duration) -> bool {
        let since = Instant::now();
        while since.elapsed() < time {
            if self.server().ended().is_some() {
                return true;
            }
            thread::sleep(Duration::from_millis(2));
        }
        false
    }

    /// Waits for an end that must be `abort()`.
    pub(crate) fn aborts(&mut self) {
        let status = self.server().wait();
        let log = self.server.take().unwrap().log();
        assert_eq!(status.signal(), Some(6), "it did not abort: {status}, {log:#?}");
    }

    /// One number of `/metrics`.
    pub(crate) fn metric(&mut self, key: &str) -> u64 {
        self.server().metric(key)
    }

    /// Resident memory in KiB.
    pub(crate) fn resident_kib(&mut self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.server().pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Waits for it.
    pub(crate) fn store_is_up(&mut self) {
        until("the store to be up", || self.server().get("/metrics").json()["store"]["state"] == "up");
    }

    /// Keeps the embedded store from taking anything, until what this returns is dropped.
    pub(crate) fn hold_store(&mut self) -> rusqlite::Connection {
        self.store_is_up();
        let path = self.server().sqlite_path();
        let connection = rusqlite::Connection::open(path).unwrap();
        connection.busy_timeout(Duration::from_secs(10)).unwrap();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        connection
    }

    /// The end: faults off, everything drained, and the ledger held against the store.
    pub(crate) fn finish(mut self) -> Arc<Seen> {
        if self.server.is_none() {
            self.start();
        }
        self.load.stop();
        self.drained();
        self.fresh_event_passes();
        let server = self.server.as_ref().unwrap();
        let verdict = self.ledger.verify(&self.store.rows(server));
        self.report(&verdict, verdict.is_good());
        assert!(verdict.is_good(), "{}: {verdict}", self.row);
        let unexpected = self.seen.unexpected.lock().unwrap();
        assert!(unexpected.is_empty(), "{} answers that no client should get: {}", unexpected.len(), unexpected[0]);
        assert!(verdict.acked > 0, "nothing was acknowledged, so nothing was tried");
        drop(unexpected);
        Arc::clone(&self.seen)
    }

    /// Waits until everything accepted is stored.
    pub(crate) fn drained(&mut self) {
        let mut last = (u64::MAX, Instant::now());
        loop {
            let depth = self.metric("current_queue_depth");
            if depth == 0 {
                return;
            }
            if depth != last.0 {
                last = (depth, Instant::now());
            }
            assert!(last.1.elapsed() < RECOVERY_MAX, "{depth} events stay where they are: {:#?}", self.server().log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn fresh_event_passes(&mut self) {
        let since = Instant::now();
        let event = r#"{"type":"system_log","source":"system","data":{"fresh":true}}"#;
        let answer = self.server().post("/events?ack=stored", event);
        assert_eq!((answer.status, &answer.json()["ack"]), (200, &json!("stored")), "{answer:?}");
        assert!(since.elapsed() < FRESH_MAX, "a fresh event took {:?}", since.elapsed());
    }

    /// A line for people, and one of JSON for `TEST_FAULT_RESULTS`.
    fn report(&mut self, verdict: &Verdict, is_good: bool) {
        self.is_over = true;
        let Verdict { issued, acked, stored, lost, duplicated, .. } = verdict;
        let (lost, duplicated, recovery_ms) = (lost.len(), duplicated.len(), self.recovery_max.as_millis());
        let (row, rounds, word) = (&self.row, self.rounds, if is_good { "ok" } else { "FAILED" });
        say(&format!(
            "{word}: {row}: {rounds} rounds, {issued} issued, {acked} acked, {stored} stored, {lost} lost, \
             {duplicated} duplicated, longest recovery {recovery_ms} ms"
        ));
        if let Ok(path) = env::var("TEST_FAULT_RESULTS") {
            let line = json!({"row": row, "rounds": rounds, "issued": issued, "acked": acked, "stored": stored,
                "lost": lost, "duplicated": duplicated, "recovery_ms": recovery_ms as u64, "verdict": word});
            let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
            file.write_all(format!("{line}\n").as_bytes()).unwrap();
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if thread::panicking() && !self.is_over {
            self.report(&Verdict::default(), false);
        }
    }
}

/// Whether a server that may end at any moment is ready.
fn is_ready(address: SocketAddr) -> bool {
    let ask = || {
        let mut client = Client::try_connect(address)?;
        client.send("GET /readyz HTTP/1.1\r\nHost: test\r\n\r\n")?;
        client.answer()
    };
    ask().is_ok_and(|answer| answer.status == 200)
}
