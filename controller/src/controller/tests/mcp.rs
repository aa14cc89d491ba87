//! Servers of the Model Context Protocol from their manifests to their containers, and gateways, which have none.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use planner::inventory::ProbeOutcome;
use planner::observed::ContainerDetail;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::stage::{Birth, Life, Manifests, images, key};
use crate::controller::Exclusion;
use crate::engine::simulated::{Program, SimulatedEngine};
use crate::store::Store;

/// A life that begins with a manifest.
fn begin(engine: &SimulatedEngine, manifests: &Manifests, manifest: &str) -> Life {
    manifests.want_manifest(manifest);
    let store = Store::in_memory().unwrap();
    Birth { engine, store: &store, manifests, is_restricted: false, exclusion: Exclusion::None, mcp_dir: None }.begin()
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
        mcp_dir: None,
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
    sleep(Duration::from_mins(1)).await;
    assert!(life.converged().is_empty(), "nobody has looked at them");
    let both = ["McpServer/time", "McpGateway/hub"];
    for object in both {
        life.report_ready(object);
    }
    let reason = |life: &Life, object: &str| told(life, object).0;
    life.until("both are as they should be", |life| both.iter().all(|object| reason(life, object) == "Ready")).await;
    manifests.want_manifest(&remote);
    life.until("the gateway is forgotten", |life| life.board.object(&key("McpGateway/hub")).is_none()).await;
    assert_eq!(reason(&life, "McpServer/time"), "Ready");
}

/// An MCP server of few words, which offers one tool.
fn speaking_mcp() -> Program {
    Program::answering(|line| {
        let request: Value = serde_json::from_str(line).unwrap();
        let Some(id) = request.get("id") else { return Vec::new() };
        let answer = match request["method"].as_str().unwrap_or_default() {
            "initialize" => {
                let version = &request["params"]["protocolVersion"];
                let info = json!({ "name": "time", "version": "1" });
                json!({ "result": { "protocolVersion": version, "capabilities": { "tools": {} }, "serverInfo": info } })
            }
            "tools/list" => json!({ "result": { "tools": [{ "name": "now", "inputSchema": { "type": "object" } }] } }),
            "ping" => json!({ "result": {} }),
            _ => json!({ "error": { "code": -32601, "message": "it knows no such method" } }),
        };
        let mut reply = json!({ "jsonrpc": "2.0", "id": id });
        reply.as_object_mut().unwrap().extend(answer.as_object().unwrap().clone());
        vec![reply.to_string()]
    })
}

/// One that answers everything with the same error.
fn refusing(message: &'static str) -> Program {
    Program::answering(move |line| {
        let request: Value = serde_json::from_str(line).unwrap();
        let Some(id) = request.get("id") else { return Vec::new() };
        vec![json!({ "jsonrpc": "2.0", "id": id, "error": { "code": -32000, "message": message } }).to_string()]
    })
}

/// A life with gateways.
fn begin_with_gateways(engine: &SimulatedEngine, manifests: &Manifests, dir: &Path, manifest: &str) -> Life {
    manifests.want_manifest(manifest);
    let store = Store::in_memory().unwrap();
    let birth = Birth {
        engine,
        store: &store,
        manifests,
        is_restricted: false,
        exclusion: Exclusion::None,
        mcp_dir: Some(dir.to_owned()),
    };
    birth.begin()
}

/// What is told of an object: reason, message, and columns.
fn told(life: &Life, object: &str) -> (String, String, Vec<String>) {
    let Some(record) = life.board.object(&key(object)) else { return Default::default() };
    let ready = record.status.conditions.first().map(|ready| (ready.reason.clone(), ready.message.clone()));
    let (reason, message) = ready.unwrap_or_default();
    let columns = record.status.columns.iter().map(|column| format!("{} {}", column.name, column.value));
    (reason, message, columns.collect())
}

/// A gateway at an address; `more` is added to its spec.
fn gateway_at(address: SocketAddr, more: &str) -> String {
    let header = "---\napiVersion: evenkeel.dev/v1\nkind: McpGateway\nmetadata: { name: hub }\n";
    format!("{header}spec: {{ listen: \"{address}\"{more} }}\n")
}

/// An address that nobody has now.
fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_hub_asks_a_server_and_its_gateway_offers_it_also_after_a_rolling_update() {
    let (engine, manifests) = (SimulatedEngine::default(), Manifests::default());
    let dir = tempfile::tempdir().unwrap();
    engine.set_program("time:1", speaking_mcp());
    engine.set_program("time:2", refusing("it wants a token"));
    engine.set_program("time:3", speaking_mcp());
    let gateway = gateway_at(free_address(), "");
    let manifest = |image: &str| time_server(&format!("image: \"{image}\"")) + &gateway;
    let life = begin_with_gateways(&engine, &manifests, dir.path(), &manifest("time:1"));
    life.until("the server is ready", |life| told(life, "McpServer/time").0 == "Converged").await;
    life.until("the gateway offers it", |life| told(life, "McpGateway/hub").2 == ["SERVERS 1/1", "TOOLS 1"]).await;
    let (reason, message, _) = told(&life, "McpGateway/hub");
    assert!(reason == "Serving" && message.starts_with("serving on 127.0.0.1:"), "{reason}: {message}");
    assert!(dir.path().join("default_hub.token").exists());

    manifests.want_manifest(&manifest("time:2"));
    life.until("the new one is asked", |life| told(life, "McpServer/time").1.contains("it wants a token")).await;
    sleep(Duration::from_mins(10)).await;
    assert_eq!(images(&engine), ["time:1", "time:2"], "the old one goes on");

    manifests.want_manifest(&manifest("time:3"));
    life.until("the third one takes over", |_| images(&engine) == ["time:3"]).await;
    life.until("the server is ready", |life| told(life, "McpServer/time").0 == "Converged").await;
    let container = engine.all_container_ids().remove(0);
    engine.external_kill(&container, 1).unwrap();
    life.until("it is not ready", |life| told(life, "McpServer/time").0 != "Converged").await;
    life.until("it answers again", |life| told(life, "McpServer/time").0 == "Converged").await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_no_gateway_offers_is_asked_all_the_same_and_says_so() {
    let (engine, manifests) = (SimulatedEngine::default(), Manifests::default());
    let dir = tempfile::tempdir().unwrap();
    engine.set_program("time:1", speaking_mcp());
    let server = time_server("image: \"time:1\"");
    let life = begin_with_gateways(&engine, &manifests, dir.path(), &server);
    life.until("it is asked", |life| told(life, "McpServer/time").0 == "NotOffered").await;
    assert_eq!(told(&life, "McpServer/time").1, "it answers, but no McpGateway selects it");

    manifests.want_manifest(&(server.clone() + &gateway_at(free_address(), "")));
    life.until("it is offered", |life| told(life, "McpServer/time").0 == "Converged").await;
    manifests.want_manifest(&server);
    life.until("the gateway is forgotten", |life| life.board.object(&key("McpGateway/hub")).is_none()).await;
    life.until("it is not offered any more", |life| told(life, "McpServer/time").0 == "NotOffered").await;
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_cannot_listen_or_let_anybody_in_says_why_and_tries_again() {
    let (engine, manifests) = (SimulatedEngine::default(), Manifests::default());
    let dir = tempfile::tempdir().unwrap();
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    let life = begin_with_gateways(&engine, &manifests, dir.path(), &gateway_at(address, ""));
    let reason = |life: &Life| told(life, "McpGateway/hub").0;
    life.until("it cannot listen", |life| reason(life) == "ListenFailed").await;
    assert!(told(&life, "McpGateway/hub").1.contains(&format!("cannot listen on {address}: ")));
    drop(other);
    life.until("it listens", |life| reason(life) == "Serving").await;

    let token = dir.path().join("laptop.token");
    std::fs::write(&token, "short").unwrap();
    std::fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let tokens = format!(", tokens: [{{ name: laptop, file: \"{}\" }}]", token.display());
    manifests.want_manifest(&gateway_at(address, &tokens));
    life.until("its token is refused", |life| reason(life) == "TokenFault").await;
    assert!(std::net::TcpListener::bind(address).is_ok(), "nobody comes in meanwhile");
    std::fs::write(&token, "a-secret-of-some-length").unwrap();
    life.until("it listens again", |life| reason(life) == "Serving").await;
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_is_suspended_stays_as_it_is_and_one_that_never_listened_does_not_begin() {
    let (engine, manifests) = (SimulatedEngine::default(), Manifests::default());
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (free_address(), free_address());
    let suspended = |address| gateway_at(address, ", suspend: true");
    let life = begin_with_gateways(&engine, &manifests, dir.path(), &suspended(first));
    life.until("it is looked at", |life| told(life, "McpGateway/hub").0 == "Suspended").await;
    manifests.want_manifest(&gateway_at(first, ""));
    life.until("it listens", |life| told(life, "McpGateway/hub").0 == "Serving").await;
    let before = told(&life, "McpGateway/hub");
    manifests.want_manifest(&suspended(second));
    sleep(Duration::from_mins(1)).await;
    assert_eq!(told(&life, "McpGateway/hub"), before);
    manifests.want_manifest(&gateway_at(second, ""));
    life.until("it listens elsewhere", |life| {
        let (reason, message, _) = told(life, "McpGateway/hub");
        reason == "Serving" && message != before.1
    })
    .await;
}
