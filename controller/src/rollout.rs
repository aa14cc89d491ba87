//! Rollouts: what of each object served last, what is not tried again, and which of the two is in force.
//!
//! What is in force is what the world wants. Nothing below it knows whether that is the user's manifest or one that was brought back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crds_schema::crosscheck::UNDEFINED_REFERENCE;
use crds_schema::{AnyObject, Diagnostic, Name, ObjectKey, Severity, crosscheck};
use planner::world::{Completed, spec_hash};

use crate::core::Core;
use crate::desired::object_from_json;
use crate::status::{ObjectRecord, ObjectStatus, RolledBack};
use crate::store::StoreError;
use crate::store::record::{Rejection, RolloutRecord};
use crate::store::write::Write;

/// What is remembered of the rollouts of every object.
///
/// Whoever changes what is wanted of an object does so through it, so that no manifest is brought back in place of one that is newer
/// than the one that failed.
#[derive(Debug, Default)]
pub struct RolloutBook {
    entries: Mutex<BTreeMap<ObjectKey, Entry>>,
}

/// What is remembered of one object.
#[derive(Debug, Default)]
struct Entry {
    /// What the user wants.
    wanted: Option<AnyObject>,
    /// What the last rollout that was completed wanted.
    completed: Option<AnyObject>,
    rejection: Option<Rejection>,
}

impl RolloutBook {
    /// Remembers what the store does.
    pub fn restore(&self, records: BTreeMap<ObjectKey, RolloutRecord>) {
        let read = |record: RolloutRecord| Entry {
            wanted: None,
            completed: record.completed.and_then(|manifest| object_from_json(&manifest, "")),
            rejection: record.rejection,
        };
        *self.lock() = records.into_iter().map(|(key, record)| (key, read(record))).collect();
    }

    /// Wants an object as its user does, or what was brought back in its place. Returns what that is, where it is not the user's. A spec
    /// that has changed is tried whatever became of the last one.
    pub(crate) fn want(&self, core: &Core, object: &AnyObject, write: &mut Write) -> Option<RolledBack> {
        let key = object.key();
        let mut entries = self.lock();
        let entry = entries.entry(key.clone()).or_default();
        entry.wanted = Some(object.clone());
        if entry.rejection.is_some() && !entry.is_rejected() {
            entry.rejection = None;
            write.put_rollout(&key, &entry.record());
        }
        entry.put_in_force(core, &key)
    }

    /// Whether a spec, by its hash, is the last whose rollout was completed, or is not in force.
    pub(crate) fn has_nothing_to_note(&self, key: &ObjectKey, hash: &str) -> bool {
        self.lock().get(key).is_none_or(|entry| !entry.is_completed_now(hash))
    }

    /// Notes that the rollout of a spec is complete.
    ///
    /// # Errors
    /// When that may not survive; it is held then.
    pub(crate) async fn note_completed(&self, core: &Core, key: &ObjectKey, hash: &str) -> Result<(), StoreError> {
        let write = {
            let mut entries = self.lock();
            let Some(entry) = entries.get_mut(key).filter(|entry| entry.is_completed_now(hash)) else { return Ok(()) };
            entry.completed = entry.wanted.clone();
            entry.rejection = None;
            core.world().set_completed(key, entry.completed.as_ref().map(Completed::of));
            let mut write = core.store.write();
            write.put_rollout(key, &entry.record());
            write
        };
        write.commit().await
    }

    /// Why what served last cannot be brought back in place of a spec, by its hash: something that was accepted since stands against it, or
    /// what it needs is not wanted any more.
    pub(crate) fn find_obstacle(&self, key: &ObjectKey, hash: &str) -> Option<String> {
        let entries = self.lock();
        let entry = entries.get(key).filter(|entry| entry.may_roll_back(hash))?;
        let (wanted, completed) = (entry.wanted.as_ref()?, entry.completed.as_ref()?);
        let back = AnyObject { spec: completed.spec.clone(), ..wanted.clone() };
        let others = entries.iter().filter(|(other, _)| *other != key);
        let in_force: Vec<AnyObject> = others.filter_map(|(_, entry)| entry.in_force()).collect();
        let objects: Vec<&AnyObject> = in_force.iter().chain([&back]).collect();
        let is_obstacle = |fault: &Diagnostic| fault.severity == Severity::Error || fault.code == UNDEFINED_REFERENCE;
        let fault = crosscheck(&objects).into_iter().find(|fault| fault.is_of(key) && is_obstacle(fault));
        fault.map(|fault| fault.message)
    }

    /// The user does not want an object any more, whatever becomes of what it has.
    pub(crate) fn unwant(&self, key: &ObjectKey) {
        if let Some(entry) = self.lock().get_mut(key) {
            entry.wanted = None;
        }
    }

    /// Brings back what served last in place of a spec whose rollout has failed. That the spec is not tried again is durable before
    /// anything is wanted differently. Returns whether it was brought back: the user may have changed his mind meanwhile.
    ///
    /// # Errors
    /// When that may not survive: nothing has changed.
    pub(crate) async fn roll_back(
        &self,
        core: &Core,
        key: &ObjectKey,
        hash: &str,
        message: &str,
    ) -> Result<bool, StoreError> {
        let (write, rejection) = {
            let entries = self.lock();
            let Some(entry) = entries.get(key).filter(|entry| entry.may_roll_back(hash)) else { return Ok(false) };
            let Some(manifest) = entry.wanted.as_ref().map(AnyObject::to_json) else { return Ok(false) };
            let rejection = Rejection { manifest, message: message.to_owned(), rejected_ms: core.clock.now_ms() };
            let mut write = core.store.write();
            write.put_rollout(key, &RolloutRecord { rejection: Some(rejection.clone()), ..entry.record() });
            (write, rejection)
        };
        write.commit().await?;
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(key) else { return Ok(false) };
        if !entry.may_roll_back(hash) {
            let mut write = core.store.write();
            write.put_rollout(key, &entry.record());
            write.commit_lazily()?;
            return Ok(false);
        }
        entry.rejection = Some(rejection);
        entry.put_in_force_and_tell(core, key);
        Ok(true)
    }

    /// Tries the spec of an object again that its user wants, whatever became of it. One that was never taken back has all of its time
    /// again.
    ///
    /// # Errors
    /// When that may not survive; it is tried all the same.
    pub(crate) async fn retry(&self, core: &Core, key: &ObjectKey) -> Result<(), StoreError> {
        let write = {
            let mut entries = self.lock();
            let Some(entry) = entries.get_mut(key).filter(|entry| entry.wanted.is_some()) else { return Ok(()) };
            core.world().set_tried(key, &BTreeSet::new(), core.clock.now_ms());
            let was_rejected = entry.rejection.take().is_some();
            if was_rejected {
                entry.put_in_force(core, key);
            }
            // What is told of it is of the try before, or of what was in its place.
            core.board.change_object(key, |record| ObjectRecord {
                rolled_back: None,
                status: ObjectStatus { observed_generation: 0, ..record.status.clone() },
                ..record.clone()
            });
            if !was_rejected {
                return Ok(());
            }
            let mut write = core.store.write();
            write.put_rollout(key, &entry.record());
            write
        };
        write.commit().await
    }

    /// Forgets an object that is gone for good.
    pub(crate) fn forget(&self, key: &ObjectKey) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, Entry>> {
        // Every change leaves an entry whole.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// Whether what the user wants is not to be tried again.
    fn is_rejected(&self) -> bool {
        let rejected = self.rejection.as_ref().and_then(|rejection| object_from_json(&rejection.manifest, ""));
        rejected.zip(self.wanted.as_ref()).is_some_and(|(rejected, wanted)| rejected.spec == wanted.spec)
    }

    /// What was brought back in place of what the user wants: its spec, under the metadata that it has now.
    fn brought_back(&self) -> Option<(AnyObject, &Rejection)> {
        let (wanted, completed) = (self.wanted.as_ref()?, self.completed.as_ref()?);
        let rejection = self.rejection.as_ref().filter(|_| self.is_rejected())?;
        (completed.spec != wanted.spec)
            .then(|| (AnyObject { spec: completed.spec.clone(), ..wanted.clone() }, rejection))
    }

    /// What is wanted of the object now.
    fn in_force(&self) -> Option<AnyObject> {
        self.brought_back().map(|(object, _)| object).or_else(|| self.wanted.clone())
    }

    /// Whether what the user wants is in force, has this hash, and is not what was completed last.
    fn is_completed_now(&self, hash: &str) -> bool {
        let Some(wanted) = &self.wanted else { return false };
        let is_known = self.completed.as_ref().is_some_and(|completed| completed.spec == wanted.spec);
        !is_known && self.brought_back().is_none() && *spec_hash(wanted) == *hash
    }

    /// Whether what the user wants has this hash and is in force, and something else served before.
    fn may_roll_back(&self, hash: &str) -> bool {
        let (Some(wanted), Some(completed)) = (&self.wanted, &self.completed) else { return false };
        completed.spec != wanted.spec && self.brought_back().is_none() && *spec_hash(wanted) == *hash
    }

    /// Has the world want what is in force.
    fn put_in_force(&self, core: &Core, key: &ObjectKey) -> Option<RolledBack> {
        let wanted = self.wanted.as_ref()?;
        let brought_back = self.brought_back();
        let rolled_back = brought_back.as_ref().map(|(object, rejection)| RolledBack {
            manifest: object.to_json(),
            message: explain(key, &rejection.message),
            since_ms: rejection.rejected_ms,
        });
        let mut world = core.world();
        let spec_before = world.desired(key).map(|desired| Arc::clone(&desired.spec_hash));
        world.set_desired(brought_back.as_ref().map_or(wanted, |(object, _)| object));
        if world.desired(key).map(|desired| &desired.spec_hash) != spec_before.as_ref() {
            world.begin_rollout(key, core.clock.now_ms());
        }
        world.set_completed(key, self.completed.as_ref().map(Completed::of));
        world.set_rolled_back(key, rolled_back.as_ref().map(|rolled_back| rolled_back.message.clone()));
        rolled_back
    }

    fn put_in_force_and_tell(&self, core: &Core, key: &ObjectKey) {
        let rolled_back = self.put_in_force(core, key);
        core.board.change_object(key, |record| ObjectRecord { rolled_back, ..record.clone() });
    }

    fn record(&self) -> RolloutRecord {
        let completed = self.completed.as_ref().map(AnyObject::to_json);
        RolloutRecord { completed, rejection: self.rejection.clone() }
    }
}

/// What is told of an object whose last spec was taken back.
fn explain(key: &ObjectKey, message: &str) -> String {
    let namespace =
        if key.namespace == Name::default_namespace() { String::new() } else { format!(" -n {}", key.namespace) };
    format!(
        "the update was rolled back: {message}; the last spec that served is in its place: change the spec, or say \
         `evenkeel rollout retry {}/{}{namespace}`",
        key.kind, key.name
    )
}
