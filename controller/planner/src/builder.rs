//! Collects the parts of a plan while it is decided.

use crate::observed::TimestampMs;
use crate::plan::{Action, Cause, Change, FieldChange, Finding, Outcome, Plan, Step, Waiting};
use crate::progress::Rollout;

/// A plan in the making.
#[derive(Debug, Default)]
pub(crate) struct PlanBuilder {
    plan: Plan,
}

impl PlanBuilder {
    /// Adds a step after others; returns its id.
    pub(crate) fn step(&mut self, after: &[u32], action: Action, cause: Cause) -> u32 {
        let id = u32::try_from(self.plan.steps.len()).unwrap_or(u32::MAX).saturating_add(1);
        let mut after = after.to_vec();
        after.sort_unstable();
        after.dedup();
        self.plan.steps.push(Step { id, after, action, cause });
        id
    }

    /// Adds something to wait for, once.
    pub(crate) fn wait(&mut self, waiting: Waiting) {
        if !self.plan.waiting.contains(&waiting) {
            self.plan.waiting.push(waiting);
        }
    }

    /// Notes that a container is to be given nothing new to do.
    pub(crate) fn leave(&mut self, id: &str) {
        self.plan.leaving.insert(id.to_owned());
    }

    /// Asks to be planned again after this long at the latest; the earliest wish counts.
    pub(crate) fn wake_in(&mut self, ms: i64) {
        let ms = ms.max(1);
        self.plan.wake_ms = Some(self.plan.wake_ms.map_or(ms, |earlier| earlier.min(ms)));
    }

    /// Asks to be planned again at a time.
    pub(crate) fn wake_at(&mut self, at_ms: TimestampMs, now_ms: TimestampMs) {
        self.wake_in(at_ms.saturating_sub(now_ms));
    }

    /// Notes something that nobody asked for.
    pub(crate) fn find(&mut self, subject: String, reason: &'static str, message: String) {
        self.plan.findings.push(Finding { subject, reason, message });
    }

    /// Notes what is updated or replaced, and why.
    pub(crate) fn change(&mut self, subject: String, outcome: Outcome, fields: Vec<FieldChange>) {
        self.plan.changes.push(Change { subject, outcome, fields });
    }

    /// Says how far the rollout is.
    pub(crate) fn set_rollout(&mut self, rollout: Rollout) {
        self.plan.rollout = rollout;
    }

    /// The plan.
    pub(crate) fn build(self) -> Plan {
        self.plan
    }
}
