//! A container of ours that cannot be looked at when a controller starts: its object waits, and nobody else does.

use std::time::Duration;

use tokio::time::sleep;

use super::stage::{Birth, Life, Manifests, images};
use crate::controller::Exclusion;
use crate::engine::simulated::{CallKind, RequestFault, SimulatedEngine};
use crate::store::Store;

fn begin(engine: &SimulatedEngine, manifests: &Manifests) -> Life {
    let store = &Store::in_memory().unwrap();
    Birth { engine, store, manifests, is_restricted: false, exclusion: Exclusion::None, mcp_dir: None }.begin()
}

/// A life begins on an Engine where an earlier one left a container that it cannot look at until it can.
async fn begin_blindly(blind: impl FnOnce(&SimulatedEngine, &str), see: impl FnOnce(&SimulatedEngine, &str)) {
    let (engine, manifests) = (SimulatedEngine::default(), Manifests::default());
    manifests.want(&["web"]);
    let last = begin(&engine, &manifests);
    last.until("it serves", |life| life.converged() == ["Deployment/web"]).await;
    drop(last);
    let unseen = engine.all_container_ids().remove(0);
    blind(&engine, &unseen);

    manifests.want(&["new", "web"]);
    let life = begin(&engine, &manifests);
    life.until("the other serves", |life| life.converged() == ["Deployment/new"]).await;
    sleep(Duration::from_mins(1)).await;
    assert_eq!(engine.call_counts().of(CallKind::CreateContainer), 2, "{:?}", engine.calls());

    see(&engine, &unseen);
    life.until("both serve", |life| life.converged() == ["Deployment/new", "Deployment/web"]).await;
    assert_eq!(images(&engine), ["new:1", "web:1"]);
    assert_eq!(engine.call_counts().of(CallKind::CreateContainer), 2, "{:?}", engine.calls());
}

#[tokio::test(start_paused = true)]
async fn a_container_whose_inspections_fail_at_the_start_holds_up_its_own_object_only() {
    let blind = |engine: &SimulatedEngine, id: &str| {
        let known_as = [id.to_owned(), engine.peek(id).unwrap().name];
        engine.set_request_faults(move |asked| {
            let is_unseen = asked.kind == CallKind::InspectContainer && known_as.contains(&asked.subject);
            let text = "layer does not exist".to_owned();
            if is_unseen { RequestFault::Fail { status: 500, text } } else { RequestFault::None }
        });
    };
    begin_blindly(blind, |engine, _| engine.clear_faults()).await;
}

#[tokio::test(start_paused = true)]
async fn a_container_whose_inspections_hang_at_the_start_holds_up_its_own_object_only() {
    begin_blindly(SimulatedEngine::hang, SimulatedEngine::release).await;
}
