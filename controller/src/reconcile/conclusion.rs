//! The end of a pass: what its failures mean, what is told of them, and when the object is looked at again.

use crds_schema::ObjectKey;
use planner::plan::{Action, ContainerRef, FieldChange, Plan, Step};
use planner::rollup::Failure;
use planner::world::Hold;
use tokio::time::Instant;

use super::{LATE_EFFECT_GRACE, LOG_LINES, Reconciler, SAME_AGAIN, to_ms};
use crate::engine::{EngineError, ErrorKind};
use crate::event::NewEvent;
use crate::executor::{StepOutcome, container_of};
use crate::metrics::ReconcileResult;
use crate::wording::describe;

impl Reconciler {
    /// Decides when the key is looked at again, and tells the status.
    pub(super) async fn conclude(&self, key: &ObjectKey, plan: &Plan, outcomes: &[StepOutcome]) -> ReconcileResult {
        let failures = plan.steps.iter().zip(outcomes).filter_map(|(step, outcome)| match outcome {
            StepOutcome::Failed(error) => Some((step, error.clone())),
            StepOutcome::Differs(_, fields) => Some((step, not_as_asked(step, fields))),
            StepOutcome::Done(_) | StepOutcome::Skipped => None,
        });
        // Of several, one whose outcome nobody knows weighs most: it must be looked for, whatever else failed. Else the first counts.
        let failed = failures.min_by_key(|(_, error)| !error.kind.is_outcome_unknown());
        let Some((step, error)) = failed else {
            if self.count_done(key, plan) > SAME_AGAIN {
                let message = "the engine says that it is done, and it is to be done again".to_owned();
                self.core.record(NewEvent::warning(key, "NoEffect", message.clone()));
                self.back_off(key, Failure { reason: "NoEffect", message, is_permanent: false }, false);
                return ReconcileResult::Failed;
            }
            self.forget_failure(key);
            self.forget_findings(key);
            let plan = self.plan(key);
            self.tell_status(key, &plan);
            self.core.wake(key);
            return ReconcileResult::Changed;
        };
        if error.kind == ErrorKind::NameConflict && self.claim_after_conflict(key, step).await {
            // The reply to an earlier create was lost: the container is ours, and is seen now.
            self.core.wake(key);
            return ReconcileResult::Changed;
        }
        if error.kind == ErrorKind::ImageNotFound {
            let mut world = self.core.world();
            if let Some(reference) = world.desired(key).and_then(|object| object.image().map(str::to_owned)) {
                world.observe_image(&reference, None);
            }
            drop(world);
            self.core.wake(key);
            return ReconcileResult::Changed;
        }
        let failure = self.explain_failure(key, step, &error).await;
        self.core.record(NewEvent::warning(key, failure.reason, failure.message.clone()));
        if let (Action::RemoveNetwork { id, .. }, ErrorKind::InUse) = (&step.action, error.kind)
            && matches!(self.reflector.note_foreign_members(id).await, Ok(true))
        {
            // Whoever is in it and is not ours is waited for by name; there is nothing to try again before.
            self.core.wake(key);
            return ReconcileResult::Waiting;
        }
        if error.kind.is_outcome_unknown() {
            let until_ms = self.core.clock.now_ms() + to_ms(LATE_EFFECT_GRACE);
            self.core.world().set_hold(key, Some(Hold::UnknownOutcome(until_ms)));
            self.core.queue.add(key, LATE_EFFECT_GRACE);
            self.remember_failure(key, failure);
            self.reflector.ask_relist();
            let plan = self.plan(key);
            self.tell_status(key, &plan);
        } else {
            self.back_off(key, failure, error.kind == ErrorKind::RegistryThrottled);
        }
        ReconcileResult::Failed
    }

    /// Counts how often in a row the same was done to the end.
    fn count_done(&self, key: &ObjectKey, plan: &Plan) -> u32 {
        let steps: Vec<String> = plan.steps.iter().map(describe).collect();
        let mut done = self.done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (last, times) = done.entry(key.clone()).or_default();
        *times = if *last == steps { *times + 1 } else { 1 };
        *last = steps;
        *times
    }

    /// After a create that found its name taken: whether the holder is this object's.
    async fn claim_after_conflict(&self, key: &ObjectKey, step: &Step) -> bool {
        let Action::CreateContainer(create) = &step.action else { return false };
        let asked = Instant::now();
        let Ok(Some(detail)) = self.core.engine.inspect_container(&create.name).await else { return false };
        self.reflector.observe(&detail, asked);
        self.core.world().container(&detail.id).is_some_and(|container| container.owner == *key)
    }

    /// What to tell of a failure: the Engine's words, and what it does not say.
    async fn explain_failure(&self, key: &ObjectKey, step: &Step, error: &EngineError) -> Failure {
        let mut message = format!("{error}");
        if error.kind == ErrorKind::PortConflict
            && let Some(holder) = self.port_holder(key).await
        {
            message = format!("{message}; the port is held by {holder}");
        }
        if error.kind == ErrorKind::NameConflict && !matches!(step.action, Action::ConnectNetwork { .. }) {
            message = format!("{message}; it is not ours, so it is left alone");
        }
        if let Some(ContainerRef::Existing { id, .. }) = container_of(&step.action)
            && error.kind == ErrorKind::StartFailed
            && let Ok(log) = self.core.engine.tail_logs(id, LOG_LINES).await
            && !log.trim().is_empty()
        {
            message = format!("{message}; last output: {}", log.trim());
        }
        Failure { reason: error.kind.reason(), message, is_permanent: error.kind.is_permanent() }
    }

    async fn port_holder(&self, key: &ObjectKey) -> Option<String> {
        let ports: Vec<u16> =
            self.core.world().desired(key).map(planner::world::DesiredObject::published_ports).unwrap_or_default();
        for port in ports {
            if let Ok(Some(holder)) = self.core.engine.find_port_holder(port).await {
                return Some(format!("container `{holder}`"));
            }
        }
        None
    }
}

/// What the Engine made is not what was asked for: an error of ours to tell.
fn not_as_asked(step: &Step, fields: &[FieldChange]) -> EngineError {
    let fields: Vec<String> = fields.iter().map(ToString::to_string).collect();
    EngineError {
        operation: format!("use {}", step.action.subject()),
        status: None,
        text: format!("the engine did not make it as asked: {}", fields.join(", ")),
        kind: ErrorKind::Invalid,
    }
}
