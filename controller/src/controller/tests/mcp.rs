//! Servers of the Model Context Protocol from their manifests to their containers, and gateways, which have none.

use std::time::Duration;

use planner::inventory::ProbeOutcome;
use planner::observed::ContainerDetail;
use tokio::time::sleep;

use super::stage::{Birth, Life, Manifests, images, key};
use crate::controller::Exclusion;
use crate::engine::simulated::{Program, SimulatedEngine};
use crate::store::Store;

/// A life that begins with a manifest.
fn begin(engine: &SimulatedEngine, manifests: &Manifests, manifest: &str) -> Life {
    manifests.want_manifest(manifest);
    let store = Store::in_memory().unwrap();
    Birth { engine, store: &store, manifests, is_restricted: false, exclusion: Exclusion::None }.begin()
}

fn time_server(spec: &str) -> String {
    format!("apiVersion: evenkeel.dev/v1\nkind: McpServer\nmetadata: {{ name: time }}\nspec: {{ {spec} }}\n")
}

/// The container of an image, once it runs.
async fn running(life: &Life, engine: &SimulatedEngine, image: &str) -> ContainerDetail {
    let find = || {
        let details = engine.all_container_ids().into_iter().filter_map(|id| engine.peek(&id));
        details.into_iter().find(|detail| detail.config.image == image && detail.status.state.as_str() == "running")
    };
    life.until("it runs", |_| find().is_some()).await;
    find().unwrap()
}

/// Whether the server is told to be ready, and why not.
fn readiness(life: &Life) -> String {
    let record = life.board.object(&key("McpServer/time")).unwrap();
    record.status.conditions.first().map(|ready| format!("{}: {}", ready.reason, ready.message)).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_server_is_ready_when_it_answers_and_is_replaced_when_the_new_one_does() {
    let (engine, manifests) = (SimulatedEngine::default(), Manifests::default());
    engine.set_program("time:1", Program::reading_input());
    let life = begin(&engine, &manifests, &time_server("image: \"time:1\""));
    let first = running(&life, &engine, "time:1").await;
    assert!(first.config.open_stdin);
    assert_eq!((first.config.network_mode.as_str(), first.config.user.as_str()), ("none", "1001:1001"));
    sleep(Duration::from_mins(1)).await;
    assert!(readiness(&life).contains("(no MCP answer yet)"), "{}", readiness(&life));
    let unchanged = engine.peek(&first.id).unwrap();
    assert_eq!((unchanged.status.started_ms, unchanged.restart_count), (first.status.started_ms, 0), "it did not end");
    life.probe(&first.id, ProbeOutcome::Failed("it speaks no version of MCP".to_owned()));
    life.until("the failure is told", |life| readiness(life).contains("(it speaks no version of MCP)")).await;
    life.probe(&first.id, ProbeOutcome::Ready);
    life.until("it is ready", |life| life.converged() == ["McpServer/time"]).await;

    manifests.want_manifest(&time_server("image: \"time:2\""));
    let second = running(&life, &engine, "time:2").await;
    sleep(Duration::from_mins(10)).await;
    assert_eq!(images(&engine), ["time:1", "time:2"], "nothing is stopped before the new one has answered");
    life.probe(&second.id, ProbeOutcome::Ready);
    life.until("the old one goes", |_| images(&engine) == ["time:2"]).await;
    life.until("it is ready", |life| life.converged() == ["McpServer/time"]).await;
}

#[tokio::test(start_paused = true)]
async fn without_open_input_the_same_program_ends_at_once_again_and_again() {
    let (engine, manifests) = (SimulatedEngine::default(), Manifests::default());
    engine.set_program("time:1", Program::reading_input());
    manifests.want(&["time"]);
    let store = Store::in_memory().unwrap();
    let birth = Birth {
        engine: &engine,
        store: &store,
        manifests: &manifests,
        is_restricted: false,
        exclusion: Exclusion::None,
    };
    let life = birth.begin();
    let restarts = || {
        let found = engine.all_container_ids().into_iter().filter_map(|id| engine.peek(&id));
        found.map(|container| container.restart_count).sum::<u32>()
    };
    life.until("it is started again", |_| restarts() > 2).await;
    assert!(life.converged().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_was_started_again_must_answer_again() {
    let (engine, manifests) = (SimulatedEngine::default(), Manifests::default());
    let life = begin(&engine, &manifests, &time_server("image: \"time:1\""));
    let container = running(&life, &engine, "time:1").await;
    sleep(Duration::from_secs(30)).await;
    life.probe(&container.id, ProbeOutcome::Ready);
    life.until("it is ready", |life| life.converged() == ["McpServer/time"]).await;
    engine.external_kill(&container.id, 1).unwrap();
    life.until("it is not ready", |life| life.converged().is_empty()).await;
    running(&life, &engine, "time:1").await;
    sleep(Duration::from_mins(1)).await;
    assert!(readiness(&life).contains("(no MCP answer yet)"), "{}", readiness(&life));
    life.probe(&container.id, ProbeOutcome::Ready);
    life.until("it is ready", |life| life.converged() == ["McpServer/time"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_moves_away_loses_its_containers_and_what_has_none_is_forgotten_when_it_is_not_wanted() {
    let (engine, manifests) = (SimulatedEngine::default(), Manifests::default());
    let gateway = "---\napiVersion: evenkeel.dev/v1\nkind: McpGateway\nmetadata: { name: hub }\n";
    let life = begin(&engine, &manifests, &(time_server("image: \"time:1\"") + gateway));
    running(&life, &engine, "time:1").await;
    let remote = time_server("remote: { url: \"https://mcp.example.com/mcp\" }");
    manifests.want_manifest(&(remote.clone() + gateway));
    life.until("its container goes", |_| images(&engine).is_empty()).await;
    let both = ["McpServer/time", "McpGateway/hub"];
    life.until("both are as they should be", |life| life.converged() == both).await;
    manifests.want_manifest(&remote);
    life.until("the gateway is forgotten", |life| life.board.object(&key("McpGateway/hub")).is_none()).await;
    assert_eq!(life.converged(), ["McpServer/time"]);
}
