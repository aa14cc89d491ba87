//! What the world remembers between passes: holds, readiness, losses.

use std::sync::Arc;

use crds_schema::ObjectKey;

use super::{Hold, World};
use crate::plan::Finding;

/// What is remembered between passes.
impl World {
    /// Does nothing for an object for a while; `None` ends that.
    pub fn set_hold(&mut self, key: &ObjectKey, hold: Option<Hold>) {
        match hold {
            Some(hold) => self.holds.insert(key.clone(), hold),
            None => self.holds.remove(key),
        };
    }

    /// Why nothing is done for an object.
    pub fn hold(&self, key: &ObjectKey) -> Option<Hold> {
        self.holds.get(key).copied()
    }

    /// Says whether an object's condition `Ready` is true. Returns whether that is news.
    pub fn set_ready(&mut self, key: &ObjectKey, is_ready: bool) -> bool {
        if is_ready { self.ready.insert(key.clone()) } else { self.ready.remove(key) }
    }

    /// Whether an object's condition `Ready` was true when it was last rolled up.
    pub fn is_ready(&self, key: &ObjectKey) -> bool {
        self.ready.contains(key)
    }

    /// Ids that the store remembers as ours, so that a container that was renamed while nobody watched is recognised.
    pub fn remember_ids(&mut self, ids: impl IntoIterator<Item = String>) {
        self.known_ids.extend(ids.into_iter().map(Arc::from));
    }

    /// Whether a container is remembered as ours.
    pub fn remembers(&self, id: &str) -> bool {
        self.known_ids.contains(id)
    }

    /// The ids that are remembered as ours, of containers that are gone too.
    pub fn remembered_ids(&self) -> impl Iterator<Item = &str> {
        self.known_ids.iter().map(|id| &**id)
    }

    /// Forgets a container that is gone for good.
    pub fn forget_id(&mut self, id: &str) {
        self.known_ids.remove(id);
    }

    /// Announces that we are about to remove something, by its id (a volume by its name).
    pub fn expect_gone(&mut self, id: &str) {
        self.expected_gone.insert(Arc::from(id));
    }

    /// Takes such an announcement back: the removal failed.
    pub fn no_longer_expect_gone(&mut self, id: &str) {
        self.expected_gone.remove(id);
    }

    /// Notes that something of an object vanished without our doing.
    pub fn note_lost(&mut self, key: &ObjectKey, subject: String) {
        self.lost.entry(key.clone()).or_default().insert(subject);
    }

    /// What of an object vanished without our doing, since it was last taken.
    pub fn lost(&self, key: &ObjectKey) -> impl Iterator<Item = &String> {
        self.lost.get(key).into_iter().flatten()
    }

    /// Forgets what vanished and was told of, by what a plan found. What has vanished since that plan was made is kept for the next one.
    pub fn clear_lost(&mut self, key: &ObjectKey, told: &[Finding]) {
        let Some(lost) = self.lost.get_mut(key) else { return };
        for finding in told.iter().filter(|finding| finding.is_of_lost()) {
            lost.remove(&finding.subject);
        }
        if lost.is_empty() {
            self.lost.remove(key);
        }
    }
}
