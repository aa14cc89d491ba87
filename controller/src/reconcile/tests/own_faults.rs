//! What befalls the loop and its containers: a loop that panics, a flood of events, a program that is killed for want of memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::stage::{Stage, deployment, key};
use crate::engine::Engine;
use crate::engine::simulated::{Program, SimulatedEngine};
use crate::supervise::supervise;

fn start(engine: &SimulatedEngine, manifests: &str) -> Stage {
    let shared: Arc<dyn Engine> = Arc::new(engine.clone());
    Stage::start(shared, manifests)
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_panics_is_told_of_and_begun_anew_and_the_others_go_on() {
    let stage = start(&SimulatedEngine::default(), &deployment("web", "web:1", ""));
    let begun = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&begun);
    let supervised = supervise("test", Arc::clone(&stage.core), move || {
        let begun = Arc::clone(&counted);
        async move {
            assert!(begun.fetch_add(1, Ordering::Relaxed) >= 2, "the first two panic");
        }
    });
    assert!(timeout(Duration::from_mins(1), supervised).await.is_ok(), "the third ends by itself");
    assert_eq!((begun.load(Ordering::Relaxed), stage.core.metrics.panics_caught.get()), (3, 2));
    let told = stage.core.board.events(None, 0);
    assert!(
        told.iter().any(|event| event.reason == "InternalError" && event.message.contains("test loop")),
        "{told:?}"
    );
    stage.until("the others go on", |stage| stage.reason("Deployment/web") == "Converged").await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_events_loses_nothing_that_matters() {
    let engine = SimulatedEngine::default();
    let stage = start(&engine, &deployment("web", "web:1", ""));
    stage.until("it converges", |stage| stage.reason("Deployment/web") == "Converged").await;
    let id = engine.all_container_ids().pop().unwrap();
    // More than wait anywhere on the way, without a pause in which anybody could read.
    for round in 0..6_000 {
        engine.external_rename(&id, &format!("flooded-{round}")).unwrap();
    }
    let (_, lost) = engine.recent_events();
    assert!(lost > 0, "the flood was none");
    let is_named =
        |engine: &SimulatedEngine| engine.peek(&id).is_some_and(|container| container.name.starts_with("web-"));
    stage.until("its name is given back", |_| is_named(&engine)).await;
    sleep(Duration::from_mins(6)).await;
    let calls = engine.call_counts().mutating();
    sleep(Duration::from_mins(6)).await;
    assert_eq!(engine.call_counts().mutating(), calls, "and then it is left alone");
}

#[tokio::test(start_paused = true)]
async fn a_program_that_is_killed_for_want_of_memory_is_told_as_that_and_tried_again() {
    let engine = SimulatedEngine::default();
    engine.set_program("web:1", Program::out_of_memory(500));
    let stage = start(&engine, &deployment("web", "web:1", ""));
    stage.until("it is told", |stage| stage.reason("Deployment/web") == "CrashLoopBackOff").await;
    let told = stage.core.board.events(Some(&key("Deployment/web")), 0);
    let is_told =
        told.iter().any(|event| event.reason == "CrashLoopBackOff" && event.message.contains("out of memory"));
    assert!(is_told, "{told:?}");
    let container = engine.all_container_ids().pop().and_then(|id| engine.peek(&id)).unwrap();
    assert!(container.restart_count > 0, "the Engine tries it again: {container:?}");
}
