//! Networks: created once, selected deterministically, replaced only when nothing of ours is left in them.

use crds_schema::ObjectKey;
use crds_schema::primitive::NetworkSpec;

use crate::builder::PlanBuilder;
use crate::compare::changed_fields;
use crate::inventory::ObservedNetwork;
use crate::materialise::network_create;
use crate::plan::{Action, Cause, FieldChange, Outcome, Waiting};
use crate::world::{DesiredObject, World};

/// How the network of an object can be used by containers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum NetworkUse<'world> {
    /// It is there, as its spec says.
    Ready(&'world ObservedNetwork),
    /// It is there, but not as its spec says: whoever is in it must leave.
    BeingReplaced(&'world ObservedNetwork),
    /// It is not there yet.
    Missing,
    /// No object says that it should be there.
    Undefined,
}

/// How the network of an object can be used.
pub(crate) fn network_use<'world>(world: &'world World, key: &ObjectKey) -> NetworkUse<'world> {
    let Some(desired) = world.desired(key) else { return NetworkUse::Undefined };
    match selected(world, key) {
        None => NetworkUse::Missing,
        Some(network) if desired.lowered.suspend || differences(network, desired).is_empty() => {
            NetworkUse::Ready(network)
        }
        Some(network) => NetworkUse::BeingReplaced(network),
    }
}

/// The one network of an object that counts: the oldest that is as wanted, else the oldest.
pub(crate) fn selected<'world>(world: &'world World, key: &ObjectKey) -> Option<&'world ObservedNetwork> {
    let desired = world.desired(key);
    let differs = |network: &ObservedNetwork| desired.is_some_and(|desired| !differences(network, desired).is_empty());
    world.networks_of(key).min_by_key(|network| (differs(network), network.created_ms, network.id.clone()))
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
    let is_stranger = |other: &&ObservedNetwork| other.owner.as_ref() != Some(key);
    if world.networks_named(&network.engine_name).find(is_stranger).is_some() {
        builder.wait(Waiting::NameConflict { subject: format!("network/{}", network.engine_name) });
        return;
    }
    let create = network_create(world.identity(), key, desired, network);
    builder.step(after, Action::CreateNetwork(create), Cause::NotPresent);
}

/// Removes a network, once nothing of ours runs in it. Returns the step.
pub(crate) fn remove(world: &World, network: &ObservedNetwork, cause: Cause, builder: &mut PlanBuilder) -> Option<u32> {
    let members = running_members(world, network);
    if !members.is_empty() {
        builder.wait(Waiting::NetworkInUse { network: network.name.to_string(), by: members });
        return None;
    }
    let action = Action::RemoveNetwork { id: network.id.to_string(), name: network.name.to_string() };
    Some(builder.step(&[], action, cause))
}

/// The names of our containers that run in a network. A stopped one does not block its removal.
fn running_members(world: &World, network: &ObservedNetwork) -> Vec<String> {
    world
        .containers()
        .filter(|container| container.is_up() && container.endpoint(&network.id).is_some())
        .map(|container| container.name.to_string())
        .collect()
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}
