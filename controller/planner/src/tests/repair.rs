//! What somebody else did to containers.

use expect_test::expect;
use serde_json::json;

use super::{check, check_passes, settled, web};
use crate::observed::{ContainerState, Health, NetworkDetail};
use crate::plan::EndpointCreate;

#[test]
fn a_removed_container_comes_back() {
    let mut scene = web(json!({"image": "web:1"}));
    let id = scene.id(&scene.names("Deployment/web")[0]);
    scene.remove(&id, false);
    check(
        &scene,
        "Deployment/web",
        &expect![[r#"
            []  -> #1 container/web-AAAAAAAA-0  Create  not present
            [1] -> #2 container/web-AAAAAAAA-0  Verify  compare with what was asked for
            [2] -> #3 container/web-AAAAAAAA-0  Start   created
            found: container/web-AAAAAAAA-0 ContainerRemoved: was removed by somebody else
        "#]],
    );
}

#[test]
fn what_vanishes_while_a_plan_is_being_told_of_is_told_of_with_the_next() {
    let mut scene = web(json!({"image": "web:1", "replicas": 2}));
    let names = scene.names("Deployment/web");
    let ids: Vec<String> = names.iter().map(|name| scene.id(name)).collect();
    let key = "Deployment/web".parse().unwrap();
    scene.remove(&ids[0], false);
    let plan = crate::plan(&scene.world, &key, scene.now_ms);
    scene.remove(&ids[1], false);
    scene.world.clear_lost(&key, &plan.findings);
    let next = crate::plan(&scene.world, &key, scene.now_ms);
    let told = |plan: &crate::plan::Plan| plan.findings.iter().map(|found| found.subject.clone()).collect::<Vec<_>>();
    assert_eq!(told(&plan), [format!("container/{}", names[0])]);
    assert_eq!(told(&next), [format!("container/{}", names[1])]);
}

#[test]
fn a_container_in_any_state_is_brought_back_or_waited_for() {
    let mut scene = web(json!({"image": "web:1"}));
    for (state, expect) in [
        (
            ContainerState::Exited,
            expect![[r#"
                [] -> #1 container/web-AAAAAAAA-0  Start  exited with code 137
                found: container/web-AAAAAAAA-0 ContainerExited: exited with code 137
            "#]],
        ),
        (
            ContainerState::Paused,
            expect![[r#"
                [] -> #1 container/web-AAAAAAAA-0  Unpause  paused by somebody else
                found: container/web-AAAAAAAA-0 ContainerPaused: paused by somebody else
            "#]],
        ),
        (
            ContainerState::Restarting,
            expect![[r#"
                waiting: container/web-AAAAAAAA-0 (exited with code 0, the Engine starts it again) · wake: 2s
            "#]],
        ),
        (
            ContainerState::Removing,
            expect![[r#"
                waiting: container/web-AAAAAAAA-0 (being removed) · wake: 2s
            "#]],
        ),
        (
            ContainerState::Dead,
            expect![[r#"
                []  -> #1 container/web-AAAAAAAA-0  Remove  a removal failed half-way
                [1] -> #2 container/web-AAAAAAAA-0  Create  a removal failed half-way
                [2] -> #3 container/web-AAAAAAAA-0  Verify  compare with what was asked for
                [3] -> #4 container/web-AAAAAAAA-0  Start   created
                found: container/web-AAAAAAAA-0 ContainerUnusable: a removal failed half-way
            "#]],
        ),
    ] {
        scene.set_state("Deployment/web", state);
        check(&scene, "Deployment/web", &expect);
    }
}

#[test]
fn a_container_that_the_engine_was_killed_in_the_midst_of_starting_is_made_anew() {
    let mut scene = web(json!({"image": "web:1"}));
    for (state, expect) in [
        (
            ContainerState::Created,
            expect![[r#"
            []  -> #1 container/web-AAAAAAAA-0  Remove  the Engine ended in the middle of its start
            [1] -> #2 container/web-AAAAAAAA-0  Create  the Engine ended in the middle of its start
            [2] -> #3 container/web-AAAAAAAA-0  Verify  compare with what was asked for
            [3] -> #4 container/web-AAAAAAAA-0  Start   created
            found: container/web-AAAAAAAA-0 ContainerUnusable: the Engine ended in the middle of its start
        "#]],
        ),
        (
            ContainerState::Exited,
            expect![[r#"
            []  -> #1 container/web-AAAAAAAA-0  Remove  the Engine ended in the middle of its start
            [1] -> #2 container/web-AAAAAAAA-0  Create  the Engine ended in the middle of its start
            [2] -> #3 container/web-AAAAAAAA-0  Verify  compare with what was asked for
            [3] -> #4 container/web-AAAAAAAA-0  Start   created
            found: container/web-AAAAAAAA-0 ContainerUnusable: the Engine ended in the middle of its start
        "#]],
        ),
    ] {
        // What containerd and runc, of these and of older releases, say of what they have of it still.
        for error in [
            "task 98bdaee0f6bf9f5684dcb49c1779bb51: already exists",
            "container \"98bdaee0f6bf9f5684dcb49c1779bb51\": already exists",
            "id already in use",
            "OCI runtime create failed: container with id exists: 98bdaee0f6bf9f5684dcb49c1779bb51: unknown",
            "failed to create task for container: runc create failed: container with given ID already exists: unknown",
            "mkdir /run/containerd/io.containerd.runtime.v2.task/moby/98bdaee0f6bf9f5684dcb49c1779bb51: file exists: unknown",
        ] {
            scene.change_only("Deployment/web", |detail| {
                detail.status.state = state;
                detail.status.error = error.into();
            });
            check(&scene, "Deployment/web", &expect);
        }
    }
}

#[test]
fn a_start_that_would_fail_for_another_container_as_well_is_tried_again() {
    let mut scene = web(json!({"image": "web:1"}));
    for (error, expect) in [
        (
            "endpoint with name web-0 already exists in network front",
            expect![[r#"
                []  -> #1 container/web-AAAAAAAA-0  Verify  compare with what was asked for
                [1] -> #2 container/web-AAAAAAAA-0  Start   start failed: endpoint with name web-0 already exists in network front
            "#]],
        ),
        (
            "error while creating mount source path '/run/containerd/s': mkdir /run/containerd/s: file exists",
            expect![[r#"
                []  -> #1 container/web-AAAAAAAA-0  Verify  compare with what was asked for
                [1] -> #2 container/web-AAAAAAAA-0  Start   start failed: error while creating mount source path '/run/containerd/s': mkdir /run/containerd/s: file exists
            "#]],
        ),
    ] {
        scene.change_only("Deployment/web", |detail| {
            detail.status.state = ContainerState::Created;
            detail.status.error = error.into();
        });
        check(&scene, "Deployment/web", &expect);
    }
}

#[test]
fn a_container_that_does_not_pass_its_health_check_is_waited_for() {
    let mut scene = web(json!({"image": "web:1"}));
    scene.change_only("Deployment/web", |detail| detail.status.health = Health::Unhealthy);
    check(
        &scene,
        "Deployment/web",
        &expect![[r#"
            waiting: container/web-AAAAAAAA-0 (health: unhealthy)
        "#]],
    );
}

#[test]
fn a_container_that_ended_well_is_started_again_only_where_that_is_asked() {
    for (restart, code, expect) in [
        (
            "Always",
            0,
            expect![[r#"
                [] -> #1 container/web-AAAAAAAA-0  Start  exited with code 0
                found: container/web-AAAAAAAA-0 ContainerExited: exited with code 0
            "#]],
        ),
        ("OnFailure", 0, expect![[""]]),
        (
            "OnFailure",
            1,
            expect![[r#"
                [] -> #1 container/web-AAAAAAAA-0  Start  exited with code 1
                found: container/web-AAAAAAAA-0 ContainerExited: exited with code 1
            "#]],
        ),
        ("Never", 1, expect![[""]]),
    ] {
        let mut scene = web(json!({"image": "web:1", "restart": restart}));
        scene.change_only("Deployment/web", |detail| {
            detail.status.state = ContainerState::Exited;
            detail.status.exit_code = code;
        });
        check(&scene, "Deployment/web", &expect);
    }
}

#[test]
fn a_renamed_container_gets_its_name_back() {
    let mut scene = web(json!({"image": "web:1"}));
    let id = scene.id(&scene.names("Deployment/web")[0]);
    scene.rename(&id, "mine-now");
    check_passes(
        &mut scene,
        &expect![[r#"
            Deployment/web at 0s
            [] -> #1 container/mine-now  Rename web-AAAAAAAA-0  renamed to mine-now by somebody else
            found: container/web-AAAAAAAA-0 ContainerRenamed: was renamed to `mine-now` by somebody else
        "#]],
    );
}

#[test]
fn containers_whose_names_were_swapped_get_their_own_back() {
    let mut scene = web(json!({"image": "web:1", "replicas": 2}));
    let names = scene.names("Deployment/web");
    let (first, second) = (scene.id(&names[0]), scene.id(&names[1]));
    scene.rename(&first, "between");
    scene.rename(&second, &names[0]);
    scene.rename(&first, &names[1]);
    check_passes(
        &mut scene,
        &expect![[r#"
            Deployment/web at 0s
            []  -> #1 container/web-AAAAAAAA-0  Rename web-AAAAAAAA-1-next  renamed to web-AAAAAAAA-0 by somebody else
            [1] -> #2 container/web-AAAAAAAA-1  Rename web-AAAAAAAA-0       renamed to web-AAAAAAAA-1 by somebody else
            found: container/web-AAAAAAAA-0 ContainerRenamed: was renamed to `web-AAAAAAAA-1` by somebody else
            Deployment/web at 0s
            [] -> #1 container/web-AAAAAAAA-1-next  Rename web-AAAAAAAA-1  created
        "#]],
    );
}

#[test]
fn a_container_that_lost_its_network_is_connected_again_with_its_names() {
    let mut scene = web(json!({"image": "web:1", "networks": {"back": {"aliases": ["shop"]}}}));
    let (id, back) = (scene.id(&scene.names("Deployment/web")[0]), scene.network_id("back"));
    scene.disconnect(&id, &back);
    check(
        &scene,
        "Deployment/web",
        &expect![[r#"
            [] -> #1 container/web-AAAAAAAA-0  Connect back  disconnected from back by somebody else
            found: container/web-AAAAAAAA-0 NetworkDisconnected: disconnected from back by somebody else
        "#]],
    );
    let endpoint = EndpointCreate {
        network_id: back,
        network_name: "back".into(),
        aliases: vec!["shop".into()],
        ..EndpointCreate::default()
    };
    scene.connect(&id, &endpoint);
    check_passes(
        &mut scene,
        &expect![[r#"
            Deployment/web at 0s
            []  -> #1 container/web-AAAAAAAA-0  Disconnect back  connected to back without its own names or address
            [1] -> #2 container/web-AAAAAAAA-0  Connect back     connected to back without its own names or address
            found: container/web-AAAAAAAA-0 EndpointChanged: connected to back without its own names or address
        "#]],
    );
}

#[test]
fn a_container_is_taken_out_of_a_network_that_its_spec_does_not_name() {
    let mut scene = web(json!({"image": "web:1"}));
    let id = scene.id(&scene.names("Deployment/web")[0]);
    let network_id = scene.network_id("back");
    scene.connect(&id, &EndpointCreate { network_id, network_name: "back".into(), ..EndpointCreate::default() });
    check(
        &scene,
        "Deployment/web",
        &expect![[r#"
            [] -> #1 container/web-AAAAAAAA-0  Disconnect back  connected to back by somebody else
            found: container/web-AAAAAAAA-0 NetworkConnected: connected to back by somebody else
        "#]],
    );
}

#[test]
fn limits_that_somebody_changed_are_set_back() {
    let mut scene = web(json!({"image": "web:1", "resources": {"memory": "64MiB"}}));
    scene.change_only("Deployment/web", |detail| {
        detail.limits.memory = 1 << 30;
        detail.limits.restart = "always".into();
    });
    check(
        &scene,
        "Deployment/web",
        &expect![[r#"
            [] -> #1 container/web-AAAAAAAA-0  Update  changed by somebody else: resources.memory (1GiB -> 64MiB), restart (always -> unless-stopped)
            found: container/web-AAAAAAAA-0 ContainerUpdated: changed by somebody else: resources.memory (1GiB -> 64MiB), restart (always -> unless-stopped)
        "#]],
    );
}

#[test]
fn a_limit_that_somebody_added_and_that_cannot_be_taken_away_replaces_the_container() {
    let mut scene = web(json!({"image": "web:1"}));
    scene.change_only("Deployment/web", |detail| detail.limits.memory = 1 << 30);
    check(
        &scene,
        "Deployment/web",
        &expect![[r#"
            []  -> #1 container/web-AAAAAAAA-0-next  Create  changed by somebody else: resources.memory (1GiB -> none)
            [1] -> #2 container/web-AAAAAAAA-0-next  Verify  compare with what was asked for
            [2] -> #3 container/web-AAAAAAAA-0-next  Start   created
            found: container/web-AAAAAAAA-0 ContainerUpdated: changed by somebody else: resources.memory (1GiB -> none)
        "#]],
    );
    scene.settle();
}

#[test]
fn of_two_containers_of_one_number_the_one_that_serves_stays() {
    let mut scene = web(json!({"image": "web:1"}));
    let id = scene.id(&scene.names("Deployment/web")[0]);
    let mut twin = scene.engine.containers[&id].clone();
    twin.id = "f".repeat(64);
    scene.rename(&id, "elsewhere");
    scene.set_state("Deployment/web", ContainerState::Exited);
    scene.engine.containers.insert(twin.id.clone(), twin.clone());
    scene.observe(&twin.id);
    check_passes(
        &mut scene,
        &expect![[r#"
        Deployment/web at 0s
        [] -> #1 container/elsewhere  Remove  a duplicate
        found: container/elsewhere DuplicateContainer: is a duplicate
    "#]],
    );
    assert_eq!(scene.engine.containers.keys().collect::<Vec<_>>(), [&twin.id]);
}

#[test]
fn a_stranger_with_our_labels_under_another_name_is_left_alone() {
    let mut scene = web(json!({"image": "web:1"}));
    let id = scene.id(&scene.names("Deployment/web")[0]);
    for (name, digit) in [("web-copy", "e"), ("web-next", "d")] {
        let mut copy = scene.engine.containers[&id].clone();
        (copy.id, copy.name) = (digit.repeat(64), name.into());
        scene.engine.containers.insert(copy.id.clone(), copy.clone());
        scene.observe(&copy.id);
    }
    check_passes(&mut scene, &expect![[""]]);
    assert_eq!(scene.world.impostors().count(), 2);
    assert_eq!(scene.engine.containers.len(), 3);
}

#[test]
fn a_container_that_was_renamed_while_nobody_watched_is_known_by_its_id() {
    let mut scene = web(json!({"image": "web:1"}));
    let id = scene.id(&scene.names("Deployment/web")[0]);
    scene.remove(&id.clone(), true);
    let mut detail =
        settled(&[("Deployment/web", json!({"image": "web:1"}))]).engine.containers.into_values().next().unwrap();
    (detail.id, detail.name) = (id.clone(), "mine-now".into());
    scene.engine.containers.insert(id.clone(), detail);
    scene.world.remember_ids([id.clone()]);
    scene.observe(&id);
    check(
        &scene,
        "Deployment/web",
        &expect![[r#"
            [] -> #1 container/mine-now  Rename web-AAAAAAAA-0  renamed to mine-now by somebody else
            found: container/web-AAAAAAAA-0 ContainerRenamed: was renamed to `mine-now` by somebody else
        "#]],
    );
}

#[test]
fn two_objects_whose_containers_swapped_their_names_get_them_back() {
    let mut scene = settled(&[
        ("Deployment/one", json!({"image": "web:1", "containerName": "one"})),
        ("Deployment/two", json!({"image": "web:1", "containerName": "two"})),
    ]);
    let (first, second) = (scene.id("one"), scene.id("two"));
    scene.rename(&first, "between");
    scene.rename(&second, "one");
    scene.rename(&first, "two");
    let passes = scene.settle();
    assert_eq!(
        (scene.names("Deployment/one"), scene.names("Deployment/two")),
        (vec!["one".into()], vec!["two".into()])
    );
    assert_eq!((scene.id("one"), scene.id("two")), (first, second), "{passes}");
}

#[test]
fn a_container_disconnected_from_the_default_bridge_is_reconnected() {
    let mut scene = web(json!({"image": "web:1"}));
    let bridge = NetworkDetail {
        id: "b".repeat(64),
        name: "bridge".into(),
        driver: "bridge".into(),
        internal: false,
        attachable: false,
        ipv6: false,
        subnets: Vec::new(),
        options: [].into(),
        labels: [].into(),
        created_ms: 0,
    };
    scene.world.observe_network(&bridge);
    scene.change_only("Deployment/web", |detail| detail.endpoints.clear());
    check(
        &scene,
        "Deployment/web",
        &expect![[r#"
            [] -> #1 container/web-AAAAAAAA-0  Connect bridge  disconnected from bridge by somebody else
            found: container/web-AAAAAAAA-0 NetworkDisconnected: disconnected from bridge by somebody else
        "#]],
    );
}
