//! Containers: creation, repair, live update and replacement of one object's set.

use crds_schema::ObjectKey;
use crds_schema::primitive::{
    ContainerSet, MountSource, NetworkMode, PullPolicy, ReplaceOrder, RestartPolicy, RunState, StopFirstReason,
};

use crate::builder::PlanBuilder;
use crate::compare::changed_limits;
use crate::decide::await_dependencies;
use crate::endpoints::{self, EndpointRepair};
use crate::inventory::ObservedContainer;
use crate::materialise::{container_create, endpoint_of, limits_of};
use crate::networks::{self, NetworkUse};
use crate::observed::{ContainerState, Limits, TimestampMs};
use crate::plan::{Action, Cause, ContainerRef, Outcome, Waiting, container_name};
use crate::slots::{self, Slot};
use crate::volumes;
use crate::world::{DesiredObject, ImageState, World};

/// How long after a container was found between two runs the Engine is given to start it again before we look again.
const ENGINE_RESTART_LOOK_MS: i64 = 2_000;

pub(crate) fn plan(
    world: &World,
    key: &ObjectKey,
    desired: &DesiredObject,
    set: &ContainerSet,
    now_ms: TimestampMs,
    builder: &mut PlanBuilder,
) {
    let slots = slots::sort(world, key, desired, set);
    let is_old_serving = slots.slots.iter().flat_map(|slot| &slot.old).any(|old| old.container.is_serving());
    let mut rollout = SetPlan {
        world,
        key,
        desired,
        set,
        now_ms,
        is_old_serving,
        builder,
        readiness: None,
        image: ImagePlan::Undecided,
        is_replacing: false,
    };
    if rollout.leave_replaced_networks(&slots.slots) {
        return;
    }
    let mut removed = Vec::new();
    for (container, cause) in &slots.surplus {
        if *cause == Cause::Duplicate {
            let message = "is a duplicate".to_owned();
            rollout.builder.find(format!("container/{}", container.name), "DuplicateContainer", message);
        }
        if let Some(step) = retire(container, set.stop_grace_secs, &[], cause, rollout.builder) {
            removed.push((container.name.to_string(), step));
        }
    }
    rollout.is_replacing = slots.slots.iter().any(|slot| rollout.is_mid_replacement(slot));
    for slot in &slots.slots {
        rollout.plan_slot(slot, &removed);
    }
}

/// Stops a container where it runs, and removes it. The restart policy goes first, so that nothing brings it back.
/// Returns the last step, or `None` where the Engine is removing it already.
pub(crate) fn retire(
    container: &ObservedContainer,
    grace_secs: u32,
    after: &[u32],
    cause: &Cause,
    builder: &mut PlanBuilder,
) -> Option<u32> {
    if container.state == ContainerState::Removing {
        builder.wait(Waiting::Removal { container: container.name.to_string() });
        builder.wake_in(ENGINE_RESTART_LOOK_MS);
        return None;
    }
    let stopped = stop(container, grace_secs, after, cause, builder);
    Some(builder.step(&stopped, Action::RemoveContainer { container: existing(container) }, cause.clone()))
}

/// Stops a container for good where it runs. Returns what must be done before the next step.
fn stop(
    container: &ObservedContainer,
    grace_secs: u32,
    after: &[u32],
    cause: &Cause,
    builder: &mut PlanBuilder,
) -> Vec<u32> {
    let mut after = after.to_vec();
    if !container.is_up() {
        return after;
    }
    if container.limits.restart != "no" {
        let limits = Limits { restart: "no".into(), ..Limits::default() };
        let action = Action::UpdateContainer { container: existing(container), limits };
        after = vec![builder.step(&after, action, Cause::Disarm)];
    }
    let action = Action::StopContainer { container: existing(container), grace_secs };
    vec![builder.step(&after, action, cause.clone())]
}

fn existing(container: &ObservedContainer) -> ContainerRef {
    ContainerRef::Existing { id: container.id.to_string(), name: container.name.to_string() }
}

/// What a create needs for its image's sake; decided once.
enum ImagePlan {
    /// Not asked yet.
    Undecided,
    /// These steps.
    After(Vec<u32>),
    /// It cannot be had.
    Unobtainable,
}

/// One object's set while it is planned.
struct SetPlan<'plan> {
    world: &'plan World,
    key: &'plan ObjectKey,
    desired: &'plan DesiredObject,
    set: &'plan ContainerSet,
    now_ms: TimestampMs,
    /// Whether a container of another template serves under the object's name.
    is_old_serving: bool,
    builder: &'plan mut PlanBuilder,
    /// Whether everything that a start needs is there; asked once.
    readiness: Option<bool>,
    /// What must be done before a create for the image's sake.
    image: ImagePlan,
    /// Whether one replacement is under way: there is never more than one more than wanted.
    is_replacing: bool,
}

impl SetPlan<'_> {
    /// Stops what is in a network that is being replaced, so that it can be. Returns whether there is such a network.
    fn leave_replaced_networks(&mut self, slots: &[Slot<'_>]) -> bool {
        let mut is_leaving = false;
        for attachment in self.set.template.networks.attachments() {
            let NetworkUse::BeingReplaced(network) = networks::network_use(self.world, &attachment.network) else {
                continue;
            };
            is_leaving = true;
            let cause = Cause::NetworkReplaced(attachment.network.clone());
            let containers =
                slots.iter().flat_map(|slot| slot.current.into_iter().chain(slot.old.iter().map(|old| old.container)));
            for container in
                containers.filter(|container| container.is_up() && container.endpoint(&network.id).is_some())
            {
                let grace_secs = self.set.stop_grace_secs;
                let action = Action::StopContainer { container: existing(container), grace_secs };
                self.builder.step(&[], action, cause.clone());
            }
            self.builder.wait(Waiting::Reference { key: attachment.network.clone(), lacks: "being replaced" });
        }
        is_leaving
    }

    /// Whether a slot has a new container that does not serve for long enough yet, beside an old one.
    fn is_mid_replacement(&self, slot: &Slot<'_>) -> bool {
        !slot.old.is_empty() && slot.current.is_some_and(|current| self.settles_in_ms(current) != Some(0))
    }

    fn plan_slot(&mut self, slot: &Slot<'_>, removed: &[(String, u32)]) {
        match (slot.current, slot.old.is_empty()) {
            (Some(current), true) => {
                self.ensure(current, slot);
            }
            (Some(current), false) => self.finish_replacement(current, slot),
            (None, true) => {
                let name = self.name_of_new(slot.ordinal, false);
                let after: Vec<u32> =
                    removed.iter().filter(|(removed_name, _)| *removed_name == name).map(|(_, step)| *step).collect();
                self.create(slot, &name, &after, &Cause::NotPresent);
            }
            (None, false) => self.begin_replacement(slot),
        }
    }

    /// The name of a new container: the exact one if the user fixed it and nobody of ours has it.
    fn name_of_new(&self, ordinal: u32, is_replacement: bool) -> String {
        match &self.set.template.exact_name {
            Some(name) if !is_replacement => name.clone(),
            Some(_) | None => container_name(&self.set.base_name, &self.desired.hash, ordinal),
        }
    }

    /// Makes a new container beside an old one, unless another replacement is under way.
    fn begin_replacement(&mut self, slot: &Slot<'_>) {
        let Some(old) = slot.old.first() else { return };
        let outcome = match self.stop_first_reason() {
            None => Outcome::ReplaceStartFirst,
            Some(reason) => Outcome::ReplaceStopFirst(reason),
        };
        self.builder.change(format!("container/{}", old.container.name), outcome, old.fields.clone());
        if self.is_replacing && old.container.is_serving() {
            return;
        }
        self.is_replacing = true;
        let name = self.name_of_new(slot.ordinal, true);
        self.create(slot, &name, &[], &Cause::SpecChanged(old.fields.clone()));
    }

    /// Why old containers must be stopped before new ones start.
    fn stop_first_reason(&self) -> Option<StopFirstReason> {
        match &self.set.replace_order {
            ReplaceOrder::StopFirst(reason) => Some(reason.clone()),
            ReplaceOrder::StartFirst => None,
        }
    }

    /// Creates a container and, where it is to run, starts it.
    fn create(&mut self, slot: &Slot<'_>, name: &str, after: &[u32], cause: &Cause) {
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
        if self.set.run == RunState::Running {
            let before_start = self.make_room(slot, &container, name, &[verified]);
            self.builder.step(&before_start, Action::StartContainer { container }, Cause::Created);
        }
    }

    /// Stops the old containers of a slot where they cannot run beside the new one, and hands the exact name over.
    /// Returns what must be done before the new one starts.
    fn make_room(&mut self, slot: &Slot<'_>, new: &ContainerRef, new_name: &str, after: &[u32]) -> Vec<u32> {
        let Some(reason) = self.stop_first_reason() else { return after.to_vec() };
        let mut last = after.to_vec();
        for old in &slot.old {
            let cause = Cause::StopFirst(reason.clone());
            last = stop(old.container, self.set.stop_grace_secs, &last, &cause, self.builder);
        }
        let Some(exact_name) = &self.set.template.exact_name else { return last };
        for old in slot.old.iter().filter(|old| *old.container.name == **exact_name) {
            let name = container_name(&self.set.base_name, &old.container.hash, old.container.ordinal);
            let action = Action::RenameContainer { container: existing(old.container), name };
            last = vec![self.builder.step(&last, action, Cause::ReplacedBy(new_name.to_owned()))];
        }
        if new_name != exact_name {
            let action = Action::RenameContainer { container: new.clone(), name: exact_name.clone() };
            last = vec![self.builder.step(&last, action, Cause::Created)];
        }
        last
    }

    /// Brings a new container up beside old ones, and removes those once it has served for long enough.
    fn finish_replacement(&mut self, current: &ObservedContainer, slot: &Slot<'_>) {
        let ensured = self.ensure(current, slot);
        match self.settles_in_ms(current) {
            Some(0) => {
                let cause = Cause::ReplacedBy(current.name.to_string());
                for old in &slot.old {
                    retire(old.container, self.set.stop_grace_secs, &ensured, &cause, self.builder);
                }
            }
            Some(remaining_ms) => {
                let lacks = "must serve a little longer before it replaces the old one".to_owned();
                self.builder.wait(Waiting::Readiness { container: current.name.to_string(), lacks });
                self.builder.wake_in(remaining_ms);
            }
            None => {
                let lacks = lacks_to_serve(current);
                self.builder.wait(Waiting::Readiness { container: current.name.to_string(), lacks });
            }
        }
    }

    /// In how many milliseconds a container will have served for long enough to replace another; `None` while it does not serve.
    fn settles_in_ms(&self, container: &ObservedContainer) -> Option<i64> {
        if self.set.run == RunState::Stopped {
            return Some(0);
        }
        if container.state == ContainerState::Exited && !self.is_to_be_started(container) {
            return Some(0);
        }
        let since_ms = container.serving_since_ms?;
        Some((since_ms + self.set.min_ready_ms - self.now_ms).max(0))
    }

    /// Repairs a container of the wanted template. Returns the steps that must be done before it counts as repaired.
    fn ensure(&mut self, container: &ObservedContainer, slot: &Slot<'_>) -> Vec<u32> {
        if container.state == ContainerState::Removing {
            self.builder.wait(Waiting::Removal { container: container.name.to_string() });
            self.builder.wake_in(ENGINE_RESTART_LOOK_MS);
            return Vec::new();
        }
        if let Some(cause) = self.recreate_cause(container) {
            self.recreate(container, slot, &cause);
            return Vec::new();
        }
        let mut steps = self.ensure_limits(container);
        steps.extend(self.ensure_name(container, slot));
        steps.extend(self.ensure_endpoints(container));
        self.ensure_state(container, slot, &steps);
        steps
    }

    /// Why a container must be made anew from the same template.
    fn recreate_cause(&mut self, container: &ObservedContainer) -> Option<Cause> {
        if container.state == ContainerState::Dead {
            return Some(Cause::Dead);
        }
        let limits = changed_limits(&container.limits, &limits_of(self.set));
        if !limits.is_live {
            return Some(Cause::SpecChanged(limits.fields));
        }
        let NetworkMode::Joined(attachments) = &self.set.template.networks else { return None };
        let primary = attachments.first()?;
        match networks::network_use(self.world, &primary.network) {
            NetworkUse::Ready(network) if *container.network_mode != *network.id => {
                Some(Cause::NetworkGone(network.name.to_string()))
            }
            NetworkUse::Ready(_) => {
                let gone = endpoints::gone_network(self.world, container);
                gone.filter(|_| !container.is_up()).map(Cause::NetworkGone)
            }
            NetworkUse::BeingReplaced(_) | NetworkUse::Missing | NetworkUse::Undefined => None,
        }
    }

    /// Removes a container and makes it anew under the same name; everything that the new one needs is there.
    fn recreate(&mut self, container: &ObservedContainer, slot: &Slot<'_>, cause: &Cause) {
        let subject = format!("container/{}", container.name);
        let reason = StopFirstReason::ExactName(container.name.to_string());
        if let Cause::SpecChanged(fields) = cause {
            self.builder.change(subject, Outcome::ReplaceStopFirst(reason), fields.clone());
        } else {
            self.builder.change(subject.clone(), Outcome::ReplaceStopFirst(reason), Vec::new());
            self.builder.find(subject, "ContainerUnusable", cause.to_string());
        }
        if !self.is_ready_to_start() {
            return;
        }
        let Some(before) = self.image_steps() else { return };
        let Some(removed) = retire(container, self.set.stop_grace_secs, &before, cause, self.builder) else { return };
        let name = self.name_of_new(slot.ordinal, !slot.old.is_empty());
        self.create(slot, &name, &[removed], cause);
    }

    fn ensure_limits(&mut self, container: &ObservedContainer) -> Vec<u32> {
        let limits = limits_of(self.set);
        let changes = changed_limits(&container.limits, &limits);
        if changes.fields.is_empty() {
            return Vec::new();
        }
        let is_wanted_change = self
            .desired
            .previous_limits
            .as_ref()
            .is_some_and(|previous| changed_limits(&container.limits, previous).fields.is_empty());
        let subject = format!("container/{}", container.name);
        self.builder.change(subject.clone(), Outcome::LiveUpdate, changes.fields.clone());
        let cause = if is_wanted_change {
            Cause::SpecChanged(changes.fields)
        } else {
            let cause = Cause::Drifted(changes.fields);
            self.builder.find(subject, "ContainerUpdated", cause.to_string());
            cause
        };
        let action = Action::UpdateContainer { container: existing(container), limits };
        vec![self.builder.step(&[], action, cause)]
    }

    fn ensure_name(&mut self, container: &ObservedContainer, slot: &Slot<'_>) -> Vec<u32> {
        let derived = container_name(&self.set.base_name, &container.hash, container.ordinal);
        let is_handed_over =
            slot.old.iter().all(|old| Some(&*old.container.name) != self.set.template.exact_name.as_deref());
        let wanted = match &self.set.template.exact_name {
            Some(exact_name) if is_handed_over => exact_name,
            // The old container still has the name: it is handed over when that one is stopped.
            Some(_) => return Vec::new(),
            None => &derived,
        };
        if *container.name == **wanted {
            return Vec::new();
        }
        if *container.name != *derived {
            let message = format!("was renamed to `{}` by somebody else", container.name);
            self.builder.find(format!("container/{wanted}"), "ContainerRenamed", message);
        }
        let action = Action::RenameContainer { container: existing(container), name: wanted.clone() };
        vec![self.builder.step(&[], action, Cause::Renamed(container.name.to_string()))]
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

    fn ensure_state(&mut self, container: &ObservedContainer, slot: &Slot<'_>, after: &[u32]) {
        let subject = format!("container/{}", container.name);
        match (container.state, self.set.run) {
            (ContainerState::Paused, RunState::Running) => {
                self.builder.find(subject, "ContainerPaused", Cause::Paused.to_string());
                self.builder.step(after, Action::UnpauseContainer { container: existing(container) }, Cause::Paused);
            }
            (ContainerState::Restarting, RunState::Running) => {
                let exit_code = container.exit_code;
                self.builder.wait(Waiting::EngineRestart { container: container.name.to_string(), exit_code });
                self.builder.wake_in(ENGINE_RESTART_LOOK_MS);
            }
            (ContainerState::Created | ContainerState::Exited, RunState::Running) => self.start(container, slot, after),
            (ContainerState::Running | ContainerState::Paused | ContainerState::Restarting, RunState::Stopped) => {
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
    }

    /// Whether a container that has ended is to be started again.
    fn is_to_be_started(&self, container: &ObservedContainer) -> bool {
        match (container.state, self.set.live.restart) {
            (ContainerState::Created, _) | (_, RestartPolicy::Always) => true,
            (_, RestartPolicy::OnFailure) => container.exit_code != 0,
            (_, RestartPolicy::Never) => false,
        }
    }

    fn start(&mut self, container: &ObservedContainer, slot: &Slot<'_>, after: &[u32]) {
        if !self.is_to_be_started(container) {
            return;
        }
        let is_first_start = container.state == ContainerState::Created;
        if is_first_start && !self.is_ready_to_start() {
            return;
        }
        if !is_first_start && self.lacks_references() {
            return;
        }
        let mut after = after.to_vec();
        let cause = if is_first_start {
            after.push(self.verify(container, slot));
            Cause::NotStarted(container.error.to_string())
        } else {
            let cause = Cause::Exited { code: container.exit_code, oom_killed: container.oom_killed };
            self.builder.find(format!("container/{}", container.name), "ContainerExited", cause.to_string());
            cause
        };
        let new = existing(container);
        let after = self.make_room(slot, &new, &container.name, &after);
        self.builder.step(&after, Action::StartContainer { container: new }, cause);
    }

    /// A container that was created in an earlier pass may not have been compared with what was asked for.
    fn verify(&mut self, container: &ObservedContainer, slot: &Slot<'_>) -> u32 {
        let what = (slot.ordinal, &*container.name, false);
        let mut expected = container_create(self.world, self.key, self.desired, self.set, what);
        // Its labels are proved already, and may have been written by an older release.
        expected.config.labels.clear();
        let action = Action::VerifyContainer { container: existing(container), expected: Box::new(expected) };
        self.builder.step(&[], action, Cause::VerifyCreated)
    }

    /// Whether what the set refers to and depends on is there; what is not is waited for.
    fn is_ready_to_start(&mut self) -> bool {
        if let Some(is_ready) = self.readiness {
            return is_ready;
        }
        let lacks_references = self.lacks_references();
        let lacks_dependencies = await_dependencies(self.world, self.desired, self.builder);
        let is_ready = !lacks_references && !lacks_dependencies;
        self.readiness = Some(is_ready);
        is_ready
    }

    fn lacks_references(&mut self) -> bool {
        let mut is_lacking = false;
        for attachment in self.set.template.networks.attachments() {
            let lacks = match networks::network_use(self.world, &attachment.network) {
                NetworkUse::Ready(_) => continue,
                NetworkUse::BeingReplaced(_) => "being replaced",
                NetworkUse::Missing => "not created yet",
                NetworkUse::Undefined => "not defined",
            };
            is_lacking = true;
            self.builder.wait(Waiting::Reference { key: attachment.network.clone(), lacks });
        }
        for mount in &self.set.template.mounts {
            let MountSource::Volume(key) = &mount.source else { continue };
            if !volumes::is_present(self.world, key) {
                is_lacking = true;
                let lacks = if self.world.desired(key).is_some() { "not created yet" } else { "not defined" };
                self.builder.wait(Waiting::Reference { key: key.clone(), lacks });
            }
        }
        is_lacking
    }

    /// What must be done before a create for the image's sake; `None` when it cannot be had.
    fn image_steps(&mut self) -> Option<Vec<u32>> {
        match &self.image {
            ImagePlan::Undecided => {
                // Decided below.
            }
            ImagePlan::After(steps) => return Some(steps.clone()),
            ImagePlan::Unobtainable => return None,
        }
        let reference = self.set.template.image.clone();
        let is_absent = self.world.image(&reference) == Some(&ImageState::Absent);
        let pull = |builder: &mut PlanBuilder, cause| {
            Some(vec![builder.step(&[], Action::PullImage { reference: reference.clone() }, cause)])
        };
        let steps = match (self.set.pull_policy, is_absent) {
            (PullPolicy::Always, _) => pull(self.builder, Cause::PullAlways),
            (PullPolicy::IfNotPresent, true) => pull(self.builder, Cause::NotPresent),
            (PullPolicy::IfNotPresent | PullPolicy::Never, false) => Some(Vec::new()),
            (PullPolicy::Never, true) => {
                self.builder.wait(Waiting::ImageAbsent { reference });
                None
            }
        };
        self.image = steps.clone().map_or(ImagePlan::Unobtainable, ImagePlan::After);
        steps
    }
}

/// What a container lacks to serve, for people.
pub(crate) fn lacks_to_serve(container: &ObservedContainer) -> String {
    use crate::observed::Health;
    match (container.state, container.health) {
        (ContainerState::Running, Health::Starting) => "health: starting".to_owned(),
        (ContainerState::Running, Health::Unhealthy) => "health: unhealthy".to_owned(),
        (ContainerState::Running, Health::None | Health::Healthy) => "running".to_owned(),
        (state, _) if container.error.is_empty() => state.as_str().to_owned(),
        (state, _) => format!("{}: {}", state.as_str(), container.error),
    }
}
