//! `evenkeel audit`: whether what a gateway wrote down is still what it wrote.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use gateway::audit::verify;

use super::console::{Console, ExitStatus};
use super::error::CliError;
use crate::wording::with_causes;

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Check that no record of an audit was changed, removed or added
    ///
    /// Each record holds the hash of the one before it. What was cut off at the end of a file leaves no trace in it.
    ///
    /// Exit codes: 0 every chain is whole, 1 one is not, 2 a file cannot be read.
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Audits of gateways, each a chain by itself
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

pub(super) fn run(command: &AuditCommand, console: &mut Console) -> Result<ExitStatus, CliError> {
    let AuditCommand::Verify(VerifyArgs { files }) = command;
    let mut status = ExitStatus::Success;
    for file in files {
        let (text, is_whole) = match verify(BufReader::new(open(file)?)) {
            Ok(1) => ("1 record, the chain is whole".to_owned(), true),
            Ok(count) => (format!("{count} records, the chain is whole"), true),
            Err(fault) => (with_causes(&fault), false),
        };
        let place = if files.len() > 1 { format!("{}: ", file.display()) } else { String::new() };
        console.data(&format!("{place}{text}"))?;
        if !is_whole {
            status = ExitStatus::Differences;
        }
    }
    Ok(status)
}

fn open(file: &Path) -> Result<File, CliError> {
    File::open(file).map_err(|source| CliError::Failed {
        context: format!("cannot read the audit `{}`", file.display()),
        source: source.into(),
        hint: String::new(),
    })
}
