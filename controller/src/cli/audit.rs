//! `evenkeel audit`: whether what a gateway wrote down is still what it wrote.

mod chains;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use gateway::audit::{Piece, Place, read_piece};

use self::chains::Chains;
use super::console::{Console, ExitStatus};
use super::error::CliError;
use crate::wording::with_causes;

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Check that no record of an audit was changed, removed or added
    ///
    /// Each record holds the hash of the one before it, and that of a file's first record is in the file before it. Older files may have been
    /// removed: with which record a chain begins is said. What was cut off at either end of a chain leaves no trace in it: keep the first and
    /// the last hash elsewhere, and say that they are expected.
    ///
    /// Exit codes: 0 every chain is whole, and ends as expected, 1 one is or does not, 2 a file cannot be read.
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Audits of gateways, in any order. Files of one gateway, as `mcp/default_hub.audit*.jsonl`, go on from each other, unless one begins a chain
    /// of its own
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
    let is_one = expect_first.is_some() || expect_last.is_some();
    let mut chains = Chains::new(files.iter().map(PathBuf::as_path), is_one);
    let mut status = ExitStatus::Success;
    let mut first = None;
    let place_of = |file: &str| if files.len() > 1 { format!("{file}: ") } else { String::new() };
    let mut logs = files.iter().map(|file| Log::open(file)).collect::<Result<Vec<_>, _>>()?;
    // What has no number stands for itself, whatever is before it.
    logs.sort_by_key(|log| log.begins_at.as_ref().map(|place| place.sequence));
    for log in logs {
        let place = place_of(&log.file.display().to_string());
        let joint = log.begins_at.as_ref().map(|begin| chains.join(log.file, begin));
        match read_piece(log.read()?, joint.as_ref().and_then(|joint| joint.after.clone())) {
            Ok(piece) => {
                for line in lines_of(&piece) {
                    console.data(&format!("{place}{line}"))?;
                }
                first = first.or_else(|| piece.first.clone());
                if let Some(joint) = joint {
                    chains.take(&joint, piece);
                }
            }
            Err(fault) => {
                console.data(&format!("{place}{}", with_causes(&fault)))?;
                status = ExitStatus::Differences;
            }
        }
    }
    for (file, gap, is_explained) in chains.gaps() {
        console.data(&format!("{}{gap}", place_of(file)))?;
        if !is_explained {
            status = ExitStatus::Differences;
        }
    }
    for (oldest, beginning) in chains.late_beginnings() {
        console.data(&format!("{}{beginning}", place_of(oldest)))?;
    }
    let ends = [("first", expect_first, first.as_deref()), ("last", expect_last, chains.last_hash())];
    for (which, expected, found) in ends {
        if let Some(expected) = expected
            && found != Some(expected)
        {
            console
                .data(&format!("the {which} hash is not {expected}: what is there was cut off, or is another audit"))?;
            status = ExitStatus::Differences;
        }
    }
    Ok(status)
}

/// A file of an audit, of which the first line is read.
struct Log<'args> {
    file: &'args Path,
    /// The first line.
    begin: Vec<u8>,
    /// Its place; none where it is no record.
    begins_at: Option<Place>,
    /// What comes after it, where that can be read but once, as from a pipe. All else is closed, for there may be more files than a process
    /// may have open.
    rest: Option<BufReader<File>>,
}

impl<'args> Log<'args> {
    fn open(file: &'args Path) -> Result<Self, CliError> {
        let (begin, log) = Self::begin(file).map_err(|source| unread(file, source))?;
        let is_file = log.get_ref().metadata().is_ok_and(|metadata| metadata.is_file());
        let begins_at = str::from_utf8(&begin).ok().and_then(|line| Place::of(line.trim_end()));
        Ok(Self { file, begin, begins_at, rest: (!is_file).then_some(log) })
    }

    fn begin(file: &Path) -> io::Result<(Vec<u8>, BufReader<File>)> {
        let mut log = BufReader::new(File::open(file)?);
        let mut begin = Vec::new();
        log.read_until(b'\n', &mut begin)?;
        Ok((begin, log))
    }

    /// All of it, from its first line.
    fn read(self) -> Result<impl BufRead, CliError> {
        let Self { file, begin, rest, .. } = self;
        let rest = rest.map_or_else(|| Self::reopen(file, &begin), Ok).map_err(|source| unread(file, source))?;
        Ok(io::Cursor::new(begin).chain(rest))
    }

    fn reopen(file: &Path, begin: &[u8]) -> io::Result<BufReader<File>> {
        let (found, rest) = Self::begin(file)?;
        if found == begin {
            Ok(rest)
        } else {
            Err(io::Error::other("it was given another name in the meantime: try again"))
        }
    }
}

fn lines_of(piece: &Piece) -> Vec<String> {
    let records = if piece.count == 1 { "1 record".to_owned() } else { format!("{} records", piece.count) };
    let ends = match (&piece.first, &piece.last) {
        (Some(first), Some((_, last))) => vec![format!("first {first}"), format!("last  {last}")],
        _ => Vec::new(),
    };
    [ends, vec![format!("{records}, the chain is whole")]].concat()
}

fn unread(file: &Path, source: io::Error) -> CliError {
    let context = format!("cannot read the audit `{}`", file.display());
    CliError::Failed { context, source: source.into(), hint: String::new() }
}
