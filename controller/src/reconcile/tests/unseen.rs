//! A container that the list shows and that cannot be looked at: it is there, so nothing is made in its place.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::stage::{Stage, deployment};
use crate::engine::Engine;
use crate::engine::simulated::{CallKind, RequestFault, SimulatedEngine};

#[tokio::test(start_paused = true)]
async fn what_is_listed_and_cannot_be_inspected_is_not_made_again() {
    let engine = Arc::new(SimulatedEngine::default());
    let manifests = deployment("web", "web:1", "");
    let mut stage = Stage::start(Arc::clone(&engine) as Arc<dyn Engine>, &manifests);
    stage.until("it serves", |stage| stage.reason("Deployment/web") == "Converged").await;
    stage.tasks.shutdown().await;

    let blind_until = Instant::now() + Duration::from_secs(20);
    engine.set_request_faults(move |call| {
        let is_blind = call.kind == CallKind::InspectContainer && Instant::now() < blind_until;
        if is_blind { RequestFault::Unreachable } else { RequestFault::None }
    });
    let stage = Stage::start(Arc::clone(&engine) as Arc<dyn Engine>, &manifests);
    stage.until("it is seen", |stage| stage.reason("Deployment/web") == "Converged").await;
    sleep(Duration::from_mins(1)).await;
    assert_eq!(engine.call_counts().of(CallKind::CreateContainer), 1);
}
