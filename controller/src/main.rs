//! The program `evenkeel`: parse, run, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    controller::cli::command::main()
}
