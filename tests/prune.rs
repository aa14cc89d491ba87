//! Prune: what leaves the manifests goes in its time, and nothing else ever does.

#![expect(clippy::unwrap_used, reason = "a test says what fails by failing")]

use std::fs;

use crate::support::engine::{TestBed, Which, always, eventually, text_of};
use crate::support::scene::{NOTHING, PATIENCE, PRUNE_SOON, WATCHED, object, scene, sleeper};

fn has(bed: &TestBed, object_type: &str, name: &str) -> bool {
    !bed.inspect(object_type, &format!("{}_{name}", bed.namespace())).is_null()
}

fn await_gone(bed: &TestBed, object_type: &str, name: &str) {
    eventually(&format!("{object_type} {name} is gone"), PATIENCE, || (!has(bed, object_type, name)).then_some(()));
}

/// So many deployments that stay, so that the share of what goes is small.
fn write_others(bed: &TestBed) {
    for name in ["other-1", "other-2", "other-3"] {
        bed.write(&format!("{name}.yaml"), &object("Volume", name, "spec: {}\n"));
    }
}

fn token(bed: &TestBed) -> Option<String> {
    bed.controller_view()["pruneHeld"]["token"].as_str().map(str::to_owned)
}

#[test]
fn a_removed_deployment_goes_after_its_time_and_its_manifest_is_archived() {
    let Some(mut bed) = scene("a_removed_deployment_goes") else { return };
    write_others(&bed);
    bed.write("web.yaml", &sleeper("web", ""));
    bed.start_with(&["--prune-delay", "4s"]);
    bed.wait_until_ready();
    let ids = bed.await_running("web", 1);
    bed.remove("web.yaml");
    bed.await_reason("Deployment", "web", "Removing");
    assert_eq!(bed.ids(Which::Running, "web"), ids, "its time has not come");
    eventually("it is gone", PATIENCE, || bed.ids(Which::All, "web").is_empty().then_some(()));
    bed.await_event("Pruning", "not in the manifests any more");
    bed.await_event("Removed", "everything of it that was to go is gone");
    eventually("nobody tells of it", PATIENCE, || bed.object("Deployment", "web").is_null().then_some(()));
    bed.stop();
    assert!(archive(&bed).contains("\"web\""), "its manifest is kept: {}", archive(&bed));
}

/// What the newest export says of archived manifests.
fn archive(bed: &TestBed) -> String {
    let exports = fs::read_dir(bed.data().join("exports")).unwrap();
    let mut exports: Vec<_> = exports.map(|entry| entry.unwrap().path()).collect();
    exports.sort();
    let newest = fs::read_to_string(exports.last().unwrap()).unwrap();
    newest.lines().filter(|line| line.contains("archive")).collect::<Vec<_>>().join("\n")
}

#[test]
fn networks_go_too_and_volumes_only_where_they_said_so() {
    let Some(mut bed) = scene("networks_go_too_and_volumes") else { return };
    write_others(&bed);
    let all = object("Network", "back", "spec: { internal: true }\n")
        + &object("Volume", "keep", "spec: {}\n")
        + &object("Volume", "drop", "spec: { deletionPolicy: Delete }\n")
        + &sleeper("web", "networks: [back]\nmounts: [{ volume: keep, path: /k }, { volume: drop, path: /d }]");
    bed.write("all.yaml", &all);
    bed.start_with(&[PRUNE_SOON.as_slice(), &["--prune-limit", "80%"]].concat());
    bed.wait_until_ready();
    bed.await_running("web", 1);
    bed.remove("all.yaml");
    bed.await_running("web", 0);
    await_gone(&bed, "network", "back");
    await_gone(&bed, "volume", "drop");
    eventually("nobody tells of it", PATIENCE, || bed.object("Volume", "keep").is_null().then_some(()));
    assert!(has(&bed, "volume", "keep"), "the data of a volume that did not say Delete stays");
    assert!(has(&bed, "volume", "other-1"));
}

#[test]
fn a_kept_volume_is_taken_again_when_its_object_comes_back() {
    let Some(mut bed) = scene("a_kept_volume_is_taken_again") else { return };
    write_others(&bed);
    bed.write("data.yaml", &object("Volume", "data", "spec: {}\n"));
    bed.start_pruning_soon();
    bed.await_ready("Volume", "data");
    let name = format!("{}_data", bed.namespace());
    let before = bed.inspect("volume", &name);
    bed.remove("data.yaml");
    eventually("nobody tells of it", PATIENCE, || bed.object("Volume", "data").is_null().then_some(()));
    bed.write("data.yaml", &object("Volume", "data", "spec: {}\n"));
    bed.await_ready("Volume", "data");
    assert_eq!(bed.inspect("volume", &name), before);
}

#[test]
fn more_than_the_share_is_held_until_it_is_confirmed() {
    let Some(mut bed) = scene("more_than_the_share_is_held") else { return };
    for name in ["a", "b", "c"] {
        bed.write(&format!("{name}.yaml"), &sleeper(name, ""));
    }
    bed.start_pruning_soon();
    let ids = |bed: &TestBed| [bed.ids(Which::Running, "a"), bed.ids(Which::Running, "b")];
    bed.await_running("a", 1);
    bed.await_running("b", 1);
    let before = ids(&bed);
    bed.remove("a.yaml");
    bed.remove("b.yaml");
    bed.await_event("PruneHeld", "E0237: 2 of 3 objects would be removed");
    always("both stay", WATCHED, || ids(&bed) == before);
    let listed = bed.evenkeel(&["prune"]);
    assert_eq!(listed.status.code(), Some(1));
    assert!(text_of(&listed).contains(&token(&bed).unwrap()), "{}", text_of(&listed));
    let wrong = bed.evenkeel(&["prune", "--confirm", "00000000"]);
    assert!(!wrong.status.success());
    assert_eq!(ids(&bed), before);
    let confirmed = bed.evenkeel(&["prune", "--confirm", &token(&bed).unwrap()]);
    assert!(confirmed.status.success(), "{}", text_of(&confirmed));
    bed.await_running("a", 0);
    bed.await_running("b", 0);
    assert_eq!(bed.ids(Which::Running, "c").len(), 1);
    eventually("nothing is held any more", PATIENCE, || token(&bed).is_none().then_some(()));
}

#[test]
fn a_protected_object_is_never_pruned() {
    let Some(mut bed) = scene("a_protected_object_is_never_pruned") else { return };
    write_others(&bed);
    let protected = sleeper("web", "")
        .replace("namespace: $ns }", "namespace: $ns, annotations: { evenkeel.dev/protect: \"true\" } }");
    bed.write("web.yaml", &protected);
    bed.start_pruning_soon();
    let ids = bed.await_running("web", 1);
    bed.remove("web.yaml");
    bed.await_event("PruneHeld", "evenkeel.dev/protect");
    always("it stays", WATCHED, || bed.ids(Which::Running, "web") == ids);
    // Also when the controller begins anew, and when its store is lost with what it knew.
    bed.stop();
    fs::remove_dir_all(bed.data().join("store")).unwrap();
    fs::remove_dir_all(bed.data().join("exports")).unwrap();
    bed.start_pruning_soon();
    always("it stays after a restart", WATCHED, || bed.ids(Which::Running, "web") == ids);
}

#[test]
fn two_namespaces_with_the_same_names_do_not_touch_each_other() {
    let Some(mut bed) = scene("two_namespaces_with_the_same_names") else { return };
    let ours = sleeper("web", "networks: [back]") + &object("Network", "back", "spec: { internal: true }\n");
    let theirs = ours.replace("$ns", "$ns-b");
    bed.write("ours.yaml", &ours);
    bed.write("theirs.yaml", &theirs);
    bed.start_with(&[PRUNE_SOON.as_slice(), &["--prune-limit", "60%"]].concat());
    bed.wait_until_ready();
    bed.await_running("web", 2);
    let of = |namespace: &str| {
        let label = format!("label=evenkeel.dev/namespace={namespace}");
        let instance = format!("label=evenkeel.dev/instance={}", bed.instance());
        bed.docker(&["ps", "--no-trunc", "--quiet", "--filter", &label, "--filter", &instance])
    };
    let (ns, other_ns) = (bed.namespace(), format!("{}-b", bed.namespace()));
    let (first, second) = (of(&ns), of(&other_ns));
    assert!(!first.is_empty() && !second.is_empty() && first != second);
    bed.write("ours.yaml", &ours.replace("networks: [back]", "networks: [back]\n  env: { A: \"1\" }"));
    eventually("ours is replaced", PATIENCE, || {
        let now = of(&ns);
        (now != first && now.lines().count() == 1).then_some(())
    });
    assert_eq!(of(&other_ns), second);
    bed.remove("ours.yaml");
    eventually("ours is gone", PATIENCE, || of(&ns).is_empty().then_some(()));
    await_gone(&bed, "network", "back");
    assert_eq!(of(&other_ns), second);
    assert!(!bed.inspect("network", &format!("{other_ns}_back")).is_null());
}

#[test]
fn an_object_that_comes_back_in_time_is_untouched() {
    let Some(mut bed) = scene("an_object_that_comes_back_in_time") else { return };
    write_others(&bed);
    bed.write("web.yaml", &sleeper("web", ""));
    bed.start_with(&["--prune-delay", "3s"]);
    bed.wait_until_ready();
    let ids = bed.await_running("web", 1);
    bed.remove("web.yaml");
    bed.await_reason("Deployment", "web", "Removing");
    bed.write("web.yaml", &sleeper("web", ""));
    bed.await_ready("Deployment", "web");
    always("it is the same", WATCHED * 2, || bed.ids(Which::All, "web") == ids);
    assert_eq!(bed.messages("Pruning"), NOTHING);
}

#[test]
fn what_was_removed_while_the_controller_was_down_goes() {
    let Some(mut bed) = scene("removed_while_the_controller_was_down") else { return };
    write_others(&bed);
    bed.write("web.yaml", &sleeper("web", ""));
    bed.start_pruning_soon();
    let ids = bed.await_running("web", 1);
    bed.await_ready("Deployment", "web");
    bed.stop();
    assert_eq!(bed.ids(Which::Running, "web"), ids, "the end of the controller ends nothing else");
    bed.remove("web.yaml");
    bed.start_pruning_soon();
    eventually("it is gone", PATIENCE, || bed.ids(Which::All, "web").is_empty().then_some(()));
    assert!(has(&bed, "volume", "other-1"));
}

#[test]
fn a_lost_store_removes_nothing_in_the_first_pass_and_what_is_an_orphan_after_it() {
    let Some(mut bed) = scene("a_lost_store_removes_nothing") else { return };
    write_others(&bed);
    bed.write("web.yaml", &sleeper("web", ""));
    bed.write("gone.yaml", &sleeper("gone", ""));
    bed.start_pruning_soon();
    let web = bed.await_running("web", 1);
    bed.await_running("gone", 1);
    bed.stop();
    for lost in ["store", "exports"] {
        fs::remove_dir_all(bed.data().join(lost)).unwrap();
    }
    bed.remove("gone.yaml");
    bed.start_pruning_soon();
    bed.await_event("StoreRecovered", "the store was lost");
    bed.await_event("PruneHeld", "nothing is removed in the first pass");
    // What is ours is known by its labels, so what no manifest asks for goes when the world is known again.
    eventually("the orphan is gone", PATIENCE, || bed.ids(Which::All, "gone").is_empty().then_some(()));
    assert_eq!(bed.ids(Which::All, "web"), web);
}
