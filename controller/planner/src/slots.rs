//! Slots: which of an object's containers is which, chosen deterministically from whatever the Engine holds.

use std::cmp::Reverse;

use crds_schema::ObjectKey;
use crds_schema::primitive::{ContainerSet, ContainerSpec, Primitive};

use crate::compare::{changed_fields, changed_limits};
use crate::inventory::ObservedContainer;
use crate::materialise::limits_of;
use crate::networks::{self, NetworkUse};
use crate::observed::{ContainerState, Limits};
use crate::plan::{Cause, FieldChange};
use crate::world::{DesiredObject, World};

/// The containers of one object, sorted.
#[derive(Debug)]
pub(crate) struct Slots<'world> {
    /// One for each wanted replica, in the order of the ordinals.
    pub(crate) slots: Vec<Slot<'world>>,
    /// What is to go: duplicates, surplus replicas, what is not as asked.
    pub(crate) surplus: Vec<(&'world ObservedContainer, Cause)>,
}

/// One wanted replica.
#[derive(Debug)]
pub(crate) struct Slot<'world> {
    /// Its number, from 0.
    pub(crate) ordinal: u32,
    /// The container made from the wanted template.
    pub(crate) current: Option<&'world ObservedContainer>,
    /// Containers that are to be replaced, the best first.
    pub(crate) old: Vec<OldContainer<'world>>,
}

/// A container made from another template, or one that runs and cannot be made as wanted while it does.
#[derive(Debug)]
pub(crate) struct OldContainer<'world> {
    /// The container.
    pub(crate) container: &'world ObservedContainer,
    /// Why it is replaced.
    pub(crate) cause: Cause,
    /// The fields of the spec that decide.
    pub(crate) fields: Vec<FieldChange>,
}

/// Why a container of the wanted template can be neither kept nor repaired.
pub(crate) fn unusable_cause(
    world: &World,
    container: &ObservedContainer,
    desired: &DesiredObject,
    set: &ContainerSet,
    wanted: &Limits,
) -> Option<Cause> {
    let limits = changed_limits(&container.limits, wanted);
    if !limits.is_live {
        let cause = if desired.had_limits(&container.limits) { Cause::SpecChanged } else { Cause::Drifted };
        return Some(cause(limits.fields));
    }
    let primary = set.template.networks.attachments().first()?;
    match networks::network_use(world, &primary.network) {
        // The Engine keeps the network that it was created for, and could not start it again.
        NetworkUse::Ready(network) if *container.network_mode != *network.id => {
            Some(Cause::NetworkGone(network.name.to_string()))
        }
        NetworkUse::Ready(_) | NetworkUse::BeingReplaced(_) | NetworkUse::Missing | NetworkUse::Undefined => None,
    }
}

/// The fields that decide, where a cause has some.
pub(crate) fn fields_of(cause: &Cause) -> Vec<FieldChange> {
    if let Cause::SpecChanged(fields) | Cause::Drifted(fields) = cause { fields.clone() } else { Vec::new() }
}

/// Sorts the containers of an object; `None` where it is not wanted, or is to have none.
pub(crate) fn of<'world>(world: &'world World, key: &ObjectKey) -> Option<Slots<'world>> {
    let desired = world.desired(key)?;
    let Primitive::Containers(set) = &desired.lowered.primitive else { return None };
    Some(sort(world, key, desired, set, &limits_of(set)))
}

fn sort<'world>(
    world: &'world World,
    key: &ObjectKey,
    desired: &DesiredObject,
    set: &ContainerSet,
    limits: &Limits,
) -> Slots<'world> {
    let ordinals = world.wanted_ordinals(key, set).into_iter();
    let mut slots: Vec<Slot<'world>> =
        ordinals.map(|ordinal| Slot { ordinal, current: None, old: Vec::new() }).collect();
    let mut surplus = Vec::new();
    let mut containers: Vec<&ObservedContainer> = world.containers_of(key).collect();
    containers.sort_by_cached_key(|container| {
        (unusable_cause(world, container, desired, set, limits).is_some(), preference(container))
    });
    for container in containers {
        if !container.mismatch.is_empty() {
            surplus.push((container, Cause::NotAsAsked(container.mismatch.clone())));
            continue;
        }
        if world.is_used_up(container) {
            surplus.push((container, Cause::UsedUp));
            continue;
        }
        let index = slots.binary_search_by_key(&container.ordinal, |slot| slot.ordinal);
        let Some(slot) = index.ok().and_then(|index| slots.get_mut(index)) else {
            surplus.push((container, Cause::ScaledDown));
            continue;
        };
        let changed = differences(container, desired).map(Cause::SpecChanged);
        // The only one is made anew under its own name where it does not run.
        let is_replaced = container.is_up() || slot.current.is_some();
        let outdated =
            changed.or_else(|| unusable_cause(world, container, desired, set, limits).filter(|_| is_replaced));
        match (outdated, slot.current) {
            (Some(cause), _) => slot.old.push(OldContainer { container, fields: fields_of(&cause), cause }),
            (None, None) => slot.current = Some(container),
            (None, Some(_)) => surplus.push((container, Cause::Duplicate)),
        }
    }
    Slots { slots, surplus }
}

/// The best first: what serves, then what runs, then the oldest; the id decides between equals.
pub(crate) fn preference(container: &ObservedContainer) -> impl Ord + use<> {
    let is_going = matches!(container.state, ContainerState::Removing | ContainerState::Dead);
    let (is_serving, is_up) = (container.is_serving(), container.is_up());
    (is_going, Reverse(is_serving), Reverse(is_up), container.created_ms, container.id.clone())
}

impl World {
    /// Whether a container is made from the template that is wanted now, and not one that is to be replaced.
    pub fn is_current(&self, container: &ObservedContainer) -> bool {
        self.desired(&container.owner).is_some_and(|desired| differences(container, desired).is_none())
    }
}

/// In what a container's template differs from the wanted one; `None` when it does not.
fn differences(container: &ObservedContainer, desired: &DesiredObject) -> Option<Vec<FieldChange>> {
    if container.hash == desired.hash {
        return None;
    }
    match changed_fields::<ContainerSpec>(&container.template, &desired.template) {
        // The same, written by another release: an upgrade replaces nothing by itself.
        Some(fields) if fields.is_empty() => None,
        Some(fields) => Some(fields),
        None => {
            let field = "template that cannot be read".to_owned();
            Some(vec![FieldChange { field, old: String::new(), new: String::new() }])
        }
    }
}
