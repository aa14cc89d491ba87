//! Networks: created once, selected deterministically, replaced only when nothing of ours is left in them.

use std::cmp::Reverse;

use crds_schema::ObjectKey;
use crds_schema::primitive::{NetworkSpec, Primitive};

use crate::builder::PlanBuilder;
use crate::compare::changed_fields;
use crate::inventory::{ObservedContainer, ObservedNetwork};
use crate::materialise::network_create;
use crate::plan::{Action, Cause, FieldChange, Outcome, Waiting};
use crate::retire::ENGINE_LOOK_MS;
use crate::world::{DesiredObject, World};

/// How the network of an object can be used by containers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum NetworkUse<'world> {
    /// It is there, as its spec says.
    Ready(&'world ObservedNetwork),
    /// It is there, but not as its spec says, or a duplicate: whoever is in it must leave.
    BeingReplaced(&'world ObservedNetwork),
    /// It is not there yet.
    Missing,
    /// No object says that it should be there.
    Undefined,
}

/// How the network of an object can be used.
pub(crate) fn network_use<'world>(world: &'world World, key: &ObjectKey) -> NetworkUse<'world> {
    let Some(desired) = world.desired(key) else { return NetworkUse::Undefined };
    let selected = selected(world, key);
    // While there are several the Engine starts nothing in any of them, so that nothing can serve before those that are left are gone.
    let in_the_way = selected.and_then(|selected| {
        let is_in_the_way = |other: &&ObservedNetwork| {
            other.id != selected.id
                && !running_members(world, other).is_empty()
                && obstacle(world, key, desired, other).is_none()
        };
        world.networks_of(key).find(is_in_the_way)
    });
    if let Some(duplicate) = in_the_way.filter(|_| !desired.lowered.suspend) {
        return NetworkUse::BeingReplaced(duplicate);
    }
    match selected {
        None => NetworkUse::Missing,
        Some(network) if desired.lowered.suspend || differences(network, desired).is_empty() => {
            NetworkUse::Ready(network)
        }
        // Nobody leaves it before it is known that it can go: until then it is good enough.
        Some(network) if obstacle(world, key, desired, network).is_some() => NetworkUse::Ready(network),
        Some(network) => NetworkUse::BeingReplaced(network),
    }
}

/// Why a network cannot be replaced yet, even if everything of ours that can leave it does.
fn obstacle(world: &World, key: &ObjectKey, desired: &DesiredObject, network: &ObservedNetwork) -> Option<Waiting> {
    let Primitive::Network(spec) = &desired.lowered.primitive else { return None };
    if let Some(conflict) = name_conflict(world, key, spec) {
        return Some(conflict);
    }
    let stays = |container: &&ObservedContainer| container.is_up() && !leaves(world, key, container);
    let mut by: Vec<String> =
        world.members_of(&network.id).filter(stays).map(|container| container.name.to_string()).collect();
    by.extend(world.foreign_members(&network.id).iter().cloned());
    (!by.is_empty()).then(|| Waiting::NetworkInUse { network: network.name.to_string(), by })
}

/// Whether a container leaves a network of its own accord when that is replaced.
fn leaves(world: &World, key: &ObjectKey, container: &ObservedContainer) -> bool {
    let Some(desired) = world.desired(&container.owner) else { return false };
    match &desired.lowered.primitive {
        Primitive::Containers(set) => {
            let joins = set.template.networks.attachments().iter().any(|attachment| attachment.network == *key);
            joins
                && !desired.lowered.suspend
                && world.wanted_ordinals(&container.owner, set).contains(&container.ordinal)
        }
        Primitive::Network(_) | Primitive::Volume(_) | Primitive::Nothing => false,
    }
}

/// Whether the name of a network is taken by one that is not this object's.
fn name_conflict(world: &World, key: &ObjectKey, network: &NetworkSpec) -> Option<Waiting> {
    let is_stranger = |other: &ObservedNetwork| other.owner.as_ref() != Some(key);
    let is_taken = world.networks_named(&network.engine_name).any(is_stranger);
    is_taken.then(|| Waiting::NameConflict { subject: format!("network/{}", network.engine_name) })
}

/// The one network of an object that counts: of those that are as wanted, else of all, the one with most of our containers in it, so that
/// the others can go, and the oldest of equals. While there are several, the Engine refuses what names one by its name.
pub(crate) fn selected<'world>(world: &'world World, key: &ObjectKey) -> Option<&'world ObservedNetwork> {
    let desired = world.desired(key);
    let differs = |network: &ObservedNetwork| desired.is_some_and(|desired| !differences(network, desired).is_empty());
    world.networks_of(key).min_by_key(|network| {
        let members = world.members_of(&network.id).count();
        (differs(network), Reverse(members), network.created_ms, network.id.clone())
    })
}

fn differences(network: &ObservedNetwork, desired: &DesiredObject) -> Vec<FieldChange> {
    if network.hash == desired.hash {
        return Vec::new();
    }
    changed_fields::<NetworkSpec>(&network.template, &desired.template).unwrap_or_default()
}

pub(crate) fn plan(
    world: &World,
    key: &ObjectKey,
    desired: &DesiredObject,
    network: &NetworkSpec,
    builder: &mut PlanBuilder,
) {
    let Some(current) = selected(world, key) else {
        create(world, key, desired, network, &[], builder);
        return;
    };
    for duplicate in world.networks_of(key).filter(|other| other.id != current.id) {
        let subject = format!("network/{}", duplicate.name);
        builder.find(subject, "DuplicateNetwork", format!("network {} is a duplicate", short(&duplicate.id)));
        remove(world, duplicate, Cause::Duplicate, builder);
    }
    let fields = differences(current, desired);
    if fields.is_empty() {
        return;
    }
    let subject = format!("network/{}", current.name);
    builder.change(subject, Outcome::ReplaceStopFirst(stop_first_reason(current)), fields.clone());
    if let Some(waiting) = obstacle(world, key, desired, current) {
        builder.wait(waiting);
        builder.wake_in(ENGINE_LOOK_MS);
        return;
    }
    if let Some(removed) = remove(world, current, Cause::SpecChanged(fields), builder) {
        create(world, key, desired, network, &[removed], builder);
    }
}

fn stop_first_reason(network: &ObservedNetwork) -> crds_schema::primitive::StopFirstReason {
    crds_schema::primitive::StopFirstReason::ExactName(network.name.to_string())
}

fn create(
    world: &World,
    key: &ObjectKey,
    desired: &DesiredObject,
    network: &NetworkSpec,
    after: &[u32],
    builder: &mut PlanBuilder,
) {
    if let Some(conflict) = name_conflict(world, key, network) {
        builder.wait(conflict);
        return;
    }
    let create = network_create(world.identity(), key, desired, network);
    builder.step(after, Action::CreateNetwork(create), Cause::NotPresent);
}

/// Removes a network, once nothing runs in it. Returns the step.
pub(crate) fn remove(world: &World, network: &ObservedNetwork, cause: Cause, builder: &mut PlanBuilder) -> Option<u32> {
    let by = running_members(world, network);
    if !by.is_empty() {
        builder.wait(Waiting::NetworkInUse { network: network.name.to_string(), by });
        builder.wake_in(ENGINE_LOOK_MS);
        return None;
    }
    let action = Action::RemoveNetwork { id: network.id.to_string(), name: network.name.to_string() };
    Some(builder.step(&[], action, cause))
}

/// The names of the containers that run in a network. A stopped one does not block its removal.
fn running_members(world: &World, network: &ObservedNetwork) -> Vec<String> {
    let ours = world.members_of(&network.id).filter(|container| container.is_up());
    let foreign = world.foreign_members(&network.id).iter().cloned();
    ours.map(|container| container.name.to_string()).chain(foreign).collect()
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}
