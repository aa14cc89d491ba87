//! Containers that are stopped only when whoever uses them has let go of them.

use std::collections::BTreeSet;

use expect_test::expect;
use serde_json::{Value, json};

use super::{check, check_passes};
use crate::inventory::ProbeOutcome;
use crate::plan::{Plan, Waiting};
use crate::testing::Scene;
use crate::world::Removal;

const KEY: &str = "McpServer/notes";

/// A server that writes to a volume, so that its containers must not run beside each other; it has answered.
fn writer(image: &str) -> Value {
    json!({"image": image, "mounts": [{"volume": "data", "path": "/data"}], "calls": {"timeout": "30s"}})
}

fn answered(spec: Value) -> Scene {
    let mut scene = Scene::new();
    scene.want("Volume/data", json!({}));
    scene.want(KEY, spec);
    scene.settle();
    for name in scene.names(KEY) {
        let id = scene.id(&name);
        scene.world.set_probe(&id, ProbeOutcome::Ready, scene.now_ms);
    }
    scene
}

/// Plans the server and does what is to be done, once.
fn pass(scene: &mut Scene) -> Plan {
    let plan = scene.plan(KEY);
    scene.run(KEY);
    plan
}

/// Plans and does what is to be done, and whoever uses the one container that leaves lets go of it.
fn let_go(scene: &mut Scene) {
    let leaving = pass(scene).leaving;
    assert_eq!(leaving.len(), 1);
    for id in leaving {
        assert!(scene.world.set_released(&id).is_some());
    }
}

/// Whether a plan waits for somebody to let go of a container.
fn awaits_release(plan: &Plan) -> bool {
    plan.waiting.iter().any(|waiting| matches!(waiting, Waiting::Release { .. }))
}

#[test]
fn what_must_stop_first_is_stopped_when_whoever_uses_it_has_let_go_of_it() {
    let mut scene = answered(writer("notes:1"));
    let old = scene.id(&scene.names(KEY)[0]);
    scene.want(KEY, writer("notes:2"));
    check(
        &scene,
        KEY,
        &expect![[r#"
            []  -> #1 container/notes-AAAAAAAA-0  Create  spec changed: image (notes:1 -> notes:2)
            [1] -> #2 container/notes-AAAAAAAA-0  Verify  compare with what was asked for
            waiting: container/notes-BBBBBBBB-0 (to end what is under way on it)
        "#]],
    );
    assert!(pass(&mut scene).leaving.is_empty(), "before there is what comes in its place");
    assert_eq!(pass(&mut scene).leaving, BTreeSet::from([old.clone()]));
    assert!(scene.world.is_leaving(&old));
    check(
        &scene,
        KEY,
        &expect![[r#"
            waiting: container/notes-AAAAAAAA-0 (to end what is under way on it), container/notes-BBBBBBBB-0 (created) · wake: 30s
        "#]],
    );
    assert_eq!(scene.world.set_released(&old), Some(KEY.parse().unwrap()));
    assert_eq!(scene.world.set_released(&old), None, "no news twice");
    check(
        &scene,
        KEY,
        &expect![[r#"
            []  -> #1 container/notes-AAAAAAAA-0  Verify    compare with what was asked for
            [1] -> #2 container/notes-BBBBBBBB-0  Update    not to be started again by the Engine
            [2] -> #3 container/notes-BBBBBBBB-0  Stop 10s  must stop first: only one may write to Volume/data
            [3] -> #4 container/notes-AAAAAAAA-0  Start     not started yet
            waiting: container/notes-AAAAAAAA-0 (created)
        "#]],
    );
    pass(&mut scene);
    assert!(scene.world.is_leaving(&old), "until it has stopped nothing new is given to it");
    pass(&mut scene);
    assert!(!scene.world.is_leaving(&old));
}

#[test]
fn where_nobody_says_that_it_has_let_go_it_is_waited_for_as_long_as_a_call_may_take() {
    let mut scene = answered(writer("notes:1"));
    scene.want(KEY, writer("notes:2"));
    check_passes(
        &mut scene,
        &expect![[r#"
            McpServer/notes at 0s
            []  -> #1 container/notes-AAAAAAAA-0  Create  spec changed: image (notes:1 -> notes:2)
            [1] -> #2 container/notes-AAAAAAAA-0  Verify  compare with what was asked for
            waiting: container/notes-BBBBBBBB-0 (to end what is under way on it)
            McpServer/notes at 30s
            []  -> #1 container/notes-AAAAAAAA-0  Verify    compare with what was asked for
            [1] -> #2 container/notes-BBBBBBBB-0  Update    not to be started again by the Engine
            [2] -> #3 container/notes-BBBBBBBB-0  Stop 10s  must stop first: only one may write to Volume/data
            [3] -> #4 container/notes-AAAAAAAA-0  Start     not started yet
            waiting: container/notes-AAAAAAAA-0 (created)
        "#]],
    );
}

#[test]
fn a_replacement_that_is_not_wanted_any_more_lets_the_old_container_go_on() {
    let mut scene = answered(writer("notes:1"));
    let old = scene.id(&scene.names(KEY)[0]);
    scene.want(KEY, writer("notes:2"));
    pass(&mut scene);
    pass(&mut scene);
    assert!(scene.world.is_leaving(&old));
    scene.want(KEY, writer("notes:1"));
    assert!(pass(&mut scene).leaving.is_empty());
    assert!(!scene.world.is_leaving(&old));
}

#[test]
fn what_is_scaled_down_and_what_is_removed_is_let_go_of_first() {
    let spec = |min: u32| json!({"image": "notes:1", "instances": {"min": min}});
    let mut scene = answered(spec(2));
    scene.want(KEY, spec(1));
    check(
        &scene,
        KEY,
        &expect![[r#"
            waiting: container/notes-AAAAAAAA-1 (to end what is under way on it) · wake: 1m
        "#]],
    );
    let_go(&mut scene);
    check(
        &scene,
        KEY,
        &expect![[r#"
            []  -> #1 container/notes-AAAAAAAA-1  Update    not to be started again by the Engine
            [1] -> #2 container/notes-AAAAAAAA-1  Stop 10s  scaled down
            [2] -> #3 container/notes-AAAAAAAA-1  Remove    scaled down
        "#]],
    );
    pass(&mut scene);
    scene.world.set_removal(&KEY.parse().unwrap(), Removal::Approved { delete_volumes: false });
    check(
        &scene,
        KEY,
        &expect![[r#"
            waiting: container/notes-AAAAAAAA-0 (to end what is under way on it) · wake: 1m
        "#]],
    );
    let_go(&mut scene);
    check(
        &scene,
        KEY,
        &expect![[r#"
            []  -> #1 container/notes-AAAAAAAA-0  Update    not to be started again by the Engine
            [1] -> #2 container/notes-AAAAAAAA-0  Stop 10s  removed from the manifests
            [2] -> #3 container/notes-AAAAAAAA-0  Remove    removed from the manifests
        "#]],
    );
}

#[test]
fn what_does_not_run_or_is_no_server_is_not_waited_for() {
    let mut scene = answered(writer("notes:1"));
    scene.want(KEY, writer("notes:2"));
    assert!(awaits_release(&scene.plan(KEY)), "while it runs");
    scene.set_state(KEY, crate::observed::ContainerState::Exited);
    assert!(!awaits_release(&scene.plan(KEY)));
    scene.want("Deployment/web", json!({"image": "web:1", "mounts": [{"volume": "data", "path": "/data"}]}));
    scene.run("Deployment/web");
    scene.want("Deployment/web", json!({"image": "web:2", "mounts": [{"volume": "data", "path": "/data"}]}));
    let plan = scene.plan("Deployment/web");
    assert!(!plan.steps.is_empty() && !awaits_release(&plan), "{plan:?}");
}

#[test]
fn what_must_stop_first_serves_while_the_image_of_what_comes_in_its_place_is_fetched() {
    let mut scene = answered(writer("notes:1"));
    scene.world.observe_image("notes:2", None);
    scene.want(KEY, writer("notes:2"));
    assert!(scene.plan(KEY).leaving.is_empty(), "the image may never come");
    check(
        &scene,
        KEY,
        &expect![[r#"
            []  -> #1 image/notes:2               Pull    not present
            [1] -> #2 container/notes-AAAAAAAA-0  Create  spec changed: image (notes:1 -> notes:2)
            [2] -> #3 container/notes-AAAAAAAA-0  Verify  compare with what was asked for
            waiting: container/notes-BBBBBBBB-0 (to end what is under way on it)
        "#]],
    );
}

#[test]
fn a_plan_that_is_only_shown_has_what_would_be_stopped() {
    let mut scene = answered(writer("notes:1"));
    scene.want(KEY, writer("notes:2"));
    let old = scene.id(&scene.names(KEY)[0]);
    scene.world.set_let_go(&old, scene.now_ms);
    check(
        &scene,
        KEY,
        &expect![[r#"
            []  -> #1 container/notes-AAAAAAAA-0  Create    spec changed: image (notes:1 -> notes:2)
            [1] -> #2 container/notes-AAAAAAAA-0  Verify    compare with what was asked for
            [2] -> #3 container/notes-BBBBBBBB-0  Update    not to be started again by the Engine
            [3] -> #4 container/notes-BBBBBBBB-0  Stop 10s  must stop first: only one may write to Volume/data
            [4] -> #5 container/notes-AAAAAAAA-0  Start     created
        "#]],
    );
}

#[test]
fn what_is_in_a_network_that_is_replaced_ends_its_calls_first() {
    let mut scene = Scene::new();
    scene.want("Network/tools", json!({}));
    scene.want(KEY, json!({"image": "notes:1", "networks": ["tools"], "calls": {"timeout": "30s"}}));
    scene.settle();
    scene.want("Network/tools", json!({"internal": true}));
    scene.run("Network/tools");
    assert_eq!(scene.plan(KEY).leaving.len(), 1);
    check(
        &scene,
        KEY,
        &expect![[r#"
            waiting: container/notes-AAAAAAAA-0 (to end what is under way on it), Network/tools (being replaced) · wake: 30s
        "#]],
    );
}
