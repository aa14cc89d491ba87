//! Containers: one object's set, slot by slot. What a slot needs is decided in [`crate::rollout`] and [`crate::repair`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crds_schema::ObjectKey;
use crds_schema::primitive::ContainerSet;

use crate::builder::PlanBuilder;
use crate::inventory::{ObservedContainer, replacement_names};
use crate::materialise::limits_of;
use crate::networks::{self, NetworkUse};
use crate::observed::{ContainerState, Limits, TimestampMs};
use crate::plan::{Action, Cause, Waiting, container_name};
use crate::requirement::ImagePlan;
use crate::retire::{existing, retire, stop};
use crate::slots::{Slot, Slots};
use crate::world::{DesiredObject, World};

/// How long at most a container has to end that nobody may use any more, in seconds: whoever waits for its place waits as long.
const USED_UP_GRACE_SECS: u32 = 2;

pub(crate) fn plan(
    world: &World,
    key: &ObjectKey,
    wanted: (&DesiredObject, &ContainerSet),
    slots: &Slots<'_>,
    now_ms: TimestampMs,
    builder: &mut PlanBuilder,
) {
    let mut plan = SetPlan::new(world, key, wanted, now_ms, slots, builder);
    plan.retire_surplus(&slots.surplus);
    if plan.leave_replaced_networks(&slots.slots) {
        return;
    }
    plan.is_replacing = slots.slots.iter().any(|slot| plan.is_mid_replacement(slot));
    for slot in &slots.slots {
        plan.plan_slot(slot);
    }
}

/// One object's set while it is planned.
pub(crate) struct SetPlan<'plan> {
    pub(crate) world: &'plan World,
    pub(crate) key: &'plan ObjectKey,
    pub(crate) desired: &'plan DesiredObject,
    pub(crate) set: &'plan ContainerSet,
    /// The limits that each container is to have.
    pub(crate) limits: Limits,
    pub(crate) now_ms: TimestampMs,
    /// Whether a container that is to be replaced serves under the object's name, or may do.
    pub(crate) is_old_serving: bool,
    pub(crate) builder: &'plan mut PlanBuilder,
    /// Whether everything that a start needs is there; asked once.
    pub(crate) readiness: Option<bool>,
    /// What must be done before a create for the image's sake.
    pub(crate) image: ImagePlan,
    /// Whether one replacement is under way: there is never more than one more than wanted.
    pub(crate) is_replacing: bool,
    /// Surplus containers and the steps that remove them.
    pub(crate) retired: Vec<(Arc<str>, u32)>,
    /// The steps that remove containers which were to replace others and are to be replaced themselves.
    pub(crate) superseded: Vec<u32>,
    /// Whether something surplus is still in use: it may hold what new containers need.
    pub(crate) is_room_awaited: bool,
    /// Containers that this plan has renamed already, by id, and the steps that do.
    pub(crate) renamed: BTreeMap<Arc<str>, u32>,
}

impl<'plan> SetPlan<'plan> {
    /// Of which nothing is planned yet.
    pub(crate) fn new(
        world: &'plan World,
        key: &'plan ObjectKey,
        (desired, set): (&'plan DesiredObject, &'plan ContainerSet),
        now_ms: TimestampMs,
        slots: &Slots<'_>,
        builder: &'plan mut PlanBuilder,
    ) -> Self {
        let is_old_serving = slots.slots.iter().flat_map(|slot| &slot.old).any(|old| old.container.may_serve());
        Self {
            world,
            key,
            desired,
            set,
            limits: limits_of(set),
            now_ms,
            is_old_serving,
            builder,
            readiness: None,
            image: ImagePlan::Undecided,
            is_replacing: false,
            retired: Vec::new(),
            superseded: Vec::new(),
            is_room_awaited: false,
            renamed: BTreeMap::new(),
        }
    }
}

impl SetPlan<'_> {
    fn retire_surplus(&mut self, surplus: &[(&ObservedContainer, Cause)]) {
        for (container, cause) in surplus {
            if *cause == Cause::Duplicate {
                let message = "is a duplicate".to_owned();
                self.builder.find(format!("container/{}", container.name), "DuplicateContainer", message);
            }
            let is_in_use = matches!(cause, Cause::ScaledDown | Cause::Duplicate);
            if is_in_use && !self.is_released(container) {
                self.is_room_awaited = true;
                continue;
            }
            // What is used up has nothing to finish.
            let most_secs = if *cause == Cause::UsedUp { USED_UP_GRACE_SECS } else { u32::MAX };
            let grace_secs = self.set.stop_grace_secs.min(most_secs);
            if let Some(step) = retire(container, grace_secs, &[], cause, self.builder) {
                self.retired.push((Arc::clone(&container.id), step));
            }
        }
    }

    /// Stops what is in a network that is being replaced, so that it can be, once nothing is under way on it. Returns whether there is such a network.
    fn leave_replaced_networks(&mut self, slots: &[Slot<'_>]) -> bool {
        let mut is_leaving = false;
        let mut stopped = BTreeSet::new();
        for attachment in self.set.template.networks.attachments() {
            let NetworkUse::BeingReplaced(network) = networks::network_use(self.world, &attachment.network) else {
                continue;
            };
            let cause = Cause::NetworkReplaced(attachment.network.clone());
            let containers =
                slots.iter().flat_map(|slot| slot.current.into_iter().chain(slot.old.iter().map(|old| old.container)));
            for container in containers.filter(|container| container.endpoint(&network.id).is_some()) {
                // One that is in two such networks is stopped once.
                let is_first = stopped.insert(Arc::clone(&container.id));
                if is_first && self.is_released(container) {
                    stop(container, self.set.stop_grace_secs, &[], &cause, self.builder);
                }
            }
            is_leaving = true;
            self.builder.wait(Waiting::Reference { key: attachment.network.clone(), lacks: "being replaced" });
        }
        is_leaving
    }

    fn plan_slot(&mut self, slot: &Slot<'_>) {
        match (slot.current, slot.old.is_empty()) {
            (Some(current), true) => {
                self.ensure(current, slot);
                let is_running = current.state == ContainerState::Running;
                // It is waited for where it holds others up: its own name, or the next replacement.
                if is_running
                    && (!current.is_serving() || (self.is_old_serving && self.settles_in_ms(current) != Some(0)))
                {
                    self.await_serving(current);
                }
            }
            (Some(_) | None, false) if self.awaits_removal_of_old(slot) => {
                // What the old one holds is free when it is gone.
            }
            (Some(current), false) => self.finish_replacement(current, slot),
            (None, true) => {
                let name = self.name_of_new(slot);
                if let Some(after) = self.free_name(&name, None) {
                    self.create(slot, &name, &after, &Cause::NotPresent);
                }
            }
            (None, false) => self.begin_replacement(slot),
        }
    }

    /// What must be done before a name can be given to a container of this object; `None` when the Engine must do something first.
    ///
    /// Somebody may have given it to another container of the object: that one gets a name of its own, for this pass.
    pub(crate) fn free_name(&mut self, name: &str, for_id: Option<&str>) -> Option<Vec<u32>> {
        let holder =
            self.world.containers_of(self.key).find(|other| *other.name == *name && Some(&*other.id) != for_id);
        let Some(holder) = holder else { return Some(Vec::new()) };
        let retired = self.retired.iter().find(|(id, _)| *id == holder.id).map(|(_, step)| *step);
        if let Some(step) = retired.or_else(|| self.renamed.get(&holder.id).copied()) {
            return Some(vec![step]);
        }
        if holder.state == ContainerState::Removing {
            crate::retire::await_removal(holder, self.builder);
            return None;
        }
        let derived = container_name(&self.set.base_name, &holder.hash, holder.ordinal);
        let is_free = |name: &String| !self.world.containers_of(self.key).any(|other| *other.name == **name);
        let own_name = replacement_names(&derived).skip(1).find(is_free)?;
        let action = Action::RenameContainer { container: existing(holder), name: own_name };
        let step = self.builder.step(&[], action, Cause::Renamed(holder.name.to_string()));
        self.renamed.insert(Arc::clone(&holder.id), step);
        Some(vec![step])
    }
}
