//! What becomes of rollouts: those that are complete are noted, and what served last is brought back in place of those that have failed.

use std::time::Duration;

use crds_schema::{ConditionType, ObjectKey};
use planner::Plan;
use planner::progress::{Remedy, RolloutFailure, RolloutStage};
use planner::rollup::{DEADLINE_EXCEEDED, ROLLED_BACK};

use super::{IDLE_LOOK, LOG_LINES, Reconciler, to_duration};
use crate::event::NewEvent;
use crate::status::ObjectStatus;
use crate::wording::with_causes;

/// The reason of a rollout that has failed where what served last cannot be brought back.
const ROLLBACK_BLOCKED: &str = "RollbackBlocked";

impl Reconciler {
    /// Whether a plan says of its rollout what is acted on, so that it is to be made by what was seen a moment ago.
    pub(super) fn decides_rollout(&self, key: &ObjectKey, plan: &Plan) -> bool {
        let rollout = &plan.rollout;
        match &rollout.stage {
            RolloutStage::Serving { in_ms: 0 } => !self.core.rollouts.has_nothing_to_note(key, &rollout.spec_hash),
            RolloutStage::Failed(failure) => failure.remedy == Remedy::Rollback,
            RolloutStage::Serving { .. } | RolloutStage::Open | RolloutStage::Tried => false,
        }
    }

    /// Acts on what a plan says of its rollout. Returns whether something else is wanted now.
    ///
    /// # Errors
    /// When the store does not take that a spec is not tried again: nothing has changed then.
    pub(super) async fn see_to_rollout(&self, key: &ObjectKey, plan: &Plan) -> Result<bool, String> {
        let spec_hash = &plan.rollout.spec_hash;
        match &plan.rollout.stage {
            RolloutStage::Serving { in_ms: 0 } => {
                if let Err(error) = self.core.rollouts.note_completed(&self.core, key, spec_hash).await {
                    tracing::debug!(object = %key, error = %error, "that a rollout is complete is held until the store is back");
                }
                Ok(false)
            }
            RolloutStage::Failed(failure) if failure.remedy == Remedy::Rollback => {
                self.roll_back(key, spec_hash, failure).await
            }
            RolloutStage::Failed(_) | RolloutStage::Serving { .. } | RolloutStage::Open | RolloutStage::Tried => {
                // It is told, or there is nothing to tell yet.
                Ok(false)
            }
        }
    }

    async fn roll_back(&self, key: &ObjectKey, spec_hash: &str, failure: &RolloutFailure) -> Result<bool, String> {
        if self.core.store.is_failed() {
            self.core.store.reopen().await.map_err(|error| with_causes(&error))?;
        }
        if let Some(obstacle) = self.core.rollouts.find_obstacle(key, spec_hash) {
            self.core.world().block_way_back(key);
            let message = format!("{}; what served last cannot be brought back: {obstacle}", failure.message);
            tracing::warn!(object = %key, problem = %message, "a rollout has failed and cannot be rolled back");
            self.core.record(NewEvent::warning(key, ROLLBACK_BLOCKED, message));
            return Ok(true);
        }
        let message = self.with_last_words(failure).await;
        let outcome = self.core.rollouts.roll_back(&self.core, key, spec_hash, &message).await;
        if !outcome.map_err(|error| with_causes(&error))? {
            return Ok(false);
        }
        tracing::warn!(object = %key, problem = %message, "a rollout has failed and is rolled back");
        self.core.record(NewEvent::warning(key, ROLLED_BACK, message));
        self.forget_the_past(key);
        Ok(true)
    }

    /// What is wrong, with the last words of the container that does not serve.
    async fn with_last_words(&self, failure: &RolloutFailure) -> String {
        match self.core.engine.tail_logs(&failure.container_id, LOG_LINES).await {
            Ok(log) if !log.trim().is_empty() => format!("{}; last output: {}", failure.message, log.trim()),
            Ok(_) | Err(_) => failure.message.clone(),
        }
    }

    /// Tells that a rollout has failed about which nothing is done, where that is news.
    pub(super) fn report_failed_rollout(
        &self,
        key: &ObjectKey,
        before: &ObjectStatus,
        now: &ObjectStatus,
        plan: &Plan,
    ) {
        let RolloutStage::Failed(failure) = &plan.rollout.stage else { return };
        let told = |status: &ObjectStatus| {
            let progressing = status.condition(ConditionType::Progressing);
            progressing.filter(|told| told.reason == DEADLINE_EXCEEDED).map(|told| told.message.clone())
        };
        if let (None, Some(message)) = (told(before), told(now))
            && failure.remedy != Remedy::Rollback
        {
            self.core.record(NewEvent::warning(key, DEADLINE_EXCEEDED, message));
        }
    }
}

/// How soon a key is planned again about which nothing is to be done now.
pub(super) fn next_look(plan: &Plan) -> Duration {
    let completes_in_ms = match &plan.rollout.stage {
        RolloutStage::Serving { in_ms } if *in_ms > 0 => Some(*in_ms),
        RolloutStage::Serving { .. } | RolloutStage::Open | RolloutStage::Tried | RolloutStage::Failed(_) => None,
    };
    plan.wake_ms.into_iter().chain(completes_in_ms).min().map_or(IDLE_LOOK, to_duration)
}
