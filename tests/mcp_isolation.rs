//! Containers that a session or a call has to itself, and containers that run only while they are needed.

use std::thread;
use std::time::Duration;

use serde_json::json;
use tokio::runtime::Runtime;

use crate::support::engine::{TestBed, Which, eventually};
use crate::support::mcp::{ask, await_tools_of, free_address, gateway, mcp_scene, result_of, server, token, tools};
use crate::support::mcp_client::{Door, Ended, Era, McpClient};
use crate::support::scene::{NOTHING, PATIENCE};

/// A tool of every server here.
const TOOL: &str = "pipe__test_simple_text";

/// A gateway with the server `pipe` of the era with sessions, over standard streams; `spec` is more of its spec.
fn begin(bed: &mut TestBed, spec: &str) -> Door {
    let address = free_address();
    bed.write("gateway.yaml", &gateway(address));
    bed.write("pipe.yaml", &pipe("pipe", spec));
    bed.start();
    let token = token_of(bed);
    await_tools_of(address, &token, &["pipe"]);
    Door { address, token }
}

/// The server under a name of its own.
fn pipe(name: &str, spec: &str) -> String {
    server("pipe", &format!("args: [stdio, --era, legacy, --name, {name}]\n{spec}"))
}

fn token_of(bed: &TestBed) -> String {
    bed.await_ready("McpGateway", "hub");
    token(bed)
}

/// A client that has called once.
async fn caller(door: &Door) -> McpClient {
    let mut client = McpClient::new(door, Era::Legacy);
    assert_eq!(client.begin().await, Ended::Well);
    assert_eq!(client.call(TOOL, &json!({})).await, Ended::Well);
    client
}

#[test]
fn each_session_has_a_container_to_itself_that_goes_with_it() {
    let Some(mut bed) = mcp_scene("mcp-per-session") else { return };
    let door = begin(&mut bed, "isolation: PerSession\ninstances: { max: 4 }");
    let runtime = Runtime::new().unwrap();
    let spare = bed.await_running("pipe", 1);
    let mut one = runtime.block_on(caller(&door));
    // It has the one that was ready, and another one is made ready.
    let both = bed.await_running("pipe", 2);
    assert!(both.contains(&spare[0]), "{both:?}");
    let mut other = runtime.block_on(caller(&door));
    let three = bed.await_running("pipe", 3);
    bed.await_ready("McpServer", "pipe");
    for _ in 0..3 {
        assert_eq!(runtime.block_on(one.call(TOOL, &json!({}))), Ended::Well);
    }
    assert_eq!(bed.ids(Which::All, "pipe").len(), 3);
    assert_eq!(runtime.block_on(one.end()), Ended::Well);
    assert_eq!(runtime.block_on(other.end()), Ended::Well);
    let left = bed.await_running("pipe", 1);
    assert!(three.contains(&left[0]) && !both.contains(&left[0]), "{left:?} of {three:?}, of which {both:?} were used");

    // What somebody had to himself is used by nobody after a crash of the controller either; what nobody had goes on.
    let _client = runtime.block_on(caller(&door));
    let with_spare = bed.await_running("pipe", 2);
    bed.kill();
    bed.start();
    let spare = eventually("only what nobody had to himself is left", PATIENCE, || {
        let ids = bed.ids(Which::All, "pipe");
        (ids.len() == 1).then_some(ids)
    });
    assert!(with_spare.contains(&spare[0]) && spare != left, "{spare:?} of {with_spare:?}, of which {left:?} was used");
    let _next = runtime.block_on(caller(&door));
    assert!(bed.await_running("pipe", 2).contains(&spare[0]));
    assert_eq!(bed.messages("InternalError"), NOTHING);
}

#[test]
fn a_session_goes_on_with_another_container_when_its_own_is_updated_or_dies() {
    let Some(mut bed) = mcp_scene("mcp-per-session-update") else { return };
    let spec = "isolation: PerSession\ninstances: { max: 4 }";
    let door = begin(&mut bed, spec);
    let runtime = Runtime::new().unwrap();
    let mut client = runtime.block_on(caller(&door));
    let before = bed.await_running("pipe", 2);
    bed.write("pipe.yaml", &pipe("better", spec));
    let after = eventually("both are replaced", PATIENCE, || {
        let ids = bed.ids(Which::Running, "pipe");
        (ids.len() == 2 && !ids.iter().any(|id| before.contains(id))).then_some(ids)
    });
    assert_eq!(runtime.block_on(client.call(TOOL, &json!({}))), Ended::Well);
    let killed = bed.engine().docker(&["kill", after[0].as_str(), after[1].as_str()]);
    assert!(killed.status.success());
    eventually("the session has another one", PATIENCE, || {
        (runtime.block_on(client.call(TOOL, &json!({}))) == Ended::Well).then_some(())
    });
    assert_eq!(runtime.block_on(client.end()), Ended::Well);
    eventually("only one that nobody had is left", PATIENCE, || (bed.ids(Which::All, "pipe").len() == 1).then_some(()));
}

#[test]
fn sessions_with_containers_of_their_own_leave_none_behind() {
    let Some(mut bed) = mcp_scene("mcp-per-session-many") else { return };
    let door = begin(&mut bed, "isolation: PerSession\ninstances: { max: 4, idleStop: 2s }");
    let runtime = Runtime::new().unwrap();
    for number in 0..12 {
        let mut client = runtime.block_on(caller(&door));
        if number % 4 != 3 {
            assert_eq!(runtime.block_on(client.end()), Ended::Well);
        }
        // Those that were left alone give theirs back by themselves.
        eventually("there is room for the next", PATIENCE, || (bed.ids(Which::All, "pipe").len() <= 3).then_some(()));
    }
    eventually("only the one for the next is left", PATIENCE, || {
        (bed.ids(Which::All, "pipe").len() == 1).then_some(())
    });
}

#[test]
fn each_call_has_a_container_to_itself() {
    let Some(mut bed) = mcp_scene("mcp-per-call") else { return };
    let door = begin(&mut bed, "isolation: PerCall\ninstances: { max: 3 }");
    let mut used = bed.await_running("pipe", 1);
    for _ in 0..3 {
        let call = json!({ "name": TOOL, "arguments": {} });
        let answer = ask(door.address, &door.token, "tools/call", call).unwrap();
        assert!(result_of(&answer)["content"][0]["text"].is_string(), "{answer:?}");
        let next = eventually("the one that was used is gone, and another one is ready", PATIENCE, || {
            let ids = bed.ids(Which::All, "pipe");
            (ids.len() == 1 && !used.contains(&ids[0])).then_some(ids)
        });
        used.extend(next);
    }
}

#[test]
fn a_server_that_is_started_when_it_is_needed_runs_no_longer_than_it_is() {
    let Some(mut bed) = mcp_scene("mcp-lazy") else { return };
    let door = begin(&mut bed, "instances: { min: 0, start: Lazy, idleStop: 4s }");
    let await_none = |bed: &TestBed| {
        eventually("nothing runs that nobody needs", PATIENCE, || bed.ids(Which::All, "pipe").is_empty().then_some(()));
    };
    await_none(&bed);
    let ready = bed.await_condition(("McpServer", "pipe"), "Ready", |ready| ready.is_true);
    assert_eq!(ready.reason, "Idle");
    assert!(!tools(door.address, &door.token).is_empty(), "its tools are listed all the same");
    let runtime = Runtime::new().unwrap();
    let _client = runtime.block_on(caller(&door));
    assert_eq!(bed.ids(Which::Running, "pipe").len(), 1);
    await_none(&bed);

    // The next controller starts nothing either, and knows the tools.
    assert!(bed.stop().success());
    bed.start();
    await_tools_of(door.address, &door.token, &["pipe"]);
    bed.await_ready("McpServer", "pipe");
    thread::sleep(Duration::from_secs(1));
    assert_eq!(bed.ids(Which::All, "pipe"), NOTHING);
}
