//! The stream of events ends, goes silent, loses, doubles or garbles what it tells: events only say where to look.

use crate::support::engine::{Which, always};
use crate::support::event_proxy::EventFault;
use crate::support::fault::Calls;
use crate::support::proxy::proxied_scene;
use crate::support::scene::{NOTHING, WATCHED, sleeper};

/// How often a controller lists that is not to rely on events.
const LIST_OFTEN: [&str; 2] = ["--resync", "1s"];

#[test]
fn a_stream_that_ends_is_followed_by_another_and_what_happened_between_is_found() {
    let Some((mut bed, proxy)) = proxied_scene("stream_ends") else { return };
    bed.write("web.yaml", &sleeper("web", ""));
    bed.start_with(&["--resync", "1h"]);
    bed.wait_until_ready();
    let streams = Calls::to("GET", "/events");
    let mut old = bed.await_running("web", 1).remove(0);
    for _ in 0..4 {
        let before = proxy.count(&streams);
        // It ends with the event of the removal, which so is the first that is missed.
        proxy.fault_events(EventFault::Cut);
        bed.docker(&["rm", "--force", &old]);
        proxy.await_count(&streams, before + 1);
        proxy.heal();
        old = bed.await_replaced("web", &old);
    }
    bed.await_ready("Deployment", "web");
    assert_eq!(bed.ids(Which::All, "web").len(), 1);
}

#[test]
fn behind_a_stream_that_is_open_and_silent_drift_is_still_put_right() {
    let Some((mut bed, proxy)) = proxied_scene("stream_silent") else { return };
    bed.write("web.yaml", &sleeper("web", "replicas: 2"));
    bed.start_with(&LIST_OFTEN);
    bed.wait_until_ready();
    let before = bed.await_running("web", 2);
    bed.await_ready("Deployment", "web");
    proxy.fault_events(EventFault::Freeze);
    bed.docker(&["rm", "--force", &before[0]]);
    bed.docker(&["pause", &before[1]]);
    bed.await_event("ContainerRemoved", "removed");
    let after = bed.await_running("web", 2);
    assert!(after.contains(&before[1]));
    bed.await_event("ContainerPaused", "paused");
    bed.await_ready("Deployment", "web");
    // What is asked for meanwhile is done as well.
    bed.write("web.yaml", &sleeper("web", "replicas: 3"));
    bed.await_running("web", 3);
    bed.await_ready("Deployment", "web");
    assert!(proxy.events_faulted() > 0);
}

#[test]
fn any_one_kind_of_event_may_be_lost() {
    let Some((mut bed, proxy)) = proxied_scene("event_lost") else { return };
    bed.write("web.yaml", &sleeper("web", ""));
    bed.start_with(&LIST_OFTEN);
    bed.wait_until_ready();
    let mut old = bed.await_running("web", 1).remove(0);
    for action in ["create", "start", "kill", "die", "destroy", "stop"] {
        let lost = vec!["\"Type\":\"container\"".to_owned(), format!("\"Action\":\"{action}\"")];
        proxy.fault_events(EventFault::Lose(lost));
        if action == "stop" {
            bed.docker(&["stop", "--time", "1", &old]);
            bed.await_event("ContainerExited", "");
            bed.await_running("web", 1);
        } else {
            bed.docker(&["rm", "--force", &old]);
            old = bed.await_replaced("web", &old);
        }
        assert!(proxy.events_faulted() > 0, "no {action} was lost");
        bed.await_ready("Deployment", "web");
    }
    assert_eq!(bed.ids(Which::All, "web").len(), 1);
}

#[test]
fn an_event_that_comes_twice_is_acted_on_and_told_of_once() {
    let Some((mut bed, proxy)) = proxied_scene("event_doubled") else { return };
    proxy.fault_events(EventFault::Double);
    bed.write("web.yaml", &sleeper("web", ""));
    bed.start();
    let old = bed.await_running("web", 1).remove(0);
    bed.await_ready("Deployment", "web");
    bed.docker(&["rm", "--force", &old]);
    let new = bed.await_replaced("web", &old);
    bed.await_ready("Deployment", "web");
    always("the successor stays", WATCHED, || bed.ids(Which::All, "web") == std::slice::from_ref(&new));
    let counts = |reason: &str| -> u64 {
        let events = bed.events();
        let events = events.iter().filter(|event| event["reason"] == reason);
        events.filter_map(|event| event["count"].as_u64()).sum()
    };
    assert_eq!((counts("Created"), counts("Started"), counts("ContainerRemoved")), (2, 2, 1), "{:?}", bed.events());
    assert!(proxy.events_faulted() > 0);
}

#[test]
fn events_that_nobody_understands_are_passed_over() {
    let Some((mut bed, proxy)) = proxied_scene("event_garbage") else { return };
    bed.write("web.yaml", &sleeper("web", ""));
    bed.start_with(&["--resync", "1h"]);
    bed.wait_until_ready();
    let mut old = bed.await_running("web", 1).remove(0);
    let huge = "x".repeat(300_000);
    let strange = [
        format!("{{\"Type\":\"container\",\"Action\":\"health_status: healthy\",\"Actor\":{{\"ID\":\"{old}\"}}}}"),
        format!("{{\"Type\":\"container\",\"Action\":\"levitate\",\"Actor\":{{\"ID\":\"{old}\"}}}}"),
        "{\"Type\":\"starship\",\"Action\":\"launch\",\"Actor\":{\"ID\":\"1\"}}".to_owned(),
        "{\"Type\":\"container\",\"Action\":\"start\"}".to_owned(),
        "{}".to_owned(),
        format!(
            "{{\"Type\":\"volume\",\"Action\":\"create\",\"Actor\":{{\"ID\":\"v\",\"Attributes\":{{\"a\":\"{huge}\"}}}}}}"
        ),
        "this is no JSON at all".to_owned(),
        "{\"Type\":\"container\",\"Act".to_owned(),
    ];
    for line in strange {
        proxy.fault_events(EventFault::Add(line));
        bed.docker(&["rm", "--force", &old]);
        old = bed.await_replaced("web", &old);
        assert!(proxy.events_faulted() > 0);
    }
    proxy.heal();
    bed.await_ready("Deployment", "web");
    assert_eq!(bed.ids(Which::All, "web"), [old]);
    assert_eq!(bed.messages("InternalError"), NOTHING, "no panic");
}
