//! The database on disk: sled 0.34, fenced in.
//!
//! What was measured of it decides what is here. `flush` survives the death of the process but not the loss of power, so a commit may
//! end with `sync_data` on its file. Damaged files make it fail or *panic*, so every call is under `catch_unwind`. After a full disk
//! its handle stays broken and hangs when it is dropped, so it is leaked and its files are copied. Its own flushing thread is off: the committer decides when to write.

use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, mpsc};
use std::time::Duration;

use super::kv::{Batch, CommitMode, Durability, Kv, KvError, KvErrorKind, Value};
use crate::durable_file::sync_directory_of;

/// The name of sled's log in its directory.
pub(super) const LOG_FILE: &str = "db";
/// Begins the names of sled's snapshots of its page table, which it can do without.
pub(super) const SNAPSHOT_PREFIX: &str = "snap.";
/// Ends the name of a snapshot that was never finished, and that keeps sled from opening.
pub(super) const UNFINISHED_SUFFIX: &str = ".generating";

/// An upper bound for what sled keeps in memory; it uses what the content takes, and no more.
const CACHE_BYTES: u64 = 64 << 20;
/// Ends the name of a directory that is being replaced by its copy: without the directory itself, the old one is to be put back.
pub(super) const STUCK_EXTENSION: &str = "stuck";
/// What opening a database may write: two of sled's segments.
const PROBE_BYTES: usize = 1 << 20;
/// How long a handle may take to close.
const DROP_DEADLINE: Duration = Duration::from_secs(2);
/// How often, and how long apart, a database that is still held by our last handle is tried again.
const BUSY_TRIES: u32 = 40;
const BUSY_PAUSE: Duration = Duration::from_millis(25);

/// A sled database.
#[derive(Debug)]
pub(super) struct SledKv {
    directory: PathBuf,
    durability: Durability,
    handle: RwLock<Option<Arc<Handle>>>,
    is_broken: AtomicBool,
}

#[derive(Debug)]
struct Handle {
    db: sled::Db,
    log: File,
}

impl SledKv {
    /// Opens or creates the database in a directory. May panic internally, but never does so to the caller.
    pub(super) fn open(directory: &Path, durability: Durability) -> Result<Self, KvError> {
        let handle = open_handle(directory)?;
        Ok(Self {
            directory: directory.to_owned(),
            durability,
            handle: RwLock::new(Some(Arc::new(handle))),
            is_broken: AtomicBool::new(false),
        })
    }

    fn with_handle<T>(
        &self,
        operation: &str,
        work: impl FnOnce(&Handle) -> Result<T, sled::Error>,
    ) -> Result<T, KvError> {
        // Cloned, so that a call that hangs does not keep the database from being reopened or closed.
        let handle = self.handle.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(handle) = handle else {
            let text = "the database is closed".to_owned();
            return Err(KvError { operation: operation.to_owned(), kind: KvErrorKind::Io, text });
        };
        contain(operation, || work(&handle))
    }
}

impl Kv for SledKv {
    fn get(&self, key: &str) -> Result<Option<Value>, KvError> {
        let value = self.with_handle("read a record", |handle| handle.db.get(key))?;
        Ok(value.map(|value| Value::from(&*value)))
    }

    fn scan_prefix(&self, prefix: &str, visit: &mut dyn FnMut(&str, &[u8])) -> Result<(), KvError> {
        self.with_handle("scan the records", |handle| {
            for entry in handle.db.scan_prefix(prefix) {
                let (key, value) = entry?;
                visit(&String::from_utf8_lossy(&key), &value);
            }
            Ok(())
        })
    }

    fn commit(&self, batch: &Batch, mode: CommitMode) -> Result<(), KvError> {
        let committed = self.with_handle(&format!("commit {} changes", batch.len()), |handle| {
            let mut sled_batch = sled::Batch::default();
            for (key, change) in batch {
                match change {
                    Some(value) => sled_batch.insert(key.as_bytes(), &**value),
                    None => sled_batch.remove(key.as_bytes()),
                }
            }
            handle.db.apply_batch(sled_batch)?;
            match (mode, self.durability) {
                (CommitMode::Lazy, Durability::PowerCut | Durability::Process) => {}
                (CommitMode::Durable, Durability::Process) => {
                    handle.db.flush()?;
                }
                (CommitMode::Durable, Durability::PowerCut) => {
                    handle.db.flush()?;
                    handle.log.sync_data()?;
                }
            }
            Ok(())
        });
        if committed.is_err() {
            self.is_broken.store(true, Ordering::Relaxed);
        }
        committed
    }

    fn reopen(&self) -> Result<(), KvError> {
        // As long as the disk is full the old handle is kept, because it can still be read.
        probe_space(&self.directory).map_err(|error| KvError {
            operation: "reopen the store".to_owned(),
            kind: classify_io(&error),
            text: error.to_string(),
        })?;
        let is_broken = self.is_broken.load(Ordering::Relaxed);
        self.close();
        if is_broken {
            // The leaked handle keeps its lock, but the lock is on the file, so a copy is free of it.
            replace_by_copy(&self.directory).map_err(|error| KvError {
                operation: format!("copy `{}` away from a broken handle", self.directory.display()),
                kind: classify_io(&error),
                text: error.to_string(),
            })?;
        }
        let opened = open_handle(&self.directory)?;
        *self.handle.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(opened));
        self.is_broken.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn close(&self) {
        let handle = self.handle.write().unwrap_or_else(PoisonError::into_inner).take();
        match handle {
            // Dropping flushes. After a failed write that was seen to wait for ever with a lock that every handle of the process needs,
            // so a broken handle is leaked: a few megabytes of memory and disk, until the process ends, for each time that the disk was full.
            Some(handle) if self.is_broken.load(Ordering::Relaxed) => std::mem::forget(handle),
            Some(handle) => discard(handle),
            None => {}
        }
    }
}

impl Drop for SledKv {
    fn drop(&mut self) {
        self.close();
    }
}

/// Drops a handle, on a thread that is left behind when it takes too long, because a flush on a disk that hangs cannot be ended.
fn discard(handle: Arc<Handle>) {
    let (tx, rx) = mpsc::sync_channel(1);
    let dropping = std::thread::Builder::new().name("evenkeel-store-drop".into()).spawn(move || {
        drop(contain("close the store", || {
            drop(handle);
            Ok(())
        }));
        // Nobody listens any more when it took too long.
        tx.send(()).ok();
    });
    if dropping.is_ok() {
        rx.recv_timeout(DROP_DEADLINE).ok();
    }
}

/// Fails while there is not even space to open a database.
fn probe_space(directory: &Path) -> io::Result<()> {
    let probe = directory.with_extension("probe");
    let written = fs::write(&probe, vec![0; PROBE_BYTES]);
    fs::remove_file(&probe)?;
    written
}

/// Puts a copy of a directory in its place, as if the process had crashed at this moment.
fn replace_by_copy(directory: &Path) -> io::Result<()> {
    let (copy, stuck) = (directory.with_extension("copy"), directory.with_extension(STUCK_EXTENSION));
    for leftover in [&copy, &stuck] {
        if leftover.exists() {
            fs::remove_dir_all(leftover)?;
        }
    }
    if let Err(error) = copy_directory(directory, &copy) {
        // The copy takes space that is scarce; that it could not be made says more than that it could not be removed.
        fs::remove_dir_all(&copy).ok();
        return Err(error);
    }
    fs::rename(directory, &stuck)?;
    // A crash here is mended when the store is opened: see `STUCK_EXTENSION`.
    fs::rename(&copy, directory)?;
    sync_directory_of(directory)?;
    fs::remove_dir_all(&stuck)
}

fn copy_directory(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_directory(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
            File::open(&target)?.sync_all()?;
        }
    }
    File::open(to)?.sync_all()
}

fn open_handle(directory: &Path) -> Result<Handle, KvError> {
    let mut tries = 0;
    loop {
        let opened = contain("open the store", || {
            let config = sled::Config::new().path(directory).cache_capacity(CACHE_BYTES).flush_every_ms(None);
            let db = config.open()?;
            let log = File::open(directory.join(LOG_FILE))?;
            Ok(Handle { db, log })
        });
        tries += 1;
        match opened {
            // A handle of ours that was just dropped may still be held by a thread of sled's that ends.
            Err(error) if error.kind == KvErrorKind::Busy && tries < BUSY_TRIES => std::thread::sleep(BUSY_PAUSE),
            Ok(_) | Err(_) => return opened,
        }
    }
}

/// Makes a panic of sled's an error: it panics on files that it does not understand.
fn contain<T>(operation: &str, work: impl FnOnce() -> Result<T, sled::Error>) -> Result<T, KvError> {
    let (kind, text) = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => (classify(&error), error.to_string()),
        Err(panic) => (KvErrorKind::Damaged, format!("sled panicked: {}", panic_text(&*panic))),
    };
    Err(KvError { operation: operation.to_owned(), kind, text })
}

fn classify(error: &sled::Error) -> KvErrorKind {
    match error {
        sled::Error::Corruption { .. }
        | sled::Error::ReportableBug(_)
        | sled::Error::Unsupported(_)
        | sled::Error::CollectionNotFound(_) => KvErrorKind::Damaged,
        sled::Error::Io(error) => classify_io(error),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is the standard library's and grows")]
fn classify_io(error: &io::Error) -> KvErrorKind {
    use io::ErrorKind;
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => KvErrorKind::NoSpace,
        // What sled says of a file that is shorter than its own pointers into it.
        ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput => KvErrorKind::Damaged,
        // Sled wraps the system's `WouldBlock` in an error of kind `Other`.
        _ if error.to_string().contains("could not acquire lock") => KvErrorKind::Busy,
        _ => KvErrorKind::Io,
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("without a word").chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::{SledKv, replace_by_copy};
    use crate::store::kv::{Batch, CommitMode, Durability, Kv};

    #[test]
    fn a_broken_handle_is_left_behind_and_its_content_goes_on_in_a_copy() {
        let directory = tempfile::tempdir().unwrap();
        let kv = SledKv::open(&directory.path().join("store"), Durability::Process).unwrap();
        let batch: Batch = [("a".to_owned(), Some(b"1".as_slice().into()))].into();
        kv.commit(&batch, CommitMode::Durable).unwrap();
        kv.is_broken.store(true, Ordering::Relaxed);
        kv.reopen().unwrap();
        assert_eq!(kv.get("a").unwrap().as_deref(), Some(b"1".as_slice()));
        kv.commit(&[("a".to_owned(), None)].into(), CommitMode::Durable).unwrap();
        assert_eq!(kv.get("a").unwrap(), None);
        assert!(!kv.is_broken.load(Ordering::Relaxed));
        let names: Vec<_> =
            std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["store"]);
    }

    #[test]
    fn a_copy_that_fails_leaves_the_original_alone() {
        let directory = tempfile::tempdir().unwrap();
        let original = directory.path().join("store");
        assert!(replace_by_copy(&original).is_err());
        std::fs::create_dir(&original).unwrap();
        std::os::unix::fs::symlink("/nowhere/at/all", original.join("dangling")).unwrap();
        assert!(replace_by_copy(&original).is_err());
        assert!(original.join("dangling").is_symlink() && !directory.path().join("store.copy").exists());
    }
}
