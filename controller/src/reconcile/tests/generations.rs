//! The spec changes in the midst of a pass: what the earlier one had planned is not carried on, and holds nobody back.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::stage::{Stage, deployment};
use crate::engine::Engine;
use crate::engine::simulated::{
    Call, CallKind, CallOutcome, CallRecord, FaultPlan, RegistryImage, ReplyFault, RequestFault, SimulatedEngine,
};

/// Every pull takes so long, whatever comes of it.
const PULL_TIME: Duration = Duration::from_secs(10);

struct SlowPulls;

impl FaultPlan for SlowPulls {
    fn before(&mut self, _call: &Call) -> RequestFault {
        RequestFault::None
    }

    fn after(&mut self, call: &Call, _outcome: &CallOutcome) -> ReplyFault {
        if call.kind == CallKind::PullImage { ReplyFault::Delay(PULL_TIME) } else { ReplyFault::None }
    }
}

/// Something serves, and its spec is changed while the pull for an earlier change is under way.
async fn change_while_pulling(engine: &Arc<SimulatedEngine>) -> Stage {
    engine.set_faults(SlowPulls);
    let stage = Stage::start(Arc::clone(engine) as Arc<dyn Engine>, &deployment("web", "web:1", ""));
    stage.until("it serves", |stage| stage.reason("Deployment/web") == "Converged").await;
    stage.want(&deployment("web", "web:2", ""));
    sleep(PULL_TIME / 2).await;
    stage.want(&deployment("web", "web:3", ""));
    stage
}

/// The images of all containers.
fn images(engine: &SimulatedEngine) -> Vec<String> {
    let details = engine.all_container_ids().into_iter().filter_map(|id| engine.peek(&id));
    details.map(|detail| detail.config.image).collect()
}

#[tokio::test(start_paused = true)]
async fn a_plan_of_an_earlier_version_ends_early() {
    let engine = Arc::new(SimulatedEngine::default());
    let stage = change_while_pulling(&engine).await;
    stage.until("it is replaced", |_| images(&engine) == ["web:3"]).await;
    stage.until("it serves", |stage| stage.reason("Deployment/web") == "Converged").await;
    let is_create =
        |record: &CallRecord| record.call.kind == CallKind::CreateContainer && record.outcome == CallOutcome::Done;
    let creates = engine.calls().iter().filter(|record| is_create(record)).count();
    assert_eq!(creates, 2, "of the first version, and of the last: {:?}", engine.calls());
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_version_failed_with_does_not_hold_the_next_one_back() {
    let engine = Arc::new(SimulatedEngine::default());
    let throttled = "toomanyrequests: You have reached your pull rate limit".to_owned();
    engine.set_registry_image("web:2", RegistryImage::Fails(throttled));
    let stage = change_while_pulling(&engine).await;
    sleep(Duration::from_mins(1)).await;
    assert_eq!(images(&engine), ["web:3"]);
    let record = stage.record("Deployment/web");
    assert_eq!((stage.reason("Deployment/web").as_str(), &record.status.last_error), ("Converged", &None));
}
