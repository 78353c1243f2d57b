//! The program: hands its arguments to the command line and ends with its exit code.

use std::process::ExitCode;

/// Serves many small buffers from many threads better than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    event_pipeline::cli::run(std::env::args_os())
}
