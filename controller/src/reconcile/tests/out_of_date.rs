//! What is known of a container may be out of date: nothing is decided by that.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use planner::observed::ContainerState;
use tokio::time::sleep;

use super::faulty_engine::FaultyEngine;
use super::stage::{Stage, deployment, key};
use crate::engine::Engine;
use crate::engine::simulated::{CallKind, Latency, Program, RequestFault, SimulatedConfig, SimulatedEngine};

/// The id of the only container of an image.
fn id_of(engine: &SimulatedEngine, image: &str) -> Option<String> {
    let is_of_image = |id: &String| engine.peek(id).is_some_and(|detail| detail.config.image == image);
    engine.all_container_ids().into_iter().find(is_of_image)
}

fn is_running(engine: &SimulatedEngine, image: &str) -> bool {
    let detail = id_of(engine, image).and_then(|id| engine.peek(&id));
    detail.is_some_and(|detail| detail.status.state == ContainerState::Running)
}

fn no_inspection() -> RequestFault {
    RequestFault::Fail { status: 500, text: "layer does not exist".to_owned() }
}

#[tokio::test(start_paused = true)]
async fn a_container_that_cannot_be_looked_at_after_its_start_is_left_until_it_can() {
    let engine = Arc::new(SimulatedEngine::default());
    let mut started_ms = None;
    engine.set_request_faults(move |asked| {
        if asked.kind == CallKind::StartContainer {
            started_ms.get_or_insert(asked.sent_ms);
        }
        let is_blind = started_ms.is_some_and(|started_ms| asked.sent_ms < started_ms + 20_000);
        if is_blind && asked.kind == CallKind::InspectContainer { no_inspection() } else { RequestFault::None }
    });
    let stage = Stage::start(Arc::clone(&engine) as Arc<dyn Engine>, &deployment("web", "web:1", ""));
    stage.until("it serves", |stage| stage.reason("Deployment/web") == "Converged").await;
    assert_eq!(engine.call_counts().of(CallKind::StartContainer), 1, "{:?}", engine.calls());
}

#[tokio::test(start_paused = true)]
async fn what_serves_is_not_stopped_for_a_replacement_that_died_unheard() {
    let engine = Arc::new(FaultyEngine::default());
    let stage = Stage::start(Arc::clone(&engine) as Arc<dyn Engine>, &deployment("web", "web:1", ""));
    stage.until("it serves", |stage| stage.reason("Deployment/web") == "Converged").await;
    engine.is_silent.store(true, Ordering::Relaxed);
    stage.want(&deployment("web", "web:2", ""));
    stage.until("the new one runs", |_| is_running(&engine.inner, "web:2")).await;
    sleep(Duration::from_secs(1)).await;
    engine.inner.external_docker_kill(&id_of(&engine.inner, "web:2").unwrap()).unwrap();
    // It would have served for long enough by now, and has been started again.
    stage.until("the new one runs again", |_| is_running(&engine.inner, "web:2")).await;
    sleep(Duration::from_secs(1)).await;
    assert!(is_running(&engine.inner, "web:1"), "{:?}", engine.inner.calls());
    stage.until("the old one is replaced", |_| id_of(&engine.inner, "web:1").is_none()).await;
    assert!(is_running(&engine.inner, "web:2"));
}

#[tokio::test(start_paused = true)]
async fn what_a_list_lacks_and_is_there_was_removed_by_nobody() {
    let engine = Arc::new(FaultyEngine::default());
    let stage = Stage::start(Arc::clone(&engine) as Arc<dyn Engine>, &deployment("web", "web:1", ""));
    stage.until("it serves", |stage| stage.reason("Deployment/web") == "Converged").await;
    let before = stage.core.board.events(Some(&key("Deployment/web")), 0);
    *engine.unlisted.lock().unwrap() = id_of(&engine.inner, "web:1");
    engine.inner.cut_event_streams();
    sleep(Duration::from_secs(10)).await;
    *engine.unlisted.lock().unwrap() = None;
    sleep(Duration::from_mins(10)).await;
    assert_eq!(stage.reason("Deployment/web"), "Converged");
    assert_eq!(stage.core.board.events(Some(&key("Deployment/web")), 0), before, "nothing is told of it");
    assert_eq!(engine.inner.call_counts().of(CallKind::CreateContainer), 1);
}

#[tokio::test(start_paused = true)]
async fn a_step_that_waits_for_its_turn_is_not_taken_for_a_manifest_that_has_changed() {
    let latency = Latency { start_ms: 400, ..Latency::none() };
    let program = Program::forever();
    let config = SimulatedConfig { seed: 1, epoch_ms: 0, latency, calls_kept: 1_000, default_program: program };
    let engine = SimulatedEngine::new(config);
    let stage = Stage::start(Arc::new(engine.clone()), &deployment("web", "web:1", ", replicas: 12"));
    stage.until("the first are being started", |_| engine.call_counts().of(CallKind::StartContainer) > 0).await;
    stage.want(&deployment("web", "web:2", ", replicas: 12"));
    stage.until("the new ones serve", |stage| stage.reason("Deployment/web") == "Converged").await;
    let started = engine.call_counts().of(CallKind::StartContainer);
    // Four at once: four were started, and four were being started by then.
    assert!(started <= 12 + 8, "{started}: those that waited were started for nothing; {:?}", engine.calls());
}
