//! Containers whose number is said by those who use them.

use expect_test::expect;
use serde_json::{Value, json};

use super::{check, check_passes};
use crate::inventory::ProbeOutcome;
use crate::testing::Scene;
use crate::world::Demand;

const KEY: &str = "McpServer/time";

fn per_session() -> Value {
    json!({"image": "time:1", "isolation": "PerSession"})
}

/// A scene with a server that has one container, which answers.
fn one(spec: Value) -> Scene {
    let mut scene = Scene::new();
    scene.want(KEY, spec);
    scene.settle();
    answer(&mut scene);
    scene
}

fn answer(scene: &mut Scene) {
    for name in scene.names(KEY) {
        let id = scene.id(&name);
        scene.world.set_probe(&id, ProbeOutcome::Ready, scene.now_ms);
    }
}

/// Says which containers are needed, and which are used up.
fn need(scene: &mut Scene, ordinals: &[u32], used_up: &[&str]) {
    let used_up = used_up.iter().map(|name| scene.id(name)).collect();
    let demand = Demand { ordinals: ordinals.iter().copied().collect(), used_up };
    scene.world.set_demand(&KEY.parse().unwrap(), demand);
}

#[test]
fn there_are_as_many_as_are_needed_and_what_is_used_up_goes() {
    let mut scene = one(per_session());
    let first = scene.names(KEY).remove(0);
    need(&mut scene, &[0, 1], &[]);
    check_passes(
        &mut scene,
        &expect![[r#"
            McpServer/time at 0s
            []  -> #1 container/time-AAAAAAAA-1  Create  not present
            [1] -> #2 container/time-AAAAAAAA-1  Verify  compare with what was asked for
            [2] -> #3 container/time-AAAAAAAA-1  Start   created
        "#]],
    );
    answer(&mut scene);
    need(&mut scene, &[1], &[&first]);
    check_passes(
        &mut scene,
        &expect![[r#"
            McpServer/time at 0s
            []  -> #1 container/time-AAAAAAAA-0  Update   not to be started again by the Engine
            [1] -> #2 container/time-AAAAAAAA-0  Stop 2s  used up
            [2] -> #3 container/time-AAAAAAAA-0  Remove   used up
        "#]],
    );
    assert_eq!(scene.names(KEY).len(), 1);
}

#[test]
fn what_is_used_up_is_replaced_where_its_place_is_needed() {
    let mut scene = one(per_session());
    let first = scene.names(KEY).remove(0);
    need(&mut scene, &[0], &[&first]);
    check(
        &scene,
        KEY,
        &expect![[r#"
            []  -> #1 container/time-AAAAAAAA-0  Update   not to be started again by the Engine
            [1] -> #2 container/time-AAAAAAAA-0  Stop 2s  used up
            [2] -> #3 container/time-AAAAAAAA-0  Remove   used up
            [3] -> #4 container/time-AAAAAAAA-0  Create   not present
            [4] -> #5 container/time-AAAAAAAA-0  Verify   compare with what was asked for
            [5] -> #6 container/time-AAAAAAAA-0  Start    created
        "#]],
    );
    scene.settle();
    let names = scene.names(KEY);
    assert_eq!(names.len(), 1);
}

#[test]
fn until_somebody_says_what_is_needed_what_is_there_is_kept() {
    let mut scene = one(per_session());
    // Not the first: it was used up a while ago.
    need(&mut scene, &[1, 3], &[]);
    scene.settle();
    assert_eq!(scene.names(KEY).len(), 2);
    // As after a restart of the controller.
    scene.world.set_removal(&KEY.parse().unwrap(), crate::world::Removal::Held("restart".to_owned()));
    scene.want(KEY, per_session());
    answer(&mut scene);
    check_passes(&mut scene, &expect![[r#""#]]);
    assert_eq!(scene.names(KEY).len(), 2);
}

#[test]
fn where_the_spec_says_how_many_nobody_else_does() {
    let mut scene = one(json!({"image": "time:1"}));
    need(&mut scene, &[0, 1, 2], &[]);
    check_passes(&mut scene, &expect![[r#""#]]);
    assert_eq!(scene.names(KEY).len(), 1);
}

#[test]
fn what_is_needed_by_nobody_is_ready_without_a_container() {
    let mut scene = one(json!({"image": "time:1", "instances": {"min": 0, "start": "Lazy"}}));
    assert_eq!(scene.names(KEY).len(), 0);
    need(&mut scene, &[0], &[]);
    scene.settle();
    assert_eq!(scene.names(KEY).len(), 1);
    need(&mut scene, &[], &[]);
    check_passes(
        &mut scene,
        &expect![[r#"
            McpServer/time at 60s
            []  -> #1 container/time-AAAAAAAA-0  Update    not to be started again by the Engine
            [1] -> #2 container/time-AAAAAAAA-0  Stop 10s  scaled down
            [2] -> #3 container/time-AAAAAAAA-0  Remove    scaled down
        "#]],
    );
    let rolled = crate::rollup::roll_up(&scene.world, &KEY.parse().unwrap(), &scene.plan(KEY), None);
    let ready = rolled.conditions.iter().find(|one| one.condition_type == crds_schema::ConditionType::Ready).unwrap();
    assert_eq!(ready.reason, "Idle");
}
