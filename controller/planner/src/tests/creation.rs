//! What is not there yet.

use expect_test::expect;
use serde_json::json;

use super::{check, check_passes, settled};
use crate::observed::{ContainerState, ImageDetail};
use crate::testing::Scene;

#[test]
fn a_network_a_volume_and_containers_are_created_from_nothing() {
    let mut scene = Scene::new();
    scene.want("Network/back", json!({}));
    scene.want("Volume/data", json!({}));
    let mounts = json!([{"volume": "data", "path": "/data", "readOnly": true}]);
    scene.want("Deployment/web", json!({"image": "web:1", "replicas": 2, "networks": ["back"], "mounts": mounts}));
    check_passes(
        &mut scene,
        &expect![[r#"
            Network/back at 0s
            [] -> #1 network/back  Create  not present
            Volume/data at 0s
            [] -> #1 volume/data  Create  not present
            Deployment/web at 0s
            []  -> #1 container/web-AAAAAAAA-0  Create  not present
            [1] -> #2 container/web-AAAAAAAA-0  Verify  compare with what was asked for
            [2] -> #3 container/web-AAAAAAAA-0  Start   created
            []  -> #4 container/web-AAAAAAAA-1  Create  not present
            [4] -> #5 container/web-AAAAAAAA-1  Verify  compare with what was asked for
            [5] -> #6 container/web-AAAAAAAA-1  Start   created
        "#]],
    );
}

#[test]
fn containers_wait_for_the_network_and_volume_that_they_name() {
    let mut scene = Scene::new();
    scene.want("Network/back", json!({}));
    let mounts = json!([{"volume": "data", "path": "/data"}]);
    scene.want("Deployment/web", json!({"image": "web:1", "networks": ["back"], "mounts": mounts}));
    check(
        &scene,
        "Deployment/web",
        &expect![[r#"
        waiting: Network/back (not created yet), Volume/data (not defined)
    "#]],
    );
}

#[test]
fn a_second_network_is_connected_before_the_container_is_compared_and_started() {
    let mut scene = settled(&[("Network/back", json!({})), ("Network/front", json!({}))]);
    scene.want("Deployment/web", json!({"image": "web:1", "networks": ["front", "back"]}));
    check(
        &scene,
        "Deployment/web",
        &expect![[r#"
            []  -> #1 container/web-AAAAAAAA-0  Create        not present
            [1] -> #2 container/web-AAAAAAAA-0  Connect back  created
            [2] -> #3 container/web-AAAAAAAA-0  Verify        compare with what was asked for
            [3] -> #4 container/web-AAAAAAAA-0  Start         created
        "#]],
    );
}

#[test]
fn containers_wait_until_what_they_depend_on_is_ready() {
    let mut scene = Scene::new();
    let depends_on =
        json!([{"kind": "Deployment", "name": "db"}, {"kind": "Deployment", "name": "gone", "condition": "Exists"}]);
    scene.want("Deployment/web", json!({"image": "web:1", "dependsOn": depends_on}));
    scene.want("Deployment/db", json!({"image": "db:1"}));
    check(
        &scene,
        "Deployment/web",
        &expect![[r#"
        waiting: Deployment/db (not ready yet), Deployment/gone (not defined)
    "#]],
    );
    scene.want("Deployment/gone", json!({"image": "gone:1", "replicas": 0}));
    scene.world.set_ready(&"Deployment/db".parse().unwrap(), true);
    check(
        &scene,
        "Deployment/web",
        &expect![[r#"
            []  -> #1 container/web-AAAAAAAA-0  Create  not present
            [1] -> #2 container/web-AAAAAAAA-0  Verify  compare with what was asked for
            [2] -> #3 container/web-AAAAAAAA-0  Start   created
        "#]],
    );
}

#[test]
fn a_dependency_that_was_removed_is_not_ready_any_more() {
    let mut scene = settled(&[("Deployment/db", json!({"image": "db:1"}))]);
    let db = "Deployment/db".parse().unwrap();
    scene.world.set_ready(&db, true);
    scene.world.set_removal(&db, crate::world::Removal::Held("first pass".into()));
    scene.want("Deployment/web", json!({"image": "web:1", "dependsOn": [{"kind": "Deployment", "name": "db"}]}));
    check(
        &scene,
        "Deployment/web",
        &expect![[r#"
        waiting: Deployment/db (not defined)
    "#]],
    );
}

#[test]
fn replicas_are_added_and_taken_away_from_the_end() {
    let mut scene = settled(&[("Deployment/web", json!({"image": "web:1"}))]);
    scene.want("Deployment/web", json!({"image": "web:1", "replicas": 3}));
    check_passes(
        &mut scene,
        &expect![[r#"
            Deployment/web at 0s
            []  -> #1 container/web-AAAAAAAA-1  Create  not present
            [1] -> #2 container/web-AAAAAAAA-1  Verify  compare with what was asked for
            [2] -> #3 container/web-AAAAAAAA-1  Start   created
            []  -> #4 container/web-AAAAAAAA-2  Create  not present
            [4] -> #5 container/web-AAAAAAAA-2  Verify  compare with what was asked for
            [5] -> #6 container/web-AAAAAAAA-2  Start   created
        "#]],
    );
    scene.want("Deployment/web", json!({"image": "web:1", "replicas": 1}));
    check_passes(
        &mut scene,
        &expect![[r#"
            Deployment/web at 0s
            []  -> #1 container/web-AAAAAAAA-1  Update    not to be started again by the Engine
            [1] -> #2 container/web-AAAAAAAA-1  Stop 10s  scaled down
            [2] -> #3 container/web-AAAAAAAA-1  Remove    scaled down
            []  -> #4 container/web-AAAAAAAA-2  Update    not to be started again by the Engine
            [4] -> #5 container/web-AAAAAAAA-2  Stop 10s  scaled down
            [5] -> #6 container/web-AAAAAAAA-2  Remove    scaled down
        "#]],
    );
}

#[test]
fn an_absent_image_is_fetched_once_for_all_containers() {
    let mut scene = Scene::new();
    scene.world.observe_image("web:1", None);
    scene.want("Deployment/web", json!({"image": "web:1", "replicas": 2}));
    check(
        &scene,
        "Deployment/web",
        &expect![[r#"
            []  -> #1 image/web:1               Pull    not present
            [1] -> #2 container/web-AAAAAAAA-0  Create  not present
            [2] -> #3 container/web-AAAAAAAA-0  Verify  compare with what was asked for
            [3] -> #4 container/web-AAAAAAAA-0  Start   created
            [1] -> #5 container/web-AAAAAAAA-1  Create  not present
            [5] -> #6 container/web-AAAAAAAA-1  Verify  compare with what was asked for
            [6] -> #7 container/web-AAAAAAAA-1  Start   created
        "#]],
    );
}

#[test]
fn pull_policy_always_fetches_before_a_create_and_never_waits_for_the_image() {
    let mut scene = Scene::new();
    scene.world.observe_image("web:1", Some(ImageDetail::default()));
    scene.want("Deployment/web", json!({"image": "web:1", "pullPolicy": "Always"}));
    check(
        &scene,
        "Deployment/web",
        &expect![[r#"
            []  -> #1 image/web:1               Pull    pull policy is Always
            [1] -> #2 container/web-AAAAAAAA-0  Create  not present
            [2] -> #3 container/web-AAAAAAAA-0  Verify  compare with what was asked for
            [3] -> #4 container/web-AAAAAAAA-0  Start   created
        "#]],
    );
    scene.world.observe_image("web:1", None);
    scene.want("Deployment/web", json!({"image": "web:1", "pullPolicy": "Never"}));
    check(
        &scene,
        "Deployment/web",
        &expect![[r#"
        waiting: image/web:1 (not present, and pullPolicy is Never)
    "#]],
    );
}

#[test]
fn a_container_whose_maker_was_killed_before_it_was_connected_and_started_is_finished() {
    let mut scene = settled(&[("Network/back", json!({})), ("Network/front", json!({}))]);
    let spec = json!({"image": "web:1", "networks": ["front", "back"], "resources": {"memory": "64MiB"}});
    scene.want("Deployment/web", spec.clone());
    let plan = scene.plan("Deployment/web");
    scene.execute(&plan.steps[..1]);
    check(
        &scene,
        "Deployment/web",
        &expect![[r#"
            []  -> #1 container/web-AAAAAAAA-0  Connect back  created
            [1] -> #2 container/web-AAAAAAAA-0  Verify        compare with what was asked for
            [2] -> #3 container/web-AAAAAAAA-0  Start         not started yet
        "#]],
    );
    // Limits that changed meanwhile are set before the comparison.
    let mut changed = spec;
    changed["resources"]["memory"] = json!("128MiB");
    scene.want("Deployment/web", changed);
    check_passes(
        &mut scene,
        &expect![[r#"
            Deployment/web at 0s
            []    -> #1 container/web-AAAAAAAA-0  Update        spec changed: resources.memory (64MiB -> 128MiB), resources.memorySwap (128MiB -> 256MiB)
            []    -> #2 container/web-AAAAAAAA-0  Connect back  created
            [1,2] -> #3 container/web-AAAAAAAA-0  Verify        compare with what was asked for
            [3]   -> #4 container/web-AAAAAAAA-0  Start         not started yet
        "#]],
    );
}

#[test]
fn a_container_that_could_not_be_started_is_started_again() {
    let mut scene = Scene::new();
    scene.engine.broken.insert("web:1".into());
    scene.want("Deployment/web", json!({"image": "web:1"}));
    scene.run("Deployment/web");
    check(
        &scene,
        "Deployment/web",
        &expect![[r#"
            []  -> #1 container/web-AAAAAAAA-0  Verify  compare with what was asked for
            [1] -> #2 container/web-AAAAAAAA-0  Start   start failed: exec: not found
            wake: 5m
        "#]],
    );
}

#[test]
fn a_container_that_is_not_as_asked_is_removed_and_made_anew() {
    let mut scene = Scene::new();
    scene.want("Deployment/web", json!({"image": "web:1"}));
    let plan = scene.plan("Deployment/web");
    scene.execute(&plan.steps[..1]);
    let id = scene.id(&scene.names("Deployment/web")[0]);
    let change = crate::plan::FieldChange { field: "ports".into(), old: "80".into(), new: String::new() };
    scene.world.container_mut(&id).unwrap().mismatch = vec![change];
    check(
        &scene,
        "Deployment/web",
        &expect![[r#"
            []  -> #1 container/web-AAAAAAAA-0  Remove  not as asked: ports (80 -> none)
            [1] -> #2 container/web-AAAAAAAA-0  Create  not present
            [2] -> #3 container/web-AAAAAAAA-0  Verify  compare with what was asked for
            [3] -> #4 container/web-AAAAAAAA-0  Start   created
        "#]],
    );
    // While the Engine removes it, its name is not free.
    scene.change(&id, |detail| detail.status.state = ContainerState::Removing);
    check(
        &scene,
        "Deployment/web",
        &expect![[r#"
            waiting: container/web-AAAAAAAA-0 (being removed) · wake: 2s
        "#]],
    );
}

#[test]
fn objects_of_two_namespaces_do_not_meet() {
    let mut scene = Scene::new();
    scene.want("Network/back", json!({}));
    scene.want("Network/staging/back", json!({}));
    scene.want("Deployment/staging/web", json!({"image": "web:1", "networks": ["back"]}));
    check_passes(
        &mut scene,
        &expect![[r#"
            Network/back at 0s
            [] -> #1 network/back  Create  not present
            Network/staging/back at 0s
            [] -> #1 network/staging_back  Create  not present
            Deployment/staging/web at 0s
            []  -> #1 container/staging_web-AAAAAAAA-0  Create  not present
            [1] -> #2 container/staging_web-AAAAAAAA-0  Verify  compare with what was asked for
            [2] -> #3 container/staging_web-AAAAAAAA-0  Start   created
        "#]],
    );
    let id = scene.network_id("staging_back");
    assert!(scene.engine.containers.values().all(|detail| detail.config.network_mode == id));
}
