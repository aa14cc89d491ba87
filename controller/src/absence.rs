//! Absence: what of our objects vanished while no controller ran.
//!
//! While a controller runs, the Engine's events and lists tell it. After a start, only the store remembers what there was.

use std::collections::BTreeSet;

use crds_schema::ObjectKey;

use crate::core::Core;
use crate::status::ObjectRecord;
use crate::store::{Store, StoreError};

/// What the store remembers of one thing that an object had.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Remembered {
    owner: ObjectKey,
    /// Such as `container/web-7f9c4d21-0`.
    subject: String,
    /// The full id; of a volume the name.
    id: String,
}

/// What the last controller last saw, as far as it is certain that it did not remove it itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct LastSeen(Vec<Remembered>);

impl LastSeen {
    /// Reads it from the store. Objects in the middle of a pass are left out: what is missing of them we may have removed.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) fn read(store: &Store, records: &[ObjectRecord]) -> Result<Self, StoreError> {
        let interrupted: BTreeSet<ObjectKey> = store.open_intents()?.into_iter().map(|intent| intent.key).collect();
        let containers = store.known_containers()?;
        let mut seen = Vec::new();
        for record in records.iter().filter(|record| !interrupted.contains(&record.key)) {
            for primitive in &record.status.primitives {
                // A container that we removed is forgotten before its object's status is written.
                let is_certain = !primitive.subject.starts_with("container/") || containers.contains_key(&primitive.id);
                if is_certain {
                    let (owner, subject) = (record.key.clone(), primitive.subject.clone());
                    seen.push(Remembered { owner, subject, id: primitive.id.clone() });
                }
            }
        }
        Ok(Self(seen))
    }

    /// Notes as lost what is wanted and not there any more. To be called after the first full list, before anything is planned.
    pub(crate) fn note_losses(self, core: &Core) {
        let mut world = core.world();
        for Remembered { owner, subject, id } in self.0 {
            let is_there = match subject.split_once('/').map(|(sort, _)| sort) {
                Some("network") => world.network(&id).is_some(),
                Some("volume") => world.volume(&id).is_some_and(|volume| volume.owner.as_ref() == Some(&owner)),
                Some(_) | None => world.container(&id).is_some(),
            };
            if !is_there && world.desired(&owner).is_some() {
                world.note_lost(&owner, subject);
            }
        }
    }
}
