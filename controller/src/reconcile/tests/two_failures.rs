//! A pass in which several steps fail: the one whose outcome nobody knows decides what comes next.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::stage::{Stage, deployment};
use crate::engine::Engine;
use crate::engine::simulated::{CallKind, RequestFault, SimulatedEngine};

#[tokio::test(start_paused = true)]
async fn a_create_without_an_answer_is_looked_for_although_another_step_failed_first() {
    let engine = SimulatedEngine::default();
    let mut creates = 0;
    engine.set_request_faults(move |call| {
        if call.kind != CallKind::CreateContainer {
            return RequestFault::None;
        }
        creates += 1;
        match creates {
            3 => RequestFault::Fail { status: 500, text: "something is amiss".to_owned() },
            4 => RequestFault::DropRequest,
            _ => RequestFault::None,
        }
    });
    engine.store_image(
        "web:1",
        crate::engine::simulated::ImageConfig::plain(),
        crate::engine::simulated::Program::forever(),
    );
    let shared: Arc<dyn Engine> = Arc::new(engine.clone());
    let stage = Stage::start(shared, &deployment("web", "web:1", ", replicas: 4"));
    sleep(Duration::from_secs(20)).await;
    let creates = || engine.call_counts().of(CallKind::CreateContainer);
    assert_eq!(
        (creates(), stage.reason("Deployment/web")),
        (4, "OutcomeUnknown".to_owned()),
        "nothing more before it was looked for"
    );
    stage.until("it converges", |stage| stage.reason("Deployment/web") == "Converged").await;
}
