//! Rollouts that fail, over lives of a controller: what served is brought back, and what failed is not tried again until somebody says so.

use std::time::Duration;

use crds_schema::{ConditionStatus, ConditionType};
use planner::observed::ContainerState;
use serde_json::Value;
use tokio::time::sleep;

use super::stage::{Birth, Life, Manifests, images, key};
use crate::controller::Exclusion;
use crate::engine::simulated::{CallKind, ImageConfig, Program, SimulatedEngine};
use crate::store::Store;
use crate::store::kv::Kv as _;
use crate::store::memory::{Fault, MemoryKv};
use crate::user_word::UserWord;

const WEB: &str = "Deployment/web";

/// An Engine on which `bad:1` ends as soon as it runs.
fn engine() -> SimulatedEngine {
    let engine = SimulatedEngine::default();
    engine.set_program("bad:1", Program::exiting(500, 3).printing("no such table"));
    engine
}

fn begin(engine: &SimulatedEngine, manifests: &Manifests, store: &Store) -> Life {
    Birth { engine, store, manifests, is_restricted: false, exclusion: Exclusion::None, mcp_dir: None }.begin()
}

/// A deployment that writes to what only one container may write to.
fn writer(image: &str, more: &str) -> String {
    format!(
        "apiVersion: evenkeel.dev/v1\nkind: Deployment\nmetadata: {{ name: web }}\nspec:\n  image: \"{image}\"\n  \
         mounts: [{{ host: /srv, path: /data }}]\n  strategy: {{ progressDeadline: 1m{more} }}\n"
    )
}

/// The image of what runs.
fn serving(engine: &SimulatedEngine) -> Vec<String> {
    let details = engine.all_container_ids().into_iter().filter_map(|id| engine.peek(&id));
    let running = details.filter(|detail| detail.status.state == ContainerState::Running);
    running.map(|detail| detail.config.image).collect()
}

/// The status, reason and message of a condition.
fn condition(life: &Life, condition_type: ConditionType) -> (ConditionStatus, String, String) {
    let record = life.board.object(&key(WEB)).unwrap();
    let told = record.status.condition(condition_type).unwrap();
    (told.status, told.reason.clone(), told.message.clone())
}

fn reason(life: &Life, condition_type: ConditionType) -> String {
    condition(life, condition_type).1
}

fn is_rolled_back(life: &Life, engine: &SimulatedEngine) -> bool {
    life.board.object(&key(WEB)).is_some_and(|record| record.rolled_back.is_some())
        && serving(engine) == ["good:1"]
        && reason(life, ConditionType::Ready) == "RolledBack"
}

/// A life in which the first version has served for long enough.
async fn served(engine: &SimulatedEngine, manifests: &Manifests, store: &Store, manifest: &str) -> Life {
    manifests.want_manifest(manifest);
    let life = begin(engine, manifests, store);
    life.until("it serves", |life| life.converged() == [WEB]).await;
    sleep(Duration::from_secs(10)).await;
    life
}

/// An update that was taken back, and the life in which it was.
async fn rolled_back(engine: &SimulatedEngine, manifests: &Manifests, store: &Store) -> Life {
    let life = served(engine, manifests, store, &writer("good:1", "")).await;
    manifests.want_manifest(&writer("bad:1", ""));
    life.until("it is rolled back", |life| is_rolled_back(life, engine)).await;
    life
}

#[tokio::test(start_paused = true)]
async fn an_update_that_had_to_stop_what_served_and_does_not_serve_is_rolled_back_once() {
    let (engine, manifests, store) = (engine(), Manifests::default(), Store::in_memory().unwrap());
    let life = rolled_back(&engine, &manifests, &store).await;
    let record = life.board.object(&key(WEB)).unwrap();
    assert_eq!(record.manifest["spec"]["image"], "bad:1", "it is the user's");
    assert_eq!(record.manifest_in_force()["spec"]["image"], "good:1");
    assert_eq!((record.status.generation, record.status.observed_generation), (2, 2));
    let (status, _, message) = condition(&life, ConditionType::Degraded);
    assert_eq!(status, ConditionStatus::True);
    for said in ["exited with code 3", "no such table", "evenkeel rollout retry Deployment/web"] {
        assert!(message.contains(said), "{said}: {message}");
    }
    assert_eq!(condition(&life, ConditionType::Progressing).0, ConditionStatus::False);
    assert_eq!(reason(&life, ConditionType::Progressing), "ProgressDeadlineExceeded");
    let events = life.board.events(Some(&key(WEB)), 0);
    let told: Vec<_> = events.iter().filter(|event| event.reason == "RolledBack").collect();
    assert!(told.len() == 1 && told[0].count == 1 && told[0].message.contains("no such table"), "{told:?}");
    let created = engine.call_counts().of(CallKind::CreateContainer);
    sleep(Duration::from_hours(2)).await;
    assert!(is_rolled_back(&life, &engine));
    assert_eq!(engine.call_counts().of(CallKind::CreateContainer), created);
    assert_eq!(images(&engine), ["good:1"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_rolled_back_is_not_tried_again_by_the_next_controller_nor_when_it_is_read_again() {
    let (engine, manifests, store) = (engine(), Manifests::default(), Store::in_memory().unwrap());
    drop(rolled_back(&engine, &manifests, &store).await);
    let calls = engine.call_counts().mutating();
    let life = begin(&engine, &manifests, &store);
    life.until("it is looked at", |life| life.board.controller().is_ready).await;
    // The same spec on another line, and under another label.
    let again = writer("bad:1", "").replace("{ name: web }", "{ name: web, labels: { a: b } }");
    manifests.want_manifest(&format!("# a comment\n{again}"));
    sleep(Duration::from_mins(30)).await;
    assert!(is_rolled_back(&life, &engine));
    assert_eq!(engine.call_counts().mutating(), calls);
    let record = life.board.object(&key(WEB)).unwrap();
    assert_eq!(record.manifest_in_force()["metadata"]["labels"]["a"], "b");
}

#[tokio::test(start_paused = true)]
async fn another_spec_is_tried_and_the_one_of_before_brings_everything_back() {
    let (engine, manifests, store) = (engine(), Manifests::default(), Store::in_memory().unwrap());
    let life = rolled_back(&engine, &manifests, &store).await;
    manifests.want_manifest(&writer("better:1", ""));
    life.until("it serves", |life| life.converged() == [WEB] && serving(&engine) == ["better:1"]).await;
    assert!(life.board.object(&key(WEB)).unwrap().rolled_back.is_none());
    sleep(Duration::from_secs(10)).await;
    // What failed once is tried again once something else was wanted.
    manifests.want_manifest(&writer("bad:1", ""));
    life.until("it is tried again", |_| images(&engine).contains(&"bad:1".to_owned())).await;
    manifests.want_manifest(&writer("better:1", ""));
    life.until("the user brings it back", |life| life.converged() == [WEB] && images(&engine) == ["better:1"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_word_of_the_user_tries_it_again() {
    let (engine, manifests, store) = (engine(), Manifests::default(), Store::in_memory().unwrap());
    let life = rolled_back(&engine, &manifests, &store).await;
    life.say(UserWord::RetryRollout(key(WEB))).await;
    let is_heard = |life: &Life| life.board.object(&key(WEB)).unwrap().rolled_back.is_none();
    while !is_heard(&life) {
        tokio::task::yield_now().await;
    }
    let record = life.board.object(&key(WEB)).unwrap();
    assert!(record.failed_rollout().is_none() || !record.is_looked_at(), "nothing is told of it yet");
    life.until("it is tried again", |_| images(&engine).contains(&"bad:1".to_owned())).await;
    life.until("it is rolled back again", |life| is_rolled_back(life, &engine)).await;
    engine.store_image("bad:1", ImageConfig::plain(), Program::forever());
    life.say(UserWord::RetryRollout(key(WEB))).await;
    life.until("it serves now", |life| life.converged() == [WEB] && serving(&engine) == ["bad:1"]).await;
    life.say(UserWord::RetryRollout(key(WEB))).await;
    life.say(UserWord::RetryRollout(key("Deployment/nobody"))).await;
    sleep(Duration::from_mins(10)).await;
    assert_eq!(images(&engine), ["bad:1"]);
}

#[tokio::test(start_paused = true)]
async fn where_the_user_wants_it_so_or_nothing_served_before_it_is_told_and_nothing_is_changed() {
    for is_first in [true, false] {
        let (engine, manifests, store) = (engine(), Manifests::default(), Store::in_memory().unwrap());
        manifests.want_manifest(&writer(if is_first { "bad:1" } else { "good:1" }, ""));
        let life = begin(&engine, &manifests, &store);
        if !is_first {
            life.until("it serves", |life| life.converged() == [WEB]).await;
            sleep(Duration::from_secs(10)).await;
            manifests.want_manifest(&writer("bad:1", ", onFailure: Pause"));
        }
        let is_told = |life: &Life| {
            life.board.object(&key(WEB)).is_some()
                && reason(life, ConditionType::Progressing) == "ProgressDeadlineExceeded"
        };
        life.until("it is told", is_told).await;
        let (_, _, message) = condition(&life, ConditionType::Progressing);
        let why = if is_first { "nothing else is known to have served" } else { "`strategy.onFailure` is `Pause`" };
        assert!(message.contains(why), "{message}");
        sleep(Duration::from_hours(1)).await;
        assert!(is_told(&life) && !serving(&engine).contains(&"good:1".to_owned()));
        assert!(life.board.object(&key(WEB)).unwrap().rolled_back.is_none());
        let events = life.board.events(Some(&key(WEB)), 0);
        let told = events.iter().filter(|event| event.reason == "ProgressDeadlineExceeded").count();
        assert_eq!(told, 1, "{events:?}");
        life.say(UserWord::RetryRollout(key(WEB))).await;
        let is_begun = |life: &Life| {
            let record = life.board.object(&key(WEB)).unwrap();
            record.failed_rollout().is_none() || !record.is_looked_at()
        };
        life.until("nothing is told of the try before", is_begun).await;
        life.until("it is told again", |life| is_told(life) && !is_begun(life)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_brought_back_and_does_not_serve_either_is_not_taken_back_again() {
    let (engine, manifests, store) = (engine(), Manifests::default(), Store::in_memory().unwrap());
    let life = served(&engine, &manifests, &store, &writer("good:1", "")).await;
    manifests.want_manifest(&writer("bad:1", ""));
    life.until("it is tried", |_| images(&engine).contains(&"bad:1".to_owned())).await;
    // The data are not what they were.
    engine.store_image("good:1", ImageConfig::plain(), Program::exiting(500, 4));
    let kept = engine.all_container_ids().into_iter().find(|id| engine.peek(id).unwrap().config.image == "good:1");
    engine.external_remove(&kept.unwrap()).unwrap();
    let is_told = |life: &Life| {
        life.board.object(&key(WEB)).unwrap().rolled_back.is_some()
            && condition(life, ConditionType::Progressing).2.contains("it is what was brought back")
    };
    life.until("both have failed", is_told).await;
    assert_eq!(reason(&life, ConditionType::Degraded), "RolledBack");
    let created = engine.call_counts().of(CallKind::CreateContainer);
    sleep(Duration::from_hours(1)).await;
    assert!(is_told(&life));
    assert_eq!(engine.call_counts().of(CallKind::CreateContainer), created);
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_starts_again_begins_the_time_anew_and_one_that_lost_its_store_tears_nothing_down() {
    let (engine, manifests, store) = (engine(), Manifests::default(), Store::in_memory().unwrap());
    let life = served(&engine, &manifests, &store, &writer("good:1", "")).await;
    manifests.want_manifest(&writer("bad:1", ""));
    sleep(Duration::from_secs(50)).await;
    drop(life);
    let life = begin(&engine, &manifests, &store);
    sleep(Duration::from_secs(50)).await;
    assert!(life.board.object(&key(WEB)).unwrap().rolled_back.is_none());
    drop(life);
    let lost = Store::in_memory().unwrap();
    let birth = Birth {
        engine: &engine,
        store: &lost,
        manifests: &manifests,
        is_restricted: true,
        exclusion: Exclusion::None,
        mcp_dir: None,
    };
    let life = birth.begin();
    sleep(Duration::from_hours(1)).await;
    assert_eq!(images(&engine), ["bad:1", "good:1"], "what was kept is kept");
    assert_eq!(reason(&life, ConditionType::Progressing), "ProgressDeadlineExceeded");
    manifests.want_manifest(&writer("good:1", ""));
    life.until("the user brings it back", |life| life.converged() == [WEB] && serving(&engine) == ["good:1"]).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_brought_back_before_the_disk_has_that_it_is() {
    let (engine, manifests) = (engine(), Manifests::default());
    let kv = MemoryKv::default();
    let store = Store::over_memory(kv.clone()).unwrap();
    let life = served(&engine, &manifests, &store, &writer("good:1", "")).await;
    manifests.want_manifest(&writer("bad:1", ""));
    life.until("it is tried", |_| images(&engine).contains(&"bad:1".to_owned())).await;
    kv.inject(Fault::NoSpace);
    sleep(Duration::from_mins(10)).await;
    assert!(life.board.object(&key(WEB)).unwrap().rolled_back.is_none());
    assert_ne!(serving(&engine), ["good:1"]);
    kv.inject(Fault::None);
    life.until("it is rolled back", |life| is_rolled_back(life, &engine)).await;
    let record: Value = serde_json::from_slice(&kv.get("rollout/Deployment/web").unwrap().unwrap()).unwrap();
    assert_eq!(record["data"]["rejection"]["manifest"]["spec"]["image"], "bad:1");
}

#[tokio::test(start_paused = true)]
async fn what_depends_on_it_is_started_when_what_was_brought_back_serves() {
    let (engine, manifests, store) = (engine(), Manifests::default(), Store::in_memory().unwrap());
    let life = rolled_back(&engine, &manifests, &store).await;
    let ui = "---\napiVersion: evenkeel.dev/v1\nkind: Deployment\nmetadata: { name: ui }\nspec: { image: \"ui:1\", dependsOn: [{ kind: Deployment, name: web }] }\n";
    manifests.want_manifest(&(writer("bad:1", "") + ui));
    life.until("it is started", |life| life.converged() == ["Deployment/ui"]).await;
}

#[tokio::test(start_paused = true)]
async fn an_update_beside_which_the_old_one_serves_is_rolled_back_without_a_break() {
    let (engine, manifests, store) = (engine(), Manifests::default(), Store::in_memory().unwrap());
    let plain = |image: &str| writer(image, "").replace("  mounts: [{ host: /srv, path: /data }]\n", "");
    let life = served(&engine, &manifests, &store, &plain("good:1")).await;
    let good = engine.all_container_ids();
    manifests.want_manifest(&plain("bad:1"));
    life.until("it is rolled back", |life| {
        assert!(serving(&engine).contains(&"good:1".to_owned()));
        is_rolled_back(life, &engine)
    })
    .await;
    life.until("what failed is gone", |_| engine.all_container_ids() == good).await;
    assert_eq!(engine.peek(&good[0]).unwrap().restart_count, 0);
}

#[tokio::test(start_paused = true)]
async fn what_stands_against_something_that_was_accepted_since_is_not_brought_back() {
    let (engine, manifests, store) = (engine(), Manifests::default(), Store::in_memory().unwrap());
    let published = |image: &str, port: u16| {
        writer(image, "").replace("  mounts:", &format!("  ports: [{{ port: 80, publish: \"{port}\" }}]\n  mounts:"))
    };
    let life = served(&engine, &manifests, &store, &published("good:1", 8080)).await;
    let api = "---\napiVersion: evenkeel.dev/v1\nkind: Deployment\nmetadata: { name: api }\nspec: { image: \"api:1\", ports: [{ port: 80, publish: \"8080\" }] }\n";
    manifests.want_manifest(&(published("bad:1", 9090) + api));
    let is_told = |life: &Life| {
        let events = life.board.events(Some(&key(WEB)), 0);
        events.iter().any(|event| event.reason == "RollbackBlocked" && event.message.contains("8080"))
    };
    life.until("it is told", is_told).await;
    sleep(Duration::from_hours(1)).await;
    assert!(life.board.object(&key(WEB)).unwrap().rolled_back.is_none());
    assert_eq!(serving(&engine), ["api:1"]);
    assert!(condition(&life, ConditionType::Progressing).2.contains("something stands against what served last"));
    assert_eq!(reason(&life, ConditionType::Progressing), "ProgressDeadlineExceeded");
    manifests.want_manifest(&published("good:1", 8080));
    life.until("the user brings it back", |life| life.converged() == [WEB]).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_wanted_any_more_is_not_tried_again() {
    let (engine, manifests, store) = (engine(), Manifests::default(), Store::in_memory().unwrap());
    let life = rolled_back(&engine, &manifests, &store).await;
    let protected = "{ name: web, annotations: { evenkeel.dev/protect: \"true\" } }";
    manifests.want_manifest(&writer("bad:1", "").replace("{ name: web }", protected));
    sleep(Duration::from_secs(10)).await;
    let ui = "apiVersion: evenkeel.dev/v1\nkind: Deployment\nmetadata: { name: ui }\nspec: { image: \"ui:1\" }\n";
    manifests.want_manifest(ui);
    let is_held = |life: &Life| life.board.events(Some(&key(WEB)), 0).iter().any(|event| event.reason == "PruneHeld");
    life.until("it is held", is_held).await;
    life.say(UserWord::RetryRollout(key(WEB))).await;
    sleep(Duration::from_mins(10)).await;
    assert_eq!(images(&engine), ["good:1", "ui:1"]);
    let events = life.board.events(Some(&key(WEB)), 0);
    let told: Vec<_> = events.iter().filter(|event| event.reason == "RolledBack").collect();
    assert!(told.len() == 1 && told[0].count == 1, "{told:?}");
}
