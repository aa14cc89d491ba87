//! Rollouts that do not come to serve in time, and those of which that cannot be said.

use std::fmt::Write as _;

use crds_schema::ConditionType;
use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::{settled, web};
use crate::inventory::ProbeOutcome;
use crate::observed::{ContainerState, Health};
use crate::progress::{Remedy, RolloutStage};
use crate::rollup::roll_up;
use crate::testing::{Scene, letter_hashes};

const WEB: &str = "Deployment/web";
const TIME: &str = "McpServer/time";
const MINUTE_MS: i64 = 60_000;

/// What is judged of an object's rollout now, and what is remembered for the next time.
fn judge(scene: &mut Scene, key: &str) -> String {
    let plan = scene.plan(key);
    scene.world.set_tried(&key.parse().unwrap(), &plan.rollout.tried, scene.now_ms);
    letter_hashes(&match plan.rollout.stage {
        RolloutStage::Open => "open".to_owned(),
        RolloutStage::Tried => "tried".to_owned(),
        RolloutStage::Serving { in_ms } => format!("serving in {in_ms}"),
        RolloutStage::Failed(failure) => format!("{:?}: {}", failure.remedy, failure.message),
    })
}

/// Judges an object every minute, and returns what was said, each once in a row.
fn judge_for(scene: &mut Scene, key: &str, minutes: i64) -> Vec<String> {
    let mut said: Vec<String> = Vec::new();
    for _ in 0..=minutes {
        said.push(judge(scene, key));
        scene.now_ms += MINUTE_MS;
    }
    said.dedup();
    said
}

fn with_mount(image: &str) -> Value {
    json!({"image": image, "mounts": [{"host": "/srv/data", "path": "/data"}]})
}

/// Has an update that is not served: every container of `web:2` stays in a state.
fn updated(before: Value, after: Value, state: ContainerState) -> Scene {
    let mut scene = web(before);
    scene.want(WEB, after);
    scene.run(WEB);
    set_new(&mut scene, WEB, state);
    scene
}

fn set_new(scene: &mut Scene, key: &str, state: ContainerState) {
    let new: Vec<String> = {
        let key = key.parse().unwrap();
        let containers = scene.world.containers_of(&key);
        containers.filter(|container| scene.world.is_current(container)).map(|new| new.id.to_string()).collect()
    };
    for id in new {
        scene.change(&id, |detail| {
            detail.status.state = state;
            detail.status.exit_code = 3;
            detail.restart_count = 7;
        });
    }
}

/// The conditions `Ready`, `Progressing` and `Degraded`.
fn check_told(scene: &Scene, key: &str, expect: &Expect) {
    let rolled = roll_up(&scene.world, &key.parse().unwrap(), &scene.plan(key), None);
    let mut lines = String::new();
    let told = [ConditionType::Ready, ConditionType::Progressing, ConditionType::Degraded];
    for statement in rolled.conditions.iter().filter(|statement| told.contains(&statement.condition_type)) {
        let what = (statement.condition_type, statement.status);
        writeln!(lines, "{:?} {:?} {}: {}", what.0, what.1, statement.reason, statement.message).unwrap();
    }
    writeln!(lines, "serves: {}", rolled.is_serving).unwrap();
    expect.assert_eq(&letter_hashes(&lines));
}

#[test]
fn an_update_that_crashes_has_failed_after_its_time_whether_the_old_one_serves_or_was_stopped_first() {
    let failed = "Rollback: container/web-AAAAAAAA-0 does not serve within 5m: it exited with code 3 and was started again 7 times";
    let mut scene = updated(json!({"image": "web:1"}), json!({"image": "web:2"}), ContainerState::Restarting);
    assert_eq!(scene.names(WEB).len(), 2);
    assert_eq!(judge_for(&mut scene, WEB, 8), ["tried", failed]);
    let mut scene = updated(with_mount("web:1"), with_mount("web:2"), ContainerState::Restarting);
    assert_eq!(judge_for(&mut scene, WEB, 4), ["tried"]);
    assert_eq!(judge_for(&mut scene, WEB, 0), [failed]);
}

#[test]
fn a_plan_looks_again_when_the_time_is_over_also_while_a_failed_start_is_not_tried_again() {
    let mut scene = updated(with_mount("web:1"), with_mount("web:2"), ContainerState::Restarting);
    judge(&mut scene, WEB);
    scene.now_ms += MINUTE_MS;
    let key = WEB.parse().unwrap();
    scene.world.set_hold(&key, Some(crate::world::Hold::Backoff(scene.now_ms + 60 * MINUTE_MS)));
    assert_eq!(scene.plan(WEB).wake_ms, Some(4 * MINUTE_MS));
    scene.now_ms += 4 * MINUTE_MS;
    assert!(judge(&mut scene, WEB).starts_with("Rollback: "));
    assert_eq!(scene.plan(WEB).wake_ms, Some(56 * MINUTE_MS));
}

#[test]
fn what_cannot_be_started_has_failed_and_what_was_never_started_waits() {
    let mut scene = web(with_mount("web:1"));
    scene.engine.broken.insert("web:2".to_owned());
    scene.want(WEB, with_mount("web:2"));
    scene.run(WEB);
    let failed = "Rollback: container/web-AAAAAAAA-0 does not serve within 5m: created: exec: not found";
    assert_eq!(judge_for(&mut scene, WEB, 5), ["tried", failed]);

    let mut scene = web(json!({"image": "web:1"}));
    scene.want(WEB, json!({"image": "web:2", "dependsOn": [{"kind": "Deployment", "name": "db"}]}));
    scene.run(WEB);
    assert_eq!(judge_for(&mut scene, WEB, 60), ["open"], "it is not created");

    let mut scene = web(json!({"image": "web:1"}));
    scene.want(WEB, json!({"image": "web:2"}));
    let steps = scene.plan(WEB).steps;
    scene.execute(&steps[..1]);
    assert_eq!(judge_for(&mut scene, WEB, 60), ["open"], "it is created and not started");
}

#[test]
fn what_is_suspended_stopped_or_gone_is_not_judged() {
    for more in [json!({"suspend": true}), json!({"state": "Stopped"})] {
        let mut scene = updated(with_mount("web:1"), with_mount("web:2"), ContainerState::Restarting);
        judge_for(&mut scene, WEB, 3);
        let mut spec = with_mount("web:2");
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        scene.want(WEB, spec);
        assert_eq!(judge_for(&mut scene, WEB, 60), ["open"]);
        // What was waited for meanwhile does not count.
        scene.want(WEB, with_mount("web:2"));
        assert_eq!(judge_for(&mut scene, WEB, 4), ["tried"]);
    }
}

#[test]
fn what_serves_now_is_given_the_time_to_have_served_for_long_enough() {
    let mut scene = updated(json!({"image": "web:1"}), json!({"image": "web:2"}), ContainerState::Restarting);
    assert_eq!(judge_for(&mut scene, WEB, 4), ["tried"]);
    set_new(&mut scene, WEB, ContainerState::Running);
    assert_eq!(judge(&mut scene, WEB), "tried");
    scene.now_ms += 3_000;
    set_new(&mut scene, WEB, ContainerState::Restarting);
    assert!(judge(&mut scene, WEB).starts_with("Rollback: "), "it has run before, and not for long enough");
}

#[test]
fn what_is_only_told_is_told_until_it_has_served_for_long_enough() {
    let paused = json!({"image": "web:2", "strategy": {"progressDeadline": "1m", "onFailure": "Pause"}});
    let mut scene = updated(json!({"image": "web:1"}), paused, ContainerState::Restarting);
    judge_for(&mut scene, WEB, 1);
    set_new(&mut scene, WEB, ContainerState::Running);
    let told = "Pause: container/web-AAAAAAAA-0 does not serve within 1m: it serves, and has not for long enough yet";
    assert_eq!(judge(&mut scene, WEB), told);
    scene.now_ms += 5_000;
    assert_eq!(judge(&mut scene, WEB), "open", "the old one is stopped now");
    scene.run(WEB);
    assert_eq!(judge(&mut scene, WEB), "serving in 0");
}

#[test]
fn of_several_replicas_each_has_its_time() {
    let replicas = |image: &str| json!({"image": image, "replicas": 2});
    let mut scene = web(replicas("web:1"));
    scene.want(WEB, replicas("web:2"));
    scene.run(WEB);
    judge(&mut scene, WEB);
    scene.now_ms += 4 * MINUTE_MS;
    // The first is replaced, and the second has not begun.
    scene.run(WEB);
    scene.run(WEB);
    assert_eq!(scene.names(WEB).len(), 3);
    let second = scene.names(WEB).into_iter().map(|name| scene.id(&name)).max().unwrap();
    scene.change(&second, |detail| detail.status.health = Health::Starting);
    let failed = "Rollback: container/web-AAAAAAAA-1 does not serve within 5m: health: starting";
    assert_eq!(judge_for(&mut scene, WEB, 5), ["tried", failed]);
}

#[test]
fn a_rollout_is_complete_when_everything_has_served_for_long_enough_and_nothing_of_it_fails_then() {
    let mut scene = web(json!({"image": "web:1"}));
    scene.want(WEB, json!({"image": "web:2"}));
    scene.run(WEB);
    assert_eq!(judge(&mut scene, WEB), "tried", "the old one is there");
    scene.now_ms += 5_000;
    scene.run(WEB);
    assert_eq!(judge(&mut scene, WEB), "serving in 0");
    scene.note_completed();
    set_new(&mut scene, WEB, ContainerState::Restarting);
    assert_eq!(judge_for(&mut scene, WEB, 60), ["open"]);
}

#[test]
fn without_a_way_back_it_is_told_and_where_the_user_wants_it_so() {
    let mut scene = settled(&[(WEB, json!({"image": "web:1", "strategy": {"progressDeadline": "1m"}}))]);
    scene.world.set_completed(&WEB.parse().unwrap(), None);
    set_new(&mut scene, WEB, ContainerState::Restarting);
    let failed = |remedy: Remedy| {
        format!(
            "{remedy:?}: container/web-AAAAAAAA-0 does not serve within 1m: it exited with code 3 and was started again 7 times"
        )
    };
    assert_eq!(judge_for(&mut scene, WEB, 1), ["tried".to_owned(), failed(Remedy::NothingBefore)]);
    let paused = json!({"image": "web:2", "strategy": {"progressDeadline": "1m", "onFailure": "Pause"}});
    let mut scene = updated(json!({"image": "web:1"}), paused, ContainerState::Restarting);
    assert_eq!(judge_for(&mut scene, WEB, 1), ["tried".to_owned(), failed(Remedy::Pause)]);
    check_told(
        &scene,
        WEB,
        &expect![[r#"
        Ready False CrashLoopBackOff: container/web-AAAAAAAA-0 exited with code 3 and is started again and again (7 times so far)
        Progressing False ProgressDeadlineExceeded: container/web-AAAAAAAA-0 does not serve within 1m: it exited with code 3 and was started again 7 times; nothing is changed, since `strategy.onFailure` is `Pause`
        Degraded True CrashLoopBackOff: container/web-AAAAAAAA-0 exited with code 3 and is started again and again (7 times so far)
        serves: false
    "#]],
    );
}

#[test]
fn how_updates_go_on_replaces_nothing() {
    let mut scene = web(json!({"image": "web:1"}));
    scene.want(WEB, json!({"image": "web:1", "strategy": {"progressDeadline": "1m", "onFailure": "Pause"}}));
    assert!(scene.plan(WEB).is_settled());
}

#[test]
fn what_was_brought_back_is_told_and_is_not_taken_back_itself() {
    let mut scene = updated(with_mount("web:1"), with_mount("web:2"), ContainerState::Restarting);
    judge_for(&mut scene, WEB, 5);
    scene.want(WEB, with_mount("web:1"));
    scene.world.set_rolled_back(&WEB.parse().unwrap(), Some("the update was rolled back: it exits".to_owned()));
    scene.settle();
    assert_eq!(scene.names(WEB).len(), 1, "it is the old one, which was kept");
    check_told(
        &scene,
        WEB,
        &expect![[r#"
        Ready False RolledBack: the update was rolled back: it exits
        Progressing False ProgressDeadlineExceeded: the update was rolled back: it exits
        Degraded True RolledBack: the update was rolled back: it exits
        serves: true
    "#]],
    );
    scene.world.set_completed(&WEB.parse().unwrap(), None);
    set_new(&mut scene, WEB, ContainerState::Restarting);
    let failed = "RolledBackAlready: container/web-AAAAAAAA-0 does not serve within 5m: it exited with code 3 and was started again 7 times";
    assert_eq!(judge_for(&mut scene, WEB, 5), ["tried", failed]);
    check_told(
        &scene,
        WEB,
        &expect![[r#"
        Ready False CrashLoopBackOff: container/web-AAAAAAAA-0 exited with code 3 and is started again and again (7 times so far)
        Progressing False ProgressDeadlineExceeded: container/web-AAAAAAAA-0 does not serve within 5m: it exited with code 3 and was started again 7 times; nothing is changed, since it is what was brought back
        Degraded True RolledBack: the update was rolled back: it exits
        serves: false
    "#]],
    );
}

/// A server of which a new container runs that nobody has asked yet, and its id.
fn updated_server() -> (Scene, String) {
    let mut scene = settled(&[(TIME, json!({"image": "time:1"}))]);
    let old = scene.id(&scene.names(TIME)[0]);
    scene.world.set_probe(&old, ProbeOutcome::Ready, scene.now_ms);
    scene.settle();
    scene.want(TIME, json!({"image": "time:2"}));
    scene.run(TIME);
    let new = scene.names(TIME).into_iter().map(|name| scene.id(&name)).find(|id| *id != old).unwrap();
    (scene, new)
}

#[test]
fn a_server_that_was_not_asked_has_not_failed_and_one_that_answers_wrongly_has() {
    let (mut scene, new) = updated_server();
    assert_eq!(judge_for(&mut scene, TIME, 60), ["open"]);
    scene.world.set_probe(&new, ProbeOutcome::Failed("no answer within 5s".to_owned()), scene.now_ms);
    let failed = "Rollback: container/time-AAAAAAAA-0 does not serve within 5m: no answer within 5s";
    assert_eq!(judge_for(&mut scene, TIME, 5), ["tried", failed]);
}

#[test]
fn what_a_person_is_waited_for_does_not_count() {
    let (mut scene, new) = updated_server();
    scene.world.set_probe(&new, ProbeOutcome::Failed("no answer within 5s".to_owned()), scene.now_ms);
    assert_eq!(judge_for(&mut scene, TIME, 4), ["tried"]);
    scene.world.set_probe(&new, ProbeOutcome::Held("not approved".to_owned()), scene.now_ms);
    assert_eq!(judge_for(&mut scene, TIME, 600), ["open"]);
    scene.world.set_probe(&new, ProbeOutcome::Failed("it has closed its output".to_owned()), scene.now_ms);
    assert_eq!(judge_for(&mut scene, TIME, 4), ["tried"]);
    assert!(judge(&mut scene, TIME).starts_with("Rollback: "));
}

#[test]
fn a_server_that_ends_again_and_again_is_judged_though_nobody_has_asked_its_last_run() {
    let (mut scene, new) = updated_server();
    for run in 0..5 {
        scene.change(&new, |detail| detail.status.state = ContainerState::Restarting);
        assert_eq!(judge(&mut scene, TIME), "tried");
        scene.now_ms += MINUTE_MS;
        scene.change(&new, |detail| {
            detail.status.state = ContainerState::Running;
            detail.status.started_ms = Some(2_000_000 + run);
        });
        assert_eq!(judge(&mut scene, TIME), "tried");
    }
    scene.change(&new, |detail| detail.status.state = ContainerState::Restarting);
    assert!(judge(&mut scene, TIME).starts_with("Rollback: "));
}

#[test]
fn what_changes_while_it_runs_is_complete_once_it_has_been_changed_and_has_served_since() {
    let limited = |memory: &str| json!({"image": "web:1", "resources": {"memory": memory}});
    let mut scene = web(limited("512MiB"));
    scene.want(WEB, limited("16MiB"));
    scene.world.begin_rollout(&WEB.parse().unwrap(), scene.now_ms);
    assert_eq!(judge(&mut scene, WEB), "open", "it is not changed yet");
    scene.run(WEB);
    assert_eq!(judge(&mut scene, WEB), "serving in 5000");
    scene.now_ms += 5_000;
    assert_eq!(judge(&mut scene, WEB), "serving in 0");
}

#[test]
fn another_spec_has_all_of_its_time_also_where_the_container_stays() {
    let limited = |memory: &str| json!({"image": "web:2", "resources": {"memory": memory}});
    let mut scene = updated(json!({"image": "web:1"}), limited("64MiB"), ContainerState::Restarting);
    assert_eq!(judge_for(&mut scene, WEB, 4), ["tried"]);
    scene.want(WEB, limited("128MiB"));
    scene.world.begin_rollout(&WEB.parse().unwrap(), scene.now_ms);
    assert_eq!(judge_for(&mut scene, WEB, 4), ["tried"]);
    assert!(judge(&mut scene, WEB).starts_with("Rollback: "));
}

#[test]
fn after_the_engine_was_away_whatever_was_tried_has_all_of_its_time_again() {
    let mut scene = updated(json!({"image": "web:1"}), json!({"image": "web:2"}), ContainerState::Restarting);
    assert_eq!(judge_for(&mut scene, WEB, 4), ["tried"]);
    scene.world.forget_trials();
    assert_eq!(judge_for(&mut scene, WEB, 4), ["tried"]);
    assert!(judge(&mut scene, WEB).starts_with("Rollback: "));
}

#[test]
fn what_is_not_started_again_and_ended_with_an_error_has_not_served() {
    let once = |image: &str| json!({"image": image, "restart": "Never"});
    let mut scene = updated(once("web:1"), once("web:2"), ContainerState::Exited);
    assert_eq!(scene.names(WEB).len(), 2, "what serves stays");
    let failed = "Rollback: container/web-AAAAAAAA-0 does not serve within 5m: it exited with code 3 and was started again 7 times";
    assert_eq!(judge_for(&mut scene, WEB, 5), ["tried", failed]);
    scene.run(WEB);
    assert_eq!(scene.names(WEB).len(), 2);
}
