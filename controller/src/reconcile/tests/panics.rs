//! A panic in one pass: it is caught, told, and costs nobody but its object.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::sleep;

use super::faulty_engine::FaultyEngine;
use super::stage::{Stage, deployment, key};
use crate::engine::Engine;
use crate::store::record::FinishedPass;

/// Three deployments, of which the passes over one panic.
fn start() -> (Stage, Arc<FaultyEngine>) {
    let is_panicking = AtomicBool::new(true);
    let engine = Arc::new(FaultyEngine { victim: "bad", is_panicking, ..FaultyEngine::default() });
    let manifests = ["bad", "good", "fine"].map(|name| deployment(name, &format!("{name}:1"), "")).concat();
    let shared: Arc<dyn Engine> = Arc::clone(&engine) as Arc<dyn Engine>;
    (Stage::start(shared, &manifests), engine)
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_one_pass_is_caught_and_told_and_the_others_converge() {
    let (stage, _engine) = start();
    let others = ["Deployment/good", "Deployment/fine"];
    stage.until("the others converge", |stage| others.map(|key| stage.reason(key)) == ["Converged"; 2]).await;
    assert_eq!(stage.reason("Deployment/bad"), "InternalError");
    let record = stage.record("Deployment/bad");
    assert!(record.status.last_error.as_ref().is_some_and(|error| error.contains("a fault of Evenkeel")), "{record:?}");
    assert!(record.status.next_retry_ms.is_some(), "{record:?}");
    let told = stage.core.board.events(Some(&key("Deployment/bad")), 0);
    assert!(told.iter().any(|event| event.reason == "InternalError"), "{told:?}");
    assert!(stage.core.metrics.panics_caught.get() > 0);
    assert_eq!(stage.core.store.open_intents().unwrap(), [], "a pass that panicked is over");
    let is_of_bad = |pass: &FinishedPass| pass.intent.key == key("Deployment/bad");
    assert!(stage.core.store.finished_passes().unwrap().iter().any(is_of_bad), "and is written down");
}

#[tokio::test(start_paused = true)]
async fn an_object_whose_passes_panic_is_tried_less_and_less_often() {
    let (stage, _engine) = start();
    let mut caught_by = Vec::new();
    for _ in 0..4 {
        sleep(Duration::from_mins(15)).await;
        caught_by.push(stage.core.metrics.panics_caught.get());
    }
    // 1 s, doubled up to 5 min, each a fifth shorter or longer: then 3 or 4 tries in a quarter of an hour.
    assert!((8..=14).contains(&caught_by[0]), "{caught_by:?}");
    let later: Vec<u64> = caught_by.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(later.iter().all(|tries| (2..=4).contains(tries)), "{caught_by:?}");
    assert_eq!(stage.core.queue.depth().1, 0, "no key is left as running");
}

#[tokio::test(start_paused = true)]
async fn an_object_converges_when_its_passes_panic_no_more() {
    let (mut stage, engine) = start();
    stage.until("three panics", |stage| stage.core.metrics.panics_caught.get() >= 3).await;
    engine.is_panicking.store(false, Ordering::Relaxed);
    stage.until("it converges", |stage| stage.reason("Deployment/bad") == "Converged").await;
    assert_eq!(engine.inner.all_container_ids().len(), 3);
    let record = stage.record("Deployment/bad");
    assert_eq!((record.status.last_error.clone(), record.status.next_retry_ms), (None, None));
    assert!(stage.tasks.try_join_next().is_none(), "the loop and the reflector go on");
}
