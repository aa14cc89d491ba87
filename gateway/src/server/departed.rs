//! Instances that are not wanted any more, while calls are under way on them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::instance::{InstanceHandle, Traffic};

/// What is known of them.
#[derive(Debug, Default)]
pub struct Departed(Mutex<Vec<(String, Arc<Traffic>)>>);

impl Departed {
    /// An instance is not wanted any more.
    pub(super) fn add(&self, handle: &InstanceHandle) {
        // First: what ends from now on is told of.
        handle.traffic.depart();
        if handle.in_flight() > 0 {
            let mut departed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            departed.push((handle.id.clone(), Arc::clone(&handle.traffic)));
        }
    }

    /// The ids of those on which calls are under way.
    pub(crate) fn busy(&self) -> BTreeSet<String> {
        let mut departed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        departed.retain(|(_, traffic)| traffic.in_flight() > 0);
        departed.iter().map(|(id, _)| id.clone()).collect()
    }
}
