//! Replacing what was itself about to replace: the wish changes once more, or a controller ends, in the midst of it.

use expect_test::expect;
use serde_json::json;

use super::{check, check_passes, settled, web};
use crate::observed::{Endpoint, Health};
use crate::plan::{Action, ContainerRef, Step};
use crate::testing::Scene;

#[test]
fn a_replacement_that_is_itself_replaced_goes_first_and_what_serves_stays() {
    let mut scene = web(json!({"image": "web:1"}));
    let serving = scene.names("Deployment/web");
    scene.want("Deployment/web", json!({"image": "web:2"}));
    scene.run("Deployment/web");
    scene.now_ms += 1_000;
    scene.want("Deployment/web", json!({"image": "web:3"}));
    assert_eq!(stopped_by_next_pass(&scene), without(&scene, &serving));
    check_passes(
        &mut scene,
        &expect![[r#"
        Deployment/web at 1s
        []    -> #1 container/web-AAAAAAAA-0  Update    not to be started again by the Engine
        [1]   -> #2 container/web-AAAAAAAA-0  Stop 10s  superseded before it replaced web-BBBBBBBB-0
        [2]   -> #3 container/web-AAAAAAAA-0  Remove    superseded before it replaced web-BBBBBBBB-0
        []    -> #4 container/web-CCCCCCCC-0  Create    spec changed: image (web:1 -> web:3)
        [4]   -> #5 container/web-CCCCCCCC-0  Verify    compare with what was asked for
        [3,5] -> #6 container/web-CCCCCCCC-0  Start     created
        Deployment/web at 6s
        []  -> #1 container/web-BBBBBBBB-0  Update    not to be started again by the Engine
        [1] -> #2 container/web-BBBBBBBB-0  Stop 10s  replaced by web-CCCCCCCC-0
        [2] -> #3 container/web-BBBBBBBB-0  Remove    replaced by web-CCCCCCCC-0
    "#]],
    );
}

#[test]
fn what_serves_stays_beside_a_third_one_even_where_its_limits_have_drifted() {
    let mut scene = web(json!({"image": "web:1"}));
    let serving = scene.names("Deployment/web");
    scene.engine.health.insert("web:2".into(), Health::Starting);
    scene.want("Deployment/web", json!({"image": "web:2"}));
    scene.run("Deployment/web");
    scene.change(&scene.id(&serving[0]), |detail| detail.limits.memory = 64 << 20);
    scene.want("Deployment/web", json!({"image": "web:3"}));
    assert_eq!(stopped_by_next_pass(&scene), without(&scene, &serving));
    check_passes(
        &mut scene,
        &expect![[r#"
        Deployment/web at 0s
        []    -> #1 container/web-AAAAAAAA-0  Update    not to be started again by the Engine
        [1]   -> #2 container/web-AAAAAAAA-0  Stop 10s  superseded before it replaced web-BBBBBBBB-0
        [2]   -> #3 container/web-AAAAAAAA-0  Remove    superseded before it replaced web-BBBBBBBB-0
        []    -> #4 container/web-CCCCCCCC-0  Create    spec changed: image (web:2 -> web:3)
        [4]   -> #5 container/web-CCCCCCCC-0  Verify    compare with what was asked for
        [3,5] -> #6 container/web-CCCCCCCC-0  Start     created
        Deployment/web at 5s
        []  -> #1 container/web-BBBBBBBB-0  Update    not to be started again by the Engine
        [1] -> #2 container/web-BBBBBBBB-0  Stop 10s  replaced by web-CCCCCCCC-0
        [2] -> #3 container/web-BBBBBBBB-0  Remove    replaced by web-CCCCCCCC-0
    "#]],
    );
}

#[test]
fn what_never_ran_is_removed_before_one_starts_that_needs_its_port() {
    let port = |image: &str| json!({"image": image, "ports": [{"port": 80, "publish": 8080}]});
    let mut scene = web(port("web:1"));
    scene.want("Deployment/web", port("web:2"));
    let steps = scene.plan("Deployment/web").steps;
    scene.execute(&steps[..2]);
    scene.want("Deployment/web", port("web:3"));
    check_passes(
        &mut scene,
        &expect![[r#"
        Deployment/web at 0s
        []    -> #1 container/web-AAAAAAAA-0  Create    spec changed: image (web:1 -> web:3)
        [1]   -> #2 container/web-AAAAAAAA-0  Verify    compare with what was asked for
        [2]   -> #3 container/web-BBBBBBBB-0  Update    not to be started again by the Engine
        [3]   -> #4 container/web-BBBBBBBB-0  Stop 10s  must stop first: it holds port 8080 of the host
        [4]   -> #5 container/web-CCCCCCCC-0  Remove    must stop first: it holds port 8080 of the host
        [4,5] -> #6 container/web-AAAAAAAA-0  Start     created
        Deployment/web at 5s
        [] -> #1 container/web-BBBBBBBB-0  Remove  replaced by web-AAAAAAAA-0
    "#]],
    );
}

#[test]
fn an_exact_name_is_given_up_for_a_free_one() {
    let named = |image: &str| json!({"image": image, "containerName": "the-web"});
    let mut scene = web(named("web:1"));
    scene.want("Deployment/web", named("web:2"));
    let steps = scene.plan("Deployment/web").steps;
    scene.execute(&steps[..2]);
    // Somebody gives the new one the name that the old one is to take.
    let derived_of_old = name_that_the_old_one_takes(&steps);
    let new = scene.id(&without(&scene, &["the-web".to_owned()])[0]);
    scene.rename(&new, &derived_of_old);
    check_passes(
        &mut scene,
        &expect![[r#"
        Deployment/web at 0s
        []  -> #1 container/web-AAAAAAAA-0  Verify                      compare with what was asked for
        [1] -> #2 container/the-web         Update                      not to be started again by the Engine
        [2] -> #3 container/the-web         Stop 10s                    must stop first: its name `the-web` is fixed
        [3] -> #4 container/the-web         Rename web-AAAAAAAA-0-next  replaced by web-AAAAAAAA-0
        [4] -> #5 container/web-AAAAAAAA-0  Rename the-web              created
        [5] -> #6 container/web-AAAAAAAA-0  Start                       not started yet
        waiting: container/web-AAAAAAAA-0 (created)
        Deployment/web at 5s
        [] -> #1 container/web-AAAAAAAA-0-next  Remove  replaced by the-web
    "#]],
    );
}

#[test]
fn what_was_connected_to_a_network_that_went_before_its_first_start_is_made_anew() {
    let mut scene = settled(&[("Network/back", json!({})), ("Network/front", json!({}))]);
    scene.want("Deployment/web", json!({"image": "web:1", "networks": ["back", "front"]}));
    let steps = scene.plan("Deployment/web").steps;
    let before_verify = steps.len() - 2;
    scene.execute(&steps[..before_verify]);
    let gone = scene.network_id("front");
    // The Engine files such an endpoint under the id that was asked for, and never learns of the network.
    scene.change_only("Deployment/web", |detail| {
        let endpoint = detail.endpoints.remove("front").unwrap();
        detail.endpoints.insert(gone.clone(), Endpoint { network_id: String::new(), ..endpoint });
    });
    scene.remove_network(&gone, false);
    scene.run("Network/front");
    check(
        &scene,
        "Deployment/web",
        &expect![[r#"
        []  -> #1 container/web-AAAAAAAA-0  Remove         made for a network 0000000000000000000000000000000000000000000000000000000000000002 that is gone
        [1] -> #2 container/web-AAAAAAAA-0  Create         made for a network 0000000000000000000000000000000000000000000000000000000000000002 that is gone
        [2] -> #3 container/web-AAAAAAAA-0  Connect front  created
        [3] -> #4 container/web-AAAAAAAA-0  Verify         compare with what was asked for
        [4] -> #5 container/web-AAAAAAAA-0  Start          created
        found: container/web-AAAAAAAA-0 ContainerUnusable: made for a network 0000000000000000000000000000000000000000000000000000000000000002 that is gone
    "#]],
    );
    scene.settle();
}

/// The names of the containers that the next pass stops.
fn stopped_by_next_pass(scene: &Scene) -> Vec<String> {
    let stopped = |step: &Step| {
        let Action::StopContainer { container: ContainerRef::Existing { name, .. }, .. } = &step.action else {
            return None;
        };
        Some(name.clone())
    };
    scene.plan("Deployment/web").steps.iter().filter_map(stopped).collect()
}

/// The names of all containers but these.
fn without(scene: &Scene, names: &[String]) -> Vec<String> {
    scene.names("Deployment/web").into_iter().filter(|name| !names.contains(name)).collect()
}

/// The name that a plan gives to the container that has the exact one.
fn name_that_the_old_one_takes(steps: &[Step]) -> String {
    let taken = |step: &Step| {
        let Action::RenameContainer { container: ContainerRef::Existing { .. }, name } = &step.action else {
            return None;
        };
        Some(name.clone())
    };
    steps.iter().find_map(taken).unwrap()
}
