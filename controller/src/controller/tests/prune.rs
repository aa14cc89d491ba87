//! What is not wanted any more goes in the end, whatever the last life left behind.

use std::time::Duration;

use tokio::time::sleep;

use super::stage::{BEGINNING_MS, Birth, Life, Manifests, images, key};
use crate::controller::Exclusion;
use crate::engine::simulated::SimulatedEngine;
use crate::event::EventRecord;
use crate::status::{ObjectRecord, ObjectStatus};
use crate::store::Store;

fn begin(engine: &SimulatedEngine, store: &Store, manifests: &Manifests) -> Life {
    Birth { engine, store, manifests, is_restricted: false, exclusion: Exclusion::None, mcp_dir: None }.begin()
}

/// A life that begins with a store that was lost.
fn begin_after_a_loss(engine: &SimulatedEngine, store: &Store, manifests: &Manifests) -> Life {
    Birth { engine, store, manifests, is_restricted: true, exclusion: Exclusion::None, mcp_dir: None }.begin()
}

/// What a life has left that wanted `old` and `web`.
async fn leave_old_and_web(engine: &SimulatedEngine, store: &Store, manifests: &Manifests) {
    manifests.want(&["old", "web"]);
    let life = begin(engine, store, manifests);
    life.until("both serve", |life| life.converged() == ["Deployment/old", "Deployment/web"]).await;
}

#[tokio::test(start_paused = true)]
async fn the_restriction_after_a_lost_store_ends_also_when_the_manifests_came_late() {
    let (engine, manifests) = (SimulatedEngine::default(), Manifests::default());
    leave_old_and_web(&engine, &Store::in_memory().unwrap(), &manifests).await;
    manifests.break_down("the directory is not mounted");
    let store = Store::in_memory().unwrap();
    let life = begin_after_a_loss(&engine, &store, &manifests);
    life.until("the first pass is over", |life| life.board.controller().is_ready).await;
    sleep(Duration::from_mins(1)).await;
    assert_eq!(images(&engine), ["old:1", "web:1"], "what is missing may only be forgotten");
    manifests.want(&["web"]);
    life.until("what is not wanted goes", |_| images(&engine) == ["web:1"]).await;
    assert_eq!(life.board.controller().prune_held, None);
}

#[tokio::test(start_paused = true)]
async fn a_first_pass_that_needs_no_time_holds_what_is_missing_all_the_same() {
    let (engine, manifests) = (SimulatedEngine::default(), Manifests::default());
    leave_old_and_web(&engine, &Store::in_memory().unwrap(), &manifests).await;
    // Nothing is wanted but what is at fault: there is nothing that the first pass would have to look at.
    manifests.want_what_is_at_fault();
    let store = Store::in_memory().unwrap();
    let life = begin_after_a_loss(&engine, &store, &manifests);
    life.until("the first pass held them", |life| held_in_the_first_pass(life) == ["Deployment/old", "Deployment/web"])
        .await;
}

/// The objects of which an event says that the first pass holds them.
fn held_in_the_first_pass(life: &Life) -> Vec<String> {
    let is_held = |event: &EventRecord| event.reason == "PruneHeld" && event.message.contains("first pass");
    let held = life.board.events(None, 0).into_iter().filter(is_held);
    let mut keys: Vec<String> = held.filter_map(|event| event.object.map(|key| key.to_string())).collect();
    keys.sort();
    keys
}

#[tokio::test(start_paused = true)]
async fn a_record_that_nothing_else_knows_of_goes() {
    let (engine, manifests) = (SimulatedEngine::default(), Manifests::default());
    let store = Store::in_memory().unwrap();
    let ghost = key("Deployment/ghost");
    let mut write = store.write();
    write.put_object(&ObjectRecord {
        key: ghost.clone(),
        manifest: serde_json::Value::Null,
        source: crds_schema::SourceLocation::default(),
        created_ms: BEGINNING_MS,
        rolled_back: None,
        status: ObjectStatus { generation: 1, ..ObjectStatus::default() },
    });
    write.commit().await.unwrap();
    manifests.want(&["web"]);
    let life = begin(&engine, &store, &manifests);
    life.until("it is told of", |life| life.board.object(&ghost).is_some()).await;
    life.until("it is told of no more", |life| life.board.object(&ghost).is_none()).await;
    life.until("it is remembered no more", |_| store.object(&ghost).unwrap().is_none()).await;
    life.until("the other serves", |life| life.converged() == ["Deployment/web"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_tombstone_of_a_clock_that_was_a_day_ahead_delays_nothing() {
    let (engine, manifests) = (SimulatedEngine::default(), Manifests::default());
    let store = Store::in_memory().unwrap();
    leave_old_and_web(&engine, &store, &manifests).await;
    let mut write = store.write();
    write.put_tombstone(&key("Deployment/old"), BEGINNING_MS + 24 * 60 * 60 * 1_000);
    write.commit().await.unwrap();
    manifests.want(&["web"]);
    let life = begin(&engine, &store, &manifests);
    life.until("what is not wanted goes", |_| images(&engine) == ["web:1"]).await;
    life.until("it is told of no more", |life| life.converged() == ["Deployment/web"]).await;
}
