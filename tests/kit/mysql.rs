//! MySQL and MariaDB for tests: a database of its own for each test, servers of one's own, and
//! a proxy between store and server that breaks what it is told to break.
//!
//! `TEST_MYSQL_URL` names a server whose user may create databases `eventdb_…`. Where it is
//! missing, the tests that need it say so and pass; with `TEST_REQUIRE_MYSQL=1` they fail.

use std::{
    env,
    io::Write as _,
    process::Command,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use event_pipeline::{
    event::{EventType, Receipt, Source},
    storage::{Batch, MySql, Row},
};
use mysql_async::{Conn, Opts, OptsBuilder, prelude::Queryable as _};
use tempfile::TempDir;
use uuid::Uuid;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Says that the calling test is left out, or fails it where it must run.
pub(crate) fn left_out(why: &str) {
    let test = thread::current().name().unwrap_or("a test").to_owned();
    assert!(env::var("TEST_REQUIRE_MYSQL").as_deref() != Ok("1"), "{test} must run, but {why}");
    say(&format!("LEFT OUT: {test}: {why}"));
}

/// Says something that is heard also when the test passes.
pub(crate) fn say(what: &str) {
    // Not `eprintln`, which a passing test keeps to itself.
    std::io::stderr().write_all(format!("{what}\n").as_bytes()).unwrap();
}

/// A database of its own on a server; dropped with this.
pub(crate) struct Database {
    pub(crate) server: String,
    pub(crate) name: String,
}

impl Database {
    /// On the server that `TEST_MYSQL_URL` names.
    pub(crate) async fn create() -> Option<Self> {
        match env::var("TEST_MYSQL_URL") {
            Ok(server) => Some(Self::create_on(&server).await),
            Err(_) => {
                left_out("TEST_MYSQL_URL is not set");
                None
            }
        }
    }

    /// On the server of that URL.
    pub(crate) async fn create_on(server: &str) -> Self {
        let name = format!("eventdb_{}", Uuid::now_v7().simple());
        let mut conn = connect(server).await;
        conn.query_drop(format!("CREATE DATABASE {name}")).await.unwrap();
        conn.disconnect().await.unwrap();
        Self { server: server.to_owned(), name }
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        let (server, _) = self.server.rsplit_once('/').unwrap();
        format!("{server}/{}", self.name)
    }

    /// Its URL with other hosts.
    pub(crate) fn url_at(&self, hosts: &str) -> String {
        let (login, _) = self.server.rsplit_once('@').unwrap();
        format!("{login}@{hosts}/{}", self.name)
    }

    /// The server's `host:port`.
    pub(crate) fn address(&self) -> String {
        let opts = Opts::from_url(&self.server).unwrap();
        format!("{}:{}", opts.ip_or_hostname(), opts.tcp_port())
    }

    /// A store on it, with its table.
    pub(crate) async fn store(&self) -> MySql {
        let store = open(&self.url());
        event_pipeline::storage::Storage::migrate(&store).await.unwrap();
        store
    }

    /// A plain connection to it, as it comes.
    pub(crate) async fn conn(&self) -> Conn {
        connect(&self.url()).await
    }

    /// How many rows the table has.
    pub(crate) async fn count(&self) -> usize {
        let mut conn = self.conn().await;
        conn.query_first("SELECT COUNT(*) FROM processed_events").await.unwrap().unwrap()
    }

    /// Kills the connections to this database but the asking one; how many there were.
    pub(crate) async fn kill_connections(&self) -> usize {
        kill_others(&mut self.conn().await, &self.name).await
    }

    /// Waits until an insert has waited for a second.
    pub(crate) async fn wait_for_a_lock(&self) {
        let mut conn = self.conn().await;
        let end = Instant::now() + PATIENCE;
        let waits = |process: &Process| process.command == "Execute" && process.seconds >= 1;
        while !processes(&mut conn, &self.name).await.iter().any(waits) {
            assert!(Instant::now() < end, "no insert waits for a lock");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until a connection to this database executes an insert.
    pub(crate) async fn wait_for_insert(&self) {
        let mut conn = self.conn().await;
        let query = format!(
            "SELECT COUNT(*) FROM information_schema.processlist WHERE db = '{}' AND info LIKE 'INSERT%'",
            self.name
        );
        let end = Instant::now() + PATIENCE;
        while conn.query_first::<u64, _>(&query).await.unwrap() != Some(1) {
            assert!(Instant::now() < end, "no insert came");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        let dropping = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut conn = Conn::from_url(&server).await?;
                // The test's connections close in the background, on a thread that waits here.
                kill_others(&mut conn, &name).await;
                conn.query_drop("SET lock_wait_timeout = 10").await?;
                conn.query_drop(format!("DROP DATABASE {name}")).await
            })
        });
        // A server that a test stopped has nothing to be dropped.
        let _ = dropping.join();
    }
}

/// A plain connection by TCP: by the server's socket the login would be another one.
pub(crate) async fn connect(url: &str) -> Conn {
    let opts = Opts::from_url(url).unwrap();
    Conn::new(OptsBuilder::from_opts(opts).prefer_socket(false)).await.unwrap()
}

/// A connection as the server lists it.
struct Process {
    id: u64,
    /// What it is at, such as `Sleep` or `Execute`, and for how many seconds.
    command: String,
    seconds: i64,
}

/// Connections to that database. Not by `information_schema`, in which MySQL cannot show a statement
/// that has characters of four bytes.
async fn processes(conn: &mut Conn, database: &str) -> Vec<Process> {
    let rows: Vec<mysql_async::Row> = conn.query("SHOW PROCESSLIST").await.unwrap();
    let rows = rows.into_iter().filter(|row| row.get::<Option<String>, _>("db").flatten().as_deref() == Some(database));
    let process = |row: mysql_async::Row| Process {
        id: row.get("Id").unwrap(),
        command: row.get("Command").unwrap(),
        seconds: row.get::<Option<i64>, _>("Time").flatten().unwrap_or(0),
    };
    rows.map(process).collect()
}

async fn kill_others(conn: &mut Conn, database: &str) -> usize {
    let own: u64 = conn.query_first("SELECT CONNECTION_ID()").await.unwrap().unwrap();
    let ids: Vec<u64> = processes(conn, database).await.into_iter().map(|process| process.id).collect();
    let ids: Vec<u64> = ids.into_iter().filter(|id| *id != own).collect();
    for id in &ids {
        // One may be gone by itself meanwhile.
        let _ = conn.query_drop(format!("KILL {id}")).await;
    }
    ids.len()
}

/// A MariaDB server of the test's own, stopped with this.
pub(crate) struct Server {
    dir: TempDir,
    pub(crate) url: String,
}

impl Server {
    /// Starts one with further arguments; `None` where MariaDB is not installed.
    pub(crate) fn start(arguments: &[&str]) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let Some(url) = mariadb("start", &dir, arguments) else {
            left_out("mariadbd is not installed");
            return None;
        };
        Some(Self { dir, url })
    }

    /// Stops it and starts it with other arguments, at the same address.
    pub(crate) fn restart(&self, arguments: &[&str]) {
        self.stop();
        self.start_again(arguments);
    }

    /// Starts it after it was stopped or killed, at the same address.
    pub(crate) fn start_again(&self, arguments: &[&str]) {
        mariadb("start", &self.dir, arguments).unwrap();
    }

    /// Stops it.
    pub(crate) fn stop(&self) {
        mariadb("stop", &self.dir, &[]).unwrap();
    }

    /// Kills it as a crash would.
    pub(crate) fn kill(&self) {
        let pid = std::fs::read_to_string(self.dir.path().join("pid")).unwrap();
        let status = Command::new("kill").args(["-9", pid.trim()]).status().unwrap();
        assert!(status.success());
    }

    /// Executes statements as its administrator, whom no read-only mode binds.
    pub(crate) fn sql(&self, statements: &str) {
        let socket = std::fs::read_to_string(self.dir.path().join("socket")).unwrap();
        let output = Command::new("mariadb")
            .args(["--no-defaults", "--user=root", "--socket", socket.trim(), "--execute", statements])
            .output()
            .unwrap();
        assert!(output.status.success(), "{statements}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn mariadb(action: &str, dir: &TempDir, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/mariadb"));
    command.arg(action).arg(dir.path());
    if !arguments.is_empty() {
        command.arg("--").args(arguments);
    }
    let output = command.output().unwrap();
    if output.status.code() == Some(3) {
        return None;
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

/// A store on the servers of a URL.
pub(crate) fn open(url: &str) -> MySql {
    MySql::new(url.parse().unwrap(), 4)
}

/// A row of the test's making; the texts are kept beside it.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) id: Uuid,
    pub(crate) receipt: u128,
    pub(crate) user_id: Option<String>,
    pub(crate) processed_data: String,
    pub(crate) created_at_s: i64,
}

/// A good row: a new id, and a receipt that no other row of the process has.
pub(crate) fn made() -> Made {
    with_id(Uuid::now_v7())
}

/// A good row of that id.
pub(crate) fn with_id(id: Uuid) -> Made {
    let receipt = Uuid::now_v7().as_u128();
    Made {
        id,
        receipt,
        user_id: Some("ada".to_owned()),
        processed_data: format!(r#"{{"data": {{"a": 1}}, "receipt": "{}"}}"#, Receipt(receipt)),
        created_at_s: 1_782_864_000,
    }
}

/// The batch of these rows.
pub(crate) fn batch(rows: &[Made]) -> Arc<Batch> {
    let mut batch = Batch::default();
    for row in rows {
        batch.push(&Row {
            id: row.id,
            kind: EventType::SystemLog,
            source: Source::IotDevice,
            user_id: row.user_id.as_deref(),
            processed_data: &row.processed_data,
            processing_time_ms: 7,
            created_at_s: row.created_at_s,
            processed_at_s: row.created_at_s + 1,
            receipt: Receipt(row.receipt),
        });
    }
    Arc::new(batch)
}
