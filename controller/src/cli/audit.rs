//! `evenkeel audit`: whether what a gateway wrote down is still what it wrote.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use gateway::audit::{Piece, is_first_line, read_piece};

use super::console::{Console, ExitStatus};
use super::error::CliError;
use crate::wording::with_causes;

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Check that no record of an audit was changed, removed or added
    ///
    /// Each record holds the hash of the one before it. What was cut off at either end of a chain leaves no trace in it: keep the first and the
    /// last hash elsewhere, and say that they are expected.
    ///
    /// Exit codes: 0 every chain is whole, and ends as expected, 1 one is or does not, 2 a file cannot be read.
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Audits of gateways. A file goes on from the one before it, as `FILE.2 FILE.1 FILE`, unless it begins a chain of its own
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The hash that the first record must have; all files must be one chain then
    #[arg(long, value_name = "HASH")]
    expect_first: Option<String>,
    /// The hash that the last record must have; all files must be one chain then
    #[arg(long, value_name = "HASH")]
    expect_last: Option<String>,
}

pub(super) fn run(command: &AuditCommand, console: &mut Console) -> Result<ExitStatus, CliError> {
    let AuditCommand::Verify(VerifyArgs { files, expect_first, expect_last }) = command;
    let is_one_chain = expect_first.is_some() || expect_last.is_some();
    let mut status = ExitStatus::Success;
    let (mut first, mut last) = (None, None);
    for file in files {
        let place = if files.len() > 1 { format!("{}: ", file.display()) } else { String::new() };
        // Once: what comes by a pipe cannot be read again.
        let mut log = BufReader::new(open(file)?);
        let mut begin = Vec::new();
        log.read_until(b'\n', &mut begin).map_err(|source| unread(file, source))?;
        if !is_one_chain && str::from_utf8(&begin).is_ok_and(|line| is_first_line(line.trim_end())) {
            last = None;
        }
        match read_piece(begin.as_slice().chain(log), last.take()) {
            Ok(piece) => {
                for line in lines_of(&piece) {
                    console.data(&format!("{place}{line}"))?;
                }
                first = first.or(piece.first);
                last = piece.last;
            }
            Err(fault) => {
                console.data(&format!("{place}{}", with_causes(&fault)))?;
                status = ExitStatus::Differences;
            }
        }
    }
    let last = last.map(|(_, hash)| hash);
    for (which, expected, found) in [("first", expect_first, first), ("last", expect_last, last)] {
        if let Some(expected) = expected
            && found.as_ref() != Some(expected)
        {
            console
                .data(&format!("the {which} hash is not {expected}: what is there was cut off, or is another audit"))?;
            status = ExitStatus::Differences;
        }
    }
    Ok(status)
}

fn lines_of(piece: &Piece) -> Vec<String> {
    let records = if piece.count == 1 { "1 record".to_owned() } else { format!("{} records", piece.count) };
    let ends = match (&piece.first, &piece.last) {
        (Some(first), Some((_, last))) => vec![format!("first {first}"), format!("last  {last}")],
        _ => Vec::new(),
    };
    [ends, vec![format!("{records}, the chain is whole")]].concat()
}

fn open(file: &Path) -> Result<File, CliError> {
    File::open(file).map_err(|source| unread(file, source))
}

fn unread(file: &Path, source: io::Error) -> CliError {
    let context = format!("cannot read the audit `{}`", file.display());
    CliError::Failed { context, source: source.into(), hint: String::new() }
}
