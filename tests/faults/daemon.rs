//! The Engine's daemon restarts in the midst of a pass, in order, by force, or with the whole host.

use std::collections::BTreeMap;

use super::platform::{DEPLOYMENTS, check_all, write_all};
use crate::support::engine::{TestBed, Which, always, eventually};
use crate::support::own_engine::{End, OwnEngine};
use crate::support::scene::{PATIENCE, WATCHED, sleeper};

/// Waits until the first container of a version is there: the pass that brings it has begun.
fn await_begun(bed: &TestBed, version: u32) {
    eventually("the pass has begun", PATIENCE, || {
        DEPLOYMENTS
            .iter()
            .flat_map(|name| bed.ids(Which::All, name))
            .any(|id| has_version(bed, &id, version))
            .then_some(())
    });
}

fn has_version(bed: &TestBed, id: &str, version: u32) -> bool {
    bed.inspect("container", id)["Config"]["Env"].to_string().contains(&format!("\"VERSION={version}\""))
}

/// Restarts the engine and waits until the controller has found it again, which looks less and less often.
fn restart(engine: &mut OwnEngine, bed: &TestBed, end: End) {
    engine.restart(end);
    eventually("the engine is found again", PATIENCE, || {
        (bed.controller_view()["isEngineReachable"] == true).then_some(())
    });
}

/// Since when each container of the platform runs.
fn runs_since(bed: &TestBed) -> BTreeMap<String, String> {
    let ids = DEPLOYMENTS.iter().flat_map(|name| bed.ids(Which::Running, name));
    ids.map(|id| (id.clone(), bed.inspect("container", &id)["State"]["StartedAt"].to_string())).collect()
}

#[test]
fn an_engine_that_restarts_in_the_midst_of_a_pass_ends_as_the_manifests_say() {
    let test_name = "engine_restarts";
    let Some(mut engine) = OwnEngine::start(test_name, false) else { return };
    let mut bed = TestBed::new(engine.address(), test_name);
    write_all(&bed, 1);
    bed.start();
    await_begun(&bed, 1);
    restart(&mut engine, &bed, End::Asked);
    check_all(&bed, 1);
    for (version, end) in [(2, End::Killed), (3, End::PowerCut)] {
        write_all(&bed, version);
        await_begun(&bed, version);
        restart(&mut engine, &bed, end);
        check_all(&bed, version);
    }
}

#[test]
fn a_controller_that_starts_before_its_engine_brings_the_host_up_after_a_power_cut() {
    let test_name = "host_boots";
    let Some(mut engine) = OwnEngine::start(test_name, false) else { return };
    let mut bed = TestBed::new(engine.address(), test_name);
    write_all(&bed, 1);
    bed.start();
    check_all(&bed, 1);
    let before: Vec<String> = runs_since(&bed).into_keys().collect();
    bed.kill();
    engine.end_daemon(End::PowerCut);
    bed.start_with(&["--prune-delay", "0s"]);
    eventually("it says that the engine is not there", PATIENCE, || {
        (bed.controller_view()["isEngineReachable"] == false).then_some(())
    });
    engine.start_daemon();
    bed.wait_until_ready();
    check_all(&bed, 1);
    assert_eq!(runs_since(&bed).into_keys().collect::<Vec<_>>(), before, "the same containers run again");
}

#[test]
fn with_live_restore_no_container_is_touched_by_a_restart_of_the_engine() {
    let test_name = "live_restore";
    let Some(mut engine) = OwnEngine::start(test_name, true) else { return };
    let mut bed = TestBed::new(engine.address(), test_name);
    write_all(&bed, 1);
    bed.start_with(&["--resync", "2s"]);
    bed.wait_until_ready();
    check_all(&bed, 1);
    let before = runs_since(&bed);
    for (round, end) in [End::Asked, End::Killed].into_iter().enumerate() {
        // Something else is in the midst of being made and changed.
        bed.write("other.yaml", &sleeper("other", &format!("replicas: 3\nenv: {{ ROUND: \"{round}\" }}")));
        eventually("the pass has begun", PATIENCE, || (!bed.ids(Which::All, "other").is_empty()).then_some(()));
        restart(&mut engine, &bed, end);
        bed.await_running("other", 3);
        bed.await_ready("Deployment", "other");
        check_all(&bed, 1);
        always("what ran runs on", WATCHED, || runs_since(&bed) == before);
    }
    // After a restart the engine must still do what it is told with those that it found.
    write_all(&bed, 2);
    check_all(&bed, 2);
    assert_eq!(bed.ids(Which::All, "other").len(), 3);
    assert!(bed.stop().success());
}
