//! Progress: how far the rollout of an object's spec is, and whether it has failed.
//!
//! It has failed when a container of its template was started and has not come to serve within the deadline. What was never started waits
//! for something else, such as its image. What is held back by whoever uses it, or was never asked, has not failed.

use std::collections::BTreeSet;
use std::sync::Arc;

use crds_schema::ObjectKey;
use crds_schema::primitive::{ContainerSet, OnFailure, Primitive, Readiness, RunState};

use crate::builder::PlanBuilder;
use crate::compare::changed_limits;
use crate::containers::SetPlan;
use crate::inventory::{ObservedContainer, ProbeOutcome};
use crate::observed::{ContainerState, TimestampMs};
use crate::plan::{Cause, format_ms};
use crate::rollout::lacks_to_serve;
use crate::slots::{Slot, Slots};
use crate::world::{ReportStatus, World};

/// How far the rollout of an object's spec is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rollout {
    /// The hash of the spec that was judged: see [`DesiredObject::spec_hash`]. Empty where there is none.
    pub spec_hash: Arc<str>,
    /// Ids of the containers that were started and have not served for long enough: [`World::set_tried`] remembers since when.
    pub tried: BTreeSet<String>,
    /// How far it is.
    pub stage: RolloutStage,
}

/// How far a rollout is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum RolloutStage {
    /// There is nothing to judge: nothing is rolled out, or it waits for something else.
    #[default]
    Open,
    /// Containers were started, and have some time left to serve.
    Tried,
    /// Nothing but what is wanted is there, and it serves.
    Serving {
        /// In how many milliseconds it will have served for long enough, so that the rollout is complete.
        in_ms: i64,
    },
    /// It has not come to serve in time.
    Failed(RolloutFailure),
}

/// What is known of a rollout that has failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutFailure {
    /// The full id of the container that does not serve; the first one.
    pub container_id: String,
    /// What is wrong, for people.
    pub message: String,
    /// What is done about it.
    pub remedy: Remedy,
}

/// What is done about a rollout that has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// What served last is brought back.
    Rollback,
    /// Nothing: the user wants it so.
    Pause,
    /// Nothing: no other spec is known to have served.
    NothingBefore,
    /// Nothing: something stands against what served last, which was told when that was found.
    Blocked,
    /// Nothing: what fails was brought back itself.
    RolledBackAlready,
}

impl Remedy {
    /// What is to be told of it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Rollback => "what served last is brought back",
            Self::Pause => "nothing is changed, since `strategy.onFailure` is `Pause`",
            Self::NothingBefore => "nothing is changed, since nothing else is known to have served",
            Self::Blocked => "nothing is changed, since something stands against what served last",
            Self::RolledBackAlready => "nothing is changed, since it is what was brought back",
        }
    }
}

/// Judges the rollout of an object.
pub(crate) fn judge(
    world: &World,
    key: &ObjectKey,
    slots: Option<&Slots<'_>>,
    now_ms: TimestampMs,
    builder: &mut PlanBuilder,
) -> Rollout {
    let Some(desired) = world.desired(key).filter(|desired| !desired.lowered.suspend) else {
        return Rollout::default();
    };
    let mut rollout = Rollout { spec_hash: Arc::clone(&desired.spec_hash), ..Rollout::default() };
    match (&desired.lowered.primitive, slots) {
        (Primitive::Containers(set), Some(slots)) if set.run == RunState::Running => {
            SetPlan::new(world, key, (desired, set), now_ms, slots, builder).judge(slots, &mut rollout);
        }
        (Primitive::Nothing, _) => {
            let is_ready = world.report(key).is_some_and(|report| report.status == ReportStatus::Ready);
            if is_ready && world.containers_of(key).next().is_none() {
                rollout.stage = RolloutStage::Serving { in_ms: 0 };
            }
        }
        (Primitive::Containers(_) | Primitive::Network(_) | Primitive::Volume(_), _) => {
            // Nothing of it is to serve.
        }
    }
    rollout
}

fn remedy_of(world: &World, key: &ObjectKey, set: &ContainerSet) -> Remedy {
    match (set.on_failure, world.has_way_back(key)) {
        (OnFailure::Pause, _) => Remedy::Pause,
        (OnFailure::Rollback, true) => Remedy::Rollback,
        (OnFailure::Rollback, false) if world.rolled_back(key).is_some() => Remedy::RolledBackAlready,
        (OnFailure::Rollback, false) if world.is_way_back_blocked(key) => Remedy::Blocked,
        (OnFailure::Rollback, false) => Remedy::NothingBefore,
    }
}

fn failure(set: &ContainerSet, current: &ObservedContainer, remedy: Remedy) -> RolloutFailure {
    let within = format_ms(set.progress_deadline_ms);
    let message = format!("container/{} does not serve within {within}: {}", current.name, problem_of(current));
    RolloutFailure { container_id: current.id.to_string(), message, remedy }
}

/// What is wrong with a container that does not serve.
fn problem_of(container: &ObservedContainer) -> String {
    if container.is_serving() {
        return "it serves, and has not for long enough yet".to_owned();
    }
    let memory = if container.oom_killed { ", out of memory" } else { "" };
    match container.state {
        ContainerState::Restarting | ContainerState::Exited => {
            let (code, count) = (container.exit_code, container.restart_count);
            format!("it exited with code {code}{memory} and was started again {count} times")
        }
        ContainerState::Created
        | ContainerState::Running
        | ContainerState::Paused
        | ContainerState::Removing
        | ContainerState::Dead => lacks_to_serve(container),
    }
}

impl SetPlan<'_> {
    fn judge(&mut self, slots: &Slots<'_>, rollout: &mut Rollout) {
        let (world, set) = (self.world, self.set);
        let is_template_new = !world.is_template_completed(self.key, &self.desired.hash);
        let remedy = remedy_of(world, self.key, set);
        let mut failed = None;
        // What is surplus may be all that serves, unless nobody may use it any more.
        let is_alone = !slots.slots.is_empty() && slots.surplus.iter().all(|(_, cause)| *cause == Cause::UsedUp);
        let mut serves_in_ms = is_alone.then(|| world.in_force_for_another_ms(self.key, set.min_ready_ms, self.now_ms));
        for slot in &slots.slots {
            serves_in_ms = serves_in_ms.zip(self.serves_in_ms(slot)).map(|(all, this)| i64::max(all, this));
            let Some(current) = slot.current else { continue };
            let is_rolled_out = is_template_new || !slot.old.is_empty();
            if !is_rolled_out || !self.is_tried(current) {
                continue;
            }
            rollout.tried.insert(current.id.to_string());
            let remaining_ms = world.tried_for_another_ms(&current.id, set.progress_deadline_ms, self.now_ms);
            // What serves now is given the time that it needs before anything is done; when it breaks, that is heard.
            let is_spared = current.may_serve() && remedy == Remedy::Rollback;
            if remaining_ms == 0 && !is_spared {
                failed.get_or_insert(current);
            } else if remaining_ms > 0 && !current.may_serve() {
                self.builder.wake_in(remaining_ms);
            }
        }
        rollout.stage = match (failed, serves_in_ms) {
            (Some(current), _) => RolloutStage::Failed(failure(set, current, remedy)),
            (None, Some(in_ms)) => RolloutStage::Serving { in_ms },
            (None, None) if rollout.tried.is_empty() => RolloutStage::Open,
            (None, None) => RolloutStage::Tried,
        };
    }

    /// In how many milliseconds a slot will hold nothing but what is wanted, which has served for long enough; `None` while it does not.
    fn serves_in_ms(&self, slot: &Slot<'_>) -> Option<i64> {
        let current = slot.current.filter(|_| slot.old.is_empty())?;
        // What changes while it runs has not been changed yet.
        let is_as_asked = changed_limits(&current.limits, &self.limits).fields.is_empty();
        self.settles_in_ms(current).filter(|_| is_as_asked)
    }

    /// Whether a container was started and has not served for long enough, so that its time runs.
    fn is_tried(&self, container: &ObservedContainer) -> bool {
        let was_started = container.state != ContainerState::Created || !container.error.is_empty();
        let is_settled = self.settles_in_ms(container) == Some(0);
        // What we stopped waits for what it was stopped for.
        if !was_started || is_settled || self.is_disarmed(container) || container.state == ContainerState::Removing {
            return false;
        }
        if container.state != ContainerState::Running || container.readiness == Readiness::Engine {
            return true;
        }
        match &container.probe {
            ProbeOutcome::Ready | ProbeOutcome::Failed(_) => true,
            ProbeOutcome::Held(_) => false,
            // Nobody has asked it yet. Of what ends again and again nobody has ever asked the last run.
            ProbeOutcome::Unknown => self.world.is_tried(&container.id),
        }
    }
}
