//! Processes that are measured: the service as it is released, and the other sides.
//!
//! Each has a directory of its own, and is ended with everything it wrote when its owner lets go.

use std::{
    env,
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tempfile::TempDir;

use crate::plan::SCRATCH;

/// What the kernel counts processor time in, whatever its own clock does.
const TICKS_PER_SECOND: f64 = 100.0;
/// How long a process may take to be ready.
const START_MAX: Duration = Duration::from_secs(30);
/// Between two looks at what is stored.
const LOOK_MIN: Duration = Duration::from_millis(1);
const LOOK_MAX: Duration = Duration::from_millis(20);
/// How long a condition may take to come true without any progress.
const STALL_MAX: Duration = Duration::from_secs(60);

/// Processor time that the process has used, user and system, in seconds.
pub(crate) fn cpu_seconds(process: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name, which is the second field, may hold spaces.
    let (_, fields) = stat.rsplit_once(')').context("no process statistics")?;
    let ticks: f64 = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    Ok(ticks / TICKS_PER_SECOND)
}

/// A process that is measured.
pub(crate) struct Process {
    child: Child,
    address: SocketAddr,
    dir: TempDir,
}

/// Memory of a process, in MB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) now_mb: f64,
    pub(crate) peak_mb: f64,
    /// The part of it that is not the program's own file.
    pub(crate) anonymous_mb: f64,
}

impl Process {
    /// Starts the service with these settings, and with the defaults otherwise.
    ///
    /// # Errors
    /// Where it does not get ready.
    pub(crate) fn service(settings: &[(&str, &str)]) -> Result<Self> {
        let dir = tempfile::tempdir_in(SCRATCH)?;
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_event-pipeline"));
        command.arg("serve").args(["--log.level", "warn", "--listen", &address.to_string()]);
        command.arg("--data_dir").arg(dir.path().join("data"));
        for (key, value) in settings {
            command.args([&format!("--{key}"), *value]);
        }
        // What happens to be set here is nobody's default.
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("EVENT_PIPELINE_")) {
            command.env_remove(name);
        }
        let log = dir.path().join("log");
        let child = command.stdout(Stdio::null()).stderr(File::create(&log)?).spawn().context("the service")?;
        let mut process = Self { child, address, dir };
        let since = Instant::now();
        while !matches!(process.get("/readyz"), Ok((200, _))) {
            if process.child.try_wait()?.is_some() || since.elapsed() > START_MAX {
                bail!("the service does not get ready: {}", fs::read_to_string(&log).unwrap_or_default());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(process)
    }

    /// Starts another side.
    ///
    /// # Errors
    /// Where it does not listen.
    pub(crate) fn side(name: &str, rest: &[&str]) -> Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        let mut child = command.args(["side", name, "0"]).args(rest).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.as_mut() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let Some(address) = line.trim().strip_prefix("listening on http://").and_then(|text| text.parse().ok()) else {
            let _ = child.kill();
            let _ = child.wait();
            bail!("the side {name} does not listen: {line}");
        };
        Ok(Self { child, address, dir: tempfile::tempdir_in(SCRATCH)? })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The embedded store's file.
    pub(crate) fn database(&self) -> std::path::PathBuf {
        self.dir.path().join("data/events.db")
    }

    /// Processor time that it has used, user and system, in seconds.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        cpu_seconds(self.child.id())
    }

    pub(crate) fn memory(&self) -> Result<Memory> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let field = |name: &str| -> Result<f64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).context("no memory statistics")?;
            let kib: f64 = line.trim_start_matches(':').trim().trim_end_matches(" kB").parse()?;
            Ok(kib * 1024.0 / 1e6)
        };
        Ok(Memory { now_mb: field("VmRSS")?, peak_mb: field("VmHWM")?, anonymous_mb: field("RssAnon")? })
    }

    /// The answer of `GET /metrics`.
    pub(crate) fn metrics(&self) -> Result<Value> {
        let (_, body) = self.get("/metrics")?;
        serde_json::from_str(&body).context("GET /metrics")
    }

    /// Events in the store since the start.
    pub(crate) fn stored(&self) -> Result<u64> {
        let metrics = self.metrics()?;
        if metrics["events_failed"] != 0 {
            bail!("events were refused for good: {metrics}");
        }
        metrics["events_processed"].as_u64().context("GET /metrics has no events_processed")
    }

    /// Waits until the store has so many events of this process. Each look is work for it: the next one is
    /// after half of the time that the rest should take.
    ///
    /// # Errors
    /// Where it makes no progress.
    pub(crate) fn wait_stored(&self, events: u64) -> Result<()> {
        let (since, first) = (Instant::now(), self.stored()?);
        let (mut seen, mut progress) = (first, since);
        while seen < events {
            let rest = since.elapsed().mul_f64((events - seen) as f64 / (seen - first).max(1) as f64);
            thread::sleep((rest / 2).clamp(LOOK_MIN, LOOK_MAX));
            let stored = self.stored()?;
            if stored > seen {
                (seen, progress) = (stored, Instant::now());
            } else if progress.elapsed() > STALL_MAX {
                bail!("of {events} events only {seen} are stored, and no more come: {}", self.metrics()?);
            }
        }
        Ok(())
    }

    /// Waits until its store answers.
    ///
    /// # Errors
    /// Where it does not.
    pub(crate) fn wait_store_up(&self) -> Result<()> {
        let since = Instant::now();
        while self.metrics()?["store"]["state"] != "up" {
            if since.elapsed() > START_MAX {
                bail!("the store does not get up: {}", self.metrics()?["store"]);
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn get(&self, path: &str) -> Result<(u16, String)> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(START_MAX))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("an answer without an end of its head")?;
        let status = head.get(9..12).and_then(|code| code.parse().ok()).context("an answer without a status")?;
        Ok((status, body.to_owned()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing it has is needed any more, least of all stored to the end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
