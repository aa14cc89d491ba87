//! The address leads to another Engine than the store is about: nothing of it is touched.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::stage::{Stage, deployment};
use crate::engine::Engine;
use crate::engine::simulated::{CallKind, SimulatedEngine};

const SIMULATED_ID: &str = "SIMU:LATE:DENG:INE0";

fn remember_engine(stage: &Stage, id: &str) {
    let mut write = stage.core.store.write();
    write.put_engine_id(id);
    write.commit_lazily().unwrap();
}

#[tokio::test(start_paused = true)]
async fn nothing_is_changed_on_another_engine_whatever_is_asked_for() {
    let engine = Arc::new(SimulatedEngine::default());
    let stage = Stage::start(Arc::clone(&engine) as Arc<dyn Engine>, &deployment("web", "web:1", ""));
    remember_engine(&stage, SIMULATED_ID);
    stage.until("it serves", |stage| stage.reason("Deployment/web") == "Converged").await;

    // The other Engine has everything that ours had, so that only its id tells.
    remember_engine(&stage, "ANOTHER");
    engine.cut_event_streams();
    sleep(Duration::from_secs(10)).await;
    let before = engine.call_counts().mutating();
    engine.external_remove(&engine.all_container_ids()[0]).unwrap();
    stage.want(&(deployment("web", "web:2", "") + &deployment("new", "new:1", "")));
    sleep(Duration::from_hours(1)).await;
    assert_eq!(engine.call_counts().mutating(), before, "{:?}", engine.calls());
    assert_eq!(engine.call_counts().of(CallKind::PullImage), 1);

    remember_engine(&stage, SIMULATED_ID);
    sleep(Duration::from_mins(10)).await;
    for key in ["Deployment/web", "Deployment/new"] {
        assert_eq!(stage.reason(key), "Converged", "our own Engine is back");
    }
}
