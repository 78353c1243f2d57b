//! A scene: the service under load in front of a database, and somebody who watches it.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::{
    kit::{
        client::{Answer, Client},
        server::Server,
        store::{
            Store,
            mysql::{Database, say},
        },
        until,
    },
    ledger::{Ledger, bad_event, event, id},
    proxy::{Proxy, Traffic},
};

const CLIENTS: usize = 3;
const BATCH: usize = 20;
/// Between two batches of a client: the machine is to have time for the faults.
const PACE: Duration = Duration::from_millis(20);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Other work on the machine must not fail a test; an honest failure is longer than this.
const SLACK: Duration = Duration::from_secs(5);

/// The level at which the load is acknowledged.
pub(crate) fn level() -> String {
    std::env::var("TEST_ACK_LEVEL").unwrap_or_else(|_| "queued".to_owned())
}

/// What the clients are told.
#[derive(Default)]
struct Load {
    /// One of so many batches has a bad event; 0 is none.
    bad_every: AtomicUsize,
    is_paused: AtomicBool,
    is_done: AtomicBool,
}

/// The service under load.
pub(crate) struct Scene {
    pub(crate) server: Server,
    pub(crate) proxy: Proxy,
    store: Store,
    ledger: Arc<Mutex<Ledger>>,
    load: Arc<Load>,
    /// The clients, and who watches.
    threads: Vec<JoinHandle<()>>,
}

impl Scene {
    /// Load on a database of its own on the server that `TEST_MYSQL_URL` names.
    pub(crate) fn start(settings: &[(&str, &str)]) -> Option<Self> {
        let runtime = Runtime::new().unwrap();
        let database = runtime.block_on(Database::create())?;
        Some(Self::start_with(runtime, database, None, settings))
    }

    /// Load on a database of its own on the server of that URL.
    pub(crate) fn start_on(url: &str, settings: &[(&str, &str)]) -> Self {
        let runtime = Runtime::new().unwrap();
        let database = runtime.block_on(Database::create_on(url));
        Self::start_with(runtime, database, None, settings)
    }

    /// Load on several hosts, without a proxy; `url` is that of one for the test itself.
    pub(crate) fn start_at(hosts: &str, url: &str) -> Self {
        let runtime = Runtime::new().unwrap();
        let database = runtime.block_on(Database::create_on(url));
        Self::start_with(runtime, database, Some(hosts), &[])
    }

    fn start_with(runtime: Runtime, database: Database, hosts: Option<&str>, settings: &[(&str, &str)]) -> Self {
        let proxy = runtime.block_on(Proxy::start(database.address()));
        let url = database.url_at(hosts.unwrap_or(&proxy.address));
        let settings: Vec<_> = settings.iter().copied().chain([("store", url.as_str())]).collect();
        let server = Server::start(&settings);
        let address = server.address();
        let (ledger, load) = (Arc::default(), Arc::<Load>::default());
        let start_load = |client| {
            let (ledger, load) = (Arc::clone(&ledger), Arc::clone(&load));
            thread::spawn(move || send_load(address, client, &ledger, &load))
        };
        let mut threads: Vec<_> = (0..CLIENTS).map(start_load).collect();
        threads.push(thread::spawn({
            let load = Arc::clone(&load);
            move || watch(address, &load.is_done)
        }));
        let store = Store::MySql(database, runtime);
        let scene = Self { server, proxy, store, ledger, load, threads };
        scene.progresses();
        scene
    }

    /// The database, and what runs its futures.
    pub(crate) fn database(&self) -> (&Database, &Runtime) {
        match &self.store {
            Store::MySql(database, runtime) => (database, runtime),
            Store::Sqlite => unreachable!("a scene has a server"),
        }
    }

    /// Executes statements in the database, as the service's own user.
    pub(crate) fn sql(&self, statement: &str) {
        use mysql_async::prelude::Queryable as _;
        let (database, runtime) = self.database();
        runtime.block_on(async { database.conn().await.query_drop(statement).await.unwrap() });
    }

    /// How many rows the table has.
    pub(crate) fn count(&self) -> u64 {
        let (database, runtime) = self.database();
        runtime.block_on(database.count()) as u64
    }

    /// Bad events among the load from now on: one in so many batches.
    pub(crate) fn send_bad_ones(&self, every: usize) {
        self.load.bad_every.store(every, Ordering::Relaxed);
    }

    /// No more load, and all of it is stored.
    pub(crate) fn falls_quiet(&self) {
        self.load.is_paused.store(true, Ordering::Relaxed);
        // A request may be on its way: nothing new has come for as long as several take.
        thread::sleep(10 * PACE);
        until("all is stored", || self.server.metric("current_queue_depth") == 0);
    }

    pub(crate) fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap()
    }

    /// Sends these besides the load, and keeps the ledger.
    pub(crate) fn post(&self, events: &[Value], ack: &str) -> Answer {
        send(&mut self.server.client(), &self.ledger, events, ack)
    }

    /// Waits until a good deal more is stored.
    pub(crate) fn progresses(&self) {
        let before = self.server.metric("events_processed");
        until("events are stored", || self.server.metric("events_processed") >= before + 300);
    }

    /// Failed attempts so far, by code.
    pub(crate) fn retries(&self) -> BTreeMap<String, u64> {
        serde_json::from_value(self.server.get("/metrics").json()["store"]["retries"].clone()).unwrap()
    }

    /// Waits for a failed attempt with one of these codes, more than there were; how long.
    pub(crate) fn fails_with(&self, codes: &[&str], before: &BTreeMap<String, u64>) -> Duration {
        let since = Instant::now();
        let sum = |of: &BTreeMap<String, u64>| codes.iter().filter_map(|code| of.get(*code)).sum::<u64>();
        until(&format!("an attempt fails with one of {codes:?}"), || sum(&self.retries()) > sum(before));
        since.elapsed()
    }

    pub(crate) fn health(&self) -> String {
        self.server.get("/health").json()["status"].as_str().unwrap().to_owned()
    }

    /// Waits until `/health` says so.
    pub(crate) fn is_graded(&self, status: &str) {
        until(&format!("/health says {status}"), || self.health() == status);
    }

    /// Sets the traffic, waits until it hits something, and lets all pass again.
    pub(crate) fn cut(&self, traffic: Traffic) {
        let before = self.proxy.faults();
        self.proxy.set(traffic);
        until("something is cut", || self.proxy.faults() > before);
        self.proxy.set(Traffic::Pass);
    }

    /// Fresh events of many users are stored again, all that came before them included.
    pub(crate) fn heals_within(&self, limit: Duration) {
        let since = Instant::now();
        let events: Vec<_> = (0..8).map(|user| event(&format!("fresh-{user}"))).collect();
        loop {
            let answer = self.post(&events, "stored");
            if answer.status == 200 && answer.json()["ack"] == "stored" {
                break;
            }
            assert!(since.elapsed() < limit + SLACK, "not healed after {:?}: {}", since.elapsed(), answer.text());
            thread::sleep(Duration::from_millis(20));
        }
        let took = since.elapsed();
        assert!(took < limit + SLACK, "healed after {took:?} only");
        say(&format!("{}: healed in {:.2} s", thread::current().name().unwrap_or_default(), took.as_secs_f64()));
        self.is_graded("pass");
    }

    /// How often the log says that the store is down.
    pub(crate) fn said_down(&self) -> usize {
        let said =
            |entry: &Value| field(entry, "message").is_some_and(|message| message.starts_with("the store is down"));
        self.server.log().iter().filter(|entry| said(entry)).count()
    }

    /// Ids of the events that the store refused for good: of each letter, since the log spares lines of
    /// which there are many.
    pub(crate) fn dead(&self) -> Vec<String> {
        let file = self.server.data_dir.path().join("data/dead-letters.jsonl");
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let letters = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let word = |letter: &Value, name: &str| letter[name].as_str().unwrap().to_owned();
        // One letter may stand there twice.
        let by_receipt: BTreeMap<_, _> =
            letters.map(|letter| (word(&letter, "receipt"), word(&letter, "id"))).collect();
        by_receipt.into_values().collect()
    }

    /// Ends the load, waits until nothing is left, and compares.
    pub(crate) fn finish(mut self) {
        self.ends();
    }

    /// The same, and the database stays for another look.
    pub(crate) fn ends(&mut self) {
        self.load.is_done.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
        until("all is stored", || self.server.metric("current_queue_depth") == 0);
        let metrics = self.server.get("/metrics").json();
        self.is_graded("pass");
        let (rows, dead) = (self.store.rows(&self.server), self.dead());
        let ledger = self.ledger.lock().unwrap();
        ledger.check(&rows, &dead);
        assert_eq!(metrics["events_failed"], json!(dead.len()), "{metrics}");
        let (processed, duplicate) =
            (metrics["events_processed"].as_u64().unwrap(), metrics["events_duplicate"].as_u64().unwrap());
        assert_eq!(processed - duplicate, rows.len() as u64, "{metrics}");
        say(&format!(
            "{}: {} acknowledged, {} stored, {} dead, {} refused, retries {}",
            thread::current().name().unwrap_or_default(),
            ledger.acknowledged.len(),
            rows.len(),
            dead.len(),
            ledger.refused,
            metrics["store"]["retries"],
        ));
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.load.is_done.store(true, Ordering::Relaxed);
        // Before the server goes: they would fail without it.
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

fn field<'e>(entry: &'e Value, name: &str) -> Option<&'e str> {
    entry["fields"][name].as_str().or(entry[name].as_str())
}

fn send(client: &mut Client, ledger: &Mutex<Ledger>, events: &[Value], ack: &str) -> Answer {
    ledger.lock().unwrap().issue(events);
    let answer = client.post(&format!("/events/batch?ack={ack}"), &json!({ "events": events }).to_string());
    let mut ledger = ledger.lock().unwrap();
    match answer.status {
        200 | 202 => {
            assert_eq!(answer.json()["accepted"], json!(events.len()), "{}", answer.text());
            ledger.acknowledged.extend(events.iter().map(id));
        }
        503 => {
            assert!(["overloaded", "journal_full"].contains(&answer.problem().as_str()), "{}", answer.text());
            assert!((1..=30).contains(&answer.header("retry-after").parse::<u64>().unwrap()));
            ledger.refused += events.len();
        }
        _ => panic!("{answer:?}"),
    }
    answer
}

fn send_load(address: SocketAddr, client: usize, ledger: &Mutex<Ledger>, load: &Load) {
    let mut connection = Client::connect(address);
    let mut batches = 0;
    while !load.is_done.load(Ordering::Relaxed) {
        thread::sleep(PACE);
        if load.is_paused.load(Ordering::Relaxed) {
            continue;
        }
        batches += 1;
        let mut events: Vec<_> = (0..BATCH).map(|n| event(&format!("u{client}-{}", n % 7))).collect();
        let every = load.bad_every.load(Ordering::Relaxed);
        if every > 0 && batches % every == 0 {
            events[batches % BATCH] = bad_event();
        }
        send(&mut connection, ledger, &events, &level());
    }
}

/// The counts balance in every answer, and nothing but a store that is away dims the health.
fn watch(address: SocketAddr, done: &AtomicBool) {
    let mut connection = Client::connect(address);
    while !done.load(Ordering::Relaxed) {
        let metrics = connection.get("/metrics").json();
        let number = |key: &str| metrics[key].as_u64().unwrap();
        assert_eq!(
            number("events_received") + number("events_recovered"),
            number("events_processed") + number("events_failed") + number("current_queue_depth"),
            "{metrics}"
        );
        assert!(["pass", "warn", "fail"].contains(&connection.get("/health").json()["status"].as_str().unwrap()));
        thread::sleep(LOOK_EVERY);
    }
}
