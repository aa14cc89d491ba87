//! Containers that serve only when a probe was answered, and objects that have nothing in the Engine.

use std::fmt::Write as _;

use crds_schema::{ConditionStatus, ConditionType};
use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::{check, check_passes};
use crate::inventory::ProbeOutcome;
use crate::observed::{ContainerState, Health};
use crate::rollup::roll_up;
use crate::testing::{Scene, letter_hashes};
use crate::world::{Removal, Report, ReportStatus, World};

/// A scene in which a server was created and has not answered.
fn unanswered(spec: Value) -> Scene {
    let mut scene = Scene::new();
    scene.want("McpServer/time", spec);
    scene.settle();
    scene
}

/// A scene in which a server runs and has answered.
fn answered(spec: Value) -> Scene {
    let mut scene = unanswered(spec);
    answer_all(&mut scene, &ProbeOutcome::Ready);
    scene
}

/// Everything of the server is probed.
fn answer_all(scene: &mut Scene, outcome: &ProbeOutcome) {
    for name in scene.names("McpServer/time") {
        let id = scene.id(&name);
        scene.world.set_probe(&id, outcome.clone(), scene.now_ms);
    }
}

/// The new container of a server, which is the one that has not answered.
fn answer_new(scene: &mut Scene, outcome: &ProbeOutcome) {
    let key = "McpServer/time".parse().unwrap();
    let is_new = |container: &&crate::inventory::ObservedContainer| container.probe == ProbeOutcome::Unknown;
    let ids: Vec<String> = scene.world.containers_of(&key).filter(is_new).map(|new| new.id.to_string()).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(scene.world.set_probe(&ids[0], outcome.clone(), scene.now_ms), Some(key));
}

/// Compares what is told of an object's readiness with its text.
fn check_ready(scene: &Scene, key: &str, expect: &Expect) {
    let rolled = roll_up(&scene.world, &key.parse().unwrap(), &scene.plan(key), None);
    let mut lines = String::new();
    for statement in &rolled.conditions {
        if statement.status == ConditionStatus::True || statement.condition_type == ConditionType::Ready {
            let what = (statement.condition_type, statement.status);
            writeln!(lines, "{:?} {:?} {}: {}", what.0, what.1, statement.reason, statement.message).unwrap();
        }
    }
    expect.assert_eq(&letter_hashes(&lines));
}

#[test]
fn a_server_is_created_with_open_input_and_without_a_way_out_and_is_ready_when_it_answers() {
    let mut scene = Scene::new();
    scene.want("McpServer/time", json!({"image": "time:1"}));
    check_passes(
        &mut scene,
        &expect![[r#"
        McpServer/time at 0s
        []  -> #1 container/time-AAAAAAAA-0  Create  not present
        [1] -> #2 container/time-AAAAAAAA-0  Verify  compare with what was asked for
        [2] -> #3 container/time-AAAAAAAA-0  Start   created
    "#]],
    );
    let created = scene.engine.containers.values().next().unwrap().clone();
    assert!(created.config.open_stdin && created.config.read_only_root);
    assert_eq!((created.config.network_mode.as_str(), created.config.user.as_str()), ("none", "1001:1001"));
    assert_eq!((created.limits.memory, created.limits.pids, created.limits.nano_cpus), (256 << 20, 128, 1_000_000_000));
    let label = |name: &str| created.config.labels.get(name).map(String::as_str);
    assert_eq!((label("mcp.server"), label("mcp.governance.level")), (Some("time"), Some("medium")));
    check(
        &scene,
        "McpServer/time",
        &expect![[r#"
        waiting: container/time-AAAAAAAA-0 (no MCP answer yet)
    "#]],
    );
    check_ready(
        &scene,
        "McpServer/time",
        &expect![[r#"
        Ready False Waiting: waiting for container/time-AAAAAAAA-0 (no MCP answer yet)
        Progressing True Waiting: waiting for container/time-AAAAAAAA-0 (no MCP answer yet)
    "#]],
    );
    answer_all(&mut scene, &ProbeOutcome::Failed("it speaks no version of MCP".into()));
    check_ready(
        &scene,
        "McpServer/time",
        &expect![[r#"
        Ready False Waiting: waiting for container/time-AAAAAAAA-0 (it speaks no version of MCP)
        Progressing True Waiting: waiting for container/time-AAAAAAAA-0 (it speaks no version of MCP)
    "#]],
    );
    answer_all(&mut scene, &ProbeOutcome::Ready);
    check(&scene, "McpServer/time", &expect![""]);
    check_ready(
        &scene,
        "McpServer/time",
        &expect![[r#"
        Ready True Converged: it is as its spec says
    "#]],
    );
}

#[test]
fn a_server_is_replaced_when_the_new_container_has_answered_for_long_enough() {
    let mut scene = answered(json!({"image": "time:1"}));
    scene.want("McpServer/time", json!({"image": "time:2"}));
    check_passes(
        &mut scene,
        &expect![[r#"
        McpServer/time at 0s
        []  -> #1 container/time-AAAAAAAA-0  Create  spec changed: image (time:1 -> time:2)
        [1] -> #2 container/time-AAAAAAAA-0  Verify  compare with what was asked for
        [2] -> #3 container/time-AAAAAAAA-0  Start   created
    "#]],
    );
    scene.now_ms += 3_600_000;
    check(
        &scene,
        "McpServer/time",
        &expect![[r#"
        waiting: container/time-AAAAAAAA-0 (no MCP answer yet)
    "#]],
    );
    answer_new(&mut scene, &ProbeOutcome::Failed("no answer within 5s".into()));
    check_passes(&mut scene, &expect![""]);
    check(
        &scene,
        "McpServer/time",
        &expect![[r#"
        waiting: container/time-AAAAAAAA-0 (no answer within 5s)
    "#]],
    );
    answer_all(&mut scene, &ProbeOutcome::Ready);
    check_passes(
        &mut scene,
        &expect![[r#"
            McpServer/time at 3905s
            []  -> #1 container/time-AAAAAAAA-0  Update    not to be started again by the Engine
            [1] -> #2 container/time-AAAAAAAA-0  Stop 10s  replaced by time-BBBBBBBB-0
            [2] -> #3 container/time-AAAAAAAA-0  Remove    replaced by time-BBBBBBBB-0
        "#]],
    );
    check_ready(
        &scene,
        "McpServer/time",
        &expect![[r#"
        Ready True Converged: it is as its spec says
    "#]],
    );
}

#[test]
fn what_another_run_of_a_container_answered_is_forgotten() {
    let mut scene = answered(json!({"image": "time:1"}));
    scene.set_state("McpServer/time", ContainerState::Exited);
    scene.now_ms += 1_000;
    scene.settle();
    check_ready(
        &scene,
        "McpServer/time",
        &expect![[r#"
        Ready False Waiting: waiting for container/time-AAAAAAAA-0 (no MCP answer yet)
        Progressing True Waiting: waiting for container/time-AAAAAAAA-0 (no MCP answer yet)
    "#]],
    );
}

#[test]
fn a_template_that_does_not_ask_for_open_input_says_nothing_of_it() {
    let mut scene = unanswered(json!({"image": "time:1", "transport": "http", "port": 8080}));
    scene.want("Deployment/web", json!({"image": "web:1"}));
    let template = |key: &str| scene.world.desired(&key.parse().unwrap()).unwrap().template.to_string();
    assert!(!template("Deployment/web").contains("openStdin") && !template("McpServer/time").contains("openStdin"));
    let created = scene.engine.containers.values().next().unwrap();
    assert_eq!((created.config.network_mode.as_str(), created.config.open_stdin), ("bridge", false));
}

#[test]
fn a_look_at_the_same_run_forgets_nothing_and_a_health_check_does_not_count() {
    let mut scene = answered(json!({"image": "time:1"}));
    scene.change_only("McpServer/time", |detail| detail.status.health = Health::Unhealthy);
    check_ready(
        &scene,
        "McpServer/time",
        &expect![[r#"
        Ready True Converged: it is as its spec says
    "#]],
    );
}

#[test]
fn a_probe_is_forgotten_with_its_container_and_is_no_news_twice() {
    let mut scene = answered(json!({"image": "time:1"}));
    let id = scene.id(&scene.names("McpServer/time")[0]);
    assert_eq!(scene.world.set_probe(&id, ProbeOutcome::Ready, scene.now_ms), None);
    assert_eq!(scene.world.probe(&id), Some(&ProbeOutcome::Ready));
    scene.remove(&id, false);
    assert_eq!(scene.world.probe(&id), None);
    assert_eq!(scene.world.set_probe(&id, ProbeOutcome::Ready, scene.now_ms), None);
}

#[test]
fn after_a_start_of_the_controller_what_is_not_probed_yet_is_replaced_one_by_one_all_the_same() {
    let mut scene = answered(json!({"image": "time:1", "instances": {"min": 3}}));
    scene.world = World::new(scene.world.identity().clone());
    for id in scene.engine.containers.keys().cloned().collect::<Vec<_>>() {
        scene.observe(&id);
    }
    scene.want("McpServer/time", json!({"image": "time:2", "instances": {"min": 3}}));
    check_passes(
        &mut scene,
        &expect![[r#"
        McpServer/time at 0s
        []  -> #1 container/time-AAAAAAAA-0  Create  spec changed: image (time:1 -> time:2)
        [1] -> #2 container/time-AAAAAAAA-0  Verify  compare with what was asked for
        [2] -> #3 container/time-AAAAAAAA-0  Start   created
    "#]],
    );
    assert_eq!(scene.names("McpServer/time").len(), 4);
}

#[test]
fn an_object_that_is_to_have_nothing_loses_what_an_earlier_one_made_and_is_ready_when_it_has_been_looked_at() {
    let mut scene = answered(json!({"image": "time:1"}));
    scene.want("McpServer/time", json!({"remote": {"url": "https://mcp.example.com/mcp"}}));
    check_ready(
        &scene,
        "McpServer/time",
        &expect![[r#"
            Ready False Waiting: waiting for container/time-AAAAAAAA-0 (to end what is under way on it)
            Progressing True Waiting: waiting for container/time-AAAAAAAA-0 (to end what is under way on it)
        "#]],
    );
    check_passes(
        &mut scene,
        &expect![[r#"
            McpServer/time at 60s
            []  -> #1 container/time-AAAAAAAA-0  Update    not to be started again by the Engine
            [1] -> #2 container/time-AAAAAAAA-0  Stop 10s  scaled down
            [2] -> #3 container/time-AAAAAAAA-0  Remove    scaled down
        "#]],
    );
    check_ready(
        &scene,
        "McpServer/time",
        &expect![[r#"
            Ready False NotReady: it has not been looked at yet
            Progressing True NotReady: it has not been looked at yet
        "#]],
    );
    let key = "McpServer/time".parse().unwrap();
    let answers = Report {
        status: ReportStatus::Ready,
        reason: "Answering",
        message: "it answers".to_owned(),
        columns: Vec::new(),
    };
    assert!(scene.world.set_report(&key, Some(answers)));
    check_ready(
        &scene,
        "McpServer/time",
        &expect![[r#"
        Ready True Answering: it answers
    "#]],
    );
    scene.want("McpServer/time", json!({"remote": {"url": "https://mcp.example.org/mcp"}}));
    check_ready(
        &scene,
        "McpServer/time",
        &expect![[r#"
        Ready False NotReady: it has not been looked at yet
        Progressing True NotReady: it has not been looked at yet
    "#]],
    );
    assert!(scene.world.orphans().is_empty());
}

#[test]
fn what_depends_on_an_object_that_has_nothing_starts_when_that_exists_or_is_ready() {
    let mut scene = Scene::new();
    scene.want("McpGateway/hub", json!({}));
    let depends_on = |condition: &str| json!([{"kind": "McpGateway", "name": "hub", "condition": condition}]);
    scene.want("Deployment/web", json!({"image": "web:1", "dependsOn": depends_on("Exists")}));
    check(
        &scene,
        "Deployment/web",
        &expect![[r#"
        []  -> #1 container/web-AAAAAAAA-0  Create  not present
        [1] -> #2 container/web-AAAAAAAA-0  Verify  compare with what was asked for
        [2] -> #3 container/web-AAAAAAAA-0  Start   created
    "#]],
    );
    scene.want("Deployment/web", json!({"image": "web:1", "dependsOn": depends_on("Ready")}));
    check(
        &scene,
        "Deployment/web",
        &expect![[r#"
        waiting: McpGateway/hub (not ready yet)
    "#]],
    );
}

#[test]
fn a_report_says_how_far_an_object_is_whose_work_is_done_elsewhere() {
    let mut scene = Scene::new();
    scene.want("McpGateway/hub", json!({}));
    check_ready(
        &scene,
        "McpGateway/hub",
        &expect![[r#"
            Ready False NotReady: it has not been looked at yet
            Progressing True NotReady: it has not been looked at yet
        "#]],
    );
    let key = "McpGateway/hub".parse().unwrap();
    let columns = vec![("ADDRESS", "127.0.0.1:3010".to_owned(), false)];
    let report = |status, reason, message: &str| {
        Some(Report { status, reason, message: message.to_owned(), columns: columns.clone() })
    };
    assert!(scene.world.set_report(&key, report(ReportStatus::Failed, "CannotListen", "the port is taken")));
    check_ready(
        &scene,
        "McpGateway/hub",
        &expect![[r#"
        Ready False CannotListen: the port is taken
        Progressing True CannotListen: the port is taken
        Degraded True CannotListen: the port is taken
    "#]],
    );
    assert!(scene.world.set_report(&key, report(ReportStatus::Waiting, "Starting", "it begins to listen")));
    check_ready(
        &scene,
        "McpGateway/hub",
        &expect![[r#"
        Ready False Starting: it begins to listen
        Progressing True Starting: it begins to listen
    "#]],
    );
    let listening = report(ReportStatus::Ready, "Listening", "it listens at 127.0.0.1:3010");
    assert!(scene.world.set_report(&key, listening.clone()) && !scene.world.set_report(&key, listening));
    check_ready(
        &scene,
        "McpGateway/hub",
        &expect![[r#"
        Ready True Listening: it listens at 127.0.0.1:3010
    "#]],
    );
    assert_eq!(roll_up(&scene.world, &key, &scene.plan("McpGateway/hub"), None).columns, columns);
    scene.world.set_removal(&key, Removal::Approved { delete_volumes: false });
    assert_eq!(scene.world.report(&key), None);
}
