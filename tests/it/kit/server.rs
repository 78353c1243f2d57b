//! The real binary in a process of its own.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::SocketAddr,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Instant,
};

use serde_json::Value;
use tempfile::TempDir;

use super::{
    PATIENCE,
    client::{Answer, Client},
};

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    log: Arc<Mutex<Vec<Value>>>,
    pub(crate) data_dir: Arc<TempDir>,
}

/// The binary under test: the one that was built with the tests, or `TEST_SERVER_BINARY`.
pub(crate) fn binary() -> Command {
    binary_under(&[])
}

/// The binary under test, started by another program such as `strace`.
pub(crate) fn binary_under(starter: &[String]) -> Command {
    let binary = std::env::var("TEST_SERVER_BINARY").unwrap_or(env!("CARGO_BIN_EXE_event-pipeline").to_owned());
    let mut words = starter.iter().chain([&binary]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words);
    // The tests' own environment must not set anything up.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("EVENT_PIPELINE_")) {
        command.env_remove(name);
    }
    command
}

impl Server {
    /// Starts on a free port, with a data directory of its own and these settings besides. Where they
    /// do not say otherwise it acknowledges what is stored: most tests look there next.
    pub(crate) fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_in(Arc::new(TempDir::new().unwrap()), settings)
    }

    /// Starts in a directory that another server may have used before.
    pub(crate) fn start_in(data_dir: Arc<TempDir>, settings: &[(&str, &str)]) -> Self {
        Self::try_start(binary(), data_dir, settings)
            .unwrap_or_else(|log| panic!("the server ended before it listened: {log:#?}"))
    }

    /// Starts what may end before it listens; then its log.
    pub(crate) fn try_start(
        mut command: Command,
        data_dir: Arc<TempDir>,
        settings: &[(&str, &str)],
    ) -> Result<Self, Vec<Value>> {
        command.args(["serve", "--log.format", "json"]);
        command.arg("--data_dir").arg(data_dir.path().join("data"));
        let is_given = |key: &str| settings.iter().any(|(given, _)| *given == key);
        let defaults = [("listen", "127.0.0.1:0"), ("ack", "stored")];
        let defaults = defaults.iter().filter(|(key, _)| !is_given(key));
        for (key, value) in settings.iter().chain(defaults) {
            command.arg(format!("--{key}")).arg(value);
        }
        Self::spawn(command, data_dir)
    }

    /// Starts it as the command says, which has all settings; they log JSON. It may end before it listens;
    /// then its log.
    pub(crate) fn spawn(mut command: Command, data_dir: Arc<TempDir>) -> Result<Self, Vec<Value>> {
        let mut child = command.stderr(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let (sender, listening) = mpsc::channel();
        let lines = Arc::clone(&log);
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let entry = serde_json::from_str(&line).unwrap_or(Value::String(line));
                let address = entry["fields"]["address"].as_str().or(entry["address"].as_str());
                if let Some(address) = address {
                    let _ = sender.send(address.parse::<SocketAddr>().unwrap());
                }
                lines.lock().unwrap().push(entry);
            }
        });
        match listening.recv_timeout(PATIENCE) {
            Ok(address) => Ok(Self { child, address, log, data_dir }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                assert_eq!(error, RecvTimeoutError::Disconnected, "no word of listening: {:#?}", log.lock().unwrap());
                Err(log.lock().unwrap().clone())
            }
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// A connection that is kept alive.
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.client().request("GET", path, &[], b"")
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> Answer {
        self.client().post(path, body)
    }

    /// One number of `GET /metrics`.
    pub(crate) fn metric(&self, key: &str) -> u64 {
        let metrics = self.get("/metrics").json();
        metrics[key].as_f64().unwrap_or_else(|| panic!("no number {key} in {metrics}")) as u64
    }

    /// Sends a signal by name, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status().unwrap();
        assert!(status.success());
    }

    /// How it ended, if it has.
    #[allow(dead_code, reason = "the tests of faults need it")]
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// The process's number.
    #[allow(dead_code, reason = "the tests of faults need it")]
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(since.elapsed() < PATIENCE, "the server does not end: {:#?}", self.log());
            thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// SIGTERM, and the exit code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        self.signal("TERM");
        self.wait().code()
    }

    /// The log so far, an entry a line.
    pub(crate) fn log(&self) -> Vec<Value> {
        self.log.lock().unwrap().clone()
    }

    /// The lines of the log so far that say this.
    #[allow(dead_code, reason = "not all tests look at the log")]
    pub(crate) fn said(&self, message: &str) -> Vec<Value> {
        self.log().into_iter().filter(|line| line["message"] == message).collect()
    }

    /// Where the default SQLite store lies.
    pub(crate) fn sqlite_path(&self) -> std::path::PathBuf {
        self.data_dir.path().join("data/events.db")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("the server's log: {:#?}", self.log());
        }
    }
}

/// Runs the binary to its end: exit code, standard output, standard error.
pub(crate) fn run(command: &mut Command) -> (i32, String, String) {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut out, mut err) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    (child.wait().unwrap().code().unwrap_or(-1), out, err)
}
