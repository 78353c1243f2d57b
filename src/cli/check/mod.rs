//! `event-pipeline check`: whether the service would run well here, found out without it.
//!
//! Each probe is a function and answers with one line: ok, a warning or a failure, the fact, and what to do
//! about it. Beside a running service everything is checked that can be. What a probe makes, it removes.

use std::{
    io::{self, IsTerminal as _},
    process::ExitCode,
};

use clap::{Arg, ArgAction, ArgMatches, Command};
use ratatui::crossterm::style::Stylize as _;
use serde::Serialize;

mod data_dir;
mod disk;
mod mysql;
mod store;
mod system;

use super::{
    help,
    text::{is_colour_wanted, tell, unless_reader_left},
};
use crate::config::Settings;

/// The command's name.
pub(super) const NAME: &str = "check";

const JSON: &str = "json";

const HELP: &str = "A warning is about what works and may not for long, or not as well as it could; a failure is about \
what the service needs. The exit code is 0 with warnings and 1 with a failure. Give it the settings of the service, and \
run it as the service's user.

It writes 4 KiB a hundred times into the data directory, each synced, and removes them. The store is only read.";
const EXAMPLES: &[&str] = &[
    "event-pipeline check",
    "event-pipeline check --config settings.toml --json | jq -r '.checks[].fact'",
    "event-pipeline check --store mysql://root:testpass@127.0.0.1:3306/eventdb",
];

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    Warn,
    Fail,
}

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    check: &'static str,
    status: Status,
    fact: String,
    /// What to do, where something is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, fact: impl Into<String>) -> Self {
        Self { check, status: Status::Ok, fact: fact.into(), advice: None }
    }

    fn warn(check: &'static str, fact: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, status: Status::Warn, fact: fact.into(), advice: Some(advice.into()) }
    }

    fn fail(check: &'static str, fact: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, status: Status::Fail, fact: fact.into(), advice: Some(advice.into()) }
    }
}

/// The command.
pub(super) fn command() -> Command {
    let json = Arg::new(JSON).long(JSON).action(ArgAction::SetTrue).help("Prints JSON instead of text");
    let command = Command::new(NAME).about("Looks whether the service would run well with these settings").arg(json);
    help::with(command, HELP, EXAMPLES)
}

/// Runs all probes and tells what they found; 1 where one failed.
///
/// # Errors
/// Where standard output does not take it.
pub(super) fn run(settings: &Settings, given: &ArgMatches) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let findings = probe(settings, &runtime);
    let worst = findings.iter().map(|finding| finding.status).max().unwrap_or(Status::Ok);
    let told = if given.get_flag(JSON) {
        tell(&serde_json::to_string(&serde_json::json!({"status": worst, "checks": findings}))?)
    } else {
        tell(&text(&findings, io::stdout().is_terminal() && is_colour_wanted()))
    };
    unless_reader_left(told.map(|()| if worst == Status::Fail { ExitCode::FAILURE } else { ExitCode::SUCCESS }))
}

fn probe(settings: &Settings, runtime: &tokio::runtime::Runtime) -> Vec<Finding> {
    let mut findings = vec![system::settings(settings)];
    // What was made of it is removed at the end.
    let place = data_dir::look(&settings.data_dir);
    findings.extend(place.findings.iter().cloned());
    if let Some(dir) = &place.usable {
        findings.extend([
            disk::file_system(dir),
            disk::space(dir, settings),
            disk::files(dir, settings),
            disk::syncs(dir),
        ]);
    }
    findings.extend(store::probe(settings, place.usable.as_deref(), runtime));
    findings.push(system::open_files(settings));
    findings.push(runtime.block_on(system::listen(settings, place.is_in_use)));
    findings
}

/// A line a finding, one more with what to do, and how many there are of each kind.
fn text(findings: &[Finding], colours: bool) -> String {
    let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or_default();
    let mut lines = Vec::new();
    for Finding { check, status, fact, advice } in findings {
        let word = match status {
            Status::Ok => "ok  ".green(),
            Status::Warn => "warn".yellow().bold(),
            Status::Fail => "FAIL".red().bold(),
        };
        let word = if colours { word.to_string() } else { (*word.content()).to_owned() };
        lines.push(format!("{word}  {check:width$}  {fact}"));
        if let Some(advice) = advice {
            lines.push(format!("      {:width$}  ▸ {advice}", ""));
        }
    }
    let count = |status| findings.iter().filter(|finding| finding.status == status).count();
    let (warnings, failures) = (count(Status::Warn), count(Status::Fail));
    lines.push(format!("\n{} ok, {warnings} to look at, {failures} to mend", count(Status::Ok)));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_a_line_a_finding_and_what_to_do_below() {
        let findings = [
            Finding::ok("settings", "all is well"),
            Finding::warn("data directory", "it is full of sand", "sweep it"),
            Finding::fail("store", "it is gone", "bring it back"),
        ];
        assert_eq!(
            text(&findings, false),
            "ok    settings        all is well\n\
             warn  data directory  it is full of sand\n                      ▸ sweep it\n\
             FAIL  store           it is gone\n                      ▸ bring it back\n\n\
             1 ok, 1 to look at, 1 to mend"
        );
    }
}
