//! The store: what must outlive a restart and stands neither in the manifests nor in the Engine.
//!
//! Start at [`recovery::open`], which never panics and always says what it found, then [`Store`], which reads, then [`Write`],
//! which changes. Below them: `committer` makes changes durable in groups, `codec` writes records, and [`kv`] is a database, on
//! disk in `sled` or in memory in [`memory`].
//!
//! The store can be lost: files and labels hold the rest of the truth. But an empty store never means "nothing is ours".

pub mod codec;
mod committer;
mod error;
pub mod event_log;
pub mod export;
mod home;
pub mod kv;
mod marker;
pub mod memory;
pub mod record;
pub mod recovery;
mod sled;
pub mod write;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crds_schema::{Generation, ObjectKey};
use serde::de::DeserializeOwned;

use self::codec::CodecError;
use self::committer::{Acknowledgement, Committer, Pace};
pub use self::error::StoreError;
use self::event_log::EventLog;
use self::export::ExportError;
use self::home::Home;
use self::kv::{CommitMode, Kv, KvError, KvErrorKind};
use self::marker::Marker;
use self::memory::MemoryKv;
use self::record::{
    ARCHIVE, ArchivedManifest, COMMITS, CONTAINER, ENGINE_ID, EVENT, FILE, FinishedPass, GENERATION, GenerationRecord,
    GoodFile, INTENT, INVENTORY, Intent, IntentId, InventoryEntry, META, OBJECT, PASS, ROLLOUT, RolloutRecord,
    TOMBSTONE, number_of, numbered, split_inventory_key,
};

use self::write::Write;
use crate::event::EventRecord;
use crate::status::ObjectRecord;

/// How many finished passes are kept.
pub const FINISHED_PASSES: u64 = 1_000;
/// How many manifests of pruned objects are kept.
pub const ARCHIVED_MANIFESTS: u64 = 50;
/// How long lazy changes are gathered before they are written.
pub const LAZY_DELAY: Duration = Duration::from_millis(250);
/// How long a durable commit may take before its caller is told that it hangs.
pub const COMMIT_DEADLINE: Duration = Duration::from_secs(30);

/// The store; cheap to clone.
///
/// Reads see every committed change, durable or not, and do not wait for the disk: what is stored is small and held in memory.
/// Listings are for start and for people; a record that cannot be read is left out of them and reported by [`Store::damage`].
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    committer: Committer,
    kv: Arc<dyn Kv>,
    home: Option<Home>,
    event_log: Mutex<EventLog>,
    next_intent: AtomicU64,
    next_archive: AtomicU64,
    damage: Mutex<BTreeMap<String, CodecError>>,
}

impl Store {
    /// A store in memory, empty, that writes at once and on the caller's thread.
    ///
    /// # Errors
    /// None for an empty store; see [`Self::over_memory`].
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::over_memory(MemoryKv::default())
    }

    /// A store over a database in memory, which the caller may crash.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn over_memory(kv: MemoryKv) -> Result<Self, StoreError> {
        Self::over_simulated(Arc::new(kv), Duration::ZERO)
    }

    /// A store that writes on the caller's thread, over any database; a durable commit takes `commit_time`, by tokio's clock. Nothing in
    /// it depends on threads, so that a simulation can be repeated.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn over_simulated(kv: Arc<dyn Kv>, commit_time: Duration) -> Result<Self, StoreError> {
        Self::over(kv, Pace::Inline { commit_time }, None)
    }

    fn over(kv: Arc<dyn Kv>, pace: Pace, home: Option<Home>) -> Result<Self, StoreError> {
        let commits = match read_failed(COMMITS, kv.get(COMMITS))? {
            Some(value) => codec::decode(COMMITS, &value).unwrap_or(0),
            None => 0,
        };
        let committer = Committer::start(Arc::clone(&kv), commits, pace)
            .map_err(|error| StoreError::Thread { text: error.to_string() })?;
        let inner = Inner {
            committer,
            kv,
            home,
            event_log: Mutex::default(),
            next_intent: AtomicU64::new(1),
            next_archive: AtomicU64::new(1),
            damage: Mutex::default(),
        };
        let store = Self { inner: Arc::new(inner) };
        store.number_on()?;
        Ok(store)
    }

    /// Begins a set of changes.
    pub fn write(&self) -> Write {
        Write::new(self.clone())
    }

    /// The record of an object.
    ///
    /// # Errors
    /// When the database cannot be read, as for every method here that reads.
    pub fn object(&self, key: &ObjectKey) -> Result<Option<ObjectRecord>, StoreError> {
        self.get(&format!("{OBJECT}{key}"))
    }

    /// The records of all objects, in the order of their keys' text.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn objects(&self) -> Result<Vec<ObjectRecord>, StoreError> {
        self.list(OBJECT)
    }

    /// All events that are kept, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn events(&self) -> Result<Vec<EventRecord>, StoreError> {
        self.list(EVENT)
    }

    /// The generation of an object's last observed manifest; 0 when none was.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn generation_of(&self, key: &ObjectKey) -> Result<Generation, StoreError> {
        let known: Option<GenerationRecord> = self.get(&format!("{GENERATION}{key}"))?;
        Ok(known.map_or(0, |known| known.generation))
    }

    /// What a source is known to hold.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn inventory(&self, source: &str) -> Result<BTreeMap<ObjectKey, InventoryEntry>, StoreError> {
        Ok(self.inventories()?.remove(source).unwrap_or_default())
    }

    /// What each source is known to hold.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn inventories(&self) -> Result<BTreeMap<String, BTreeMap<ObjectKey, InventoryEntry>>, StoreError> {
        let mut inventories: BTreeMap<String, BTreeMap<ObjectKey, InventoryEntry>> = BTreeMap::new();
        for (key, entry) in self.list_with_keys(INVENTORY)? {
            if let Some((source, object)) = split_inventory_key(&key) {
                inventories.entry(source.to_owned()).or_default().insert(object, entry);
            }
        }
        Ok(inventories)
    }

    /// What each file said when it last parsed, by path.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn good_files(&self) -> Result<BTreeMap<String, GoodFile>, StoreError> {
        let files = self.list_with_keys(FILE)?;
        Ok(files.into_iter().filter_map(|(key, file)| Some((key.strip_prefix(FILE)?.to_owned(), file))).collect())
    }

    /// Since when each object is in no manifest any more, in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn tombstones(&self) -> Result<BTreeMap<ObjectKey, i64>, StoreError> {
        let tombstones = self.list_with_keys(TOMBSTONE)?;
        let read = |(key, since_ms): (String, i64)| Some((key.strip_prefix(TOMBSTONE)?.parse().ok()?, since_ms));
        Ok(tombstones.into_iter().filter_map(read).collect())
    }

    /// What is remembered of the rollouts of each object.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn rollouts(&self) -> Result<BTreeMap<ObjectKey, RolloutRecord>, StoreError> {
        let rollouts = self.list_with_keys(ROLLOUT)?;
        let read = |(key, record): (String, RolloutRecord)| Some((key.strip_prefix(ROLLOUT)?.parse().ok()?, record));
        Ok(rollouts.into_iter().filter_map(read).collect())
    }

    /// The containers that are known to be ours, by full id, and whose they are.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn known_containers(&self) -> Result<BTreeMap<String, ObjectKey>, StoreError> {
        let containers = self.list_with_keys(CONTAINER)?;
        let read = |(key, owner): (String, ObjectKey)| Some((key.strip_prefix(CONTAINER)?.to_owned(), owner));
        Ok(containers.into_iter().filter_map(read).collect())
    }

    /// Passes that began and never ended: what they were about to do may have been done, or may not.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn open_intents(&self) -> Result<Vec<Intent>, StoreError> {
        self.list(INTENT)
    }

    /// The newest passes that ended, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn finished_passes(&self) -> Result<Vec<FinishedPass>, StoreError> {
        self.list(PASS)
    }

    /// Manifests of pruned objects, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn archived_manifests(&self) -> Result<Vec<ArchivedManifest>, StoreError> {
        self.list(ARCHIVE)
    }

    /// The id of the engine that the store belongs to; `None` before it was first said. A store that meets another engine must not
    /// be believed about it.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn engine_id(&self) -> Result<Option<String>, StoreError> {
        self.get(ENGINE_ID)
    }

    /// A small value that the caller put under this name.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn meta<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StoreError> {
        self.get(&format!("{META}caller/{name}"))
    }

    /// Says durably what a pass is about to do: [`Write::begin_pass`] in a commit of its own.
    ///
    /// # Errors
    /// When it may not survive: the pass must not take its first step.
    pub async fn begin_pass(&self, key: &ObjectKey, steps: Vec<String>, now_ms: i64) -> Result<IntentId, StoreError> {
        let mut write = self.write();
        let id = write.begin_pass(key, steps, now_ms);
        write.commit().await?;
        Ok(id)
    }

    /// Records that were found to be unreadable since the store was opened, by key.
    pub fn damage(&self) -> BTreeMap<String, CodecError> {
        self.inner.damage.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a write has failed, and why: nothing is written, and nothing may be changed, until [`Self::reopen`] succeeds.
    pub fn failure(&self) -> Option<KvError> {
        self.inner.committer.failure()
    }

    /// Whether a write has failed.
    pub fn is_failed(&self) -> bool {
        self.failure().is_some()
    }

    /// How many commits the store has made in its life; many writes may share one.
    pub fn commits(&self) -> u64 {
        self.inner.committer.commits()
    }

    /// Returns when everything that was committed before survives.
    ///
    /// # Errors
    /// When it may not.
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.write().commit().await
    }

    /// Opens the database again after a failure, and writes what was held meanwhile.
    ///
    /// # Errors
    /// When it still fails; the caller tries again later.
    pub async fn reopen(&self) -> Result<(), StoreError> {
        let store = self.clone();
        self.where_blocking_is_allowed(move || {
            store.inner.committer.reopen().map_err(|source| StoreError::Failed { source })
        })
        .await?;
        self.flush().await
    }

    /// Writes an export beside the store, and removes the oldest; `None` when nothing has changed since the last one, or the store is in
    /// memory. To be called now and then, such as every hour, and by [`Self::close`].
    ///
    /// # Errors
    /// When the store has failed, or the export cannot be written.
    pub async fn export(&self) -> Result<Option<PathBuf>, StoreError> {
        self.flush().await?;
        let store = self.clone();
        self.where_blocking_is_allowed(move || store.export_now()).await
    }

    /// Ends the store: writes what is held and an export, and lets go of the files. Every later commit is refused, and on disk every
    /// later read too.
    ///
    /// # Errors
    /// When something may not survive; the files are let go of none the less.
    pub async fn close(&self) -> Result<(), StoreError> {
        let store = self.clone();
        self.where_blocking_is_allowed(move || {
            let is_written = store.inner.committer.close();
            let outcome = match (is_written, store.failure()) {
                (true, _) => store.export_now().map(|_path| ()),
                (false, Some(source)) => Err(StoreError::Failed { source }),
                (false, None) => Err(StoreError::TimedOut),
            };
            store.inner.kv.close();
            outcome
        })
        .await
    }

    /// Runs what waits for the disk where it blocks nobody; what has no thread of its own waits for no disk.
    async fn where_blocking_is_allowed<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        match self.inner.committer.pace() {
            Pace::Inline { .. } => work(),
            // A join error means that the work panicked or the runtime is ending: in both cases the store is of no more use.
            Pace::Thread { .. } => tokio::task::spawn_blocking(work).await.unwrap_or(Err(StoreError::Closed)),
        }
    }

    fn export_now(&self) -> Result<Option<PathBuf>, StoreError> {
        let Some(home) = &self.inner.home else {
            return Ok(None);
        };
        let export_failed = |source| StoreError::Export { source: Arc::new(source) };
        let commits = self.inner.committer.commits();
        let path = export::write_export(&*self.inner.kv, &home.export_dir, commits).map_err(export_failed)?;
        self.mark().map_err(|source| export_failed(ExportError::Io { path: home.marker.clone(), source }))?;
        Ok(path)
    }

    /// Notes beside the database how much it holds.
    fn mark(&self) -> io::Result<()> {
        let commits = self.inner.committer.commits();
        self.inner.home.as_ref().map_or(Ok(()), |home| Marker { commits }.write(&home.marker))
    }

    /// Notes that the disk does not answer, and says so.
    fn give_up(&self) -> StoreError {
        let text = format!("the disk did not answer within {} s", COMMIT_DEADLINE.as_secs());
        self.inner.committer.give_up(KvError { operation: "commit".to_owned(), kind: KvErrorKind::Io, text });
        StoreError::TimedOut
    }

    /// What a durable commit takes where it is made at once.
    async fn await_commit_time(&self) {
        match self.inner.committer.pace() {
            Pace::Inline { commit_time } if !commit_time.is_zero() => tokio::time::sleep(commit_time).await,
            Pace::Inline { .. } | Pace::Thread { .. } => {}
        }
    }

    fn submit(&self, write: Write, mode: CommitMode) -> Result<Option<Acknowledgement>, StoreError> {
        self.inner.committer.submit(write.into_batch()?, mode)
    }

    fn admit_events(&self, events: &[EventRecord]) -> Vec<u64> {
        let mut log = self.inner.event_log.lock().unwrap_or_else(PoisonError::into_inner);
        events.iter().flat_map(|event| log.admit(event)).collect()
    }

    fn next_intent_id(&self) -> IntentId {
        IntentId(self.inner.next_intent.fetch_add(1, Ordering::Relaxed))
    }

    fn next_archive_number(&self) -> u64 {
        self.inner.next_archive.fetch_add(1, Ordering::Relaxed)
    }

    /// Goes on with every numbering where the stored records end.
    fn number_on(&self) -> Result<(), StoreError> {
        self.admit_events(&self.events()?);
        let last = |prefix: &str| -> Result<u64, StoreError> {
            let mut last = 0;
            let scanned = self.inner.committer.scan_prefix(prefix, &mut |key, _| {
                last = last.max(number_of(prefix, key).unwrap_or(0));
            });
            read_failed(prefix, scanned)?;
            Ok(last)
        };
        self.inner.next_intent.store(last(INTENT)?.max(last(PASS)?) + 1, Ordering::Relaxed);
        self.inner.next_archive.store(last(ARCHIVE)? + 1, Ordering::Relaxed);
        Ok(())
    }

    fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, StoreError> {
        let value = read_failed(key, self.inner.committer.get(key))?;
        Ok(value.and_then(|value| self.note_damage(codec::decode(key, &value))))
    }

    fn list<T: DeserializeOwned>(&self, prefix: &str) -> Result<Vec<T>, StoreError> {
        let records = self.list_with_keys(prefix)?.into_iter();
        Ok(records.map(|(_, record)| record).collect())
    }

    fn list_with_keys<T: DeserializeOwned>(&self, prefix: &str) -> Result<Vec<(String, T)>, StoreError> {
        let mut found = Vec::new();
        let scanned = self.inner.committer.scan_prefix(prefix, &mut |key, value| {
            found.extend(self.note_damage(codec::decode(key, value)).map(|record| (key.to_owned(), record)));
        });
        read_failed(prefix, scanned)?;
        Ok(found)
    }

    fn note_damage<T>(&self, decoded: Result<T, CodecError>) -> Option<T> {
        match decoded {
            Ok(record) => Some(record),
            Err(error) => {
                let key = error.key().to_owned();
                self.inner.damage.lock().unwrap_or_else(PoisonError::into_inner).insert(key, error);
                None
            }
        }
    }
}

fn event_key(sequence: u64) -> String {
    numbered(EVENT, sequence)
}

fn read_failed<T>(key: &str, result: Result<T, KvError>) -> Result<T, StoreError> {
    result.map_err(|source| StoreError::Read { key: key.to_owned(), source })
}

#[cfg(test)]
mod tests;
