//! Updates that do not come to serve: what served is brought back by itself, and nothing tries again what failed.

use serde_json::json;

use crate::support::engine::{TestBed, Which, always, eventually, text_of};
use crate::support::mcp::{ask, await_tools_of, free_address, gateway, mcp_scene, over_stdio, result_of, token};
use crate::support::scene::{PATIENCE, WATCHED, object, scene};

/// A deployment that alone may write to a volume; it writes a line, and then does something.
fn writer(line: &str, then: &str, strategy: &str) -> String {
    let spec = format!(
        "spec:\n  image: $image\n  command: [/bin/sh, -c, 'echo {line} | tee -a /data/log; {then}']\n  \
         mounts: [{{ volume: data, path: /data }}]\n  stop: {{ signal: SIGKILL }}\n  strategy: {{ {strategy} }}\n"
    );
    object("Volume", "data", "spec: {}\n") + &object("Deployment", "web", &spec)
}

const SOON: &str = "progressDeadline: 10s";

/// A bed where the first version of a deployment has served for long enough, and the id of its container.
fn served(test_name: &str) -> Option<(TestBed, String)> {
    let mut bed = scene(test_name)?;
    bed.write("web.yaml", &writer("first", "exec sleep 3600", SOON));
    bed.start();
    let old = bed.await_running("web", 1).remove(0);
    await_completed(&bed, "Deployment", "web");
    Some((bed, old))
}

/// Waits until an object is ready, and for as long as it must have served.
fn await_completed(bed: &TestBed, kind: &str, name: &str) {
    bed.await_ready(kind, name);
    std::thread::sleep(std::time::Duration::from_secs(7));
    bed.await_ready(kind, name);
}

/// Runs a command about this bed's namespace; its exit code, and what it says.
fn run(bed: &TestBed, command: &[&str]) -> (Option<i32>, String) {
    let namespace = bed.namespace();
    let output = bed.evenkeel(&[command, &["-n", &namespace]].concat());
    (output.status.code(), text_of(&output))
}

#[test]
fn an_update_that_ends_at_once_is_rolled_back_to_the_container_that_was_stopped_for_it() {
    let Some((mut bed, old)) = served("rollback-deployment") else { return };
    bed.write("web.yaml", &writer("second", "exit 3", SOON));
    let message = bed.await_reason("Deployment", "web", "RolledBack");
    for said in ["exited with code 3", "second", "evenkeel rollout retry Deployment/web -n "] {
        assert!(message.contains(said), "{said}: {message}");
    }
    assert_eq!(bed.await_running("web", 1), std::slice::from_ref(&old), "it is the container that was stopped");
    let policy = bed.inspect("container", &old)["HostConfig"]["RestartPolicy"]["Name"].clone();
    assert_eq!(policy, "unless-stopped");
    let progressing = bed.condition("Deployment", "web", "Progressing");
    assert!(!progressing.is_true && progressing.reason == "ProgressDeadlineExceeded", "{progressing:?}");
    assert!(bed.condition("Deployment", "web", "Degraded").is_true);
    bed.await_event("RolledBack", "exited with code 3");
    let (code, said) = run(&bed, &["rollout", "status", "Deployment/web", "--timeout", "5"]);
    assert!(code == Some(1) && said.contains("rolled back"), "{said}");

    // Neither a restart nor another reading tries it again, and a plan knows.
    bed.kill();
    let manifests = bed.manifests().display().to_string();
    let plan = bed.evenkeel(&["plan", &manifests]);
    assert!(text_of(&plan).contains("cannot reach the controller"), "{}", text_of(&plan));
    bed.start();
    bed.write("web.yaml", &format!("# read again\n{}", writer("second", "exit 3", SOON)));
    bed.await_reason("Deployment", "web", "RolledBack");
    let plan = bed.evenkeel(&["plan", &manifests]);
    assert!(text_of(&plan).contains("rolled back") && !text_of(&plan).contains("spec changed"), "{}", text_of(&plan));
    always("it is not tried again", WATCHED, || bed.ids(Which::All, "web") == [old.clone()]);

    // A word of the user does.
    let (code, said) = run(&bed, &["rollout", "retry", "Deployment/web"]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = run(&bed, &["rollout", "status", "Deployment/web", "--timeout", "0"]);
    assert!(code == Some(1) && said.contains("not complete"), "the failure before is told: {said}");
    eventually("it is tried again", PATIENCE, || (bed.ids(Which::All, "web").len() == 2).then_some(()));
    bed.await_reason("Deployment", "web", "RolledBack");
    assert_eq!(bed.await_running("web", 1), std::slice::from_ref(&old));

    // What is right is rolled out.
    bed.write("web.yaml", &writer("third", "exec sleep 3600", SOON));
    bed.await_replaced("web", &old);
    bed.await_ready("Deployment", "web");
    let (code, said) = run(&bed, &["rollout", "status", "Deployment/web"]);
    assert!(code == Some(0) && said.contains("complete"), "{said}");
    let (code, said) = run(&bed, &["rollout", "retry", "Deployment/web"]);
    assert!(code == Some(2) && said.contains("has not failed"), "{said}");
}

#[test]
fn a_run_that_is_to_end_rolls_back_before_it_fails() {
    let Some((mut bed, old)) = served("rollback-once") else { return };
    assert!(bed.stop().success());
    bed.write("web.yaml", &writer("second", "exit 3", SOON));
    let once = bed.run_once();
    assert_eq!(once.status.code(), Some(1), "{}", text_of(&once));
    assert!(text_of(&once).contains("the update was rolled back: "), "{}", text_of(&once));
    assert_eq!(bed.await_running("web", 1), [old]);
}

#[test]
fn what_a_run_has_converged_to_is_what_the_next_run_goes_back_to() {
    let Some(bed) = scene("rollback-runs") else { return };
    bed.write("web.yaml", &writer("first", "exec sleep 3600", SOON));
    let once = bed.run_once();
    assert_eq!(once.status.code(), Some(0), "{}", text_of(&once));
    let old = bed.ids(Which::Running, "web");
    bed.write("web.yaml", &writer("second", "exit 3", SOON));
    let once = bed.run_once();
    assert_eq!(once.status.code(), Some(1), "{}", text_of(&once));
    assert!(text_of(&once).contains("the update was rolled back: "), "{}", text_of(&once));
    assert_eq!(bed.ids(Which::Running, "web"), old);
}

#[test]
fn where_the_user_wants_it_so_nothing_is_brought_back() {
    let Some((bed, old)) = served("rollback-pause") else { return };
    bed.write("web.yaml", &writer("second", "exit 3", &format!("{SOON}, onFailure: Pause")));
    let told =
        bed.await_condition(("Deployment", "web"), "Progressing", |told| told.reason == "ProgressDeadlineExceeded");
    assert!(told.message.contains("`strategy.onFailure` is `Pause`"), "{told:?}");
    always("it stays stopped", WATCHED, || !bed.ids(Which::Running, "web").contains(&old));
    bed.write("web.yaml", &writer("first", "exec sleep 3600", SOON));
    eventually("the manifest of before brings it back", PATIENCE, || {
        (bed.ids(Which::All, "web") == [old.clone()]).then_some(())
    });
    bed.await_ready("Deployment", "web");
}

#[test]
fn a_server_that_does_not_speak_the_protocol_gives_way_to_the_one_that_was_stopped_for_it() {
    let Some(mut bed) = mcp_scene("rollback-mcp") else { return };
    let address = free_address();
    let more = "  mounts: [{ volume: data, path: /data }]\n  strategy: { progressDeadline: 10s }\n";
    bed.write("gateway.yaml", &(object("Volume", "data", "spec: {}\n") + &gateway(address)));
    bed.write("server.yaml", &(over_stdio("pipe") + more));
    bed.start();
    let token = token(&bed);
    await_tools_of(address, &token, &["pipe"]);
    await_completed(&bed, "McpServer", "pipe");
    let old = bed.ids(Which::All, "pipe");
    // Its image, its transport and its port are others.
    let bad = "spec:\n  image: $image\n  command: [/bin/sleep, \"3600\"]\n  transport: http\n  port: 9\n";
    bed.write("server.yaml", &(object("McpServer", "pipe", bad) + more));
    bed.await_reason("McpServer", "pipe", "RolledBack");
    eventually("it is the one that was stopped", PATIENCE, || (bed.ids(Which::Running, "pipe") == old).then_some(()));
    await_tools_of(address, &token, &["pipe"]);
    let call = json!({ "name": "pipe__test_simple_text", "arguments": {} });
    let answer = ask(address, &token, "tools/call", call).unwrap();
    assert!(result_of(&answer)["content"][0]["text"].is_string(), "{answer:?}");
}
