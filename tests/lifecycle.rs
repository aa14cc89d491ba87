//! From its first start to its last: what an object waits for, what it says when it cannot go on, and when it is left alone.

#![expect(clippy::unwrap_used, reason = "a test says what fails by failing")]

use std::time::Duration;

use crate::support::engine::{TestBed, Which, always, eventually, import_busybox};
use crate::support::scene::{NOTHING, PATIENCE, WATCHED, object, program, scene, sleeper};

fn created_ms(bed: &TestBed, id: &str) -> i64 {
    timestamp_ms(&bed.inspect("container", id)["Created"])
}

fn started_ms(bed: &TestBed, id: &str) -> i64 {
    timestamp_ms(&bed.inspect("container", id)["State"]["StartedAt"])
}

fn timestamp_ms(text: &serde_json::Value) -> i64 {
    let time: jiff::Timestamp = text.as_str().unwrap().parse().unwrap();
    time.as_millisecond()
}

/// Removes a name of an image when the test ends, however it ends.
struct ImageName<'bed>(&'bed TestBed, String);

impl Drop for ImageName<'_> {
    fn drop(&mut self) {
        self.0.engine().docker(&["rmi", "--no-prune", &self.1]);
    }
}

#[test]
fn an_image_that_cannot_be_had_is_told_backed_off_and_taken_once_it_is_there() {
    let Some(mut bed) = scene("an_image_that_cannot_be_had") else { return };
    // Nobody listens on port 1, so that the answer is the same with and without an internet.
    let reference = format!("127.0.0.1:1/{}:1", bed.namespace());
    bed.write("web.yaml", &sleeper("web", "").replace("$image", &reference));
    bed.write("other.yaml", &sleeper("other", ""));
    bed.start_with(&[]);
    bed.await_running("other", 1);
    let is_pull_failure = |reason: &str| reason == "ImagePullFailed" || reason == "RegistryUnavailable";
    let ready = bed.await_condition(("Deployment", "web"), "Ready", |ready| is_pull_failure(&ready.reason));
    assert!(ready.message.contains(&reference), "{ready:?}");
    eventually("the next try is told", PATIENCE, || bed.object("Deployment", "web")["status"]["nextRetryMs"].as_i64());
    let image = import_busybox(bed.engine());
    bed.docker(&["tag", image, &reference]);
    let _image = ImageName(&bed, reference);
    bed.await_running("web", 1);
    bed.await_ready("Deployment", "web");
}

#[test]
fn an_absent_image_that_must_not_be_fetched_is_waited_for() {
    let Some(mut bed) = scene("an_absent_image_not_to_be_fetched") else { return };
    let reference = format!("evenkeel.test/{}:1", bed.namespace());
    bed.write("web.yaml", &sleeper("web", "pullPolicy: Never").replace("$image", &reference));
    bed.start();
    let message = bed.await_reason("Deployment", "web", "ImageAbsent");
    assert!(message.contains(&reference) && message.contains("pullPolicy is Never"), "{message}");
    assert_eq!(bed.messages("Pulled"), NOTHING);
    let image = import_busybox(bed.engine());
    bed.docker(&["tag", image, &reference]);
    let _image = ImageName(&bed, reference);
    bed.await_running("web", 1);
    bed.await_ready("Deployment", "web");
}

#[test]
fn a_program_that_is_not_in_the_image_is_told_and_blocks_nobody() {
    let Some(mut bed) = scene("a_program_that_is_not_in_the_image") else { return };
    bed.write("web.yaml", &program("web", "[/bin/nosuch]", ""));
    bed.write("other.yaml", &sleeper("other", ""));
    bed.start_with(&[]);
    bed.await_running("other", 1);
    bed.await_ready("Deployment", "other");
    let message = bed.await_reason("Deployment", "web", "StartFailed");
    assert!(message.contains("/bin/nosuch"), "{message}");
    bed.await_event("StartFailed", "no such file or directory");
    bed.write("web.yaml", &sleeper("web", ""));
    bed.await_running("web", 1);
    bed.await_ready("Deployment", "web");
    assert_eq!(bed.ids(Which::All, "web").len(), 1, "what never started is gone");
}

#[test]
fn a_container_that_ends_again_and_again_is_told_as_a_crash_loop_and_mended_by_a_change() {
    let Some(mut bed) = scene("a_container_that_ends_again") else { return };
    bed.write("web.yaml", &program("web", "[/bin/sh, -c, 'exit 3']", ""));
    bed.start_with(&[]);
    let message = bed.await_reason("Deployment", "web", "CrashLoopBackOff");
    assert!(message.contains("exited with code 3"), "{message}");
    let degraded = bed.await_condition(("Deployment", "web"), "Degraded", |degraded| degraded.is_true);
    assert_eq!(degraded.reason, "CrashLoopBackOff");
    bed.write("web.yaml", &sleeper("web", ""));
    bed.await_ready("Deployment", "web");
    assert_eq!(bed.ids(Which::All, "web").len(), 1);
}

#[test]
fn a_container_that_has_ended_and_is_not_to_be_started_again_stays() {
    let Some(mut bed) = scene("a_container_that_has_ended") else { return };
    bed.write("once.yaml", &program("once", "[/bin/true]", "restart: Never"));
    bed.write("failure.yaml", &program("failure", "[/bin/true]", "restart: OnFailure"));
    bed.start();
    for name in ["once", "failure"] {
        bed.await_condition(("Deployment", name), "Ready", |ready| ready.is_true && ready.reason == "Completed");
        let ids = bed.ids(Which::All, name);
        let started = started_ms(&bed, &ids[0]);
        always("it is not started again", Duration::from_secs(2), || {
            bed.ids(Which::All, name) == ids && started_ms(&bed, &ids[0]) == started
        });
    }
}

#[test]
fn a_dependant_starts_after_what_it_depends_on_serves() {
    let Some(mut bed) = scene("a_dependant_starts_after") else { return };
    let needs = |name: &str| format!("dependsOn: [{{ kind: Deployment, name: {name} }}]");
    // The names are in the other order, so that the order of keys helps nobody.
    bed.write("all.yaml", &format!("{}{}{}", sleeper("a", &needs("b")), sleeper("b", &needs("c")), sleeper("c", "")));
    bed.start();
    for name in ["a", "b", "c"] {
        bed.await_ready("Deployment", name);
    }
    let id = |name: &str| bed.await_running(name, 1).remove(0);
    assert!(started_ms(&bed, &id("c")) < started_ms(&bed, &id("b")));
    assert!(started_ms(&bed, &id("b")) < started_ms(&bed, &id("a")));
}

#[test]
fn a_dependant_waits_for_what_never_serves_and_says_so() {
    let Some(mut bed) = scene("a_dependant_waits_for_what_never") else { return };
    bed.write("a.yaml", &sleeper("a", "dependsOn: [{ kind: Deployment, name: b }]"));
    bed.write("b.yaml", &program("b", "[/bin/nosuch]", ""));
    bed.start_with(&[]);
    bed.await_reason("Deployment", "b", "StartFailed");
    let message = bed.await_reason("Deployment", "a", "Waiting");
    assert!(message.contains("Deployment/") && message.contains("/b"), "{message}");
    assert_eq!(bed.ids(Which::Running, "a"), NOTHING);
    bed.write("b.yaml", &sleeper("b", ""));
    bed.await_ready("Deployment", "a");
}

#[test]
fn a_dependant_that_asks_only_for_existence_starts_beside_what_is_not_ready() {
    let Some(mut bed) = scene("a_dependant_asks_for_existence") else { return };
    let needs =
        "dependsOn: [{ kind: Deployment, name: b, condition: Exists }, { kind: Volume, name: v, condition: Exists }]";
    bed.write("a.yaml", &sleeper("a", needs));
    bed.write("b.yaml", &program("b", "[/bin/nosuch]", ""));
    bed.write("v.yaml", &object("Volume", "v", "spec: {}\n"));
    bed.start_with(&[]);
    let id = bed.await_running("a", 1).remove(0);
    bed.await_ready("Deployment", "a");
    let of_b = eventually("b has a container", PATIENCE, || bed.ids(Which::All, "b").pop());
    assert!(created_ms(&bed, &of_b) <= started_ms(&bed, &id), "what it depends on was there first");
    assert!(!bed.condition("Deployment", "b", "Ready").is_true);
}

#[test]
fn the_loss_of_a_dependency_stops_nobody() {
    let Some(mut bed) = scene("the_loss_of_a_dependency") else { return };
    bed.write("a.yaml", &sleeper("a", "dependsOn: [{ kind: Deployment, name: b }]"));
    bed.write("b.yaml", &sleeper("b", ""));
    bed.start();
    let ids = bed.await_running("a", 1);
    bed.write("b.yaml", &program("b", "[/bin/nosuch]", "state: Stopped"));
    bed.await_running("b", 0);
    always("the dependant runs on", WATCHED, || bed.ids(Which::Running, "a") == ids);
}

#[test]
fn a_circle_of_dependencies_is_refused_with_the_circle() {
    let Some(mut bed) = scene("a_circle_of_dependencies") else { return };
    bed.write("c.yaml", &sleeper("c", ""));
    bed.start();
    bed.await_running("c", 1);
    let needs = |name: &str| format!("dependsOn: [{{ kind: Deployment, name: {name} }}]");
    bed.write("circle.yaml", &format!("{}{}", sleeper("a", &needs("b")), sleeper("b", &needs("a"))));
    let fault = bed.await_fault("circle.yaml", "E0218");
    let message = fault["message"].as_str().unwrap_or_default();
    assert!(message.contains('a') && message.contains('b') && message.contains("->"), "{fault}");
    always("neither starts", Duration::from_secs(2), || {
        bed.ids(Which::All, "a").is_empty() && bed.ids(Which::All, "b").is_empty()
    });
    assert_eq!(bed.ids(Which::Running, "c").len(), 1);
}

#[test]
fn a_reference_to_what_is_not_defined_is_told_and_waited_for() {
    let Some(mut bed) = scene("a_reference_to_what_is_not_defined") else { return };
    bed.write("web.yaml", &sleeper("web", "networks: [back]\nmounts: [{ volume: data, path: /data }]"));
    bed.start_with(&[]);
    bed.await_fault("web.yaml", "E0217");
    let message = bed.await_reason("Deployment", "web", "NotDefined");
    assert!(message.contains("back"), "{message}");
    bed.write("back.yaml", &object("Network", "back", "spec: { internal: true }\n"));
    bed.write("data.yaml", &object("Volume", "data", "spec: {}\n"));
    bed.await_no_fault();
    bed.await_running("web", 1);
    bed.await_ready("Deployment", "web");
}

#[test]
fn a_suspended_object_is_left_alone_and_repaired_when_it_is_no_longer() {
    let Some(mut bed) = scene("a_suspended_object_is_left_alone") else { return };
    bed.write("web.yaml", &sleeper("web", "replicas: 2"));
    bed.start();
    let ids = bed.await_running("web", 2);
    bed.write("web.yaml", &sleeper("web", "replicas: 2\nsuspend: true"));
    bed.await_condition(("Deployment", "web"), "Progressing", |progressing| progressing.reason == "Suspended");
    bed.docker(&["rm", "--force", &ids[0]]);
    bed.docker(&["update", "--memory", "64m", "--memory-swap", "128m", &ids[1]]);
    // What is told of it goes on.
    bed.await_condition(("Deployment", "web"), "Ready", |ready| !ready.is_true);
    always("nothing is repaired", WATCHED, || bed.ids(Which::All, "web") == [ids[1].clone()]);
    assert_eq!(bed.inspect("container", &ids[1])["HostConfig"]["Memory"], 64 << 20);
    // Nor is anything changed for the spec's sake.
    bed.write("web.yaml", &sleeper("web", "replicas: 3\nsuspend: true"));
    always("nor is it scaled", WATCHED, || bed.ids(Which::All, "web") == [ids[1].clone()]);
    bed.write("web.yaml", &sleeper("web", "replicas: 2"));
    bed.await_running("web", 2);
    bed.await_ready("Deployment", "web");
    bed.await_running("web", 2);
}
