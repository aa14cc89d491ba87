//! `evenkeel schema`: JSON Schemas, for editors and other tools.

use clap::Args;

use super::console::{Console, ExitStatus};
use super::error::CliError;
use super::get::parse_kind;
use super::offline;
use super::output::to_json_text;

#[derive(Debug, Args)]
pub(super) struct SchemaArgs {
    /// The kind; every kind when left out
    #[arg(value_name = "KIND")]
    kind: Option<String>,
}

pub(super) fn run(args: &SchemaArgs, console: &mut Console) -> Result<ExitStatus, CliError> {
    let kind = args.kind.as_deref().map(parse_kind).transpose()?;
    console.data(&to_json_text(&offline::schema(kind)?))?;
    Ok(ExitStatus::Success)
}
