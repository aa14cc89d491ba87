//! Exports: the whole content as JSON lines, to rebuild from when the database is lost, and to look at with any tool.
//!
//! The first line says what it is, then comes one line a record, and the last one says how many. A file without its last line was
//! not finished and is not believed. The newest three are kept.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::codec::{self, CodecError};
use super::kv::{Batch, Kv, KvError, Value};
use super::record::numbered;
use crate::durable_file::{TEMPORARY_SUFFIX, sync_directory_of, write_durably};

/// How many exports are kept.
pub const EXPORTS_KEPT: usize = 3;
/// The version of the file's form; that of a record is in the record.
const FORM_VERSION: u32 = 1;
const NAME_PREFIX: &str = "export-";
const NAME_SUFFIX: &str = ".jsonl";
/// What divides a line; no JSON text before it can hold it, because a quote in a text is escaped.
const DIVIDER: &str = r#","record":"#;

/// What an export cannot do.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The system refuses.
    #[error("cannot write or read the export `{}`", path.display())]
    Io {
        /// The file or its directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The database cannot be read.
    #[error("cannot read the store for an export")]
    Database {
        /// Why.
        source: KvError,
    },
    /// The file is not a finished export.
    #[error("`{}` is not a finished export: {text}", path.display())]
    Unfinished {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        text: String,
    },
    /// A newer release wrote it.
    #[error("a newer release wrote `{}`", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
    },
}

/// What an export holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Export {
    /// How many commits the store held.
    pub(super) commits: u64,
    /// The records.
    pub(super) records: Batch,
    /// How many records could not be read.
    pub(super) damaged: usize,
}

#[derive(Deserialize)]
struct Head {
    #[serde(rename = "evenkeelExport")]
    version: u32,
    commits: u64,
}

#[derive(Deserialize)]
struct Tail {
    #[serde(rename = "endOfExport")]
    records: usize,
}

#[derive(Deserialize)]
struct LineKey {
    key: String,
}

/// Writes an export of a database that holds `commits` commits, and removes the oldest ones. `None` when there is one already.
///
/// The database may change meanwhile: each record is as it was at some moment of the export.
pub(super) fn write_export(kv: &dyn Kv, directory: &Path, commits: u64) -> Result<Option<PathBuf>, ExportError> {
    let io_failed = |path: &Path| {
        let path = path.to_owned();
        move |source| ExportError::Io { path, source }
    };
    fs::create_dir_all(directory).map_err(io_failed(directory))?;
    sync_directory_of(directory).map_err(io_failed(directory))?;
    let path = directory.join(format!("{}{NAME_SUFFIX}", numbered(NAME_PREFIX, commits)));
    if path.exists() {
        return Ok(None);
    }
    let mut read_error = None;
    let written: Result<(), io::Error> = write_durably(&path, |writer| {
        writeln!(writer, r#"{{"evenkeelExport":{FORM_VERSION},"commits":{commits}}}"#)?;
        let mut records = 0_usize;
        let mut outcome = Ok(());
        let scanned = kv.scan_prefix("", &mut |key, value| {
            if outcome.is_ok() && codec::check(key, value).is_ok() {
                outcome = write_line(writer, key, value);
                records += 1;
            }
        });
        outcome?;
        if let Err(error) = scanned {
            let text = error.text.clone();
            read_error = Some(error);
            return Err(io::Error::other(text));
        }
        writeln!(writer, r#"{{"endOfExport":{records}}}"#)
    });
    match (written, read_error) {
        (_, Some(source)) => return Err(ExportError::Database { source }),
        (Err(source), None) => return Err(ExportError::Io { path, source }),
        (Ok(()), None) => {}
    }
    for old in list_exports(directory).map_err(io_failed(directory))?.iter().skip(EXPORTS_KEPT) {
        fs::remove_file(old).map_err(io_failed(old))?;
    }
    Ok(Some(path))
}

fn write_line(writer: &mut impl Write, key: &str, record: &[u8]) -> io::Result<()> {
    write!(writer, r#"{{"key":{}{DIVIDER}"#, serde_json::to_string(key)?)?;
    writer.write_all(record)?;
    writeln!(writer, "}}")
}

/// The exports in a directory, newest first.
pub(super) fn list_exports(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut exports: Vec<PathBuf> = match fs::read_dir(directory) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    exports.retain(|path| number_of_export(path).is_some());
    exports.sort();
    exports.reverse();
    Ok(exports)
}

/// The commits that an export's name says.
pub(super) fn number_of_export(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    debug_assert!(!NAME_SUFFIX.ends_with(TEMPORARY_SUFFIX), "an unfinished export must not look like one");
    name.strip_prefix(NAME_PREFIX)?.strip_suffix(NAME_SUFFIX)?.parse().ok()
}

/// Reads an export. A record that is damaged is left out and counted.
pub(super) fn read_export(path: &Path) -> Result<Export, ExportError> {
    let io_failed = |source| ExportError::Io { path: path.to_owned(), source };
    let unfinished = |text: &str| ExportError::Unfinished { path: path.to_owned(), text: text.to_owned() };
    let newer = || ExportError::Newer { path: path.to_owned() };
    let mut lines = BufReader::new(File::open(path).map_err(io_failed)?).split(b'\n');
    let head = lines.next().transpose().map_err(io_failed)?.unwrap_or_default();
    let head: Head = serde_json::from_slice(&head).map_err(|_| unfinished("its first line cannot be read"))?;
    if head.version > FORM_VERSION {
        return Err(newer());
    }
    let mut export = Export { commits: head.commits, ..Export::default() };
    for line in lines {
        let line = line.map_err(io_failed)?;
        if let Ok(tail) = serde_json::from_slice::<Tail>(&line) {
            export.damaged = export.damaged.max(tail.records.saturating_sub(export.records.len()));
            return Ok(export);
        }
        match read_line(&line) {
            Ok((key, value)) => {
                export.records.insert(key, Some(value));
            }
            Err(Some(CodecError::Newer { .. })) => return Err(newer()),
            Err(Some(CodecError::Damaged { .. } | CodecError::Unfit { .. }) | None) => export.damaged += 1,
        }
    }
    Err(unfinished("its last line is missing"))
}

fn read_line(line: &[u8]) -> Result<(String, Value), Option<CodecError>> {
    let line = std::str::from_utf8(line).map_err(|_| None)?;
    let (key, rest) = line.split_once(DIVIDER).ok_or(None)?;
    let record = rest.strip_suffix('}').ok_or(None)?;
    let key: LineKey = serde_json::from_str(&format!("{key}}}")).map_err(|_| None)?;
    codec::check(&key.key, record.as_bytes()).map_err(Some)?;
    Ok((key.key, record.as_bytes().into()))
}
