//! The report of all measurements: `scripts/bench-report`, which writes `docs/BENCHMARKS.md`.
//!
//! `report side NAME PORT` serves one of the sides that the service is compared with, as a process
//! of its own, so that its processor time can be told apart.

use std::{env, fmt, io::Write as _, process::ExitCode};

mod sides;

/// The service's own allocator, for the other sides too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["side", name, port, rest @ ..] => match sides::serve(name, port, rest) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                say(format_args!("side {name}: {error}"));
                ExitCode::FAILURE
            }
        },
        _ => ExitCode::SUCCESS,
    }
}

/// Tells the person at the terminal.
fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
