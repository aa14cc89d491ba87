//! The Engine is away, wedged, slow, or comes and goes.

use std::thread;
use std::time::Duration;

use super::platform::{DEPLOYMENTS, check_all, write_all};
use crate::support::engine::{TestBed, Which, always, eventually};
use crate::support::engine_events::EngineEvents;
use crate::support::fault::{Calls, Fault};
use crate::support::look::counter;
use crate::support::proxy::proxied_scene;
use crate::support::scene::{PATIENCE, WATCHED, object};

fn is_engine_reachable(bed: &TestBed) -> bool {
    bed.controller_view()["isEngineReachable"] == true
}

fn await_reachable(bed: &TestBed, is_wanted: bool) {
    eventually("it is told whether the engine is there", PATIENCE, || {
        (is_engine_reachable(bed) == is_wanted).then_some(())
    });
}

#[test]
fn what_happened_while_the_engine_was_away_is_put_right_when_it_is_back() {
    let Some((mut bed, proxy)) = proxied_scene("engine_away") else { return };
    write_all(&bed, 1);
    bed.start();
    check_all(&bed, 1);
    proxy.go_away();
    await_reachable(&bed, false);
    // It goes on to tell what it knew last, and since when.
    assert!(bed.condition("Deployment", "a", "Ready").is_true);
    assert_eq!(bed.get("/healthz").unwrap().status, 200);
    bed.docker(&["rm", "--force", &bed.ids(Which::All, "a")[0]]);
    bed.docker(&["kill", &bed.ids(Which::All, "b")[0]]);
    write_all(&bed, 2);
    proxy.refuse();
    always("nothing of ours is touched", WATCHED, || bed.ids(Which::All, "c").len() == 2);
    proxy.end_refusal();
    proxy.come_back();
    await_reachable(&bed, true);
    check_all(&bed, 2);
}

#[test]
fn a_controller_that_starts_before_the_engine_waits_for_it_and_loses_nothing() {
    let Some((mut bed, proxy)) = proxied_scene("engine_not_there_yet") else { return };
    write_all(&bed, 1);
    bed.start();
    check_all(&bed, 1);
    let before = bed.ids(Which::All, "a");
    assert!(bed.stop().success());
    proxy.go_away();
    bed.start_with(&["--prune-delay", "0s"]);
    eventually("it serves what it knew", PATIENCE, || bed.get("/healthz").ok().filter(|answer| answer.status == 200));
    await_reachable(&bed, false);
    proxy.come_back();
    bed.wait_until_ready();
    await_reachable(&bed, true);
    check_all(&bed, 1);
    assert_eq!(bed.ids(Which::All, "a"), before);
}

#[test]
fn an_engine_that_answers_and_does_nothing_is_told_and_not_flooded() {
    let Some((mut bed, proxy)) = proxied_scene("writes_hang") else { return };
    write_all(&bed, 1);
    bed.start();
    check_all(&bed, 1);
    let before = counter(&bed, "evenkeel_reconciles_total", "");
    let rule = proxy.fault(Calls::to("WRITE", ""), Fault::Hang);
    write_all(&bed, 2);
    for number in 0..30 {
        bed.write(&format!("more-{number}.yaml"), &object("Volume", &format!("more-{number}"), "spec: {}\n"));
    }
    proxy.await_taken(rule, DEPLOYMENTS.len());
    always("it still answers, and what ran still runs", Duration::from_secs(13), || {
        bed.get("/healthz").is_ok_and(|answer| answer.status == 200) && bed.ids(Which::Running, "a").len() == 2
    });
    // One call an object at most, however long nothing comes of it; and no object goes round and round.
    let hung = proxy.taken(rule);
    assert!(hung <= DEPLOYMENTS.len() + 31, "{hung} calls");
    let passes = counter(&bed, "evenkeel_reconciles_total", "") - before;
    assert!(passes < 400, "{passes} passes");
    proxy.heal();
    check_all(&bed, 2);
    bed.await_ready("Volume", "more-29");
}

#[test]
fn a_slow_engine_is_waited_for_and_nothing_is_done_twice() {
    let Some((mut bed, proxy)) = proxied_scene("engine_slow") else { return };
    let events = EngineEvents::record(&bed);
    proxy.fault(Calls::to("GET", ""), Fault::Delay(Duration::from_millis(400)));
    proxy.fault(Calls::to("WRITE", ""), Fault::Delay(Duration::from_millis(900)));
    write_all(&bed, 1);
    bed.start();
    check_all(&bed, 1);
    write_all(&bed, 2);
    check_all(&bed, 2);
    let changes = events.changes(&bed);
    for action in ["create", "start"] {
        let count = changes.iter().filter(|change| change.starts_with(&format!("container {action} "))).count();
        assert_eq!(count, 4 * DEPLOYMENTS.len(), "{action}: {changes:?}");
    }
}

#[test]
fn an_engine_that_comes_and_goes_is_asked_no_more_than_it_must_be() {
    let Some((mut bed, proxy)) = proxied_scene("engine_flaps") else { return };
    write_all(&bed, 1);
    bed.start();
    check_all(&bed, 1);
    let lists = Calls::to("GET", "/containers/json");
    let before = proxy.count(&lists);
    let flaps = 4;
    for version in 2..2 + flaps {
        write_all(&bed, version);
        // How long it is there is what the test is about: it waits for nothing.
        thread::sleep(Duration::from_millis(1_500));
        proxy.go_away();
        thread::sleep(Duration::from_secs(1));
        proxy.come_back();
    }
    check_all(&bed, 1 + flaps);
    let listed = proxy.count(&lists) - before;
    assert!(listed <= 50, "{listed} lists");
}
