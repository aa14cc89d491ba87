//! Changes to the store, gathered and committed together: one commit a reconcile pass, not one a record.

use crds_schema::{Generation, ObjectKey};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::codec;
use super::kv::{Batch, CommitMode};
use super::record::{
    ARCHIVE, ArchivedManifest, CONTAINER, ENGINE_ID, FILE, FinishedPass, GENERATION, GenerationRecord, GoodFile,
    INTENT, Intent, IntentId, InventoryEntry, META, OBJECT, PASS, ROLLOUT, RolloutRecord, TOMBSTONE, inventory_key,
    numbered,
};
use super::{ARCHIVED_MANIFESTS, COMMIT_DEADLINE, FINISHED_PASSES, Store, StoreError};
use crate::event::EventRecord;
use crate::status::ObjectRecord;

/// Changes that happen together or not at all. Nothing happens before it is committed; dropped, it changes nothing.
#[must_use = "nothing is written before `commit` or `commit_lazily`"]
#[derive(Debug)]
pub struct Write {
    store: Store,
    batch: Batch,
    events: Vec<EventRecord>,
    fault: Option<StoreError>,
}

impl Write {
    pub(super) fn new(store: Store) -> Self {
        Self { store, batch: Batch::new(), events: Vec::new(), fault: None }
    }

    /// Commits, and returns when the changes survive what the store's durability says, with everything committed before.
    ///
    /// # Errors
    /// When they may not: the store has failed, and the caller stops changing the Engine until [`Store::reopen`] succeeds.
    /// The changes are held, seen by reads, and written after that.
    pub async fn commit(self) -> Result<(), StoreError> {
        let store = self.store.clone();
        let acknowledgement = store.submit(self, CommitMode::Durable)?;
        let Some(acknowledgement) = acknowledgement else {
            store.await_commit_time().await;
            return Ok(());
        };
        match tokio::time::timeout(COMMIT_DEADLINE, acknowledgement).await {
            Ok(outcome) => outcome.unwrap_or(Err(StoreError::Closed)),
            Err(_elapsed) => Err(store.give_up()),
        }
    }

    /// Commits without waiting: reads see the changes at once; they reach the disk within the store's lazy delay, or with the next
    /// durable commit. A crash before may take them back, and with them everything that was committed later.
    ///
    /// # Errors
    /// When the store has failed already; the changes are held then as in [`Self::commit`].
    pub fn commit_lazily(self) -> Result<(), StoreError> {
        let store = self.store.clone();
        store.submit(self, CommitMode::Lazy).map(|_nothing_to_wait_for| ())
    }

    /// Commits durably and at once, but does not wait for it: for what a crash should take back as rarely as can be, and may.
    ///
    /// # Errors
    /// As of [`Self::commit_lazily`].
    pub fn commit_soon(self) -> Result<(), StoreError> {
        let store = self.store.clone();
        store.submit(self, CommitMode::Durable).map(|_not_waited_for| ())
    }

    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.batch.is_empty() && self.events.is_empty()
    }

    /// Puts the record of an object.
    pub fn put_object(&mut self, record: &ObjectRecord) {
        self.put(format!("{OBJECT}{}", record.key), record);
    }

    /// Removes the record of an object, its generation, its tombstone and what is remembered of its rollouts; its events stay.
    pub fn forget_object(&mut self, key: &ObjectKey) {
        for prefix in [OBJECT, GENERATION, TOMBSTONE, ROLLOUT] {
            self.remove(format!("{prefix}{key}"));
        }
    }

    /// Puts an event by its sequence. Older events over the caps go out, and so does the older record of a repeated event.
    pub fn put_event(&mut self, event: EventRecord) {
        self.events.push(event);
    }

    /// The generation of a manifest: one more than the last one when its `spec` differs, whatever the order of its fields.
    pub fn observe_manifest(&mut self, key: &ObjectKey, manifest: &Json) -> Generation {
        let record_key = format!("{GENERATION}{key}");
        let spec_hash = hash_spec(manifest);
        let known: Option<GenerationRecord> = self.get(&record_key);
        let generation = match known {
            Some(known) if known.spec_hash == spec_hash => return known.generation,
            Some(known) => known.generation.saturating_add(1),
            // It may have been damaged or lost: what was told of the object is not taken back.
            None => self.generation_after_told(key, &spec_hash),
        };
        self.put(record_key, &GenerationRecord { generation, spec_hash });
        generation
    }

    /// The generation of a spec by what was told of its object; 1 where nothing was.
    fn generation_after_told(&mut self, key: &ObjectKey, spec_hash: &str) -> Generation {
        let told: Option<ObjectRecord> = self.get(&format!("{OBJECT}{key}"));
        let Some(told) = told else { return 1 };
        let is_same = hash_spec(&told.manifest) == spec_hash;
        told.status.generation.saturating_add(u64::from(!is_same)).max(1)
    }

    /// Puts what is remembered of an object's rollouts.
    pub fn put_rollout(&mut self, key: &ObjectKey, record: &RolloutRecord) {
        self.put(format!("{ROLLOUT}{key}"), record);
    }

    /// Puts an object into a source's inventory.
    pub fn put_inventory(&mut self, source: &str, key: &ObjectKey, entry: &InventoryEntry) {
        self.put(inventory_key(source, key), entry);
    }

    /// Takes an object out of a source's inventory.
    pub fn remove_inventory(&mut self, source: &str, key: &ObjectKey) {
        self.remove(inventory_key(source, key));
    }

    /// Puts what a file says now that it parses.
    pub fn put_good_file(&mut self, path: &str, file: &GoodFile) {
        self.put(format!("{FILE}{path}"), file);
    }

    /// Forgets a file that is gone.
    pub fn remove_good_file(&mut self, path: &str) {
        self.remove(format!("{FILE}{path}"));
    }

    /// Says since when an object is in no manifest any more, in milliseconds since the Unix epoch.
    pub fn put_tombstone(&mut self, key: &ObjectKey, since_ms: i64) {
        self.put(format!("{TOMBSTONE}{key}"), &since_ms);
    }

    /// Takes a tombstone away: the object is back, or removed for good.
    pub fn remove_tombstone(&mut self, key: &ObjectKey) {
        self.remove(format!("{TOMBSTONE}{key}"));
    }

    /// Remembers that a container, by full id, is an object's, so that it is known under any name.
    pub fn put_known_container(&mut self, id: &str, key: &ObjectKey) {
        self.put(format!("{CONTAINER}{id}"), key);
    }

    /// Forgets a container that is gone.
    pub fn remove_known_container(&mut self, id: &str) {
        self.remove(format!("{CONTAINER}{id}"));
    }

    /// Says what a pass is about to do. Commit it durably before the first step.
    pub fn begin_pass(&mut self, key: &ObjectKey, steps: Vec<String>, now_ms: i64) -> IntentId {
        let id = self.store.next_intent_id();
        self.put(numbered(INTENT, id.0), &Intent { id, key: key.clone(), begun_ms: now_ms, steps });
        id
    }

    /// Says what became of a pass: the intent becomes a finished pass, of which the newest 1 000 are kept.
    pub fn finish_pass(&mut self, id: IntentId, outcomes: Vec<String>, now_ms: i64) {
        let intent_key = numbered(INTENT, id.0);
        if let Some(intent) = self.get::<Intent>(&intent_key) {
            self.put(numbered(PASS, id.0), &FinishedPass { intent, finished_ms: now_ms, outcomes });
            self.remove(intent_key);
        }
        if let Some(oldest) = id.0.checked_sub(FINISHED_PASSES) {
            self.remove(numbered(PASS, oldest));
        }
    }

    /// Keeps the manifest of an object that prune removes; the newest 50 are kept.
    pub fn archive_manifest(&mut self, archived: &ArchivedManifest) {
        let number = self.store.next_archive_number();
        self.put(numbered(ARCHIVE, number), archived);
        if let Some(oldest) = number.checked_sub(ARCHIVED_MANIFESTS) {
            self.remove(numbered(ARCHIVE, oldest));
        }
    }

    /// Says which engine the store belongs to.
    pub fn put_engine_id(&mut self, id: &str) {
        self.put(ENGINE_ID.to_owned(), &id);
    }

    /// Puts a small value under a name of the caller's.
    pub fn put_meta<T: Serialize>(&mut self, name: &str, value: &T) {
        self.put(format!("{META}caller/{name}"), value);
    }

    /// Removes a small value.
    pub fn remove_meta(&mut self, name: &str) {
        self.remove(format!("{META}caller/{name}"));
    }

    fn put<T: Serialize>(&mut self, key: String, data: &T) {
        match codec::encode(&key, data) {
            Ok(value) => {
                self.batch.insert(key, Some(value));
            }
            Err(error) => self.fault = Some(StoreError::Encode { key, text: error.to_string() }),
        }
    }

    fn remove(&mut self, key: String) {
        self.batch.insert(key, None);
    }

    /// A record as it will be after this write.
    fn get<T: DeserializeOwned>(&mut self, key: &str) -> Option<T> {
        match self.batch.get(key) {
            Some(change) => change.as_ref().and_then(|value| codec::decode(key, value).ok()),
            None => self.store.get(key).unwrap_or_else(|error| {
                self.fault = Some(error);
                None
            }),
        }
    }

    /// The changes, once the log of events has said what goes out.
    pub(super) fn into_batch(mut self) -> Result<Batch, StoreError> {
        let events = std::mem::take(&mut self.events);
        for event in &events {
            self.put(super::event_key(event.sequence), event);
        }
        for sequence in self.store.admit_events(&events) {
            self.remove(super::event_key(sequence));
        }
        match self.fault {
            Some(fault) => Err(fault),
            None => Ok(self.batch),
        }
    }
}

/// The hash of a manifest's `spec`, the same for any order of its fields.
fn hash_spec(manifest: &Json) -> String {
    // Sorted whatever the map type of the JSON crate, which another crate's feature may change.
    fn sort(value: &Json) -> Json {
        match value {
            Json::Object(fields) => {
                let sorted: std::collections::BTreeMap<&String, Json> =
                    fields.iter().map(|(name, value)| (name, sort(value))).collect();
                serde_json::to_value(sorted).unwrap_or_default()
            }
            Json::Array(items) => Json::Array(items.iter().map(sort).collect()),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => value.clone(),
        }
    }
    let spec = manifest.get("spec").map(sort).unwrap_or_default();
    planner::hash::hash_template(&planner::hash::canonical_json(&spec))
}
