//! Volumes: created once, never recreated, and removed only where their object says so.

use crds_schema::ObjectKey;
use crds_schema::primitive::{Primitive, VolumeSpec};

use crate::builder::PlanBuilder;
use crate::compare::changed_fields;
use crate::inventory::ObservedVolume;
use crate::materialise::volume_create;
use crate::plan::{Action, Cause, FieldChange, Outcome, Waiting};
use crate::world::{DesiredObject, World};

/// The name of an object's volume in the Engine.
pub(crate) fn engine_name(world: &World, key: &ObjectKey) -> String {
    match world.desired(key).map(|desired| &desired.lowered.primitive) {
        Some(Primitive::Volume(volume)) => volume.engine_name.clone(),
        Some(Primitive::Network(_) | Primitive::Containers(_)) | None => key.engine_name(),
    }
}

/// Whether the volume of an object is there and ours.
pub(crate) fn is_present(world: &World, key: &ObjectKey) -> bool {
    let name = engine_name(world, key);
    world.volume(&name).is_some_and(|volume| volume.owner.as_ref() == Some(key))
}

/// The fields in which a volume differs from its spec. They cannot be changed without losing its data.
pub fn differences(volume: &ObservedVolume, desired: &DesiredObject) -> Vec<FieldChange> {
    if volume.hash == desired.hash {
        return Vec::new();
    }
    changed_fields::<VolumeSpec>(&volume.template, &desired.template).unwrap_or_default()
}

pub(crate) fn plan(
    world: &World,
    key: &ObjectKey,
    desired: &DesiredObject,
    volume: &VolumeSpec,
    builder: &mut PlanBuilder,
) {
    match world.volume(&volume.engine_name) {
        None => {
            let create = volume_create(world.identity(), key, desired, volume);
            builder.step(&[], Action::CreateVolume(create), Cause::NotPresent);
        }
        Some(current) if current.owner.as_ref() != Some(key) => {
            builder.wait(Waiting::NameConflict { subject: format!("volume/{}", volume.engine_name) });
        }
        Some(current) => {
            let fields = differences(current, desired);
            if !fields.is_empty() {
                builder.change(format!("volume/{}", current.name), Outcome::Refused, fields);
            }
        }
    }
}
