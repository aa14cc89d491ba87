//! The program `evenkeel`: parse, run, exit code.

use std::process::ExitCode;

/// Quicker than the system's with what one thread makes and another lets go of.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Where the system gives huge pages to whoever does not refuse them, most of each would stay unused. One that cannot refuse them works.
    rustix::thread::disable_transparent_huge_pages(true).ok();
    controller::cli::command::main()
}
