//! Slots: which of an object's containers is which, chosen deterministically from whatever the Engine holds.

use std::cmp::Reverse;

use crds_schema::ObjectKey;
use crds_schema::primitive::{ContainerSet, ContainerSpec};

use crate::compare::changed_fields;
use crate::inventory::ObservedContainer;
use crate::observed::ContainerState;
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
    /// Containers made from other templates, the best first.
    pub(crate) old: Vec<OldContainer<'world>>,
}

/// A container made from another template.
#[derive(Debug)]
pub(crate) struct OldContainer<'world> {
    /// The container.
    pub(crate) container: &'world ObservedContainer,
    /// In what the templates differ; empty where the old one cannot be read.
    pub(crate) fields: Vec<FieldChange>,
}

/// Sorts the containers of an object.
pub(crate) fn sort<'world>(
    world: &'world World,
    key: &ObjectKey,
    desired: &DesiredObject,
    set: &ContainerSet,
) -> Slots<'world> {
    let mut slots: Vec<Slot<'world>> =
        (0..set.replicas).map(|ordinal| Slot { ordinal, current: None, old: Vec::new() }).collect();
    let mut surplus = Vec::new();
    let mut containers: Vec<&ObservedContainer> = world.containers_of(key).collect();
    containers.sort_by_key(|container| preference(container));
    for container in containers {
        if !container.mismatch.is_empty() {
            surplus.push((container, Cause::NotAsAsked(container.mismatch.clone())));
            continue;
        }
        let index = usize::try_from(container.ordinal).unwrap_or(usize::MAX);
        let Some(slot) = slots.get_mut(index) else {
            surplus.push((container, Cause::ScaledDown));
            continue;
        };
        match (differences(container, desired), slot.current) {
            (Some(fields), _) => slot.old.push(OldContainer { container, fields }),
            (None, None) => slot.current = Some(container),
            (None, Some(_)) => surplus.push((container, Cause::Duplicate)),
        }
    }
    Slots { slots, surplus }
}

/// The best first: what serves, then what runs, then the oldest; the id decides between equals.
fn preference(container: &ObservedContainer) -> impl Ord + use<> {
    let is_going = matches!(container.state, ContainerState::Removing | ContainerState::Dead);
    let (is_serving, is_up) = (container.is_serving(), container.is_up());
    (is_going, Reverse(is_serving), Reverse(is_up), container.created_ms, container.id.clone())
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
        None => Some(Vec::new()),
    }
}
