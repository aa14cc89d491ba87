//! Containers that are about to be stopped: whoever gives them something to do gives them nothing new, and says when all of it has ended.

use std::collections::BTreeSet;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use crds_schema::ObjectKey;

use super::World;
use crate::inventory::ObservedContainer;
use crate::observed::{ContainerState, TimestampMs};

/// A container that is to be given nothing new to do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leaving {
    since_ms: TimestampMs,
    /// Whoever uses it has said that nothing is under way on it.
    is_released: bool,
}

/// What is to be given nothing new to do.
impl World {
    /// Says which containers of an object are to be given nothing new to do, by its plan. Returns whether that is news.
    pub fn set_leaving(&mut self, key: &ObjectKey, ids: &BTreeSet<String>, now_ms: TimestampMs) -> bool {
        let own: Vec<Arc<str>> = self.containers_of(key).map(|container| Arc::clone(&container.id)).collect();
        let mut is_news = false;
        for id in own {
            if !ids.contains(&*id) {
                is_news |= self.leaving.remove(&id).is_some();
            } else if let Entry::Vacant(entry) = self.leaving.entry(id) {
                entry.insert(Leaving { since_ms: now_ms, is_released: false });
                is_news = true;
            }
        }
        is_news
    }

    /// Whether a container is to be given nothing new to do.
    pub fn is_leaving(&self, container_id: &str) -> bool {
        self.leaving.contains_key(container_id)
    }

    /// Ids and owners of the containers that are to be given nothing new to do, where it is not known yet that nothing is under way on them.
    pub fn unreleased(&self) -> Vec<(String, ObjectKey)> {
        let unreleased = self.leaving.iter().filter(|(_, leaving)| !leaving.is_released);
        let containers = unreleased.filter_map(|(id, _)| self.containers.get(id));
        containers.map(|container| (container.id.to_string(), container.owner.clone())).collect()
    }

    /// Says that nothing is under way any more on a container that is given nothing new to do. Returns the owner, whose key is to be
    /// planned; `None` where that is no news.
    pub fn set_released(&mut self, container_id: &str) -> Option<ObjectKey> {
        let leaving = self.leaving.get_mut(container_id)?;
        if std::mem::replace(&mut leaving.is_released, true) {
            return None;
        }
        self.containers.get(container_id).map(|container| container.owner.clone())
    }

    /// Says of a container that is there that it is given nothing new to do and that nothing is under way on it, for a plan that is only shown.
    pub fn set_let_go(&mut self, container_id: &str, now_ms: TimestampMs) {
        if let Some(container) = self.containers.get(container_id) {
            self.leaving.insert(Arc::clone(&container.id), Leaving { since_ms: now_ms, is_released: true });
        }
    }

    /// For how long at most a container is still waited for before it is stopped; 0 when it can be. Where nobody says whether anything is
    /// under way on it, as after a start of the controller, that is as long as anything may take.
    pub(crate) fn releases_in_ms(&self, container: &ObservedContainer, now_ms: TimestampMs) -> i64 {
        if container.state != ContainerState::Running {
            return 0;
        }
        match self.leaving.get(&container.id) {
            Some(leaving) if leaving.is_released => 0,
            Some(leaving) => {
                let until_ms = leaving.since_ms.saturating_add(container.release_ms);
                // A clock that was set back does not make it longer.
                until_ms.saturating_sub(now_ms).clamp(0, container.release_ms.max(0))
            }
            None => container.release_ms,
        }
    }

    /// Says for how long at most users of an object's containers are waited for.
    pub(super) fn set_release(&mut self, key: &ObjectKey, release_ms: Option<i64>) {
        let Some(release_ms) = release_ms else { return };
        for id in self.owned.get(key).map(|owned| &owned.containers).into_iter().flatten() {
            if let Some(container) = self.containers.get_mut(id) {
                container.release_ms = release_ms;
            }
        }
    }
}
