//! Replacing what runs.

use expect_test::expect;
use serde_json::json;

use super::{check, check_passes, settled, web};
use crate::observed::{ContainerState, Health};
use crate::ownership::LABEL_TEMPLATE;

#[test]
fn a_changed_image_replaces_the_container_after_the_new_one_has_served() {
    let mut scene = web(json!({"image": "web:1", "networks": ["back"]}));
    scene.want("Deployment/web", json!({"image": "web:2", "networks": ["back"]}));
    check_passes(
        &mut scene,
        &expect![[r#"
            Deployment/web at 0s
            []  -> #1 container/web-AAAAAAAA-0  Create  spec changed: image (web:1 -> web:2)
            [1] -> #2 container/web-AAAAAAAA-0  Verify  compare with what was asked for
            [2] -> #3 container/web-AAAAAAAA-0  Start   created
            Deployment/web at 5s
            []  -> #1 container/web-AAAAAAAA-0  Disconnect back  ready
            [1] -> #2 container/web-AAAAAAAA-0  Connect back     ready
            [2] -> #3 container/web-BBBBBBBB-0  Update           not to be started again by the Engine
            [3] -> #4 container/web-BBBBBBBB-0  Stop 10s         replaced by web-AAAAAAAA-0
            [4] -> #5 container/web-BBBBBBBB-0  Remove           replaced by web-AAAAAAAA-0
        "#]],
    );
}

#[test]
fn three_replicas_are_replaced_one_by_one() {
    let mut scene = web(json!({"image": "web:1", "replicas": 3}));
    scene.want("Deployment/web", json!({"image": "web:2", "replicas": 3}));
    check_passes(
        &mut scene,
        &expect![[r#"
            Deployment/web at 0s
            []  -> #1 container/web-AAAAAAAA-0  Create  spec changed: image (web:1 -> web:2)
            [1] -> #2 container/web-AAAAAAAA-0  Verify  compare with what was asked for
            [2] -> #3 container/web-AAAAAAAA-0  Start   created
            Deployment/web at 5s
            []  -> #1 container/web-BBBBBBBB-0  Update    not to be started again by the Engine
            [1] -> #2 container/web-BBBBBBBB-0  Stop 10s  replaced by web-AAAAAAAA-0
            [2] -> #3 container/web-BBBBBBBB-0  Remove    replaced by web-AAAAAAAA-0
            Deployment/web at 5s
            []  -> #1 container/web-AAAAAAAA-1  Create  spec changed: image (web:1 -> web:2)
            [1] -> #2 container/web-AAAAAAAA-1  Verify  compare with what was asked for
            [2] -> #3 container/web-AAAAAAAA-1  Start   created
            Deployment/web at 10s
            []  -> #1 container/web-BBBBBBBB-1  Update    not to be started again by the Engine
            [1] -> #2 container/web-BBBBBBBB-1  Stop 10s  replaced by web-AAAAAAAA-1
            [2] -> #3 container/web-BBBBBBBB-1  Remove    replaced by web-AAAAAAAA-1
            Deployment/web at 10s
            []  -> #1 container/web-AAAAAAAA-2  Create  spec changed: image (web:1 -> web:2)
            [1] -> #2 container/web-AAAAAAAA-2  Verify  compare with what was asked for
            [2] -> #3 container/web-AAAAAAAA-2  Start   created
            Deployment/web at 15s
            []  -> #1 container/web-BBBBBBBB-2  Update    not to be started again by the Engine
            [1] -> #2 container/web-BBBBBBBB-2  Stop 10s  replaced by web-AAAAAAAA-2
            [2] -> #3 container/web-BBBBBBBB-2  Remove    replaced by web-AAAAAAAA-2
        "#]],
    );
}

#[test]
fn a_replacement_that_never_gets_healthy_replaces_nothing() {
    let mut scene = web(json!({"image": "web:1", "replicas": 2, "networks": ["back"]}));
    scene.engine.health.insert("web:2".into(), Health::Starting);
    scene.want("Deployment/web", json!({"image": "web:2", "replicas": 2, "networks": ["back"]}));
    check_passes(
        &mut scene,
        &expect![[r#"
            Deployment/web at 0s
            []  -> #1 container/web-AAAAAAAA-0  Create  spec changed: image (web:1 -> web:2)
            [1] -> #2 container/web-AAAAAAAA-0  Verify  compare with what was asked for
            [2] -> #3 container/web-AAAAAAAA-0  Start   created
        "#]],
    );
    scene.now_ms += 3_600_000;
    check(
        &scene,
        "Deployment/web",
        &expect![[r#"
            waiting: container/web-AAAAAAAA-0 (health: starting)
        "#]],
    );
}

#[test]
fn a_replacement_must_serve_without_a_break_for_min_ready() {
    let mut scene = web(json!({"image": "web:1"}));
    scene.want("Deployment/web", json!({"image": "web:2"}));
    scene.run("Deployment/web");
    scene.now_ms += 4_000;
    check(
        &scene,
        "Deployment/web",
        &expect![[r#"
            waiting: container/web-AAAAAAAA-0 (must serve a little longer) · wake: 1s
        "#]],
    );
    let new = scene.names("Deployment/web").into_iter().map(|name| scene.id(&name)).max().unwrap();
    scene.change(&new, |detail| detail.status.started_ms = Some(1_004_000));
    scene.now_ms += 2_000;
    check(
        &scene,
        "Deployment/web",
        &expect![[r#"
            waiting: container/web-AAAAAAAA-0 (must serve a little longer) · wake: 3s
        "#]],
    );
}

#[test]
fn a_clock_that_is_set_back_does_not_hold_a_replacement_up() {
    let mut scene = web(json!({"image": "web:1"}));
    scene.want("Deployment/web", json!({"image": "web:2"}));
    scene.run("Deployment/web");
    scene.now_ms -= 3_600_000;
    check(
        &scene,
        "Deployment/web",
        &expect![[r#"
            waiting: container/web-AAAAAAAA-0 (must serve a little longer) · wake: 5s
        "#]],
    );
}

#[test]
fn an_old_container_that_is_killed_while_its_replacement_does_not_serve_is_started_again() {
    let mut scene = web(json!({"image": "web:1"}));
    scene.engine.health.insert("web:2".into(), Health::Starting);
    let old = scene.id(&scene.names("Deployment/web")[0]);
    scene.want("Deployment/web", json!({"image": "web:2"}));
    scene.run("Deployment/web");
    scene.change(&old, |detail| detail.status.state = ContainerState::Exited);
    check(
        &scene,
        "Deployment/web",
        &expect![[r#"
            [] -> #1 container/web-AAAAAAAA-0  Start  exited with code 0
            waiting: container/web-BBBBBBBB-0 (health: starting) · wake: 5m
            found: container/web-AAAAAAAA-0 ContainerExited: exited with code 0
        "#]],
    );
}

#[test]
fn a_container_that_holds_a_port_is_stopped_before_its_replacement_starts() {
    let port = |image: &str| json!({"image": image, "ports": [{"port": 80, "publish": 8080}]});
    let mut scene = web(port("web:1"));
    scene.want("Deployment/web", port("web:2"));
    check_passes(
        &mut scene,
        &expect![[r#"
            Deployment/web at 0s
            []  -> #1 container/web-AAAAAAAA-0  Create    spec changed: image (web:1 -> web:2)
            [1] -> #2 container/web-AAAAAAAA-0  Verify    compare with what was asked for
            [2] -> #3 container/web-BBBBBBBB-0  Update    not to be started again by the Engine
            [3] -> #4 container/web-BBBBBBBB-0  Stop 10s  must stop first: it holds port 8080 of the host
            [4] -> #5 container/web-AAAAAAAA-0  Start     created
            Deployment/web at 5s
            [] -> #1 container/web-BBBBBBBB-0  Remove  replaced by web-AAAAAAAA-0
        "#]],
    );
}

#[test]
fn an_exact_name_is_handed_over() {
    let named = |image: &str| json!({"image": image, "containerName": "the-web"});
    let mut scene = web(named("web:1"));
    scene.want("Deployment/web", named("web:2"));
    check_passes(
        &mut scene,
        &expect![[r#"
            Deployment/web at 0s
            []  -> #1 container/web-AAAAAAAA-0  Create                 spec changed: image (web:1 -> web:2)
            [1] -> #2 container/web-AAAAAAAA-0  Verify                 compare with what was asked for
            [2] -> #3 container/the-web         Update                 not to be started again by the Engine
            [3] -> #4 container/the-web         Stop 10s               must stop first: its name `the-web` is fixed
            [4] -> #5 container/the-web         Rename web-BBBBBBBB-0  replaced by web-AAAAAAAA-0
            [5] -> #6 container/web-AAAAAAAA-0  Rename the-web         created
            [6] -> #7 container/web-AAAAAAAA-0  Start                  created
            Deployment/web at 5s
            [] -> #1 container/web-BBBBBBBB-0  Remove  replaced by the-web
        "#]],
    );
}

#[test]
fn an_exact_name_is_handed_over_from_wherever_the_last_controller_was_killed() {
    let named = |image: &str| json!({"image": image, "containerName": "the-web"});
    for done in 0..8 {
        let mut scene = web(named("web:1"));
        scene.want("Deployment/web", named("web:2"));
        let steps = scene.plan("Deployment/web").steps;
        scene.execute(&steps[..done.min(steps.len())]);
        scene.settle();
        assert_eq!(scene.names("Deployment/web"), ["the-web"], "after {done} steps");
    }
}

#[test]
fn the_only_writer_of_a_volume_is_stopped_first() {
    let mounts = json!([{"volume": "data", "path": "/data"}]);
    let writer = |image: &str| json!({"image": image, "mounts": mounts});
    let mut scene = settled(&[("Volume/data", json!({})), ("Deployment/web", writer("web:1"))]);
    scene.want("Deployment/web", writer("web:2"));
    check(
        &scene,
        "Deployment/web",
        &expect![[r#"
            []  -> #1 container/web-AAAAAAAA-0  Create    spec changed: image (web:1 -> web:2)
            [1] -> #2 container/web-AAAAAAAA-0  Verify    compare with what was asked for
            [2] -> #3 container/web-BBBBBBBB-0  Update    not to be started again by the Engine
            [3] -> #4 container/web-BBBBBBBB-0  Stop 10s  must stop first: only one may write to Volume/data
            [4] -> #5 container/web-AAAAAAAA-0  Start     created
        "#]],
    );
}

#[test]
fn the_holder_of_a_fixed_address_is_stopped_first() {
    let fixed = |image: &str| json!({"image": image, "networks": {"back": {"ipv4": "10.77.0.9"}}});
    let mut scene = web(fixed("web:1"));
    scene.want("Deployment/web", fixed("web:2"));
    check(
        &scene,
        "Deployment/web",
        &expect![[r#"
            []  -> #1 container/web-AAAAAAAA-0  Create    spec changed: image (web:1 -> web:2)
            [1] -> #2 container/web-AAAAAAAA-0  Verify    compare with what was asked for
            [2] -> #3 container/web-BBBBBBBB-0  Update    not to be started again by the Engine
            [3] -> #4 container/web-BBBBBBBB-0  Stop 10s  must stop first: it holds the address 10.77.0.9
            [4] -> #5 container/web-AAAAAAAA-0  Start     created
        "#]],
    );
    scene.settle();
}

#[test]
fn a_surplus_writer_is_gone_before_the_last_one_is_replaced() {
    let mounts = json!([{"volume": "data", "path": "/data"}]);
    let mut scene = settled(&[
        ("Volume/data", json!({})),
        ("Deployment/web", json!({"image": "web:1", "replicas": 2, "mounts": mounts})),
    ]);
    scene.want("Deployment/web", json!({"image": "web:2", "replicas": 1, "mounts": mounts}));
    check(
        &scene,
        "Deployment/web",
        &expect![[r#"
            []    -> #1 container/web-AAAAAAAA-1  Update    not to be started again by the Engine
            [1]   -> #2 container/web-AAAAAAAA-1  Stop 10s  scaled down
            [2]   -> #3 container/web-AAAAAAAA-1  Remove    scaled down
            []    -> #4 container/web-BBBBBBBB-0  Create    spec changed: image (web:1 -> web:2)
            [4]   -> #5 container/web-BBBBBBBB-0  Verify    compare with what was asked for
            [3,5] -> #6 container/web-AAAAAAAA-0  Update    not to be started again by the Engine
            [6]   -> #7 container/web-AAAAAAAA-0  Stop 10s  must stop first: only one may write to Volume/data
            [7]   -> #8 container/web-BBBBBBBB-0  Start     created
        "#]],
    );
}

#[test]
fn nothing_is_stopped_for_a_replacement_that_cannot_be_made() {
    let mut scene = web(json!({"image": "web:1", "ports": [{"port": 80, "publish": 8080}]}));
    scene.world.observe_image("web:2", None);
    let spec = json!({"image": "web:2", "ports": [{"port": 80, "publish": 8080}], "pullPolicy": "Never"});
    scene.want("Deployment/web", spec);
    check(
        &scene,
        "Deployment/web",
        &expect![[r#"
        waiting: image/web:2 (not present, and pullPolicy is Never)
    "#]],
    );
}

#[test]
fn changed_limits_are_set_while_the_container_runs() {
    let limits =
        |memory: &str| json!({"image": "web:1", "replicas": 2, "resources": {"memory": memory, "cpu": "500m"}});
    let mut scene = web(limits("64MiB"));
    scene.want("Deployment/web", limits("128MiB"));
    // The same file, read again before anything was done, is no news.
    scene.want("Deployment/web", limits("128MiB"));
    check_passes(
        &mut scene,
        &expect![[r#"
            Deployment/web at 0s
            [] -> #1 container/web-AAAAAAAA-0  Update  spec changed: resources.memory (64MiB -> 128MiB), resources.memorySwap (128MiB -> 256MiB)
            [] -> #2 container/web-AAAAAAAA-1  Update  spec changed: resources.memory (64MiB -> 128MiB), resources.memorySwap (128MiB -> 256MiB)
        "#]],
    );
}

#[test]
fn what_an_update_ignores_replaces_the_container() {
    for field in [
        json!({"labels": {"team": "b"}}),
        json!({"env": {"LOG_LEVEL": "debug"}}),
        json!({"ulimits": {"nofile": {"soft": 2048}}}),
    ] {
        let mut scene = web(json!({"image": "web:1"}));
        let mut spec = field.clone();
        spec["image"] = json!("web:1");
        scene.want("Deployment/web", spec);
        let plan = scene.text("Deployment/web");
        assert!(plan.contains("Create") && plan.contains("spec changed"), "{field}: {plan}");
        assert!(!plan.contains("Update"), "{field}: {plan}");
    }
}

#[test]
fn a_limit_that_is_taken_away_replaces_the_containers_one_by_one() {
    let mut scene = web(json!({"image": "web:1", "replicas": 2, "resources": {"memory": "64MiB"}}));
    scene.want("Deployment/web", json!({"image": "web:1", "replicas": 2}));
    check_passes(
        &mut scene,
        &expect![[r#"
            Deployment/web at 0s
            []  -> #1 container/web-AAAAAAAA-0-next  Create  spec changed: resources.memory (64MiB -> none)
            [1] -> #2 container/web-AAAAAAAA-0-next  Verify  compare with what was asked for
            [2] -> #3 container/web-AAAAAAAA-0-next  Start   created
            Deployment/web at 5s
            []  -> #1 container/web-AAAAAAAA-0  Update    not to be started again by the Engine
            [1] -> #2 container/web-AAAAAAAA-0  Stop 10s  replaced by web-AAAAAAAA-0-next
            [2] -> #3 container/web-AAAAAAAA-0  Remove    replaced by web-AAAAAAAA-0-next
            Deployment/web at 5s
            []  -> #1 container/web-AAAAAAAA-0-next  Rename web-AAAAAAAA-0  created
            []  -> #2 container/web-AAAAAAAA-1-next  Create                 spec changed: resources.memory (64MiB -> none)
            [2] -> #3 container/web-AAAAAAAA-1-next  Verify                 compare with what was asked for
            [3] -> #4 container/web-AAAAAAAA-1-next  Start                  created
            Deployment/web at 10s
            []  -> #1 container/web-AAAAAAAA-1  Update    not to be started again by the Engine
            [1] -> #2 container/web-AAAAAAAA-1  Stop 10s  replaced by web-AAAAAAAA-1-next
            [2] -> #3 container/web-AAAAAAAA-1  Remove    replaced by web-AAAAAAAA-1-next
            Deployment/web at 10s
            [] -> #1 container/web-AAAAAAAA-1-next  Rename web-AAAAAAAA-1  created
        "#]],
    );
}

#[test]
fn a_limit_that_is_taken_away_from_a_container_with_an_exact_name_hands_the_name_over() {
    let mut scene = web(json!({"image": "web:1", "containerName": "the-web", "resources": {"memory": "64MiB"}}));
    scene.want("Deployment/web", json!({"image": "web:1", "containerName": "the-web"}));
    check_passes(
        &mut scene,
        &expect![[r#"
            Deployment/web at 0s
            []  -> #1 container/web-AAAAAAAA-0-next  Create                 spec changed: resources.memory (64MiB -> none)
            [1] -> #2 container/web-AAAAAAAA-0-next  Verify                 compare with what was asked for
            [2] -> #3 container/the-web              Update                 not to be started again by the Engine
            [3] -> #4 container/the-web              Stop 10s               must stop first: its name `the-web` is fixed
            [4] -> #5 container/the-web              Rename web-AAAAAAAA-0  replaced by web-AAAAAAAA-0-next
            [5] -> #6 container/web-AAAAAAAA-0-next  Rename the-web         created
            [6] -> #7 container/web-AAAAAAAA-0-next  Start                  created
            Deployment/web at 5s
            [] -> #1 container/web-AAAAAAAA-0  Remove  replaced by the-web
        "#]],
    );
}

#[test]
fn an_upgrade_that_hashes_otherwise_replaces_nothing() {
    let mut scene = web(json!({"image": "web:1"}));
    relabel(&mut scene, str::to_owned);
    check_passes(&mut scene, &expect![[""]]);
}

#[test]
fn a_template_with_a_field_of_a_newer_release_replaces_nothing() {
    let mut scene = web(json!({"image": "web:1"}));
    relabel(&mut scene, |template| template.replacen('{', "{\"fieldOfTomorrow\":7,", 1));
    check_passes(&mut scene, &expect![[""]]);
}

#[test]
fn a_template_that_cannot_be_read_is_replaced() {
    let mut scene = web(json!({"image": "web:1"}));
    relabel(&mut scene, |_| "{".to_owned());
    check(
        &scene,
        "Deployment/web",
        &expect![[r#"
            []  -> #1 container/web-AAAAAAAA-0-next  Create  spec changed: template that cannot be read
            [1] -> #2 container/web-AAAAAAAA-0-next  Verify  compare with what was asked for
            [2] -> #3 container/web-AAAAAAAA-0-next  Start   created
        "#]],
    );
}

/// As if another release had made the only container: another version of the hash, and a template that it wrote.
fn relabel(scene: &mut crate::testing::Scene, template: impl FnOnce(&str) -> String) {
    let id = scene.id(&scene.names("Deployment/web")[0]);
    let mut detail = scene.engine.containers[&id].clone();
    let crate::Ownership::Ours(mut claim) = scene.world.identity().read(&detail.config.labels) else { panic!() };
    claim.hash = claim.hash.replace("1:", "2:");
    let template = template(&detail.config.labels[LABEL_TEMPLATE]);
    detail.config.labels = scene.world.identity().labels_for(&claim, &template, &std::collections::BTreeMap::new());
    scene.remove(&id, true);
    scene.engine.containers.insert(id.clone(), detail);
    scene.observe(&id);
}
