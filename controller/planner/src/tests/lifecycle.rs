//! Suspended, stopped, held and removed objects.

use expect_test::expect;
use serde_json::json;

use super::{check, check_passes, settled, web};
use crate::observed::ContainerState;
use crate::world::{Hold, Removal};

#[test]
fn a_suspended_object_is_left_alone() {
    let mut scene = web(json!({"image": "web:1"}));
    scene.set_state("Deployment/web", ContainerState::Exited);
    scene.want("Deployment/web", json!({"image": "web:2", "suspend": true}));
    check(
        &scene,
        "Deployment/web",
        &expect![[r#"
        waiting: spec.suspend
    "#]],
    );
}

#[test]
fn a_stopped_object_is_disarmed_and_stopped_and_starts_again() {
    for restart in ["Always", "OnFailure"] {
        let mut scene = web(json!({"image": "web:1", "restart": restart}));
        scene.want("Deployment/web", json!({"image": "web:1", "restart": restart, "state": "Stopped"}));
        let stopped = scene.settle();
        // It may end well when it is asked to.
        scene.change_only("Deployment/web", |detail| detail.status.exit_code = 0);
        scene.want("Deployment/web", json!({"image": "web:1", "restart": restart}));
        let started = scene.settle();
        let expect = if restart == "Always" {
            expect![[r#"
                Deployment/web at 0s
                []  -> #1 container/web-AAAAAAAA-0  Update    spec changed: restart (unless-stopped -> no)
                [1] -> #2 container/web-AAAAAAAA-0  Stop 10s  state is Stopped
                Deployment/web at 0s
                []  -> #1 container/web-AAAAAAAA-0  Start   exited with code 0
                [1] -> #2 container/web-AAAAAAAA-0  Update  to be started again by the Engine
            "#]]
        } else {
            expect![[r#"
                Deployment/web at 0s
                []  -> #1 container/web-AAAAAAAA-0  Update    spec changed: restart (on-failure -> no)
                [1] -> #2 container/web-AAAAAAAA-0  Stop 10s  state is Stopped
                Deployment/web at 0s
                []  -> #1 container/web-AAAAAAAA-0  Start   exited with code 0
                [1] -> #2 container/web-AAAAAAAA-0  Update  to be started again by the Engine
            "#]]
        };
        expect.assert_eq(&crate::testing::letter_hashes(&format!("{stopped}{started}")));
    }
}

#[test]
fn an_object_that_is_to_be_stopped_is_stopped_even_if_its_new_container_cannot_be_made() {
    let mut scene = web(json!({"image": "web:1"}));
    scene.want("Deployment/web", json!({"image": "web:2", "state": "Stopped", "networks": ["nowhere"]}));
    check(
        &scene,
        "Deployment/web",
        &expect![[r#"
            []  -> #1 container/web-AAAAAAAA-0  Update    not to be started again by the Engine
            [1] -> #2 container/web-AAAAAAAA-0  Stop 10s  state is Stopped
            waiting: Network/nowhere (not defined)
        "#]],
    );
}

#[test]
fn a_new_object_that_is_to_be_stopped_is_created_only() {
    let mut scene = web(json!({"image": "web:1", "state": "Stopped"}));
    check(&scene, "Deployment/web", &expect![[""]]);
    scene.want("Deployment/web", json!({"image": "web:1"}));
    check(
        &scene,
        "Deployment/web",
        &expect![[r#"
            []  -> #1 container/web-AAAAAAAA-0  Update  spec changed: restart (no -> unless-stopped)
            [1] -> #2 container/web-AAAAAAAA-0  Verify  compare with what was asked for
            [2] -> #3 container/web-AAAAAAAA-0  Start   not started yet
        "#]],
    );
}

#[test]
fn a_removed_object_is_kept_while_prune_holds_it_or_its_time_has_not_come() {
    let mut scene = web(json!({"image": "web:1"}));
    let key = "Deployment/web".parse().unwrap();
    scene.world.set_removal(&key, Removal::Held("more than 30% would go".into()));
    check(
        &scene,
        "Deployment/web",
        &expect![[r#"
        waiting: prune (more than 30% would go)
    "#]],
    );
    scene.world.set_removal(&key, Removal::Tombstone(scene.now_ms + 30_000));
    check(
        &scene,
        "Deployment/web",
        &expect![[r#"
        waiting: prune (removed from the manifests a moment ago) · wake: 30s
    "#]],
    );
    scene.now_ms += 30_000;
    check(&scene, "Deployment/web", &expect![[""]]);
}

#[test]
fn nothing_is_done_about_things_of_which_nobody_has_decided() {
    let scene = web(json!({"image": "web:1"}));
    let mut other = crate::testing::Scene::new();
    for detail in scene.engine.containers.values() {
        other.world.observe_container(detail, 0);
    }
    assert_eq!(other.world.undecided_orphans(), ["Deployment/web".parse().unwrap()]);
    check(&other, "Deployment/web", &expect![[""]]);
}

#[test]
fn an_approved_removal_stops_with_the_containers_own_grace_and_frees_the_network() {
    let mut scene = web(json!({"image": "web:1", "networks": ["back"], "stop": {"grace": "1m"}}));
    for key in ["Deployment/web", "Network/back"] {
        scene.world.set_removal(&key.parse().unwrap(), Removal::Approved { delete_volumes: false });
    }
    check(
        &scene,
        "Network/back",
        &expect![[r#"
            waiting: network/back (in use by web-AAAAAAAA-0) · wake: 2s
        "#]],
    );
    check_passes(
        &mut scene,
        &expect![[r#"
            Deployment/web at 0s
            []  -> #1 container/web-AAAAAAAA-0  Update    not to be started again by the Engine
            [1] -> #2 container/web-AAAAAAAA-0  Stop 60s  removed from the manifests
            [2] -> #3 container/web-AAAAAAAA-0  Remove    removed from the manifests
            Network/back at 0s
            [] -> #1 network/back  Remove  removed from the manifests
        "#]],
    );
    assert!(scene.engine.containers.is_empty() && scene.engine.networks.is_empty());
}

#[test]
fn nothing_is_tried_again_before_its_time() {
    let mut scene = web(json!({"image": "web:1"}));
    let key = "Deployment/web".parse().unwrap();
    scene.set_state("Deployment/web", ContainerState::Exited);
    scene.world.set_hold(&key, Some(Hold::Backoff(scene.now_ms + 8_000)));
    check(
        &scene,
        "Deployment/web",
        &expect![[r#"
        waiting: the next try after a failure · wake: 8s
    "#]],
    );
    scene.world.set_hold(&key, Some(Hold::UnknownOutcome(scene.now_ms + 60_000)));
    check(
        &scene,
        "Deployment/web",
        &expect![[r#"
        waiting: the outcome of a call that ended without an answer · wake: 1m
    "#]],
    );
    scene.now_ms += 60_000;
    check(
        &scene,
        "Deployment/web",
        &expect![[r#"
            [] -> #1 container/web-AAAAAAAA-0  Start  exited with code 137
            found: container/web-AAAAAAAA-0 ContainerExited: exited with code 137
        "#]],
    );
}

#[test]
fn an_object_that_comes_back_before_it_is_removed_loses_nothing() {
    let mut scene = settled(&[("Deployment/web", json!({"image": "web:1"}))]);
    scene.world.set_removal(&"Deployment/web".parse().unwrap(), Removal::Approved { delete_volumes: false });
    let steps = scene.plan("Deployment/web").steps;
    scene.execute(&steps[..2]);
    scene.want("Deployment/web", json!({"image": "web:1"}));
    check_passes(
        &mut scene,
        &expect![[r#"
            Deployment/web at 0s
            []  -> #1 container/web-AAAAAAAA-0  Start   exited with code 143
            [1] -> #2 container/web-AAAAAAAA-0  Update  to be started again by the Engine
        "#]],
    );
}
