//! Volumes: created once, never recreated, and removed only where their object says so.

use crds_schema::ObjectKey;
use crds_schema::primitive::{Primitive, VolumeSpec};

use crate::builder::PlanBuilder;
use crate::compare::changed_fields;
use crate::inventory::ObservedVolume;
use crate::materialise::volume_create;
use crate::plan::{Action, Cause, FieldChange, Outcome, Waiting};
use crate::retire::ENGINE_LOOK_MS;
use crate::world::{DesiredObject, World};

/// The name of an object's volume in the Engine: of the one that it has, even if its spec now asks for another name.
pub(crate) fn engine_name(world: &World, key: &ObjectKey) -> String {
    if let Some(volume) = selected(world, key) {
        return volume.name.to_string();
    }
    match world.desired(key).map(|desired| &desired.lowered.primitive) {
        Some(Primitive::Volume(volume)) => volume.engine_name.clone(),
        Some(Primitive::Network(_) | Primitive::Containers(_) | Primitive::Nothing) | None => key.engine_name(),
    }
}

/// The volume that an object has: the one of the wanted name, else the first of another name, which holds its data.
fn selected<'world>(world: &'world World, key: &ObjectKey) -> Option<&'world ObservedVolume> {
    let wanted = match world.desired(key).map(|desired| &desired.lowered.primitive) {
        Some(Primitive::Volume(volume)) => Some(&volume.engine_name),
        Some(Primitive::Network(_) | Primitive::Containers(_) | Primitive::Nothing) | None => None,
    };
    world.volumes_of(key).min_by_key(|volume| wanted.is_none_or(|wanted| *volume.name != **wanted))
}

/// Whether the volume of an object is there and ours.
pub(crate) fn is_present(world: &World, key: &ObjectKey) -> bool {
    selected(world, key).is_some()
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
    if let Some(current) = selected(world, key) {
        let fields = differences(current, desired);
        if !fields.is_empty() {
            builder.change(format!("volume/{}", current.name), Outcome::Refused, fields);
        }
    } else if world.volume(&volume.engine_name).is_some() {
        builder.wait(Waiting::NameConflict { subject: format!("volume/{}", volume.engine_name) });
    } else {
        let create = volume_create(world.identity(), key, desired, volume);
        builder.step(&[], Action::CreateVolume(create), Cause::NotPresent);
    }
}

/// Removes a volume and its data, once no container mounts it.
pub(crate) fn remove(world: &World, volume: &ObservedVolume, builder: &mut PlanBuilder) {
    if world.users_of_volume(&volume.name).next().is_some() {
        builder.wait(Waiting::VolumeInUse { volume: volume.name.to_string() });
        builder.wake_in(ENGINE_LOOK_MS);
        return;
    }
    builder.step(&[], Action::RemoveVolume { name: volume.name.to_string() }, Cause::ObjectRemoved);
}
