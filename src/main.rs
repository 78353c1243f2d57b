//! The program: hands its arguments to the command line and ends with its exit code.

use std::process::ExitCode;

/// Serves many small buffers from many threads better than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    use_small_pages();
    event_pipeline::cli::run(std::env::args_os())
}

/// The allocator asks for huge pages, of which mostly a part is used: an idle service takes three
/// times the memory then, and a busy one gains no more than the noise (see `docs/PERFORMANCE.md`).
#[cfg(target_os = "linux")]
fn use_small_pages() {
    // Where the system does not know of it, there are none to be had either.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}
