//! What the steps of a pass did, taken into the world.

use crds_schema::ObjectKey;
use planner::observed::NetworkDetail;
use planner::plan::{Action, ContainerRef, NetworkCreate, Plan, Step};
use tokio::time::Instant;

use super::Reconciler;
use crate::event::NewEvent;
use crate::executor::{Effect, StepOutcome, container_of};
use crate::wording::{describe, describe_short, event_reason};

impl Reconciler {
    /// Takes what a step that ended tells into the world; the pass began to execute at `begun`.
    pub(super) fn take_outcome(&self, key: &ObjectKey, begun: Instant, step: &Step, outcome: &StepOutcome) {
        match outcome {
            StepOutcome::Done(effect) => {
                tracing::info!(object = %key, step = %describe(step), "step done");
                self.take_effect(key, begun, step, effect);
            }
            StepOutcome::Differs(detail, fields) => {
                self.reflector.observe(detail, begun);
                if let Some(container) = self.core.world().container_mut(&detail.id) {
                    container.mismatch.clone_from(fields);
                }
            }
            StepOutcome::Failed(error) => {
                tracing::warn!(object = %key, step = %describe(step), error = %error, "step failed");
                self.take_back_announcement(step);
            }
            StepOutcome::Skipped => self.take_back_announcement(step),
        }
    }

    fn take_back_announcement(&self, step: &Step) {
        let mut world = self.core.world();
        if let Action::RemoveNetwork { id, .. } = &step.action {
            world.no_longer_expect_gone(id);
        } else if let Action::RemoveVolume { name } = &step.action {
            world.no_longer_expect_gone(name);
        } else if let Some(ContainerRef::Existing { id, .. }) = container_of(&step.action) {
            world.no_longer_expect_gone(id);
        }
    }

    fn take_effect(&self, key: &ObjectKey, begun: Instant, step: &Step, effect: &Effect) {
        let core = &self.core;
        match effect {
            Effect::ContainerCreated(id, warnings) => {
                core.world().remember_ids([id.clone()]);
                let mut write = core.store.write();
                write.put_known_container(id, key);
                if let Err(error) = write.commit_soon() {
                    tracing::debug!(error = %error, "a container's id is held until the store is back");
                }
                for warning in warnings {
                    core.record(NewEvent::warning(key, "EngineWarning", warning.clone()));
                }
            }
            Effect::ContainerSeen(detail) => self.reflector.observe(detail, begun),
            Effect::ContainerChanged(_) => {
                // Asked once, when the pass is over.
            }
            Effect::ContainerRemoved(id) => {
                core.world().expect_gone(id);
                core.world().container_gone(id);
                core.world().no_longer_expect_gone(id);
                core.world().forget_id(id);
                let mut write = core.store.write();
                write.remove_known_container(id);
                if let Err(error) = write.commit_lazily() {
                    tracing::debug!(error = %error, "a container's id is held until the store is back");
                }
            }
            Effect::NetworkCreated(id) => {
                if let Action::CreateNetwork(create) = &step.action {
                    core.world().observe_network(&network_detail(id, create, core.clock.now_ms()));
                }
                core.wake_with_dependents(key);
            }
            Effect::NetworkRemoved(id) => {
                core.world().expect_gone(id);
                core.world().network_gone(id);
                core.world().no_longer_expect_gone(id);
            }
            Effect::VolumeSeen(volume) => {
                core.world().observe_volume(volume);
                core.wake_with_dependents(key);
            }
            Effect::VolumeRemoved(name) => {
                core.world().expect_gone(name);
                core.world().volume_gone(name);
                core.world().no_longer_expect_gone(name);
            }
            Effect::ImageSeen(reference, image) => core.world().observe_image(reference, image.clone()),
        }
        if let Some(reason) = event_reason(&step.action) {
            let message = format!("{}: {}", describe_short(step), step.cause);
            core.record(NewEvent::normal(key, reason, message));
        }
    }

    /// Asks what the containers are now that a step of the pass touched, each once.
    pub(super) async fn observe_changed(&self, key: &ObjectKey, plan: &Plan, outcomes: &[StepOutcome]) {
        let mut ids: Vec<String> = Vec::new();
        for (step, outcome) in plan.steps.iter().zip(outcomes) {
            match outcome {
                StepOutcome::Done(Effect::ContainerChanged(id) | Effect::ContainerCreated(id, _)) => {
                    ids.push(id.clone());
                }
                StepOutcome::Failed(_) => {
                    if let Some(ContainerRef::Existing { id, .. }) = container_of(&step.action) {
                        ids.push(id.clone());
                    }
                }
                StepOutcome::Done(_) | StepOutcome::Differs(..) | StepOutcome::Skipped => {
                    // Known already, or untouched.
                }
            }
        }
        ids.sort();
        ids.dedup();
        let removed = |id: &String| {
            outcomes
                .iter()
                .any(|outcome| matches!(outcome, StepOutcome::Done(Effect::ContainerRemoved(gone)) if gone == id))
        };
        ids.retain(|id| !removed(id));
        for id in &ids {
            self.reflector.doubt(key, id);
        }
        self.reflector.inspect_all(ids).await;
    }
}

fn network_detail(id: &str, create: &NetworkCreate, now_ms: i64) -> NetworkDetail {
    NetworkDetail {
        id: id.to_owned(),
        name: create.name.clone(),
        driver: create.driver.clone(),
        internal: create.internal,
        attachable: create.attachable,
        ipv6: create.ipv6,
        subnets: create.subnets.clone(),
        options: create.options.clone(),
        labels: create.labels.clone(),
        created_ms: now_ms,
    }
}
