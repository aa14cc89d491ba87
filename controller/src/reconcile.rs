//! The loop: takes a key, plans, executes, tells the status, and queues the key again.
//!
//! It is level-triggered: why a key was woken is not known here, and does not matter.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use crds_schema::{ConditionType, ObjectKey};
use futures_util::FutureExt as _;
use planner::observed::ContainerState;
use planner::plan::{Action, Finding, Plan, Step};
use planner::rollup::{Failure, roll_up};
use planner::world::{Hold, Removal};
use tokio::time::Instant;

use crate::core::Core;
use crate::engine::EngineError;
use crate::event::NewEvent;
use crate::executor::{Executor, StepOutcome, container_of};
use crate::metrics::ReconcileResult;
use crate::reflector::Reflector;
use crate::status::{ObjectRecord, is_same_but_for_time, new_status};
use crate::store::record::IntentId;
use crate::wording::{describe, describe_outcome, with_causes};

mod conclusion;
mod effect;
mod rollout;

/// How many keys are reconciled at once. Most only wait; what loads the Engine is bounded by the executor.
const WORKERS: usize = 64;
/// How long after a call without an answer its effect may still come.
const LATE_EFFECT_GRACE: Duration = Duration::from_secs(30);
/// How often a key is planned even if nothing is heard and nothing is due.
const IDLE_LOOK: Duration = Duration::from_mins(5);
/// How soon it is tried again to look at what could not be looked at.
const SEE_AGAIN: Duration = Duration::from_secs(2);
/// How soon it is looked again whether the Engine is the right one.
const ENGINE_LOOK: Duration = Duration::from_secs(1);
/// The reason of the condition and the event of a container that ends again and again.
const CRASH_LOOP: &str = "CrashLoopBackOff";
/// How often in a row the same may be done before it is taken to have no effect.
const SAME_AGAIN: u32 = 3;
/// How many lines of output are kept of a container that failed.
const LOG_LINES: u32 = 10;

/// Runs the loop.
#[derive(Debug)]
pub struct Reconciler {
    core: Arc<Core>,
    executor: Executor,
    reflector: Arc<Reflector>,
    /// The last failure of each object, until a pass without one.
    failures: std::sync::Mutex<std::collections::BTreeMap<ObjectKey, Failure>>,
    /// What the last pass of each object did to the end, and how often in a row that was the same.
    done: std::sync::Mutex<std::collections::BTreeMap<ObjectKey, (Vec<String>, u32)>>,
    /// What the last look at each object found and nothing has been done about.
    found: std::sync::Mutex<std::collections::BTreeMap<ObjectKey, Vec<Finding>>>,
}

impl Reconciler {
    /// A loop over the queue of `core`.
    pub fn new(core: Arc<Core>, executor: Executor, reflector: Arc<Reflector>) -> Self {
        Self {
            core,
            executor,
            reflector,
            failures: std::sync::Mutex::default(),
            done: std::sync::Mutex::default(),
            found: std::sync::Mutex::default(),
        }
    }

    /// Runs until it is dropped.
    pub async fn run(self: Arc<Self>) {
        let permits = Arc::new(tokio::sync::Semaphore::new(WORKERS));
        let mut passes = tokio::task::JoinSet::new();
        loop {
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
            let key = self.core.queue.take().await;
            let reconciler = Arc::clone(&self);
            // Each pass is owned by the set, and ends with it.
            passes.spawn(async move {
                reconciler.pass_guarded(&key).await;
                reconciler.core.queue.done(&key);
                drop(permit);
            });
            while passes.try_join_next().is_some() {}
        }
    }

    /// One pass, from which no panic escapes.
    async fn pass_guarded(&self, key: &ObjectKey) {
        let caught = AssertUnwindSafe(self.pass(key)).catch_unwind().await;
        let result = caught.unwrap_or_else(|_| {
            self.take_panic(key);
            ReconcileResult::Failed
        });
        self.core.metrics.count_reconcile(result);
    }

    /// Puts in order what a pass that panicked has left, and backs off.
    fn take_panic(&self, key: &ObjectKey) {
        self.core.metrics.panics_caught.inc();
        let message = "the reconcile panicked; this is a fault of Evenkeel";
        tracing::error!(object = %key, "{message}");
        self.core.record(NewEvent::warning(key, "InternalError", message));
        self.close_intents(key);
        // Calls that were under way have lost their caller, and may still be done.
        self.reflector.ask_relist();
        let failure = Failure { reason: "InternalError", message: message.to_owned(), is_permanent: false };
        // The key is due again before the status is told, where the same fault may wait.
        if std::panic::catch_unwind(AssertUnwindSafe(|| self.back_off(key, failure, false))).is_err() {
            tracing::error!(object = %key, "the status of the object cannot be told either");
        }
    }

    /// A pass that was cut short is over: no object has two at a time, so what is open of this one was its own.
    fn close_intents(&self, key: &ObjectKey) {
        let intents = match self.core.store.open_intents() {
            Ok(intents) => intents,
            Err(error) => {
                tracing::debug!(error = %error, "the next start tells what was begun");
                return;
            }
        };
        let mut write = self.core.store.write();
        for intent in intents.iter().filter(|intent| intent.key == *key) {
            write.finish_pass(intent.id, vec!["interrupted".to_owned()], self.core.clock.now_ms());
        }
        if let Err(error) = write.commit_lazily() {
            tracing::debug!(error = %error, "an outcome is held until the store is back");
        }
    }

    /// One pass over one object.
    async fn pass(&self, key: &ObjectKey) -> ReconcileResult {
        if !self.reflector.is_engine_known() {
            self.core.queue.add(key, ENGINE_LOOK);
            return ReconcileResult::Waiting;
        }
        if let Err(error) = self.look_after_unknown(key).await {
            tracing::debug!(object = %key, error = %error, "what became of an unanswered call is not known yet");
            self.core.queue.add(key, LATE_EFFECT_GRACE);
            return ReconcileResult::Waiting;
        }
        let plan = match self.plan_by_what_is_seen(key).await {
            Ok(plan) => plan,
            Err(error) => {
                tracing::debug!(object = %key, error = %error, "what is to be changed cannot be looked at");
                self.core.queue.add(key, SEE_AGAIN);
                return ReconcileResult::Waiting;
            }
        };
        match self.see_to_rollout(key, &plan).await {
            Ok(false) => {}
            Ok(true) => {
                self.core.wake_with_dependents(key);
                return ReconcileResult::Changed;
            }
            Err(message) => {
                self.back_off(key, Failure { reason: "StoreFailed", message, is_permanent: false }, false);
                return ReconcileResult::Failed;
            }
        }
        self.report_findings(key, &plan.findings);
        if plan.steps.is_empty() {
            let was_looping = self.is_crash_looping(key);
            self.tell_status(key, &plan);
            if !was_looping && self.is_crash_looping(key) {
                self.report_crash_loop(key).await;
            }
            self.finish_removal(key);
            self.core.queue.add(key, rollout::next_look(&plan));
            if !plan.is_settled() {
                return ReconcileResult::Waiting;
            }
            self.core.backoffs().reset(key);
            self.done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(key);
            return ReconcileResult::Settled;
        }
        self.tell_status(key, &plan);
        let intent = match self.begin(key, &plan).await {
            Ok(intent) => intent,
            Err(message) => {
                let failure = Failure { reason: "StoreFailed", message, is_permanent: false };
                self.back_off(key, failure, false);
                return ReconcileResult::Failed;
            }
        };
        self.announce_removals(&plan);
        let begun = Instant::now();
        let generation = self.generation_of(key);
        let is_wanted = || self.generation_of(key) == generation;
        let take = |step: &Step, outcome: &StepOutcome| self.take_outcome(key, begun, step, outcome);
        let outcomes = self.executor.execute(&plan, is_wanted, take).await;
        self.observe_changed(key, &plan, &outcomes).await;
        self.finish(intent, &plan, &outcomes);
        if self.generation_of(key) == generation || has_unknown_outcome(&outcomes) {
            self.conclude(key, &plan, &outcomes).await
        } else {
            // What came of the plan of an earlier version says nothing about this one.
            self.forget_failure(key);
            self.core.wake(key);
            ReconcileResult::Changed
        }
    }

    /// The generation of an object that is wanted, and since when something else is in its place; of one that is not, none.
    fn generation_of(&self, key: &ObjectKey) -> Option<(u64, Option<i64>)> {
        let is_wanted = self.core.world().desired(key).is_some();
        let record = self.core.board.object(key).filter(|_| is_wanted)?;
        Some((record.status.generation, record.rolled_back.as_ref().map(|rolled_back| rolled_back.since_ms)))
    }

    /// Before anything more is done after a call without an answer, everything is looked at again.
    async fn look_after_unknown(&self, key: &ObjectKey) -> Result<(), EngineError> {
        let hold = self.core.world().hold(key);
        match hold {
            Some(Hold::UnknownOutcome(until_ms)) if until_ms <= self.core.clock.now_ms() => {
                self.reflector.relist().await
            }
            Some(Hold::UnknownOutcome(_) | Hold::Backoff(_)) | None => Ok(()),
        }
    }

    fn is_crash_looping(&self, key: &ObjectKey) -> bool {
        let record = self.core.board.object(key);
        let ready = record.as_ref().and_then(|record| record.status.condition(ConditionType::Ready));
        ready.is_some_and(|ready| ready.reason == CRASH_LOOP)
    }

    /// Keeps the last words of a container that ends again and again.
    async fn report_crash_loop(&self, key: &ObjectKey) {
        let looping = {
            let world = self.core.world();
            let found = world.containers_of(key).find(|container| container.state == ContainerState::Restarting);
            found.map(|container| {
                (container.id.to_string(), container.name.to_string(), container.exit_code, container.oom_killed)
            })
        };
        let Some((id, name, exit_code, oom_killed)) = looping else { return };
        let memory = if oom_killed { ", out of memory" } else { "" };
        let mut message = format!("container/{name} ends again and again, last with exit code {exit_code}{memory}");
        if let Ok(log) = self.core.engine.tail_logs(&id, LOG_LINES).await
            && !log.trim().is_empty()
        {
            message = format!("{message}; last output: {}", log.trim());
        }
        self.core.record(NewEvent::warning(key, CRASH_LOOP, message));
    }

    /// Plans by nothing that is out of date: what a pass of ours changed has been looked at since, and before anything is stopped
    /// because something else serves in its place, or a rollout is decided about, that is looked at once more. Events may have been lost.
    async fn plan_by_what_is_seen(&self, key: &ObjectKey) -> Result<Plan, EngineError> {
        self.reflector.clear_doubts(key).await?;
        let plan = self.plan(key);
        if !plan.is_replacing() && !self.decides_rollout(key, &plan) {
            return Ok(plan);
        }
        self.reflector.look_again(key).await?;
        Ok(self.plan(key))
    }

    fn plan(&self, key: &ObjectKey) -> Plan {
        let now_ms = self.core.clock.now_ms();
        let mut world = self.core.world();
        // A hold that is over is forgotten, so that the plan does not have to ask the time twice.
        if let Some(Hold::Backoff(until) | Hold::UnknownOutcome(until)) = world.hold(key)
            && until <= now_ms
        {
            world.set_hold(key, None);
        }
        let plan = planner::plan(&world, key, now_ms);
        world.set_tried(key, &plan.rollout.tried, now_ms);
        let is_news = world.set_leaving(key, &plan.leaving, now_ms);
        drop(world);
        if is_news {
            self.core.board.tell();
        }
        plan
    }

    /// Tells what is new of what was found: what waits to be put right is found with every look.
    fn report_findings(&self, key: &ObjectKey, findings: &[Finding]) {
        let known = {
            let mut found = self.found.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let known = found.remove(key).unwrap_or_default();
            if !findings.is_empty() {
                found.insert(key.clone(), findings.to_vec());
            }
            known
        };
        for finding in findings.iter().filter(|finding| !known.contains(finding)) {
            tracing::info!(object = %key, subject = %finding.subject, reason = finding.reason, "drift found");
            self.core.metrics.drift_repaired.inc();
            let message = format!("{} {}", finding.subject, finding.message);
            self.core.record(NewEvent::warning(key, finding.reason, message));
        }
        self.core.world().clear_lost(key, findings);
    }

    /// Whatever was found has been put right: found again, it is news.
    fn forget_findings(&self, key: &ObjectKey) {
        self.found.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(key);
    }

    /// Writes down what is about to be done, before it is.
    async fn begin(&self, key: &ObjectKey, plan: &Plan) -> Result<IntentId, String> {
        if self.core.store.is_failed() {
            // Without a store there is no audit, so nothing is changed.
            self.core.store.reopen().await.map_err(|error| with_causes(&error))?;
        }
        let steps = plan.steps.iter().map(describe).collect();
        let begun = self.core.store.begin_pass(key, steps, self.core.clock.now_ms()).await;
        begun.map_err(|error| with_causes(&error))
    }

    fn announce_removals(&self, plan: &Plan) {
        let mut world = self.core.world();
        for step in &plan.steps {
            match &step.action {
                Action::RemoveContainer { .. } => {
                    if let Some(planner::plan::ContainerRef::Existing { id, .. }) = container_of(&step.action) {
                        world.expect_gone(id);
                    }
                }
                Action::RemoveNetwork { id, .. } => world.expect_gone(id),
                Action::RemoveVolume { name } => world.expect_gone(name),
                Action::PullImage { .. }
                | Action::CreateNetwork(_)
                | Action::CreateVolume(_)
                | Action::CreateContainer(_)
                | Action::VerifyContainer { .. }
                | Action::ConnectNetwork { .. }
                | Action::DisconnectNetwork { .. }
                | Action::StartContainer { .. }
                | Action::StopContainer { .. }
                | Action::UnpauseContainer { .. }
                | Action::RenameContainer { .. }
                | Action::UpdateContainer { .. } => {
                    // Nothing goes by these.
                }
            }
        }
    }

    /// Writes down what became of the steps; a crash before that leaves the intent open, which is told at the next start.
    fn finish(&self, intent: IntentId, plan: &Plan, outcomes: &[StepOutcome]) {
        let texts = plan.steps.iter().zip(outcomes).map(|(_, outcome)| describe_outcome(outcome)).collect();
        let mut write = self.core.store.write();
        write.finish_pass(intent, texts, self.core.clock.now_ms());
        if let Err(error) = write.commit_lazily() {
            tracing::debug!(error = %error, "an outcome is held until the store is back");
        }
    }

    fn back_off(&self, key: &ObjectKey, failure: Failure, is_throttled: bool) {
        let delay = self.core.backoffs().fail(key, is_throttled);
        let until_ms = self.core.clock.now_ms() + to_ms(delay);
        self.core.world().set_hold(key, Some(Hold::Backoff(until_ms)));
        self.core.queue.add(key, delay);
        self.remember_failure(key, failure);
        let plan = self.plan(key);
        self.tell_status(key, &plan);
    }

    fn remember_failure(&self, key: &ObjectKey, failure: Failure) {
        self.lock_failures().insert(key.clone(), failure);
    }

    fn forget_failure(&self, key: &ObjectKey) {
        self.lock_failures().remove(key);
    }

    fn lock_failures(&self) -> std::sync::MutexGuard<'_, std::collections::BTreeMap<ObjectKey, Failure>> {
        self.failures.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The spec of an object changed, or somebody asked for another try: old failures count no more.
    pub fn forget_the_past(&self, key: &ObjectKey) {
        self.forget_failure(key);
        self.core.backoffs().reset(key);
        let mut world = self.core.world();
        if let Some(Hold::Backoff(_)) = world.hold(key) {
            world.set_hold(key, None);
        }
    }

    /// Tells readers what is true of an object now.
    fn tell_status(&self, key: &ObjectKey, plan: &Plan) {
        let Some(record) = self.core.board.object(key) else { return };
        if plan.is_settled() {
            self.forget_failure(key);
        }
        let failure = self.lock_failures().get(key).cloned();
        let now_ms = self.core.clock.now_ms();
        let (rolled, hold) = {
            let world = self.core.world();
            (roll_up(&world, key, plan, failure.as_ref()), world.hold(key))
        };
        let is_serving = rolled.is_serving;
        let status = new_status(&record.status, rolled, plan, failure.as_ref(), hold, now_ms);
        self.report_failed_rollout(key, &record.status, &status, plan);
        let is_first_look = record.status.observed_ms < self.core.started_ms;
        let is_changed = is_first_look || !is_same_but_for_time(&record.status, &status);
        if is_changed {
            let told = ObjectRecord { status, ..(*record).clone() };
            if !self.core.board.replace_object(&record, told.clone()) {
                // Its manifest has just changed, and the key was woken for that.
                return;
            }
            let mut write = self.core.store.write();
            write.put_object(&told);
            if let Err(error) = write.commit_lazily() {
                tracing::debug!(error = %error, "a status is held until the store is back");
            }
        }
        // What others wait for is there when what was brought back serves.
        let is_news = self.core.world().set_ready(key, is_serving);
        if is_news {
            let dependents: Vec<ObjectKey> = self.core.world().dependents_of(key).cloned().collect();
            for dependent in &dependents {
                self.core.wake(dependent);
            }
        }
    }

    /// An object whose removal was approved and of which nothing is left that is to go is forgotten.
    fn finish_removal(&self, key: &ObjectKey) {
        let mut world = self.core.world();
        let Some(Removal::Approved { delete_volumes }) = world.removal(key) else { return };
        let has_more = world.containers_of(key).next().is_some()
            || world.networks_of(key).next().is_some()
            || (*delete_volumes && world.volumes_of(key).next().is_some());
        // What may have been created is still to come to light: forgotten before, it would be created again beside it.
        let is_untold = matches!(world.hold(key), Some(Hold::UnknownOutcome(_)));
        if has_more || is_untold {
            return;
        }
        world.clear_removal(key);
        drop(world);
        self.done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(key);
        self.forget_failure(key);
        self.core.backoffs().reset(key);
        self.core.board.remove_object(key);
        self.core.rollouts.forget(key);
        let mut write = self.core.store.write();
        write.forget_object(key);
        write.remove_tombstone(key);
        write.remove_inventory(crate::desired::DIRECTORY_SOURCE, key);
        if let Err(error) = write.commit_lazily() {
            tracing::debug!(error = %error, "a removal is held until the store is back");
        }
        self.core.record(NewEvent::normal(key, "Removed", "everything of it that was to go is gone"));
    }
}

/// Whether nobody knows what came of a step.
fn has_unknown_outcome(outcomes: &[StepOutcome]) -> bool {
    outcomes.iter().any(|outcome| matches!(outcome, StepOutcome::Failed(error) if error.kind.is_outcome_unknown()))
}

fn to_duration(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

fn to_ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
