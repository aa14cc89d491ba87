//! What somebody else changed is told when it is seen, not with every look.

use std::sync::Arc;
use std::time::Duration;

use planner::observed::Limits;
use tokio::time::sleep;

use super::stage::{Stage, deployment, key};
use crate::engine::Engine;
use crate::engine::simulated::{ImageConfig, Program, SimulatedEngine};

#[tokio::test(start_paused = true)]
async fn a_change_that_cannot_be_put_right_yet_is_told_once() {
    let engine = SimulatedEngine::default();
    engine.store_image("app:1", ImageConfig::plain(), Program::forever());
    let shared: Arc<dyn Engine> = Arc::new(engine.clone());
    let stage = Stage::start(shared, &deployment("web", "app:1", ", pullPolicy: Never"));
    stage.until("it is as wanted", |stage| stage.reason("Deployment/web") == "Converged").await;
    assert!(engine.drop_image("app:1"));
    let id = engine.all_container_ids().into_iter().next().unwrap();
    // A limit can only be taken away by a replacement, and for that there is no image.
    let limits = Limits { memory: 96 << 20, memory_swap: 192 << 20, ..Limits::default() };
    engine.external_update(&id, &limits).unwrap();
    let told = |stage: &Stage| {
        let events = stage.core.board.events(Some(&key("Deployment/web")), 0);
        events.into_iter().find(|event| event.reason == "ContainerUpdated").map_or(0, |event| event.count)
    };
    stage.until("it is told", |stage| told(stage) == 1).await;
    sleep(Duration::from_hours(1)).await;
    assert_eq!(told(&stage), 1);
    let repaired = stage.core.metrics.drift_repaired.get();
    assert_eq!(repaired, 1);
}
