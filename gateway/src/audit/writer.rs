//! The thread that writes the audit.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::backup::{Backup, End, outdated};
use super::chain::{PRUNED, Place, link};
use super::file::CurrentFile;
use super::log::Item;
use super::record::AuditRecord;
use crate::config::Rotation;
use crate::hub::now_ms;

/// How often the file is made durable while there is something new in it.
const SYNC_TIME: Duration = Duration::from_secs(1);
/// How many records are taken at once.
const BATCH_LENGTH: usize = 256;
/// How long further records are gathered after a batch: a thread that is woken for each of them costs more than writing them does.
const GATHER_TIME: Duration = Duration::from_millis(5);
/// After which part of a full file's size it is tried again to begin another one.
const RETRY_PART: u64 = 10;

/// Writes records in their order. It is all that writes to an audit.
pub(super) struct Writer {
    /// Where the audit is.
    path: PathBuf,
    file: CurrentFile,
    /// Where the chain goes on after what is in the file.
    place: Place,
    rotation: Rotation,
    /// How large the file becomes before another one is begun.
    full_bytes: u64,
    failures: Arc<AtomicU64>,
    unsynced: Option<Instant>,
}

/// Lines that are not in the file yet.
struct Pending {
    text: String,
    /// Where the chain goes on after them.
    end: Place,
}

impl Writer {
    /// One that goes on from this place, in this file.
    pub(super) fn new(
        path: PathBuf,
        (file, place): (CurrentFile, Place),
        rotation: Rotation,
        failures: Arc<AtomicU64>,
    ) -> Self {
        Self { path, file, place, rotation, full_bytes: rotation.file_bytes, failures, unsynced: None }
    }

    /// Ends when nobody can bring a record any more, and all are written.
    pub(super) fn run(mut self, runtime: &Runtime, mut rx: mpsc::Receiver<Item>) {
        self.prune();
        let mut batch = Vec::with_capacity(BATCH_LENGTH);
        loop {
            let receiving = rx.recv_many(&mut batch, BATCH_LENGTH);
            let received = runtime.block_on(async {
                match self.unsynced {
                    None => Some(receiving.await),
                    Some(since) => timeout(SYNC_TIME.saturating_sub(since.elapsed()), receiving).await.ok(),
                }
            });
            match received {
                Some(0) => break,
                Some(count) => {
                    let waiting = self.write(&mut batch);
                    let since = *self.unsynced.get_or_insert_with(Instant::now);
                    if !waiting.is_empty() || since.elapsed() >= SYNC_TIME {
                        self.sync();
                    }
                    drop(waiting);
                    if count < BATCH_LENGTH && !rx.is_closed() {
                        std::thread::sleep(GATHER_TIME);
                    }
                }
                None => {
                    self.sync();
                }
            }
        }
        self.sync();
    }

    /// Writes the records of a batch. Returns who waits for that.
    pub(super) fn write(&mut self, batch: &mut Vec<Item>) -> Vec<oneshot::Sender<()>> {
        let mut waiting = Vec::new();
        let mut pending = self.pending();
        for item in batch.drain(..) {
            let record = match item {
                Item::Record(record) => record,
                Item::Settled(tell) => {
                    waiting.push(tell);
                    continue;
                }
            };
            let mut line = link(&pending.end, &record);
            if self.is_full_with(pending.text.len() + line.0.len()) {
                let is_whole = self.append(pending).is_ok();
                if is_whole && self.rotate(&line) {
                    pending = self.pending();
                    continue;
                }
                pending = self.pending();
                line = link(&pending.end, &record);
            }
            pending.push(line);
        }
        drop(self.append(pending));
        waiting
    }

    fn pending(&self) -> Pending {
        Pending { text: String::new(), end: self.place.clone() }
    }

    fn is_full_with(&self, more: usize) -> bool {
        let more = u64::try_from(more).unwrap_or(u64::MAX);
        self.file.length().saturating_add(more) > self.full_bytes
    }

    /// Adds lines to the file. Where that fails they are counted, told of and lost.
    fn append(&mut self, pending: Pending) -> io::Result<()> {
        let written = self.file.append(&pending.text);
        match &written {
            Ok(()) => self.place = pending.end,
            Err(error) => {
                self.failures.fetch_add(pending.end.sequence - self.place.sequence, Ordering::Relaxed);
                tracing::error!(error = %error, "the audit log cannot be written");
            }
        }
        written
    }

    /// Begins another file with a line, and removes what is too old or too much then. Returns whether the line is written: where that fails
    /// the old file is gone on with, and it is told once.
    fn rotate(&mut self, (line, next): &(String, Place)) -> bool {
        if self.file.length() == 0 {
            return false;
        }
        let has_failed = self.full_bytes > self.rotation.file_bytes;
        match self.file.rotate(line) {
            Ok(()) => {
                self.full_bytes = self.rotation.file_bytes;
                tracing::info!(file = %self.path.display(), first = self.place.sequence, "another file of the audit is begun");
                self.place = next.clone();
                self.prune();
                true
            }
            Err(error) => {
                let more = (self.rotation.file_bytes / RETRY_PART).max(1);
                self.full_bytes = self.file.length().max(self.rotation.file_bytes).saturating_add(more);
                if !has_failed {
                    tracing::error!(file = %self.path.display(), error = %error, "no other file of the audit can be begun, and this one grows");
                }
                false
            }
        }
    }

    /// Removes older files that are too old or too many. Each stands in the audit before it goes: what is missing without that was removed by
    /// somebody else.
    fn prune(&mut self) {
        if self.rotation.max_backups.is_none() && self.rotation.max_age.is_none() {
            return;
        }
        let outdated = match Backup::list(&self.path) {
            Ok(backups) => outdated(backups, &self.rotation, now_ms()),
            Err(error) => {
                tracing::warn!(file = %self.path.display(), error = %error, "the older files of the audit cannot be listed");
                return;
            }
        };
        let mut pending = self.pending();
        for (backup, end) in &outdated {
            let line = link(&pending.end, &pruned(backup, end.as_ref()).to_text());
            pending.push(line);
        }
        if outdated.is_empty() || self.append(pending).is_err() || !self.sync() {
            return;
        }
        for (Backup { path, first, .. }, end) in outdated {
            let last = end.map(|end| end.link.sequence);
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(file = %path.display(), error = %error, "an older file of the audit cannot be removed");
            } else {
                tracing::info!(file = %path.display(), first = first, last = ?last, "an older file of the audit is removed");
            }
        }
    }

    /// Makes everything durable. Returns whether it is; it is told where it is not.
    fn sync(&mut self) -> bool {
        self.unsynced = None;
        let synced = self.file.sync();
        if let Err(error) = &synced {
            tracing::error!(error = %error, "the audit log cannot be made durable");
        }
        synced.is_ok()
    }
}

impl Pending {
    fn push(&mut self, (line, next): (String, Place)) {
        self.text.push_str(&line);
        self.end = next;
    }
}

/// What is written down of an older file that goes: its name, the numbers of its first and last line, and the last line's hash.
fn pruned(backup: &Backup, end: Option<&End>) -> AuditRecord {
    let (last, hash) = (end.map(|end| end.link.sequence), end.map(|end| &end.link.hash));
    AuditRecord {
        time_ms: now_ms(),
        principal: "gateway".to_owned(),
        method: PRUNED.to_owned(),
        name: Some(backup.name.clone()),
        arguments: Some(json!({ "first": backup.first, "last": last, "hash": hash }).to_string()),
        outcome: "ok".into(),
        ..AuditRecord::default()
    }
}
