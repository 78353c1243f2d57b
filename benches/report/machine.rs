//! What it was measured on. Neither names of hosts nor of directories.

use std::{fs, path::Path, process::Command, thread, time::SystemTime};

use serde::{Deserialize, Serialize};

use crate::plan::SCRATCH;

/// What figures depend on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) day: String,
    pub(crate) commit: String,
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory: String,
    pub(crate) kernel: String,
    /// Of the directories that journals and databases were in.
    pub(crate) file_system: String,
    pub(crate) rustc: String,
    /// Databases that took part.
    pub(crate) databases: Vec<String>,
}

impl Machine {
    /// This one, now.
    pub(crate) fn here(databases: Vec<String>) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            let value = line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned());
            value.unwrap_or_else(|| "unknown".to_owned())
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let kib: f64 = memory.trim_end_matches(" kB").parse().unwrap_or(0.0);
        let now = SystemTime::now();
        Self {
            day: humantime::format_rfc3339_seconds(now).to_string().chars().take(10).collect(),
            commit: commit(),
            processor: field(&read("/proc/cpuinfo"), "model name"),
            cores: thread::available_parallelism().map_or(1, usize::from),
            memory: format!("{:.1} GiB", kib / 1024.0 / 1024.0),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            file_system: file_system(Path::new(SCRATCH)),
            rustc: said("rustc", &["--version"]),
            databases,
        }
    }
}

fn commit() -> String {
    let commit = said("git", &["rev-parse", "--short", "HEAD"]);
    // What the report itself writes does not change what is measured.
    let changed = said("git", &["status", "--porcelain", "--", ".", ":!docs"]);
    if changed.is_empty() { commit } else { format!("{commit} and uncommitted changes") }
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    output.map_or_else(|_| "unknown".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The type of the file system that has the path.
fn file_system(path: &Path) -> String {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?, fields.next()?))
    });
    let best = mounts.filter(|(point, _)| path.starts_with(point)).max_by_key(|(point, _)| point.len());
    best.map_or_else(|| "unknown".to_owned(), |(_, kind)| kind.to_owned())
}
