//! The store's places on disk, and what recovery does there, rung by rung.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::codec::{self, CodecError};
use super::export::{Export, list_exports, number_of_export, read_export};
use super::kv::{Batch, CommitMode, Durability, Kv, KvError, KvErrorKind};
use super::record::COMMITS;
use super::recovery::{DAMAGED_KEPT, OpenError, Recovery};
use super::sled::{LOG_FILE, SNAPSHOT_PREFIX, STUCK_EXTENSION, SledKv, UNFINISHED_SUFFIX};
use crate::durable_file::sync_directory_of;

/// Begins the names of snapshots that a rung has put aside; sled does not look at them.
const ASIDE_PREFIX: &str = "aside-";
/// How many records an import commits at a time.
const IMPORT_BATCH: usize = 1_000;

/// The places of a store on disk.
#[derive(Debug, Clone)]
pub(super) struct Home {
    pub(super) data_dir: PathBuf,
    pub(super) database: PathBuf,
    pub(super) marker: PathBuf,
    pub(super) export_dir: PathBuf,
}

impl Home {
    pub(super) fn new(data_dir: &Path) -> Self {
        Self {
            data_dir: data_dir.to_owned(),
            database: data_dir.join("store"),
            marker: data_dir.join("store.marker"),
            export_dir: data_dir.join("exports"),
        }
    }

    /// Puts a directory back that was about to be replaced by its copy when the process crashed.
    pub(super) fn finish_replacing(&self) -> Result<(), OpenError> {
        let stuck = self.database.with_extension(STUCK_EXTENSION);
        if stuck.exists() && !self.database.exists() {
            fs::rename(&stuck, &self.database).map_err(io_failed("rename", &stuck))?;
        }
        Ok(())
    }

    /// A new database. Its first commit gives its file some content, so that an emptied one can be told from it.
    pub(super) fn create(&self, durability: Durability, commits: u64) -> Result<SledKv, OpenError> {
        let kv = SledKv::open(&self.database, durability).map_err(|source| self.database_failed(source))?;
        let counter = codec::encode(COMMITS, &(commits + 1)).ok();
        let batch: Batch = counter.map(|value| (COMMITS.to_owned(), Some(value))).into_iter().collect();
        kv.commit(&batch, CommitMode::Durable).map_err(|source| self.database_failed(source))?;
        sync_directory_of(&self.database.join(LOG_FILE)).map_err(io_failed("sync", &self.database))?;
        sync_directory_of(&self.database).map_err(io_failed("sync", &self.data_dir))?;
        Ok(kv)
    }

    /// Opens what is there, with less and less of what it can do without.
    pub(super) fn climb(&self, durability: Durability, least_commits: u64) -> Result<Climb, OpenError> {
        let mut what = Vec::new();
        let unfinished = self.files(|name| name.starts_with(SNAPSHOT_PREFIX) && name.ends_with(UNFINISHED_SUFFIX))?;
        for path in &unfinished {
            fs::remove_file(path).map_err(io_failed("remove", path))?;
            what.push("removed an index that was never finished".to_owned());
        }
        let damage = match self.open_and_survey(durability)? {
            Ok((kv, survey)) => return self.settle(kv, &survey, least_commits, what),
            Err(damage) => damage,
        };
        let snapshots = self.files(|name| name.starts_with(SNAPSHOT_PREFIX))?;
        if snapshots.is_empty() {
            return Ok(Climb::Lost { why: damage });
        }
        for path in &snapshots {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let aside = self.database.join(format!("{ASIDE_PREFIX}{name}"));
            fs::rename(path, aside).map_err(io_failed("rename", path))?;
        }
        what.push(format!("put its index aside ({damage})"));
        match self.open_and_survey(durability)? {
            Ok((kv, survey)) => {
                for path in self.files(|name| name.starts_with(ASIDE_PREFIX))? {
                    fs::remove_file(&path).map_err(io_failed("remove", &path))?;
                }
                self.settle(kv, &survey, least_commits, what)
            }
            Err(damage) => Ok(Climb::Lost { why: damage }),
        }
    }

    /// Opens the database and reads all of it. The inner error is damage, as text.
    fn open_and_survey(&self, durability: Durability) -> Result<Result<(SledKv, Survey), String>, OpenError> {
        let surveyed = SledKv::open(&self.database, durability).and_then(|kv| {
            let survey = survey(&kv)?;
            Ok((kv, survey))
        });
        match surveyed {
            Ok((_, Survey { newer: Some(source), .. })) => {
                Err(OpenError::Newer { path: self.database.clone(), source })
            }
            Ok(opened) => Ok(Ok(opened)),
            Err(error) => match error.kind {
                KvErrorKind::Damaged => Ok(Err(error.to_string())),
                KvErrorKind::Busy | KvErrorKind::NoSpace | KvErrorKind::Io => Err(self.database_failed(error)),
            },
        }
    }

    /// Decides whether a database that can be read can be used, and mends single records from the newest export.
    fn settle(
        &self,
        kv: SledKv,
        survey: &Survey,
        least_commits: u64,
        mut what: Vec<String>,
    ) -> Result<Climb, OpenError> {
        let is_tail_lost = survey.commits < least_commits;
        if !is_tail_lost && survey.damaged.is_empty() {
            return Ok(Climb::Opened { kv, what });
        }
        let export = self.newest_export()?;
        if is_tail_lost {
            let why = format!("it ends at commit {} and once had {least_commits}", survey.commits);
            if export.as_ref().is_some_and(|export| export.commits > survey.commits) {
                kv.close();
                return Ok(Climb::Lost { why });
            }
            what.push(why);
        }
        if !survey.damaged.is_empty() {
            let records = export.unwrap_or_default().records;
            let mended: Batch =
                survey.damaged.iter().map(|key| (key.clone(), records.get(key).cloned().flatten())).collect();
            kv.commit(&mended, CommitMode::Durable).map_err(|source| self.database_failed(source))?;
            let restored = mended.values().filter(|value| value.is_some()).count();
            what.push(format!("{} records were damaged, {restored} of them restored from an export", mended.len()));
        }
        Ok(Climb::Opened { kv, what })
    }

    /// Moves what is there aside and starts again with the newest export.
    pub(super) fn rebuild(
        &self,
        durability: Durability,
        least_commits: u64,
        why: &str,
    ) -> Result<(SledKv, Recovery), OpenError> {
        let aside = self.move_aside()?;
        let export = self.newest_export()?;
        // Later than anything that was ever counted, so that no later export is taken for an older one.
        let exported = self.exports()?.iter().filter_map(|path| number_of_export(path)).max().unwrap_or(0);
        let kv = self.create(durability, exported.max(least_commits))?;
        let mut what = format!("the store was lost ({why})");
        if let Some(aside) = aside {
            what = format!("{what}; what was left of it is in `{}`", aside.display());
        }
        let from_export = export.is_some();
        match export {
            Some(export) => {
                let (records, damaged) = (export.records.len(), export.damaged);
                self.import(&kv, export)?;
                what = format!("{what}; {records} records are back from an export");
                if damaged > 0 {
                    what = format!("{what}, {damaged} of it could not be read");
                }
            }
            None => what.push_str("; there was no export, so it starts empty"),
        }
        Ok((kv, Recovery::Rebuilt { from_export, what }))
    }

    fn import(&self, kv: &SledKv, export: Export) -> Result<(), OpenError> {
        let mut records: Batch = export.records;
        records.remove(COMMITS);
        let mut batch = Batch::new();
        while let Some((key, value)) = records.pop_first() {
            batch.insert(key, value);
            if batch.len() == IMPORT_BATCH || records.is_empty() {
                kv.commit(&batch, CommitMode::Durable).map_err(|source| self.database_failed(source))?;
                batch.clear();
            }
        }
        Ok(())
    }

    /// Renames the database's directory, if there is one, and removes the oldest of those renamed before.
    fn move_aside(&self) -> Result<Option<PathBuf>, OpenError> {
        if !self.database.exists() {
            return Ok(None);
        }
        let mut moved = self.moved_aside()?;
        let number = moved.keys().next_back().map_or(1, |last| last + 1);
        let aside = self.data_dir.join(format!("store.corrupt-{number}"));
        fs::rename(&self.database, &aside).map_err(io_failed("rename", &self.database))?;
        sync_directory_of(&self.database).map_err(io_failed("sync", &self.data_dir))?;
        moved.insert(number, aside.clone());
        while moved.len() > DAMAGED_KEPT {
            let Some((_, oldest)) = moved.pop_first() else { break };
            fs::remove_dir_all(&oldest).map_err(io_failed("remove", &oldest))?;
        }
        Ok(Some(aside))
    }

    fn moved_aside(&self) -> Result<BTreeMap<u64, PathBuf>, OpenError> {
        let entries = list_files(&self.data_dir).map_err(io_failed("list", &self.data_dir))?;
        let numbered = |path: PathBuf| {
            let number = path.file_name()?.to_str()?.strip_prefix("store.corrupt-")?.parse().ok()?;
            Some((number, path))
        };
        Ok(entries.into_iter().filter_map(numbered).collect())
    }

    /// The newest export that can be read.
    fn newest_export(&self) -> Result<Option<Export>, OpenError> {
        Ok(self.exports()?.iter().find_map(|path| read_export(path).ok()))
    }

    pub(super) fn exports(&self) -> Result<Vec<PathBuf>, OpenError> {
        list_exports(&self.export_dir).map_err(io_failed("list", &self.export_dir))
    }

    /// The files of the database whose names are meant.
    fn files(&self, is_meant: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>, OpenError> {
        let mut files = list_files(&self.database).map_err(io_failed("list", &self.database))?;
        files.retain(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(&is_meant));
        Ok(files)
    }

    fn database_failed(&self, source: KvError) -> OpenError {
        OpenError::Database { path: self.database.clone(), source }
    }
}

/// How far the ladder went.
pub(super) enum Climb {
    /// It is open; what had to be done.
    Opened { kv: SledKv, what: Vec<String> },
    /// It cannot be used.
    Lost { why: String },
}

/// What a full scan found.
#[derive(Default)]
struct Survey {
    commits: u64,
    damaged: Vec<String>,
    newer: Option<CodecError>,
}

pub(super) fn io_failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenError + use<> {
    let path = path.to_owned();
    move |source| OpenError::Io { operation, path, source }
}

fn list_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path())).collect()
}

/// Reads everything once: sled finds damage only where it reads.
fn survey(kv: &dyn Kv) -> Result<Survey, KvError> {
    let mut survey = Survey::default();
    kv.scan_prefix("", &mut |key, value| match codec::check(key, value) {
        Ok(_) if key == COMMITS => survey.commits = codec::decode(key, value).unwrap_or(0),
        // A record that is whole but not understood is left for the release that understands it.
        Ok(_) | Err(CodecError::Unfit { .. }) => {}
        Err(CodecError::Damaged { .. }) => survey.damaged.push(key.to_owned()),
        Err(newer @ CodecError::Newer { .. }) => survey.newer = Some(newer),
    })?;
    Ok(survey)
}
