//! Repair: whether a container of the wanted template is as it should be, and what to do where it is not.

use std::sync::Arc;

use crds_schema::primitive::{RestartPolicy, RunState, StopFirstReason};

use crate::compare::{LimitChanges, changed_limits};
use crate::containers::SetPlan;
use crate::endpoints::{self, EndpointRepair};
use crate::inventory::{ObservedContainer, is_derived_name, replacement_names};
use crate::materialise::container_create;
use crate::observed::ContainerState;
use crate::plan::{Action, Cause, Outcome, Waiting, container_name};
use crate::retire::{ENGINE_LOOK_MS, await_removal, existing, retire};
use crate::slots::Slot;

impl SetPlan<'_> {
    /// Repairs a container of the wanted template. Returns the steps that must be done before it counts as repaired, or `None` where
    /// it must be made anew.
    pub(crate) fn ensure(&mut self, container: &ObservedContainer, slot: &Slot<'_>) -> Option<Vec<u32>> {
        if container.state == ContainerState::Removing {
            await_removal(container, self.builder);
            return None;
        }
        if let Some(cause) = self.recreate_cause(container) {
            self.recreate(container, slot, &cause);
            return None;
        }
        let is_disarmed = self.is_disarmed(container);
        let mut steps = if is_disarmed { Vec::new() } else { self.ensure_limits(container, &[]) };
        steps.extend(self.ensure_name(container, slot));
        steps.extend(self.ensure_endpoints(container));
        let started = self.ensure_state(container, slot, &steps);
        // That it is disarmed is how a crash of ours between the two calls is told from an end of its own: it goes last.
        if let Some(started) = started.filter(|_| is_disarmed) {
            self.ensure_limits(container, &[started]);
        }
        Some(steps)
    }

    /// Whether it was stopped by us, on the way out or for `state: Stopped`, and not by its own end.
    pub(crate) fn is_disarmed(&self, container: &ObservedContainer) -> bool {
        container.state == ContainerState::Exited && container.limits.restart == "no" && self.limits.restart != "no"
    }

    /// Why a container that does not run must be made anew from the same template. One that runs is replaced: see [`crate::slots`].
    fn recreate_cause(&self, container: &ObservedContainer) -> Option<Cause> {
        if container.state == ContainerState::Dead {
            return Some(Cause::Dead);
        }
        if container.is_up() {
            return None;
        }
        if is_half_started(&container.error) {
            return Some(Cause::HalfStarted);
        }
        let unusable = crate::slots::unusable_cause(self.world, container, self.desired, self.set, &self.limits);
        unusable.or_else(|| endpoints::gone_network(self.world, container).map(Cause::NetworkGone))
    }

    /// Removes a container and makes it anew under the same name; everything that the new one needs is there.
    fn recreate(&mut self, container: &ObservedContainer, slot: &Slot<'_>, cause: &Cause) {
        let subject = format!("container/{}", container.name);
        let reason = StopFirstReason::ExactName(container.name.to_string());
        self.report_cause(container, cause);
        self.builder.change(subject, Outcome::ReplaceStopFirst(reason), crate::slots::fields_of(cause));
        if !self.is_ready_to_start() {
            return;
        }
        let Some(before) = self.image_steps() else { return };
        let Some(removed) = retire(container, self.set.stop_grace_secs, &before, cause, self.builder) else { return };
        self.retired.push((Arc::clone(&container.id), removed));
        let name = self.name_of_new(slot);
        let Some(mut after) = self.free_name(&name, None) else { return };
        after.push(removed);
        after.dedup();
        self.create(slot, &name, &after, cause);
    }

    /// Reports why a container is made anew, where that is not our own doing.
    pub(crate) fn report_cause(&mut self, container: &ObservedContainer, cause: &Cause) {
        let is_drift = matches!(cause, Cause::Drifted(_));
        // What was stopped by us was stopped so that its network could be replaced.
        if matches!(cause, Cause::SpecChanged(_)) || (!is_drift && self.is_disarmed(container)) {
            return;
        }
        let reason = if is_drift { "ContainerUpdated" } else { "ContainerUnusable" };
        self.builder.find(format!("container/{}", container.name), reason, cause.to_string());
    }

    fn ensure_limits(&mut self, container: &ObservedContainer, after: &[u32]) -> Vec<u32> {
        let changes = changed_limits(&container.limits, &self.limits);
        if changes.fields.is_empty() {
            return Vec::new();
        }
        let is_rearmed = self.is_disarmed(container) && is_restart_only(&changes);
        let is_wanted_change = self.desired.had_limits(&container.limits);
        let subject = format!("container/{}", container.name);
        self.builder.change(subject.clone(), Outcome::LiveUpdate, changes.fields.clone());
        let cause = if is_rearmed {
            Cause::Rearm
        } else if is_wanted_change {
            Cause::SpecChanged(changes.fields)
        } else {
            let cause = Cause::Drifted(changes.fields);
            self.builder.find(subject, "ContainerUpdated", cause.to_string());
            cause
        };
        let action = Action::UpdateContainer { container: existing(container), limits: self.limits.clone() };
        vec![self.builder.step(after, action, cause)]
    }

    fn ensure_name(&mut self, container: &ObservedContainer, slot: &Slot<'_>) -> Vec<u32> {
        if self.renamed.contains_key(&container.id) {
            return Vec::new();
        }
        let derived = container_name(&self.set.base_name, &container.hash, container.ordinal);
        let wanted = self.set.template.exact_name.as_ref().unwrap_or(&derived);
        // A name that the old container still has is handed over when that one is stopped or removed.
        let is_free = slot.old.iter().all(|old| *old.container.name != **wanted);
        if *container.name == **wanted || !is_free {
            return Vec::new();
        }
        let wanted = match self.world.container_named(wanted).filter(|holder| holder.owner != *self.key) {
            None => wanted.clone(),
            Some(holder) => {
                // Its own object gives that one its name back, which may be the one that this one has now: it makes way.
                let (subject, owner) = (format!("container/{wanted}"), holder.owner.clone());
                self.builder.wait(Waiting::NameInUse { subject, owner });
                self.builder.wake_in(ENGINE_LOOK_MS);
                if is_derived_name(&container.name, &derived) {
                    return Vec::new();
                }
                let is_free = |name: &String| !self.world.containers_of(self.key).any(|other| *other.name == **name);
                let Some(own_name) = replacement_names(&derived).find(is_free) else { return Vec::new() };
                own_name
            }
        };
        let Some(after) = self.free_name(&wanted, Some(&container.id)) else { return Vec::new() };
        let cause = if is_derived_name(&container.name, &derived) {
            Cause::Created
        } else {
            let message = format!("was renamed to `{}` by somebody else", container.name);
            self.builder.find(format!("container/{wanted}"), "ContainerRenamed", message);
            Cause::Renamed(container.name.to_string())
        };
        let action = Action::RenameContainer { container: existing(container), name: wanted };
        let step = self.builder.step(&after, action, cause);
        self.renamed.insert(Arc::clone(&container.id), step);
        vec![step]
    }

    fn ensure_endpoints(&mut self, container: &ObservedContainer) -> Vec<u32> {
        // Beside an old one that serves, a new one gets the object's name when it serves for long enough itself.
        let is_named =
            !self.is_old_serving || self.stop_first_reason().is_some() || self.settles_in_ms(container) == Some(0);
        let mut steps = Vec::new();
        for repair in endpoints::repairs(self.world, &self.set.template.networks, container, is_named) {
            let subject = format!("container/{}", container.name);
            let is_deliberate = matches!(repair.cause(), Cause::BecameReady | Cause::Created);
            if !is_deliberate {
                self.builder.find(subject, repair.reason(), repair.cause().to_string());
            }
            let mut after = Vec::new();
            if let EndpointRepair::Disconnect { network_id, network_name, cause }
            | EndpointRepair::Reconnect { network_id, network_name, cause, .. } = &repair
            {
                let (network_id, network_name) = (network_id.clone(), network_name.clone());
                let action = Action::DisconnectNetwork { container: existing(container), network_id, network_name };
                after = vec![self.builder.step(&[], action, cause.clone())];
            }
            if let EndpointRepair::Connect { endpoint, cause } | EndpointRepair::Reconnect { endpoint, cause, .. } =
                repair
            {
                let action = Action::ConnectNetwork { container: existing(container), endpoint };
                after = vec![self.builder.step(&after, action, cause)];
            }
            steps.extend(after);
        }
        steps
    }

    /// Returns the step that starts it.
    fn ensure_state(&mut self, container: &ObservedContainer, slot: &Slot<'_>, after: &[u32]) -> Option<u32> {
        let subject = format!("container/{}", container.name);
        match (container.state, self.set.run) {
            (ContainerState::Paused, RunState::Running) => {
                self.builder.find(subject, "ContainerPaused", Cause::Paused.to_string());
                self.builder.step(after, Action::UnpauseContainer { container: existing(container) }, Cause::Paused);
            }
            (ContainerState::Restarting, RunState::Running) => {
                let exit_code = container.exit_code;
                self.builder.wait(Waiting::EngineRestart { container: container.name.to_string(), exit_code });
                self.builder.wake_in(ENGINE_LOOK_MS);
            }
            (ContainerState::Created | ContainerState::Exited, RunState::Running) => {
                return self.start(container, slot, after);
            }
            (ContainerState::Running | ContainerState::Paused | ContainerState::Restarting, RunState::Stopped) => {
                if !self.is_released(container) {
                    return None;
                }
                let grace_secs = self.set.stop_grace_secs;
                let action = Action::StopContainer { container: existing(container), grace_secs };
                self.builder.step(after, action, Cause::StateStopped);
            }
            (ContainerState::Running, RunState::Running)
            | (ContainerState::Created | ContainerState::Exited, RunState::Stopped)
            | (ContainerState::Removing | ContainerState::Dead, _) => {
                // It is as it should be, or it was seen to before.
            }
        }
        None
    }

    /// Whether a container that has ended is to be started again.
    pub(crate) fn is_to_be_started(&self, container: &ObservedContainer) -> bool {
        match (container.state, self.set.live.restart) {
            (ContainerState::Created, _) | (_, RestartPolicy::Always) => true,
            (_, RestartPolicy::OnFailure) => container.exit_code != 0 || self.is_disarmed(container),
            (_, RestartPolicy::Never) => false,
        }
    }

    fn start(&mut self, container: &ObservedContainer, slot: &Slot<'_>, after: &[u32]) -> Option<u32> {
        if !self.is_to_be_started(container) {
            return None;
        }
        let is_first_start = container.state == ContainerState::Created;
        let is_possible = if is_first_start { self.is_ready_to_start() } else { !self.lacks_references() };
        if !is_possible || !self.has_room(slot) {
            return None;
        }
        let mut after = after.to_vec();
        let cause = if is_first_start {
            after = vec![self.verify(container, slot, &after)];
            Cause::NotStarted(container.error.to_string())
        } else {
            let cause = Cause::Exited { code: container.exit_code, oom_killed: container.oom_killed };
            if !self.is_disarmed(container) {
                self.builder.find(format!("container/{}", container.name), "ContainerExited", cause.to_string());
            }
            cause
        };
        let new = existing(container);
        let name = match &self.set.template.exact_name {
            Some(exact_name) if self.renamed.contains_key(&container.id) => exact_name.clone(),
            Some(_) | None => container.name.to_string(),
        };
        let after = self.make_room(slot, &new, &name, &after);
        Some(self.builder.step(&after, Action::StartContainer { container: new }, cause))
    }

    /// A container that was created in an earlier pass may not have been compared with what was asked for.
    fn verify(&mut self, container: &ObservedContainer, slot: &Slot<'_>, after: &[u32]) -> u32 {
        let what = (slot.ordinal, &*container.name, false);
        let mut expected = container_create(self.world, self.key, self.desired, self.set, what);
        // Its labels are proved already, and may have been written by an older release.
        expected.config.labels.clear();
        let action = Action::VerifyContainer { container: existing(container), expected: Box::new(expected) };
        self.builder.step(after, action, Cause::VerifyCreated)
    }
}

/// What a start fails with, in small letters, when containerd or runc has something of the container that the Engine does not know: all pieces of
/// one row. Each release says it in its own words (<https://github.com/moby/moby/issues/40613>, <https://github.com/moby/moby/issues/36145>).
const LEFT_OVER: [&[&str]; 6] = [
    &["task ", ": already exists"],
    &["container \"", ": already exists"],
    &["id already in use"],
    &["container with id exists"],
    &["container with given id already exists"],
    &["mkdir ", "/io.containerd.runtime", ": file exists"],
];

/// Whether the last start failed for what the Engine has left of one that it was killed in the middle of. No start succeeds after that, and
/// another container does.
fn is_half_started(error: &str) -> bool {
    let error = error.to_lowercase();
    LEFT_OVER.iter().any(|pieces| pieces.iter().all(|piece| error.contains(piece)))
}

fn is_restart_only(changes: &LimitChanges) -> bool {
    changes.fields.iter().all(|change| change.field == "restart")
}
