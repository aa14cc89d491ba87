//! What is remembered of rollouts: since when containers have been tried, what was completed, and what was brought back.

use std::collections::BTreeSet;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use crds_schema::primitive::{OnFailure, Primitive};
use crds_schema::{AnyObject, ObjectKey};

use super::{World, spec_hash, template_of};
use crate::hash::hash_template;
use crate::observed::TimestampMs;

/// A spec whose rollout was completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completed {
    /// The hash of the template that it lowers to.
    pub template_hash: Arc<str>,
    /// The hash of the spec.
    pub spec_hash: Arc<str>,
    /// Something stands against it now, so that it cannot be brought back.
    pub is_blocked: bool,
}

impl Completed {
    /// The rollout of an object as it was.
    pub fn of(object: &AnyObject) -> Self {
        let template = template_of(object, &object.spec.lower(&object.metadata).primitive);
        Self { template_hash: Arc::from(hash_template(&template)), spec_hash: spec_hash(object), is_blocked: false }
    }
}

/// What is remembered of rollouts.
impl World {
    /// Says which containers of an object were started and have not served for long enough, by its plan. The time of one that is named
    /// for the first time begins now, by our own clock: neither a restart of ours nor the Engine's clock makes it shorter.
    pub fn set_tried(&mut self, key: &ObjectKey, ids: &BTreeSet<String>, now_ms: TimestampMs) {
        let own: Vec<Arc<str>> = self.containers_of(key).map(|container| Arc::clone(&container.id)).collect();
        for id in own {
            if !ids.contains(&*id) {
                self.tried.remove(&id);
            } else if let Entry::Vacant(entry) = self.tried.entry(id) {
                entry.insert(now_ms);
            }
        }
    }

    /// Says that another spec of an object is in force from now on: whatever serves has not served for it yet, and what was tried has
    /// all of its time again.
    pub fn begin_rollout(&mut self, key: &ObjectKey, now_ms: TimestampMs) {
        self.set_tried(key, &BTreeSet::new(), now_ms);
        self.in_force_since.insert(key.clone(), now_ms);
    }

    /// How long the spec of an object must have been in force for another, in milliseconds, so that it has been for so long.
    pub(crate) fn in_force_for_another_ms(&self, key: &ObjectKey, least_ms: i64, now_ms: TimestampMs) -> i64 {
        let since_ms = self.in_force_since.get(key).copied().unwrap_or(TimestampMs::MIN);
        since_ms.saturating_add(least_ms).saturating_sub(now_ms).clamp(0, least_ms.max(0))
    }

    /// Gives whatever was tried all of its time again: the Engine was away, and what it ran may just have been started anew.
    pub fn forget_trials(&mut self) {
        self.tried.clear();
    }

    /// Whether a container was said to have been started and not to have served for long enough.
    pub(crate) fn is_tried(&self, container_id: &str) -> bool {
        self.tried.contains_key(container_id)
    }

    /// How much of its time such a container has left, in milliseconds.
    pub(crate) fn tried_for_another_ms(&self, container_id: &str, deadline_ms: i64, now_ms: TimestampMs) -> i64 {
        let since_ms = self.tried.get(container_id).copied().unwrap_or(now_ms);
        let remaining_ms = since_ms.saturating_add(deadline_ms).saturating_sub(now_ms);
        // A clock that was set back does not make it longer.
        remaining_ms.clamp(0, deadline_ms.max(0))
    }

    /// Says which spec of an object was the last whose rollout was completed; `None`: none is known.
    pub fn set_completed(&mut self, key: &ObjectKey, completed: Option<Completed>) {
        match completed {
            Some(completed) => self.completed.insert(key.clone(), completed),
            None => self.completed.remove(key),
        };
    }

    /// Says that what served last cannot be brought back, until [`World::set_completed`] is called anew.
    pub fn block_way_back(&mut self, key: &ObjectKey) {
        if let Some(completed) = self.completed.get_mut(key) {
            completed.is_blocked = true;
        }
    }

    /// Whether something stands against what served last.
    pub(crate) fn is_way_back_blocked(&self, key: &ObjectKey) -> bool {
        self.completed.get(key).is_some_and(|completed| completed.is_blocked)
    }

    /// Whether a template was the last whose rollout was completed.
    pub(crate) fn is_template_completed(&self, key: &ObjectKey, template_hash: &str) -> bool {
        self.completed.get(key).is_some_and(|completed| *completed.template_hash == *template_hash)
    }

    /// Whether another spec than the one that is wanted is known to have served, and may be brought back.
    pub(crate) fn has_way_back(&self, key: &ObjectKey) -> bool {
        let wanted = self.desired(key).map(|desired| &desired.spec_hash);
        let completed = self.completed.get(key).filter(|completed| !completed.is_blocked);
        let spec_hash = completed.map(|completed| &completed.spec_hash);
        spec_hash.is_some() && spec_hash != wanted && self.rolled_back(key).is_none()
    }

    /// Whether what served last is to be brought back, unless what was started in its place comes to serve.
    pub fn may_be_rolled_back(&self, key: &ObjectKey) -> bool {
        let is_asked_for = self.desired(key).is_some_and(|desired| match &desired.lowered.primitive {
            Primitive::Containers(set) => set.on_failure == OnFailure::Rollback,
            Primitive::Network(_) | Primitive::Volume(_) | Primitive::Nothing => false,
        });
        let mut containers = self.containers_of(key);
        is_asked_for && self.has_way_back(key) && containers.any(|container| self.is_tried(&container.id))
    }

    /// Says that what is wanted of an object was brought back in place of what its user wants, and why; `None`: it is what its user wants.
    pub fn set_rolled_back(&mut self, key: &ObjectKey, why: Option<String>) {
        match why {
            Some(why) => self.rolled_back.insert(key.clone(), why),
            None => self.rolled_back.remove(key),
        };
    }

    /// Why what is wanted of an object is not what its user wants.
    pub(crate) fn rolled_back(&self, key: &ObjectKey) -> Option<&String> {
        self.rolled_back.get(key)
    }
}
