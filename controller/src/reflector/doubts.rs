//! What was changed and not looked at since. Nothing is decided about its owner before it has been.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

use crds_schema::ObjectKey;

use super::Reflector;
use crate::engine::EngineError;

impl Reflector {
    /// A container was changed, or may have been: nothing more is decided about its owner before it has been looked at.
    pub fn doubt(&self, owner: &ObjectKey, id: &str) {
        self.lock_doubted().insert(id.to_owned(), owner.clone());
    }

    /// Looks at everything of an object that was changed and not looked at since.
    ///
    /// # Errors
    /// When the Engine does not answer; nothing may be decided then.
    pub async fn clear_doubts(&self, owner: &ObjectKey) -> Result<(), EngineError> {
        let of_owner = |(id, whose): (&String, &ObjectKey)| (whose == owner).then(|| id.clone());
        let ids: Vec<String> = self.lock_doubted().iter().filter_map(of_owner).collect();
        for id in ids {
            self.inspect(&id).await?;
        }
        Ok(())
    }

    /// Looks at everything of an object once more, whatever was seen of it before.
    ///
    /// # Errors
    /// When the Engine does not answer.
    pub async fn look_again(&self, owner: &ObjectKey) -> Result<(), EngineError> {
        let ids: Vec<String> =
            self.core.world().containers_of(owner).map(|container| container.id.to_string()).collect();
        for id in ids {
            self.inspect(&id).await?;
        }
        Ok(())
    }

    pub(super) fn lock_doubted(&self) -> MutexGuard<'_, BTreeMap<String, ObjectKey>> {
        self.doubted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
