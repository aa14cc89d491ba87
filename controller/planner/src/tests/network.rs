//! Networks, and the containers in them.

use expect_test::expect;
use serde_json::json;

use super::{check, check_passes, settled, web};
use crate::observed::{ContainerState, NetworkDetail};
use crate::testing::Scene;
use crate::world::Removal;

fn stranger_network(scene: &mut Scene, name: &str) {
    let mut detail = scene.engine.networks.values().next().cloned().unwrap_or(NetworkDetail {
        id: String::new(),
        name: String::new(),
        driver: "bridge".into(),
        internal: false,
        attachable: false,
        ipv6: false,
        subnets: Vec::new(),
        options: std::collections::BTreeMap::new(),
        labels: std::collections::BTreeMap::new(),
        created_ms: 0,
    });
    detail.labels.clear();
    (detail.id, detail.name) = ("e".repeat(64), name.into());
    scene.world.observe_network(&detail);
    scene.engine.networks.insert(detail.id.clone(), detail);
}

#[test]
fn a_changed_network_is_replaced_once_its_members_have_stopped() {
    let mut scene = web(json!({"image": "web:1", "replicas": 2, "networks": ["back"]}));
    scene.want("Network/back", json!({"internal": true}));
    check_passes(
        &mut scene,
        &expect![[r#"
            Deployment/web at 0s
            []  -> #1 container/web-AAAAAAAA-0  Update    not to be started again by the Engine
            [1] -> #2 container/web-AAAAAAAA-0  Stop 10s  Network/back is being replaced
            []  -> #3 container/web-AAAAAAAA-1  Update    not to be started again by the Engine
            [3] -> #4 container/web-AAAAAAAA-1  Stop 10s  Network/back is being replaced
            waiting: Network/back (being replaced)
            Network/back at 0s
            []  -> #1 network/back  Remove  spec changed: internal (none -> true)
            [1] -> #2 network/back  Create  not present
            Deployment/web at 0s
            []  -> #1 container/web-AAAAAAAA-0  Remove  made for a network back that is gone
            [1] -> #2 container/web-AAAAAAAA-0  Create  made for a network back that is gone
            [2] -> #3 container/web-AAAAAAAA-0  Verify  compare with what was asked for
            [3] -> #4 container/web-AAAAAAAA-0  Start   created
            []  -> #5 container/web-AAAAAAAA-1  Remove  made for a network back that is gone
            [5] -> #6 container/web-AAAAAAAA-1  Create  made for a network back that is gone
            [6] -> #7 container/web-AAAAAAAA-1  Verify  compare with what was asked for
            [7] -> #8 container/web-AAAAAAAA-1  Start   created
        "#]],
    );
}

#[test]
fn surplus_containers_do_not_keep_a_changed_network_from_being_replaced() {
    let mut scene = web(json!({"image": "web:1", "replicas": 3, "networks": ["back"]}));
    scene.want("Deployment/web", json!({"image": "web:1", "replicas": 1, "networks": ["back"]}));
    scene.want("Network/back", json!({"internal": true}));
    scene.settle();
    assert_eq!(scene.names("Deployment/web").len(), 1);
    assert!(scene.engine.networks.values().all(|network| network.internal));
}

#[test]
fn nobody_leaves_a_network_that_cannot_be_replaced() {
    let mut scene = web(json!({"image": "web:1", "networks": ["back"]}));
    scene.want("Deployment/frozen", json!({"image": "web:1", "networks": ["back"]}));
    scene.settle();
    scene.want("Deployment/frozen", json!({"image": "web:1", "networks": ["back"], "suspend": true}));
    scene.want("Network/back", json!({"internal": true}));
    check(
        &scene,
        "Network/back",
        &expect![[r#"
            waiting: network/back (in use by frozen-AAAAAAAA-0) · wake: 2s
        "#]],
    );
    check(&scene, "Deployment/web", &expect![[""]]);
}

#[test]
fn nobody_leaves_a_network_while_a_stranger_is_in_it() {
    let mut scene = web(json!({"image": "web:1", "networks": ["back"]}));
    let id = scene.network_id("back");
    scene.world.set_foreign_members(&id, vec!["debug".into()]);
    scene.want("Network/back", json!({"internal": true}));
    check(
        &scene,
        "Network/back",
        &expect![[r#"
        waiting: network/back (in use by debug) · wake: 2s
    "#]],
    );
    check(&scene, "Deployment/web", &expect![[""]]);
}

#[test]
fn a_network_is_not_removed_for_one_whose_name_is_taken() {
    let mut scene = web(json!({"image": "web:1", "networks": ["back"]}));
    stranger_network(&mut scene, "taken");
    scene.want("Network/back", json!({"engineName": "taken"}));
    check(
        &scene,
        "Network/back",
        &expect![[r#"
        waiting: network/taken (the name is taken by something that is not ours) · wake: 2s
    "#]],
    );
    check(&scene, "Deployment/web", &expect![[""]]);
}

#[test]
fn a_name_that_a_stranger_has_is_a_conflict() {
    let mut scene = Scene::new();
    stranger_network(&mut scene, "back");
    scene.want("Network/back", json!({}));
    check(
        &scene,
        "Network/back",
        &expect![[r#"
        waiting: network/back (the name is taken by something that is not ours)
    "#]],
    );
}

#[test]
fn a_network_that_was_removed_under_a_stopped_container_comes_back_and_the_container_is_made_anew() {
    let mut scene = web(json!({"image": "web:1", "networks": ["back"]}));
    scene.set_state("Deployment/web", ContainerState::Exited);
    let id = scene.network_id("back");
    scene.remove_network(&id, false);
    check_passes(
        &mut scene,
        &expect![[r#"
            Network/back at 0s
            [] -> #1 network/back  Create  not present
            found: network/back NetworkRemoved: was removed by somebody else
            Deployment/web at 0s
            []  -> #1 container/web-AAAAAAAA-0  Remove  made for a network back that is gone
            [1] -> #2 container/web-AAAAAAAA-0  Create  made for a network back that is gone
            [2] -> #3 container/web-AAAAAAAA-0  Verify  compare with what was asked for
            [3] -> #4 container/web-AAAAAAAA-0  Start   created
            found: container/web-AAAAAAAA-0 ContainerUnusable: made for a network back that is gone
        "#]],
    );
}

/// Puts an older twin of a network beside it.
fn add_older_twin(scene: &mut Scene) -> String {
    let id = scene.network_id("back");
    let mut twin = scene.engine.networks[&id].clone();
    (twin.id, twin.created_ms) = ("a".repeat(64), 5);
    let twin_id = twin.id.clone();
    scene.world.observe_network(&twin);
    scene.engine.networks.insert(twin.id.clone(), twin);
    twin_id
}

#[test]
fn of_two_networks_the_one_that_is_used_stays_and_nobody_moves() {
    let mut scene = web(json!({"image": "web:1", "networks": ["back"]}));
    let used = scene.network_id("back");
    add_older_twin(&mut scene);
    check_passes(
        &mut scene,
        &expect![[r#"
            Network/back at 0s
            [] -> #1 network/back  Remove  a duplicate
            found: network/back DuplicateNetwork: network aaaaaaaaaaaa is a duplicate
        "#]],
    );
    assert_eq!(scene.engine.networks.keys().collect::<Vec<_>>(), [&used]);
}

#[test]
fn of_two_networks_that_nobody_uses_the_oldest_stays() {
    let mut scene = web(json!({"image": "web:1", "networks": ["back"], "replicas": 0}));
    let oldest = add_older_twin(&mut scene);
    check_passes(
        &mut scene,
        &expect![[r#"
            Network/back at 0s
            [] -> #1 network/back  Remove  a duplicate
            found: network/back DuplicateNetwork: network 000000000000 is a duplicate
        "#]],
    );
    assert_eq!(scene.engine.networks.keys().collect::<Vec<_>>(), [&oldest]);
}

#[test]
fn what_runs_in_a_duplicate_leaves_it_before_its_successor_starts() {
    let mut scene = web(json!({"image": "web:1", "networks": ["back"]}));
    // A create that a killed controller had sent came late, for the spec that is wanted now: while there are two, the Engine starts
    // nothing in either, so that nothing can serve in the new one before the old one is gone.
    let made_late = settled(&[("Network/back", json!({"internal": true}))]);
    let mut late = made_late.engine.networks[&made_late.network_id("back")].clone();
    late.id = "b".repeat(64);
    scene.want("Network/back", json!({"internal": true}));
    scene.world.observe_network(&late);
    scene.engine.networks.insert(late.id.clone(), late);
    check_passes(
        &mut scene,
        &expect![[r#"
        Deployment/web at 0s
        []  -> #1 container/web-AAAAAAAA-0  Update    not to be started again by the Engine
        [1] -> #2 container/web-AAAAAAAA-0  Stop 10s  Network/back is being replaced
        waiting: Network/back (being replaced)
        Network/back at 0s
        [] -> #1 network/back  Remove  a duplicate
        found: network/back DuplicateNetwork: network 000000000000 is a duplicate
        Deployment/web at 0s
        []  -> #1 container/web-AAAAAAAA-0  Remove  made for a network back that is gone
        [1] -> #2 container/web-AAAAAAAA-0  Create  made for a network back that is gone
        [2] -> #3 container/web-AAAAAAAA-0  Verify  compare with what was asked for
        [3] -> #4 container/web-AAAAAAAA-0  Start   created
    "#]],
    );
}

#[test]
fn a_network_whose_object_is_gone_keeps_the_containers_that_are_in_it() {
    let mut scene = web(json!({"image": "web:1", "networks": ["back"]}));
    scene.world.set_removal(&"Network/back".parse().unwrap(), Removal::Held("first pass".into()));
    check(&scene, "Deployment/web", &expect![[""]]);
    scene.world.set_removal(&"Network/back".parse().unwrap(), Removal::Approved { delete_volumes: false });
    check(
        &scene,
        "Network/back",
        &expect![[r#"
            waiting: network/back (in use by web-AAAAAAAA-0) · wake: 2s
        "#]],
    );
}

#[test]
fn containers_that_join_another_network_are_replaced_before_theirs_is_removed() {
    let mut scene = settled(&[
        ("Network/back", json!({})),
        ("Network/front", json!({})),
        ("Deployment/web", json!({"image": "web:1", "networks": ["back"]})),
    ]);
    scene.want("Deployment/web", json!({"image": "web:1", "networks": ["front"]}));
    scene.world.set_removal(&"Network/back".parse().unwrap(), Removal::Approved { delete_volumes: false });
    check_passes(
        &mut scene,
        &expect![[r#"
            Deployment/web at 0s
            []  -> #1 container/web-AAAAAAAA-0  Create  spec changed: networks.joined ([{"aliases":["web"],"network":"Network/back"}] -> [{"aliases":["web"],"network":"Network/front"}])
            [1] -> #2 container/web-AAAAAAAA-0  Verify  compare with what was asked for
            [2] -> #3 container/web-AAAAAAAA-0  Start   created
            Deployment/web at 5s
            []  -> #1 container/web-AAAAAAAA-0  Disconnect front  ready
            [1] -> #2 container/web-AAAAAAAA-0  Connect front     ready
            [2] -> #3 container/web-BBBBBBBB-0  Update            not to be started again by the Engine
            [3] -> #4 container/web-BBBBBBBB-0  Stop 10s          replaced by web-AAAAAAAA-0
            [4] -> #5 container/web-BBBBBBBB-0  Remove            replaced by web-AAAAAAAA-0
            Network/back at 5s
            [] -> #1 network/back  Remove  removed from the manifests
        "#]],
    );
}
