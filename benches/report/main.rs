//! The report of all measurements: `scripts/bench-report`, which writes `docs/BENCHMARKS.md`.
//!
//! A comparison is measured in turns on the same cores, and its ratio is what counts: what else the
//! machine does falls on both sides alike. Each part keeps its figures in a JSON file of its own, so
//! that it can be measured anew alone, and the page made without measuring.
//!
//! `report side NAME PORT` serves one of the sides that the service is compared with, as a process
//! of its own, so that its processor time can be told apart.

use std::{env, fmt, fs, io::Write as _, process::ExitCode, time::Instant};

use anyhow::{Context as _, Result, bail};

use crate::{machine::Machine, plan::Plan, record::Content};

mod curves;
mod databases;
mod defaults;
mod generator;
mod goals;
mod load;
mod machine;
mod memory;
mod page;
mod plan;
mod plot;
mod record;
mod rounds;
mod service;
mod sides;
mod stores;
mod sweep;

/// The service's own allocator, for the other sides too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A part of the report.
pub(crate) struct Definition {
    pub(crate) group: &'static str,
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// What is done, for the page.
    pub(crate) method: &'static str,
    /// Measures it, given its name; `None` where this machine cannot, which it has said then.
    pub(crate) measure: fn(&Plan, &str) -> Result<Option<Found>>,
}

/// What a part found.
pub(crate) struct Found {
    pub(crate) content: Content,
    pub(crate) databases: Vec<String>,
}

/// All parts, in the page's order.
pub(crate) fn parts() -> impl Iterator<Item = &'static Definition> {
    goals::PARTS.iter().chain(curves::PARTS).chain(defaults::PARTS)
}

fn main() -> ExitCode {
    // Cargo adds `--bench` where it is to measure, and nothing where it only tests.
    let measures = env::args().any(|argument| argument == "--bench");
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["side", name, port, rest @ ..] => sides::serve(name, port, rest),
        [] if !measures => Ok(()),
        arguments => Plan::read(arguments).and_then(|plan| report(&plan)),
    };
    if let Err(error) = done {
        say(format_args!("error: {error:#}"));
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn report(plan: &Plan) -> Result<()> {
    for name in plan.only() {
        if !parts().any(|part| part.group == name || part.name == name) {
            let names: Vec<&str> = parts().map(|part| part.name).collect();
            bail!("there is no part {name:?}; there are goals, curves, defaults, and {}", names.join(", "));
        }
    }
    fs::create_dir_all(plan.results())?;
    let (since, mut failed) = (Instant::now(), Vec::new());
    for part in parts().filter(|part| !plan.render && plan.has(part.group, part.name)) {
        say(format_args!("{} ({} s so far): {}", part.name, since.elapsed().as_secs(), part.title));
        // What one part cannot do must not cost the others.
        match (part.measure)(plan, part.name) {
            Ok(Some(found)) => record::keep(plan, &kept(plan, part, found))?,
            Ok(None) => {}
            Err(error) => {
                say(format_args!("  FAILED: {error:#}"));
                failed.push(part.name);
            }
        }
    }
    page::write(plan).context("the page")?;
    say(format_args!("after {} s: {}", since.elapsed().as_secs(), plan.page().display()));
    if !failed.is_empty() {
        bail!("not measured: {}", failed.join(", "));
    }
    Ok(())
}

fn kept(plan: &Plan, part: &Definition, found: Found) -> record::Part {
    record::Part {
        name: part.name.to_owned(),
        quick: plan.quick,
        machine: Machine::here(found.databases),
        content: found.content,
    }
}

/// Tells the person at the terminal.
pub(crate) fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
