//! `evenkeel completion`: a shell's completion script.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::command::Cli;
use super::console::{Console, ExitStatus};
use super::error::CliError;

#[derive(Debug, Args)]
pub(super) struct CompletionArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub(super) fn run(args: &CompletionArgs, console: &mut Console) -> Result<ExitStatus, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "evenkeel", &mut script);
    console.raw_data(&String::from_utf8_lossy(&script))?;
    Ok(ExitStatus::Success)
}
