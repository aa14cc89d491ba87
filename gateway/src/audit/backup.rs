//! The older files of an audit, which are complete: their names, where they end, and which of them go.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::chain::{Link, read_link};
use super::tail::read_tail;
use crate::config::Rotation;

/// How many digits the number of a file's first line has in its name, so that files sorted by name are sorted by age.
const DIGITS: usize = 20;

/// An older file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Backup {
    pub(super) path: PathBuf,
    pub(super) name: String,
    /// The number of its first line.
    pub(super) first: u64,
}

/// The last line of a file.
pub(super) struct End {
    pub(super) link: Link,
    /// When what it tells of ended, which is when it was written, in milliseconds since the Unix epoch.
    ended_ms: i64,
}

impl Backup {
    /// Where the file of an audit goes whose first line has this number.
    ///
    /// # Errors
    /// When the audit's name is no text.
    pub(super) fn path_of(audit: &Path, first: u64) -> io::Result<PathBuf> {
        let (stem, extension) = split_name(name_of(audit)?);
        Ok(audit.with_file_name(format!("{stem}-{first:0DIGITS$}{extension}")))
    }

    /// The older files of an audit, the oldest first.
    ///
    /// # Errors
    /// When its directory cannot be read.
    pub(super) fn list(audit: &Path) -> io::Result<Vec<Self>> {
        let name = name_of(audit)?;
        let mut backups = Vec::new();
        for entry in fs::read_dir(directory_of(audit))? {
            let entry = entry?;
            let Ok(found) = entry.file_name().into_string() else { continue };
            if let Some((current, first)) = parse_backup_name(&found)
                && current == name
                && entry.file_type()?.is_file()
            {
                backups.push(Self { path: audit.with_file_name(&found), name: found, first });
            }
        }
        backups.sort_by_key(|backup| backup.first);
        Ok(backups)
    }

    /// Its last line.
    ///
    /// # Errors
    /// When it cannot be read, or ends with no record.
    pub(super) fn read_end(&self) -> io::Result<End> {
        read_end(&mut File::open(&self.path)?)
    }
}

/// The last line of an older file.
///
/// # Errors
/// When it cannot be read, or ends with no record.
pub(super) fn read_end(file: &mut File) -> io::Result<End> {
    #[derive(serde::Deserialize)]
    struct Line {
        record: Stamp,
    }
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Stamp {
        time_ms: i64,
        #[serde(default)]
        micros: u64,
    }
    let last = read_tail(file)?.last.unwrap_or_default();
    let no_record = || io::Error::other("its last line is no audit record");
    let link = read_link(&last).ok_or_else(no_record)?;
    let Line { record } = serde_json::from_str(&last).map_err(|_| no_record())?;
    let took_ms = i64::try_from(record.micros / 1_000).unwrap_or(i64::MAX);
    Ok(End { link, ended_ms: record.time_ms.saturating_add(took_ms) })
}

/// Which older files go, the oldest first, each with its last line where that can be read. What cannot be read is too old never, and too many at some time.
pub(super) fn outdated(backups: Vec<Backup>, rotation: &Rotation, now_ms: i64) -> Vec<(Backup, Option<End>)> {
    let surplus = rotation.max_backups.map_or(0, |most| backups.len().saturating_sub(most));
    let mut outdated = Vec::new();
    for (index, backup) in backups.into_iter().enumerate() {
        if index >= surplus && rotation.max_age.is_none() {
            break;
        }
        match backup.read_end() {
            Ok(end) if index < surplus || is_older(&end, rotation.max_age, now_ms) => {
                outdated.push((backup, Some(end)));
            }
            // Those that come after it are younger.
            Ok(_) => break,
            Err(_) if index < surplus => outdated.push((backup, None)),
            Err(error) => {
                tracing::warn!(file = %backup.path.display(), error = %error, "the end of an older audit file cannot be read, and it is kept");
            }
        }
    }
    outdated
}

fn is_older(end: &End, max_age: Option<Duration>, now_ms: i64) -> bool {
    let age = now_ms.saturating_sub(end.ended_ms);
    max_age.is_some_and(|most| u128::try_from(age).is_ok_and(|age| age > most.as_millis()))
}

/// What the name of an older file says: the name of the audit that it is of, and the number of its first line. `None` for any other file.
///
/// ```text
/// default_hub.audit-00000000000000001234.jsonl -> (default_hub.audit.jsonl, 1234)
/// ```
pub fn parse_backup_name(name: &str) -> Option<(String, u64)> {
    let (stem, extension) = split_name(name);
    let (audit, digits) = stem.rsplit_once('-')?;
    let is_number = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    let first = digits.parse().ok().filter(|_| is_number && !audit.is_empty())?;
    Some((format!("{audit}{extension}"), first))
}

/// A name before its last dot, and from there on.
fn split_name(name: &str) -> (&str, &str) {
    name.rfind('.').map_or((name, ""), |dot| name.split_at(dot))
}

fn name_of(audit: &Path) -> io::Result<&str> {
    let name = audit.file_name().and_then(|name| name.to_str());
    name.ok_or_else(|| io::Error::other("its name is no text"))
}

/// The directory that a file is in.
pub(super) fn directory_of(file: &Path) -> &Path {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::{Backup, parse_backup_name};

    #[test]
    fn only_the_exact_name_is_that_of_an_older_file() {
        let audit = std::path::Path::new("/data/mcp/default_hub.audit.jsonl");
        for first in [1, 1_234_567, u64::MAX] {
            let path = Backup::path_of(audit, first).unwrap();
            let name = path.file_name().unwrap().to_str().unwrap();
            assert_eq!(parse_backup_name(name), Some(("default_hub.audit.jsonl".to_owned(), first)), "{name}");
        }
        let name = "default_hub.audit-00000000000001234567.jsonl";
        assert_eq!(Backup::path_of(audit, 1_234_567).unwrap(), audit.with_file_name(name));
        assert_eq!(parse_backup_name("audit-00000000000000000007"), Some(("audit".to_owned(), 7)));
        for other in [
            "default_hub.audit.jsonl",
            "default_hub.audit-1.jsonl",
            "default_hub.audit-0000000000000123456a.jsonl",
            "default_hub.audit-+0000000000001234567.jsonl",
            "default_hub.audit-99999999999999999999.jsonl",
            "-00000000000001234567.jsonl",
            "",
        ] {
            assert_eq!(parse_backup_name(other), None, "{other}");
        }
        // One that is compressed is of no audit that anybody writes.
        let compressed = parse_backup_name("default_hub.audit-00000000000001234567.jsonl.gz");
        assert_eq!(compressed, None);
    }
}
