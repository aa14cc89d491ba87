//! The database on disk: sled 0.34, fenced in.
//!
//! What was measured of it decides what is here. `flush` survives the death of the process but not the loss of power, so a commit may
//! end with `sync_data` on its file. Damaged files make it fail or *panic*, so every call is under `catch_unwind`. After a full disk
//! its handle stays broken, so it can be reopened. Its own flushing thread is off: the committer decides when to write.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use super::kv::{Batch, CommitMode, Durability, Kv, KvError, KvErrorKind, Value};

/// The name of sled's log in its directory.
pub(super) const LOG_FILE: &str = "db";
/// Begins the names of sled's snapshots of its page table, which it can do without.
pub(super) const SNAPSHOT_PREFIX: &str = "snap.";
/// Ends the name of a snapshot that was never finished, and that keeps sled from opening.
pub(super) const UNFINISHED_SUFFIX: &str = ".generating";

/// An upper bound for what sled keeps in memory; it uses what the content takes, and no more.
const CACHE_BYTES: u64 = 64 << 20;
/// How often, and how long apart, a database that is still held by our last handle is tried again.
const BUSY_TRIES: u32 = 40;
const BUSY_PAUSE: Duration = Duration::from_millis(25);

/// A sled database.
#[derive(Debug)]
pub(super) struct SledKv {
    directory: PathBuf,
    durability: Durability,
    handle: RwLock<Option<Handle>>,
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
        Ok(Self { directory: directory.to_owned(), durability, handle: RwLock::new(Some(handle)) })
    }

    fn with_handle<T>(
        &self,
        operation: &str,
        work: impl FnOnce(&Handle) -> Result<T, sled::Error>,
    ) -> Result<T, KvError> {
        let handle = self.handle.read().unwrap_or_else(PoisonError::into_inner);
        let Some(handle) = handle.as_ref() else {
            let text = "the database is closed".to_owned();
            return Err(KvError { operation: operation.to_owned(), kind: KvErrorKind::Io, text });
        };
        contain(operation, || work(handle))
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
        self.with_handle(&format!("commit {} changes", batch.len()), |handle| {
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
        })
    }

    fn reopen(&self) -> Result<(), KvError> {
        let mut handle = self.handle.write().unwrap_or_else(PoisonError::into_inner);
        drop(handle.take());
        *handle = Some(open_handle(&self.directory)?);
        Ok(())
    }

    fn close(&self) {
        let handle = self.handle.write().unwrap_or_else(PoisonError::into_inner).take();
        drop(handle);
    }
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
fn classify_io(error: &std::io::Error) -> KvErrorKind {
    use std::io::ErrorKind;
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
