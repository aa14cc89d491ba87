//! `evenkeel explain`: the manual of a kind or a field.

use clap::Args;

use super::console::{Console, ExitStatus};
use super::error::CliError;
use super::offline;

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// A kind, or a field of it such as `deployment.ports.publish`
    #[arg(value_name = "KIND[.FIELD…]")]
    subject: String,
}

pub(super) fn run(args: &ExplainArgs, console: &mut Console) -> Result<ExitStatus, CliError> {
    console.data(&offline::explain(&args.subject)?)?;
    Ok(ExitStatus::Success)
}
