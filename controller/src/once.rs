//! `--once`: when a run has converged, and when it will not.

use std::time::Duration;

use crds_schema::{ConditionStatus, ConditionType};
use planner::progress::RolloutStage;
use planner::rollup::DEADLINE_EXCEEDED;
use tokio::time::Instant;

use crate::core::Core;
use crate::status::ObjectRecord;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Everything is as the manifests say; or it was told to end.
    Converged,
    /// Something is not, and will not be soon.
    NotConverged,
    /// A manifest is at fault.
    BadInput,
}

/// How many failures in a row make an object hopeless, and how many restarts by the Engine.
const HOPELESS_FAILURES: u32 = 3;
/// The pause between two looks.
const LOOK_TIME: Duration = Duration::from_millis(20);

/// Waits until everything is as it should be, or will not be soon. `is_clean`: no manifest was at fault.
pub(crate) async fn converge(core: &Core, timeout: Duration, is_clean: bool) -> Outcome {
    let deadline = Instant::now() + timeout;
    loop {
        tokio::time::sleep(LOOK_TIME).await;
        let is_late = Instant::now() >= deadline;
        let is_busy = core.queue.is_busy(Instant::now());
        let unsettled: Vec<_> = core.board.objects().into_iter().filter(|record| !record.status.is_ready()).collect();
        let is_first_pass_done = core.board.controller().is_ready;
        if is_first_pass_done && !is_busy && unsettled.is_empty() {
            note_served(core).await;
            return if is_clean { Outcome::Converged } else { Outcome::BadInput };
        }
        let is_hopeless = is_first_pass_done && !is_busy && unsettled.iter().all(|record| is_hopeless(core, record));
        if is_hopeless || is_late {
            return if is_clean { Outcome::NotConverged } else { Outcome::BadInput };
        }
    }
}

/// Notes what everything has converged to: the next run may have to bring it back, and nobody is there meanwhile to see how long it serves.
async fn note_served(core: &Core) {
    for record in core.board.objects() {
        let rollout = planner::plan(&core.world(), &record.key, core.clock.now_ms()).rollout;
        if let RolloutStage::Serving { .. } = rollout.stage
            && let Err(error) = core.rollouts.note_completed(core, &record.key, &rollout.spec_hash).await
        {
            tracing::warn!(object = %record.key, error = %error, "the store does not take what has been rolled out");
        }
    }
}

/// Whether an object will not become ready soon by itself.
fn is_hopeless(core: &Core, record: &ObjectRecord) -> bool {
    let status = &record.status;
    if core.world().may_be_rolled_back(&record.key) {
        // What served before is not to be left stopped.
        return false;
    }
    let has_failed = status.condition(ConditionType::Progressing).is_some_and(|told| told.reason == DEADLINE_EXCEEDED);
    let is_stalled =
        status.condition(ConditionType::Stalled).is_some_and(|stalled| stalled.status == ConditionStatus::True);
    let failures = core.backoffs().failures(&record.key);
    let ready_reason = status.condition(ConditionType::Ready).map(|ready| ready.reason.as_str()).unwrap_or_default();
    let is_crash_looping = ready_reason == "CrashLoopBackOff"
        && core.world().containers_of(&record.key).any(|container| container.restart_count >= HOPELESS_FAILURES);
    let is_waiting_only = ready_reason == "Waiting"
        && core.world().desired(&record.key).is_some_and(|object| {
            let needs = object.lowered.depends_on.iter().map(|dependency| &dependency.key);
            let mut needs = needs.chain(object.lowered.references());
            needs.any(|key| core.backoffs().failures(key) >= HOPELESS_FAILURES || core.board.object(key).is_none())
        });
    let is_kept_by_strangers = {
        let world = core.world();
        let mut networks = world.networks_of(&record.key);
        networks.any(|network| !world.foreign_members(&network.id).is_empty())
    };
    has_failed
        || is_stalled
        || failures >= HOPELESS_FAILURES
        || is_crash_looping
        || is_waiting_only
        || is_kept_by_strangers
}
