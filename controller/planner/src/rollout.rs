//! Rollout: creating containers, and replacing those that were made from another template.

use std::sync::Arc;

use crds_schema::primitive::{Readiness, ReplaceOrder, RunState, StopFirstReason};

use crate::containers::SetPlan;
use crate::inventory::{ObservedContainer, ProbeOutcome, replacement_names};
use crate::materialise::{container_create, endpoint_of};
use crate::observed::ContainerState;
use crate::plan::{Action, Cause, ContainerRef, Outcome, Waiting, container_name};
use crate::retire::{await_removal, existing, is_released, retire, stop};
use crate::slots::{Slot, preference};

impl SetPlan<'_> {
    /// Whether a slot forbids that another one's replacement is begun: its old container still runs beside the new one, so that a
    /// second pair would be one container too many, or its new container does not serve, so that the next might not either.
    pub(crate) fn is_mid_replacement(&self, slot: &Slot<'_>) -> bool {
        let Some(current) = slot.current else { return false };
        let is_old_up = slot.old.iter().any(|old| old.container.is_up());
        is_old_up || self.settles_in_ms(current) != Some(0)
    }

    /// Makes a new container beside an old one, unless another replacement is under way.
    pub(crate) fn begin_replacement(&mut self, slot: &Slot<'_>) {
        let Some(old) = slot.old.first() else { return };
        let outcome = match self.stop_first_reason() {
            None => Outcome::ReplaceStartFirst,
            Some(reason) => Outcome::ReplaceStopFirst(reason),
        };
        self.report_cause(old.container, &old.cause);
        self.builder.change(format!("container/{}", old.container.name), outcome, old.fields.clone());
        if self.set.run == RunState::Stopped {
            for old in &slot.old {
                if self.is_released(old.container) {
                    stop(old.container, self.set.stop_grace_secs, &[], &Cause::StateStopped, self.builder);
                }
            }
        }
        if self.is_replacing && old.container.may_serve() {
            return;
        }
        self.is_replacing = true;
        self.retire_superseded(slot);
        self.keep_old_up(slot);
        let (name, cause) = (self.name_of_new(slot), old.cause.clone());
        self.create(slot, &name, &[], &cause);
    }

    /// Brings a new container up beside old ones, and removes those once it has served for long enough.
    pub(crate) fn finish_replacement(&mut self, current: &ObservedContainer, slot: &Slot<'_>) {
        let is_settled = self.settles_in_ms(current) == Some(0);
        if !is_settled {
            self.retire_superseded(slot);
        }
        let Some(ensured) = self.ensure(current, slot) else { return };
        if is_settled {
            let cause = Cause::ReplacedBy(current.name.to_string());
            for old in &slot.old {
                retire(old.container, self.set.stop_grace_secs, &ensured, &cause, self.builder);
            }
        } else {
            self.keep_old_up(slot);
            self.await_serving(current);
        }
    }

    /// Of several old containers only the best stays beside a new one: the others were themselves to replace it, and there is never
    /// more than one more than wanted. Where they must all stop first, they do so later, and in order.
    fn retire_superseded(&mut self, slot: &Slot<'_>) {
        let Some(best) = slot.old.iter().min_by_key(|old| preference(old.container)) else { return };
        if self.stop_first_reason().is_some() {
            return;
        }
        let cause = Cause::Superseded(best.container.name.to_string());
        for old in slot.old.iter().filter(|old| old.container.id != best.container.id) {
            if let Some(step) = retire(old.container, self.set.stop_grace_secs, &[], &cause, self.builder) {
                self.retired.push((Arc::clone(&old.container.id), step));
                self.superseded.push(step);
            }
        }
    }

    /// Waits until a container has served for long enough.
    pub(crate) fn await_serving(&mut self, container: &ObservedContainer) {
        let lacks = match self.settles_in_ms(container) {
            Some(remaining_ms) => {
                self.builder.wake_in(remaining_ms);
                "must serve a little longer".to_owned()
            }
            None => lacks_to_serve(container),
        };
        self.builder.wait(Waiting::Readiness { container: container.name.to_string(), lacks });
    }

    /// Repairs the best old container where nobody but it can serve: what replaces it may never. Not where the old one must stop
    /// before the new one starts, nor where the Engine was told to leave it alone.
    fn keep_old_up(&mut self, slot: &Slot<'_>) {
        let is_any_up = slot.current.is_some_and(ObservedContainer::is_serving)
            || slot.old.iter().any(|old| old.container.may_serve());
        if is_any_up || self.stop_first_reason().is_some() || self.set.run == RunState::Stopped {
            return;
        }
        let Some(old) = slot.old.first().map(|old| old.container) else { return };
        let is_stranded = crate::endpoints::gone_network(self.world, old).is_some();
        let subject = format!("container/{}", old.name);
        match old.state {
            ContainerState::Paused => {
                self.builder.find(subject, "ContainerPaused", Cause::Paused.to_string());
                self.builder.step(&[], Action::UnpauseContainer { container: existing(old) }, Cause::Paused);
            }
            ContainerState::Exited if old.limits.restart != "no" && self.is_to_be_started(old) && !is_stranded => {
                let cause = Cause::Exited { code: old.exit_code, oom_killed: old.oom_killed };
                self.builder.find(subject, "ContainerExited", cause.to_string());
                self.builder.step(&[], Action::StartContainer { container: existing(old) }, cause);
            }
            ContainerState::Created
            | ContainerState::Running
            | ContainerState::Restarting
            | ContainerState::Removing
            | ContainerState::Exited
            | ContainerState::Dead => {
                // It runs, never did, or cannot be helped.
            }
        }
    }

    /// The name of a new container: the exact one if the user fixed it and nobody of ours has it, else the derived one, with a
    /// suffix where the container that it replaces is from the same template. The suffix goes when the old one does.
    pub(crate) fn name_of_new(&self, slot: &Slot<'_>) -> String {
        if let Some(name) = &self.set.template.exact_name
            && slot.old.is_empty()
        {
            return name.clone();
        }
        let derived = container_name(&self.set.base_name, &self.desired.hash, slot.ordinal);
        // An exact name is handed over: the old container then takes the name that its own template gives.
        let is_taken = |name: &str| {
            slot.old.iter().any(|old| *old.container.name == *name)
                || (name == derived && slot.old.iter().any(|old| old.container.hash == self.desired.hash))
        };
        let free = replacement_names(&derived).find(|name| !is_taken(name));
        free.unwrap_or(derived)
    }

    /// Why old containers must be stopped before new ones start.
    pub(crate) fn stop_first_reason(&self) -> Option<StopFirstReason> {
        match &self.set.replace_order {
            ReplaceOrder::StopFirst(reason) => Some(reason.clone()),
            ReplaceOrder::StartFirst => None,
        }
    }

    /// Creates a container and, where it is to run, starts it.
    pub(crate) fn create(&mut self, slot: &Slot<'_>, name: &str, after: &[u32], cause: &Cause) {
        if !self.is_ready_to_start() {
            return;
        }
        let Some(mut before_create) = self.image_steps() else { return };
        before_create.extend_from_slice(after);
        let with_aliases = !self.is_old_serving || self.stop_first_reason().is_some();
        let what = (slot.ordinal, name, with_aliases);
        let create = container_create(self.world, self.key, self.desired, self.set, what);
        let created =
            self.builder.step(&before_create, Action::CreateContainer(Box::new(create.clone())), cause.clone());
        let container = ContainerRef::Created { step: created, name: name.to_owned() };
        let mut before_verify = vec![created];
        for attachment in self.set.template.networks.attachments().iter().skip(1) {
            if let Some(endpoint) = endpoint_of(self.world, attachment, with_aliases) {
                let action = Action::ConnectNetwork { container: container.clone(), endpoint };
                before_verify = vec![self.builder.step(&before_verify, action, Cause::Created)];
            }
        }
        let verify = Action::VerifyContainer { container: container.clone(), expected: Box::new(create) };
        let verified = self.builder.step(&before_verify, verify, Cause::VerifyCreated);
        if self.set.run == RunState::Running && self.has_room_already(slot) {
            let before_start = self.make_room(slot, &container, name, &[verified]);
            self.builder.step(&before_start, Action::StartContainer { container }, Cause::Created);
        }
    }

    /// Whether a container may be stopped; else that is waited for.
    pub(crate) fn is_released(&mut self, container: &ObservedContainer) -> bool {
        is_released(self.world, container, self.now_ms, self.builder)
    }

    /// Whether what cannot run beside a new container may be stopped now. Nobody lets go of it for the sake of a container that is not there
    /// yet: its image may never come, and what is made may not be what was asked for.
    fn has_room_already(&mut self, slot: &Slot<'_>) -> bool {
        let is_in_use = |container| self.world.releases_in_ms(container, self.now_ms) > 0;
        let in_use: Vec<_> = slot.old.iter().filter(|old| is_in_use(old.container)).collect();
        if in_use.is_empty() || self.stop_first_reason().is_none() {
            return self.has_room(slot);
        }
        for old in in_use {
            self.builder.wait(Waiting::Release { container: old.container.name.to_string() });
        }
        false
    }

    /// Whether what cannot run beside a new container may be stopped now; else that is waited for.
    pub(crate) fn has_room(&mut self, slot: &Slot<'_>) -> bool {
        if self.stop_first_reason().is_none() {
            return true;
        }
        // Each of them is told, whatever the others are at.
        let awaited = slot.old.iter().filter(|old| !self.is_released(old.container)).count();
        awaited == 0 && !self.is_room_awaited
    }

    /// Stops the old containers of a slot where they cannot run beside the new one, and hands the exact name over.
    /// Returns what must be done before the new one starts.
    pub(crate) fn make_room(&mut self, slot: &Slot<'_>, new: &ContainerRef, new_name: &str, after: &[u32]) -> Vec<u32> {
        let mut last = after.to_vec();
        let Some(reason) = self.stop_first_reason() else {
            last.extend(&self.superseded);
            return last;
        };
        // What is surplus may hold the same port, or write to the same volume.
        last.extend(self.retired.iter().map(|(_, step)| *step));
        for old in &slot.old {
            let cause = Cause::StopFirst(reason.clone());
            if old.container.state == ContainerState::Created {
                // It never ran, but a start may be under way that the last controller asked for before it was killed.
                last.extend(retire(old.container, self.set.stop_grace_secs, &last, &cause, self.builder));
            } else {
                last = stop(old.container, self.set.stop_grace_secs, &last, &cause, self.builder);
            }
        }
        let Some(exact_name) = &self.set.template.exact_name else { return last };
        let is_there = |old: &&crate::slots::OldContainer<'_>| old.container.state != ContainerState::Created;
        for old in slot.old.iter().filter(is_there).filter(|old| *old.container.name == **exact_name) {
            let derived = container_name(&self.set.base_name, &old.container.hash, old.container.ordinal);
            let is_free = |name: &String| !self.world.containers_of(self.key).any(|other| *other.name == **name);
            let Some(name) = replacement_names(&derived).find(is_free) else { continue };
            let action = Action::RenameContainer { container: existing(old.container), name };
            last = vec![self.builder.step(&last, action, Cause::ReplacedBy(new_name.to_owned()))];
        }
        if new_name != exact_name {
            let action = Action::RenameContainer { container: new.clone(), name: exact_name.clone() };
            last = vec![self.builder.step(&last, action, Cause::Created)];
        }
        last
    }

    /// Whether an old container is being removed that holds what the new one needs; it is waited for.
    pub(crate) fn awaits_removal_of_old(&mut self, slot: &Slot<'_>) -> bool {
        if self.stop_first_reason().is_none() {
            return false;
        }
        let is_going = |old: &&crate::slots::OldContainer<'_>| old.container.state == ContainerState::Removing;
        let Some(old) = slot.old.iter().find(is_going) else { return false };
        await_removal(old.container, self.builder);
        true
    }

    /// In how many milliseconds a container will have served for long enough to replace another; `None` while it does not serve.
    pub(crate) fn settles_in_ms(&self, container: &ObservedContainer) -> Option<i64> {
        if self.set.run == RunState::Stopped {
            return Some(0);
        }
        if container.state == ContainerState::Exited && !self.is_to_be_started(container) {
            return (container.exit_code == 0).then_some(0);
        }
        let since_ms = container.serving_since_ms?;
        let remaining_ms = since_ms.saturating_add(self.set.min_ready_ms).saturating_sub(self.now_ms);
        // A clock that was set back does not make it longer.
        Some(remaining_ms.clamp(0, self.set.min_ready_ms.max(0)))
    }
}

/// What a container lacks to serve, for people.
pub(crate) fn lacks_to_serve(container: &ObservedContainer) -> String {
    use crate::observed::Health;
    if container.state == ContainerState::Running && container.readiness == Readiness::Probed {
        return match &container.probe {
            ProbeOutcome::Unknown => "no MCP answer yet".to_owned(),
            ProbeOutcome::Ready => "running".to_owned(),
            ProbeOutcome::Failed(problem) | ProbeOutcome::Held(problem) => problem.clone(),
        };
    }
    match (container.state, container.health) {
        (ContainerState::Running, Health::Starting) => "health: starting".to_owned(),
        (ContainerState::Running, Health::Unhealthy) => "health: unhealthy".to_owned(),
        (ContainerState::Running, Health::None | Health::Healthy) => "running".to_owned(),
        (state, _) if container.error.is_empty() => state.as_str().to_owned(),
        (state, _) => format!("{}: {}", state.as_str(), container.error),
    }
}
