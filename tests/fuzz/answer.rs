//! What an Engine answers, to what is observed, and on to what is planned for it.

use std::collections::BTreeMap;
use std::fmt::Debug;

use controller::engine::{Engine as _, EngineError};
use crds_schema::{AnyObject, ManifestFile, ObjectKey};
use planner::observed::{ContainerDetail, NetworkDetail, VolumeDetail};
use planner::ownership::{Claim, LABEL_HASH, LABEL_TEMPLATE};
use planner::rollup::roll_up;
use planner::{Identity, World};

use super::wire::{Wire, response};

thread_local! {
    static WIRE: Wire = Wire::open();
}

/// What answers of the Engine are made of.
pub(super) const TOKENS: &[&[u8]] = &[
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"true",
    b"false",
    b"0",
    b"-1",
    b"1e999",
    b"{}",
    b"[]",
    b"\"\"",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"18446744073709551615",
    b"65536",
    b"4294967296",
    b"0.5",
    b"\\u0000",
    b"\\ud800",
    b"\0",
    b"\xff",
    b"\x1b[31m",
    b"\"0001-01-01T00:00:00Z\"",
    b"\"9999-12-31T23:59:60Z\"",
    b"\"-009999-01-01T00:00:00Z\"",
    b"\"Id\":",
    b"\"State\":",
    b"\"Status\":",
    b"\"running\"",
    b"\"exited\"",
    b"\"restarting\"",
    b"\"dead\"",
    b"\"\xc3\xa9\"",
    b"\"Health\":",
    b"\"Labels\":",
    b"\"Names\":",
    b"\"NetworkSettings\":",
    b"\"Networks\":",
    b"\"Mounts\":",
    b"\"HostConfig\":",
    b"\"evenkeel.dev/instance\":\"main\"",
    b"\"evenkeel.dev/template\":",
    b"\"tcp\"",
    b"80/tcp",
    b"/udp",
    b"::",
    b"10.0.0.0/33",
];

/// Answers every question of the adapter with these bytes, and plans for what it takes from them.
pub(super) fn target(bytes: &[u8]) {
    let first = WIRE.with(|wire| ask_everything(wire, bytes));
    let second = WIRE.with(|wire| ask_everything(wire, bytes));
    assert_eq!(first, second, "the same answer is taken in two ways");
    plan_for(&first);
}

/// What was understood of an answer.
#[derive(Debug, PartialEq)]
struct Taken {
    containers: Vec<ContainerDetail>,
    networks: Vec<NetworkDetail>,
    volumes: Vec<VolumeDetail>,
    /// All the rest, as text.
    others: Vec<String>,
}

fn ask_everything(wire: &Wire, bytes: &[u8]) -> Taken {
    wire.answer_with(response(bytes, 0));
    let engine = &wire.engine;
    wire.talk(async {
        Taken {
            containers: taken(engine.inspect_container("a").await).flatten().into_iter().collect(),
            networks: taken(engine.list_networks().await).unwrap_or_default(),
            volumes: taken(engine.list_volumes().await).unwrap_or_default(),
            others: vec![
                shown(taken(engine.list_containers("main").await)),
                shown(taken(engine.inspect_image("a").await)),
                shown(taken(engine.network_members("a").await)),
                shown(taken(engine.find_port_holder(80).await)),
                shown(taken(engine.tail_logs("a", 5).await)),
            ],
        }
    })
}

/// A failure of a question says what was asked, in one clean and short line.
fn taken<T>(answer: Result<T, EngineError>) -> Option<T> {
    let error = match answer {
        Ok(value) => return Some(value),
        Err(error) => error,
    };
    let line = error.to_string();
    assert!(line.chars().count() < 700 && !line.chars().any(char::is_control), "{line:?}");
    assert!(line.starts_with("cannot "), "{line}");
    None
}

fn shown(value: impl Debug) -> String {
    format!("{value:?}")
}

/// Whatever is observed, a plan comes of it, and the same one each time.
fn plan_for(taken: &Taken) {
    let object = wanted();
    let key = object.key();
    let mut world = World::new(Identity { instance: "main".parse().unwrap(), key: [7; 32] });
    world.set_desired(&object);
    world.set_ready(&key, false);
    for detail in &taken.containers {
        let ours = claimed(&world, &key, detail);
        world.observe_container(&ours, 1_700_000_000_000);
        world.observe_container(detail, 1_700_000_000_000);
    }
    for network in &taken.networks {
        world.observe_network(network);
    }
    for volume in &taken.volumes {
        world.observe_volume(volume);
    }
    for now_ms in [0, 1_700_000_000_000, i64::MAX] {
        let plan = planner::plan(&world, &key, now_ms);
        assert_eq!(plan.to_string(), planner::plan(&world, &key, now_ms).to_string());
        drop(roll_up(&world, &key, &plan, None));
    }
}

/// The same container, as if it were ours: with labels that the planner believes.
fn claimed(world: &World, key: &ObjectKey, detail: &ContainerDetail) -> ContainerDetail {
    let labels = &detail.config.labels;
    let desired = world.desired(key).unwrap();
    let claim = Claim {
        owner: key.clone(),
        engine_name: detail.name.clone(),
        ordinal: 0,
        hash: labels.get(LABEL_HASH).cloned().unwrap_or_else(|| desired.hash.to_string()),
        protected: false,
    };
    let template = labels.get(LABEL_TEMPLATE).cloned().unwrap_or_else(|| desired.template.to_string());
    let mut ours = detail.clone();
    ours.config.labels = world.identity().labels_for(&claim, &template, &BTreeMap::new());
    ours
}

#[test]
fn a_label_of_eight_megabytes_is_read_like_any_other() {
    let huge = "x".repeat(8 << 20);
    let wire = Wire::open();
    let labels = serde_json::json!({ "evenkeel.dev/instance": "main", "team": huge });
    let inspected = serde_json::json!({ "Id": "01", "State": { "Status": "running" }, "Config": { "Labels": labels } });
    let taken = ask_everything(&wire, inspected.to_string().as_bytes());
    assert_eq!(taken.containers[0].config.labels["team"].len(), 8 << 20);
    plan_for(&taken);
    let list =
        serde_json::json!([{ "Id": "01", "State": "running", "Labels": labels }, { "Id": "02", "State": "dead" }]);
    wire.answer_with(response(list.to_string().as_bytes(), 64 * 1024));
    let listed = wire.talk(wire.engine.list_containers("main")).unwrap();
    assert_eq!((listed.len(), listed[0].labels["team"].len()), (2, 8 << 20));
}

fn wanted() -> AnyObject {
    let text = "apiVersion: evenkeel.dev/v1\nkind: Deployment\nmetadata: { name: web }\nspec:\n  image: web:1\n  \
                ports: [{ name: http, port: 80, publish: 8080 }]\n  networks: [back]\n  mounts: [{ volume: data, path: /data }]\n";
    let file = crds_schema::load(&ManifestFile { name: "a.yaml", directory: "/srv", bytes: text.as_bytes() });
    assert_eq!(file.diagnostics, []);
    file.objects.into_iter().next().unwrap()
}
