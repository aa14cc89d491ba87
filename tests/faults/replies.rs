//! Calls whose answer never comes: what the Engine did is found, and nothing is done twice.

use std::time::Duration;

use crate::support::engine::{TestBed, Which, always};
use crate::support::engine_events::EngineEvents;
use crate::support::event_proxy::EventFault;
use crate::support::fault::{Answer, Calls, Fault};
use crate::support::proxy::{Proxy, proxied_scene};
use crate::support::scene::{WATCHED, sleeper};

/// The creates of an object's containers.
fn creates_of(bed: &TestBed, object: &str) -> Calls {
    Calls::to("POST", &format!("/containers/create*name={}_{object}-", bed.namespace()))
}

/// How often the Engine did something to containers of an object.
fn times_done(events: &EngineEvents, bed: &TestBed, action: &str, object: &str) -> usize {
    let begin = format!("container {action} {}_{object}-", bed.namespace());
    events.changes(bed).iter().filter(|change| change.starts_with(&begin)).count()
}

/// Waits until objects are ready, and fails the test unless each has and had one container only.
fn check_each_made_once(bed: &TestBed, events: &EngineEvents, objects: &[&str]) {
    for object in objects {
        bed.await_ready("Deployment", object);
    }
    let is_one_each = || objects.iter().all(|object| bed.ids(Which::All, object).len() == 1);
    always("each object has one container", WATCHED, is_one_each);
    for object in objects {
        assert_eq!(bed.ids(Which::Running, object).len(), 1, "{object}");
        assert_eq!(times_done(events, bed, "create", object), 1, "{object}: {:?}", events.changes(bed));
    }
}

#[test]
fn a_create_that_was_not_answered_is_done_once_whether_the_engine_got_it_or_not() {
    let Some((mut bed, proxy)) = proxied_scene("create_not_answered") else { return };
    let events = EngineEvents::record(&bed);
    let faults = [
        ("not-sent", Fault::LoseRequest),
        ("before-head", Fault::LoseReply),
        ("after-head", Fault::CutReply),
        (
            "half-json",
            Fault::Replace(Answer { status: 201, content_type: "application/json", body: "{\"Id\": \"0".into() }),
        ),
        (
            "html",
            Fault::Replace(Answer { status: 200, content_type: "text/html", body: "<html>Sign in</html>".into() }),
        ),
        ("gateway", Fault::Replace(Answer::error(504, "the upstream took too long"))),
    ];
    let mut rules = Vec::new();
    let mut objects = vec!["untouched"];
    bed.write("untouched.yaml", &sleeper("untouched", ""));
    for (object, fault) in faults {
        bed.write(&format!("{object}.yaml"), &sleeper(object, ""));
        rules.push(proxy.fault(creates_of(&bed, object).first(1), fault));
        objects.push(object);
    }
    bed.start();
    for rule in rules {
        proxy.await_taken(rule, 1);
    }
    bed.await_ready("Deployment", "untouched");
    bed.await_reason("Deployment", "before-head", "OutcomeUnknown");
    check_each_made_once(&bed, &events, &objects);
}

#[test]
fn a_start_whose_reply_was_lost_is_seen_to_have_been_done() {
    let Some((mut bed, proxy)) = proxied_scene("start_reply_lost") else { return };
    let events = EngineEvents::record(&bed);
    bed.write("web.yaml", &sleeper("web", ""));
    let rule = proxy.fault(Calls::to("POST", "/containers/*/start").first(1), Fault::LoseReply);
    bed.start();
    proxy.await_taken(rule, 1);
    check_each_made_once(&bed, &events, &["web"]);
    assert_eq!(times_done(&events, &bed, "start", "web"), 1);
}

#[test]
fn a_create_that_the_engine_does_after_its_caller_has_gone_makes_no_second_container() {
    let Some((mut bed, proxy)) = proxied_scene("create_done_late") else { return };
    let events = EngineEvents::record(&bed);
    // The last one comes after the time for which the controller leaves an object alone whose call was not answered.
    let objects = [("at-once", 0), ("later", 5), ("too-late", 33)];
    let mut rules = Vec::new();
    for (object, secs) in objects {
        bed.write(&format!("{object}.yaml"), &sleeper(object, ""));
        rules.push(proxy.fault(creates_of(&bed, object).first(1), Fault::ApplyLate(Duration::from_secs(secs))));
    }
    bed.start();
    for rule in rules {
        proxy.await_taken(rule, 1);
    }
    check_each_made_once(&bed, &events, &objects.map(|(object, _)| object));
}

#[test]
fn a_create_that_no_list_and_no_event_shows_is_found_by_its_name() {
    let Some((mut bed, proxy)) = proxied_scene("create_that_nothing_shows") else { return };
    let events = EngineEvents::record(&bed);
    bed.start();
    // From here on every list is the last one, and silence otherwise: the container is made, and nothing says so.
    proxy.fault_events(EventFault::Freeze);
    let lists = proxy.fault(Calls::to("GET", "/containers/json"), Fault::Replay);
    let lost = proxy.fault(creates_of(&bed, "web").first(1), Fault::LoseReply);
    bed.write("web.yaml", &sleeper("web", ""));
    proxy.await_taken(lost, 1);
    proxy.await_taken(lists, 1);
    bed.await_running("web", 1);
    proxy.heal();
    check_each_made_once(&bed, &events, &["web"]);
}

#[test]
fn a_list_from_before_the_create_makes_no_second_container() {
    let Some((mut bed, proxy)) = proxied_scene("stale_list") else { return };
    let events = EngineEvents::record(&bed);
    bed.start_with(&["--resync", "1s"]);
    bed.wait_until_ready();
    let lists = proxy.fault(Calls::to("GET", "/containers/json"), Fault::Replay);
    bed.write("web.yaml", &sleeper("web", "replicas: 2"));
    bed.await_running("web", 2);
    let before = proxy.taken(lists);
    proxy.await_taken(lists, before + 3);
    proxy.heal();
    bed.await_ready("Deployment", "web");
    always("two containers and no more", WATCHED, || bed.ids(Which::All, "web").len() == 2);
    assert_eq!(times_done(&events, &bed, "create", "web"), 2, "{:?}", events.changes(&bed));
    assert_eq!(times_done(&events, &bed, "destroy", "web"), 0);
}

#[test]
fn a_container_removed_by_hand_again_and_again_has_one_successor_each_time() {
    let Some((mut bed, proxy)) = proxied_scene("removed_again_and_again") else { return };
    // The removal is still under way, and the name taken, when the next create comes.
    bed.write("web.yaml", &sleeper("web", ""));
    bed.start();
    bed.await_ready("Deployment", "web");
    let events = EngineEvents::record(&bed);
    for _ in 0..8 {
        let id = bed.await_running("web", 1).remove(0);
        bed.docker(&["rm", "--force", &id]);
        bed.await_replaced("web", &id);
    }
    bed.await_ready("Deployment", "web");
    assert_eq!(bed.ids(Which::All, "web").len(), 1);
    assert_eq!(times_done(&events, &bed, "create", "web"), 8);
    check_name_that_is_not_free_yet(&bed, &proxy);
}

/// The Engine goes on to say for a moment that a name is taken by what has gone.
fn check_name_that_is_not_free_yet(bed: &TestBed, proxy: &Proxy) {
    let old = bed.await_running("web", 1).remove(0);
    let text = format!(
        "Conflict. The container name \"/web\" is already in use by container \"{old}\". You have to remove (or rename) that container to be able to reuse that name."
    );
    let rule = proxy.fault(creates_of(bed, "web").first(2), Fault::Answer(Answer::error(409, &text)));
    bed.docker(&["rm", "--force", &old]);
    bed.await_replaced("web", &old);
    assert_eq!(proxy.taken(rule), 2);
    bed.await_ready("Deployment", "web");
}

#[test]
fn whatever_is_lost_of_the_calls_the_world_is_as_wanted_after_it() {
    let Some((mut bed, proxy)) = proxied_scene("calls_lost_at_random") else { return };
    let names = ["a", "b", "c", "d"];
    for name in names {
        bed.write(&format!("{name}.yaml"), &sleeper(name, "replicas: 2"));
    }
    bed.start();
    for name in names {
        bed.await_running(name, 2);
    }
    let rules = [
        (Calls::to("WRITE", "").some(8), Fault::LoseReply),
        (Calls::to("WRITE", "").some(8), Fault::LoseRequest),
        (Calls::to("WRITE", "").some(8), Fault::ApplyLate(Duration::from_secs(2))),
        (Calls::to("WRITE", "").some(20), Fault::Delay(Duration::from_millis(700))),
        (Calls::to("WRITE", "").some(8), Fault::Answer(Answer::error(500, "out of order"))),
        (Calls::to("GET", "").some(10), Fault::LoseReply),
        (Calls::to("GET", "").some(10), Fault::Answer(Answer::error(500, "out of order"))),
        (Calls::to("GET", "/json").some(15), Fault::Delay(Duration::from_millis(700))),
    ];
    let rules = rules.map(|(calls, fault)| proxy.fault(calls, fault));
    for version in 1..=3 {
        for name in names {
            bed.write(&format!("{name}.yaml"), &sleeper(name, &format!("replicas: 2\nenv: {{ A: \"{version}\" }}")));
        }
        let before: usize = rules.iter().map(|rule| proxy.taken(*rule)).sum();
        proxy.await_taken_together(&rules, before + 8);
    }
    proxy.heal();
    for name in names {
        bed.await_ready("Deployment", name);
        let ids = bed.ids(Which::All, name);
        assert_eq!(bed.ids(Which::Running, name), ids);
        assert_eq!(ids.len(), 2, "{name}");
        for id in ids {
            let env = bed.inspect("container", &id)["Config"]["Env"].to_string();
            assert!(env.contains("\"A=3\""), "{name}: {env}");
        }
    }
}
