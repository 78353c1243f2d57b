//! How much is measured: everything, a part, or just enough to see that it works.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Result, bail};

/// Directory of the results in the repository.
const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs");
/// Everything that a measurement writes on the way; in the build directory, and so on its file system.
pub(crate) const SCRATCH: &str = env!("CARGO_TARGET_TMPDIR");

/// What the arguments ask for.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Only shows that it works: small sizes, one round.
    pub(crate) quick: bool,
    /// Writes the page from what was measured before.
    pub(crate) render: bool,
    /// Groups and parts; all where it is empty.
    only: Vec<String>,
    /// Where the page goes, and the results in a directory beside it.
    out: PathBuf,
}

impl Plan {
    /// Reads the arguments.
    ///
    /// # Errors
    /// Where one is not known.
    pub(crate) fn read(arguments: &[&str]) -> Result<Self> {
        let mut plan = Self { quick: false, render: false, only: Vec::new(), out: PathBuf::new() };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match *argument {
                "--quick" => plan.quick = true,
                "--render" => plan.render = true,
                "--only" => match arguments.next() {
                    Some(names) => plan.only.extend(names.split(',').map(str::to_owned)),
                    None => bail!("--only needs names: goals, curves, defaults, or those of parts, with commas"),
                },
                other => bail!("{other:?} is not known; there are --quick, --render and --only NAME,…"),
            }
        }
        // Figures that mean nothing must not replace those that do.
        plan.out = if plan.quick { Path::new(SCRATCH).join("quick") } else { PathBuf::from(DOCS) };
        Ok(plan)
    }

    /// Whether part `name` of `group` is to be measured.
    pub(crate) fn has(&self, group: &str, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == group || only == name)
    }

    /// The names that were asked for.
    pub(crate) fn only(&self) -> &[String] {
        &self.only
    }

    /// How often each side is measured.
    pub(crate) fn rounds(&self, full: usize) -> usize {
        if self.quick { 1 } else { full }
    }

    /// How long one measurement lasts.
    pub(crate) fn time(&self, full: Duration) -> Duration {
        if self.quick { (full / 10).min(Duration::from_millis(500)) } else { full }
    }

    /// How many of something there are.
    pub(crate) fn count(&self, full: u64) -> u64 {
        if self.quick { (full / 50).max(1) } else { full }
    }

    /// The page.
    pub(crate) fn page(&self) -> PathBuf {
        self.out.join("BENCHMARKS.md")
    }

    /// The directory of results and charts.
    pub(crate) fn results(&self) -> PathBuf {
        self.out.join("benchmarks")
    }
}
