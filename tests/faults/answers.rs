//! Answers that are not the Engine's, or not the one that was hoped for: they are told as what they are, and stop nothing else.

use crate::support::engine::{Which, always};
use crate::support::fault::{Answer, Calls, Fault};
use crate::support::proxy::proxied_scene;
use crate::support::scene::{NOTHING, WATCHED, object, sleeper};

/// The lists that a full look at the Engine is made of.
const LISTS: [&str; 3] = ["/containers/json", "/networks", "/volumes"];

#[test]
fn a_list_that_is_not_the_engines_removes_nothing_and_is_asked_for_again() {
    let Some((mut bed, proxy)) = proxied_scene("list_is_garbage") else { return };
    bed.write("data.yaml", &object("Volume", "data", "spec: { deletionPolicy: Delete }\n"));
    bed.write("web.yaml", &sleeper("web", "replicas: 2"));
    bed.start_with(&["--resync", "1s", "--prune-delay", "0s"]);
    bed.wait_until_ready();
    let before = bed.await_running("web", 2);
    let answers = [
        (200, "text/html", "<html>Sign in first</html>"),
        (200, "application/json", "[{\"Id\": \"0123"),
        (200, "application/json", "null"),
        (200, "application/json", "{\"Volumes\": [{\"Name\": \"a"),
        (200, "application/json", "{\"what\": [1, 2, 3]}"),
        (200, "application/octet-stream", "\u{1}\u{0}\u{2}garbage"),
        (200, "application/json", ""),
        (403, "text/html", "<html>Forbidden</html>"),
        (502, "text/html", "<html>Bad Gateway</html>"),
    ];
    for ((status, content_type, body), list) in answers.into_iter().zip(LISTS.into_iter().cycle()) {
        let answer = Answer { status, content_type, body: body.to_owned() };
        let rule = proxy.fault(Calls::to("GET", list).first(1), Fault::Answer(answer));
        proxy.await_taken(rule, 1);
        // A list that is followed by another one was a good one: the controller is back.
        let lists = Calls::to("GET", "/containers/json");
        proxy.await_count(&lists, proxy.count(&lists) + 2);
    }
    // What changed meanwhile is found.
    bed.docker(&["rm", "--force", &before[0]]);
    bed.write("web.yaml", &sleeper("web", "replicas: 3"));
    let after = bed.await_running("web", 3);
    bed.await_ready("Deployment", "web");
    assert!(after.contains(&before[1]), "what ran goes on: {before:?} {after:?}");
    assert_eq!(bed.ids(Which::All, "web").len(), 3);
    assert_eq!(bed.messages("InternalError"), NOTHING, "no panic");
}

#[test]
fn an_engine_that_speaks_no_sense_at_the_start_is_waited_for() {
    let Some((mut bed, proxy)) = proxied_scene("garbage_at_start") else { return };
    let html = Answer { status: 200, content_type: "text/html", body: "<html>Sign in</html>".into() };
    let rule = proxy.fault(Calls::to("*", "").first(3), Fault::Answer(html));
    bed.write("web.yaml", &sleeper("web", ""));
    bed.start_with(&[]);
    proxy.await_taken(rule, 3);
    bed.wait_until_ready();
    bed.await_running("web", 1);
    bed.await_ready("Deployment", "web");
}

#[test]
fn an_engine_that_was_exchanged_for_an_older_one_is_spoken_to_anew() {
    let Some((mut bed, proxy)) = proxied_scene("version_too_new") else { return };
    bed.start();
    let text = "client version 1.53 is too new. Maximum supported API version is 1.41";
    let reads = proxy.fault(Calls::to("GET", "/containers/*/json").first(1), Fault::Answer(Answer::error(400, text)));
    let writes = proxy.fault(Calls::to("POST", "/containers/create").first(1), Fault::Answer(Answer::error(400, text)));
    let agreed = proxy.count(&Calls::to("*", "/_ping"));
    bed.write("web.yaml", &sleeper("web", ""));
    bed.await_running("web", 1);
    bed.await_ready("Deployment", "web");
    assert_eq!((proxy.taken(reads), proxy.taken(writes)), (1, 1));
    assert!(proxy.count(&Calls::to("*", "/_ping")) > agreed, "the version was agreed on again");
}

#[test]
fn what_a_proxy_forbids_is_told_and_tried_with_patience() {
    let Some((mut bed, proxy)) = proxied_scene("forbidden") else { return };
    bed.write("before.yaml", &sleeper("before", ""));
    bed.start();
    let before = bed.await_running("before", 1);
    let creates = Calls::to("POST", "/containers/create");
    let page = Answer { status: 403, content_type: "text/html", body: "<html>Not for you</html>".into() };
    let rule = proxy.fault(creates.clone(), Fault::Answer(page));
    bed.write("web.yaml", &sleeper("web", ""));
    let message = bed.await_reason("Deployment", "web", "Forbidden");
    assert!(message.contains("create container"), "{message}");
    let tries = proxy.taken(rule);
    always("what ran before goes on", WATCHED, || bed.ids(Which::Running, "before") == before);
    assert!(proxy.taken(rule) <= tries + 3, "a storm of tries");
    proxy.heal();
    bed.await_running("web", 1);
    bed.await_ready("Deployment", "web");
    assert_eq!(bed.ids(Which::All, "before"), before);
}

#[test]
fn an_engine_that_has_no_more_room_for_containers_is_tried_again_and_the_rest_goes_on() {
    let Some((mut bed, proxy)) = proxied_scene("no_more_room") else { return };
    let text = "failed to create shim task: OCI runtime create failed: unable to start container process: pipe2: too many open files: unknown";
    let exhausted = Fault::Answer(Answer::error(500, text));
    bed.start();
    let web = format!("/containers/create*name={}_web-", bed.namespace());
    let rule = proxy.fault(Calls::to("POST", &web).first(3), exhausted);
    bed.write("web.yaml", &sleeper("web", ""));
    bed.write("other.yaml", &sleeper("other", ""));
    bed.await_event("EngineError", "too many open files");
    bed.await_ready("Deployment", "other");
    proxy.await_taken(rule, 3);
    bed.await_ready("Deployment", "web");
    assert_eq!(bed.ids(Which::All, "web").len(), 1);
}

#[test]
fn a_pull_is_not_done_before_its_stream_says_so() {
    let Some((mut bed, proxy)) = proxied_scene("pull_stream") else { return };
    let image = format!("evenkeel.test/{}:1", bed.namespace());
    let cut = "{\"status\":\"Pulling from web\",\"id\":\"1\"}\r\n{\"status\":\"Downlo";
    let wrong = "{\"status\":\"Pulling from web\"}\r\n{\"errorDetail\":{\"message\":\"filesystem layer verification failed\"},\"error\":\"filesystem layer verification failed\"}\r\n";
    let stream = |body: &str| Answer { status: 200, content_type: "application/json", body: body.into() };
    let pulls = Calls::to("POST", "/images/create*fromImage");
    let cut = proxy.fault(pulls.clone().first(1), Fault::Answer(stream(cut)));
    let wrong = proxy.fault(pulls, Fault::Answer(stream(wrong)));
    bed.write("web.yaml", &sleeper("web", "").replace("$image", &image));
    bed.write("other.yaml", &sleeper("other", ""));
    bed.start();
    proxy.await_taken(cut, 1);
    proxy.await_taken(wrong, 1);
    bed.await_event("RegistryUnavailable", "layer verification failed");
    bed.await_ready("Deployment", "other");
    assert!(bed.ids(Which::All, "web").is_empty());
    bed.docker(&["tag", crate::support::engine::BUSYBOX, &image]);
    bed.await_running("web", 1);
    bed.await_ready("Deployment", "web");
    bed.stop();
    bed.docker(&["rmi", "--no-prune", &image]);
}
