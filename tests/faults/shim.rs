//! The processes of containers: their shim hangs or dies, they are killed past the Engine, or they do not listen.

use crate::support::engine::{TestBed, Which, eventually};
use crate::support::process::{Frozen, pid_of, root_or_skip, shim_of, signal};
use crate::support::scene::{NOTHING, PATIENCE, object, program, scene, sleeper};

/// When a container started last.
fn started_at(bed: &TestBed, id: &str) -> String {
    bed.inspect("container", id)["State"]["StartedAt"].as_str().unwrap_or_default().to_owned()
}

/// Waits until a container has started again after `before`, and its object is ready.
fn await_started_again(bed: &TestBed, name: &str, id: &str, before: &str) {
    eventually(&format!("{name} has started again"), PATIENCE, || {
        let is_running = bed.ids(Which::Running, name) == [id];
        (is_running && started_at(bed, id) != before).then_some(())
    });
    bed.await_ready("Deployment", name);
    assert_eq!(bed.ids(Which::All, name), [id]);
}

#[test]
fn a_container_whose_shim_hangs_holds_up_nobody_else_and_is_replaced_when_it_wakes() {
    let test_name = "shim_hangs";
    let Some(mut bed) = scene(test_name) else { return };
    if !root_or_skip(test_name, &["kill"]) {
        return;
    }
    let grace = "stop: { grace: 1s }";
    let stuck = |more: &str| sleeper("stuck", more).replace("stop: { signal: SIGKILL }", grace);
    bed.write("stuck.yaml", &stuck(""));
    bed.write("leaving.yaml", &sleeper("leaving", "").replace("stop: { signal: SIGKILL }", grace));
    bed.write("other.yaml", &sleeper("other", ""));
    bed.start_pruning_soon();
    let ids = ["stuck", "leaving", "other"].map(|name| bed.await_running(name, 1).remove(0));
    for name in ["stuck", "leaving", "other"] {
        bed.await_ready("Deployment", name);
    }
    let Some(shims) = ids[..2].iter().map(|id| shim_of(test_name, id)).collect::<Option<Vec<u32>>>() else { return };
    let frozen: Vec<Frozen> = shims.into_iter().map(Frozen::new).collect();
    bed.write("stuck.yaml", &stuck("env: { A: \"1\" }"));
    bed.remove("leaving.yaml");
    // The new one runs beside the old one, which cannot be stopped; that is told as soon as it is clear.
    bed.await_running("stuck", 2);
    bed.await_event("Created", "spec changed: env.A");
    // Everybody else goes on: what is changed, what is new, and what is put right.
    bed.write("other.yaml", &sleeper("other", "env: { A: \"1\" }"));
    bed.write("new.yaml", &format!("{}{}", sleeper("new", "networks: [net]"), object("Network", "net", "spec: {}\n")));
    let other = bed.await_replaced("other", &ids[2]);
    bed.await_running("new", 1);
    bed.docker(&["rm", "--force", &other]);
    bed.await_replaced("other", &other);
    bed.await_ready("Deployment", "other");
    bed.await_ready("Deployment", "new");
    bed.await_event("OutcomeUnknown", "_stuck-");
    assert_eq!(bed.ids(Which::All, "stuck").len(), 2, "it is told, and nothing more is piled up");
    drop(frozen);
    let successor = bed.await_replaced("stuck", &ids[0]);
    bed.await_ready("Deployment", "stuck");
    eventually("what is to go is gone", PATIENCE, || bed.ids(Which::All, "leaving").is_empty().then_some(()));
    assert_eq!(bed.ids(Which::All, "stuck"), [successor]);
    assert_eq!(bed.messages("InternalError"), NOTHING);
}

#[test]
fn a_container_whose_shim_is_killed_runs_again_as_the_same_one() {
    let test_name = "shim_killed";
    let Some(mut bed) = scene(test_name) else { return };
    if !root_or_skip(test_name, &["kill"]) {
        return;
    }
    bed.write("web.yaml", &sleeper("web", ""));
    bed.write("other.yaml", &sleeper("other", ""));
    bed.start();
    let (web, other) = (bed.await_running("web", 1).remove(0), bed.await_running("other", 1).remove(0));
    bed.await_ready("Deployment", "web");
    let (before, others) = (started_at(&bed, &web), started_at(&bed, &other));
    let Some(shim) = shim_of(test_name, &web) else { return };
    signal(shim, "KILL");
    await_started_again(&bed, "web", &web, &before);
    assert_eq!(started_at(&bed, &other), others, "nobody else is touched");
}

#[test]
fn a_container_whose_process_is_killed_from_the_host_runs_again_as_the_same_one() {
    let test_name = "process_killed";
    let Some(mut bed) = scene(test_name) else { return };
    if !root_or_skip(test_name, &["kill"]) {
        return;
    }
    bed.write("web.yaml", &sleeper("web", ""));
    bed.start();
    let web = bed.await_running("web", 1).remove(0);
    bed.await_ready("Deployment", "web");
    for _ in 0..3 {
        let before = started_at(&bed, &web);
        signal(pid_of(&bed, &web), "KILL");
        await_started_again(&bed, "web", &web, &before);
    }
}

#[test]
fn a_process_that_ignores_its_stop_signal_is_replaced_and_removed_none_the_less() {
    let Some(mut bed) = scene("term_ignored") else { return };
    // The first process of a container ignores every signal that it did not ask for.
    let deaf = |name: &str, more: &str| {
        program(name, "[/bin/sleep, \"3600\"]", more)
            .replace("stop: { signal: SIGKILL }", "stop: { signal: SIGTERM, grace: 2s }")
    };
    bed.write("web.yaml", &deaf("web", ""));
    bed.write("leaving.yaml", &deaf("leaving", ""));
    bed.start_pruning_soon();
    let web = bed.await_running("web", 1).remove(0);
    bed.await_running("leaving", 1);
    bed.await_ready("Deployment", "web");
    bed.write("web.yaml", &deaf("web", "env: { A: \"1\" }"));
    bed.remove("leaving.yaml");
    let successor = bed.await_replaced("web", &web);
    bed.await_ready("Deployment", "web");
    eventually("what is to go is gone", PATIENCE, || bed.ids(Which::All, "leaving").is_empty().then_some(()));
    assert_eq!(bed.ids(Which::All, "web"), [successor]);
}
