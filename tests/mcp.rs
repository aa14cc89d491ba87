//! Servers of the Model Context Protocol in containers, and the gateway that agents reach them by.

use std::ffi::OsStr;
use std::fs;

use serde_json::json;

use crate::support::engine::{Which, eventually, text_of};
use crate::support::mcp::{
    ask, await_tools_of, free_address, gateway, mcp_scene, over_http, over_stdio, result_of, token,
};
use crate::support::scene::{PATIENCE, object};

#[test]
fn a_gateway_lists_the_tools_of_servers_over_stdio_and_http_and_calls_them() {
    let Some(mut bed) = mcp_scene("mcp-both") else { return };
    let address = free_address();
    bed.write("mcp.yaml", &(over_stdio("pipe") + &over_http("web") + &gateway(address)));
    bed.start();
    for (kind, name) in [("McpServer", "pipe"), ("McpServer", "web"), ("McpGateway", "hub")] {
        bed.await_ready(kind, name);
    }
    let token = token(&bed);
    await_tools_of(address, &token, &["pipe", "web"]);
    for server in ["pipe", "web"] {
        let call = json!({ "name": format!("{server}__test_simple_text"), "arguments": {} });
        let answer = ask(address, &token, "tools/call", call).unwrap();
        let result = result_of(&answer);
        assert!(result["content"][0]["text"].is_string(), "{server}: {answer:?}");
    }
    assert_eq!(ask(address, "not-the-token-at-all", "tools/list", json!({})).unwrap().status, 401);
    let hub = bed.object("McpGateway", "hub");
    let columns = hub["status"]["columns"].to_string();
    assert!(columns.contains("2/2") && columns.contains("TOOLS"), "{columns}");
    let path = bed.data().join(format!("mcp/{}_hub.audit.jsonl", bed.namespace()));
    // It is written down beside the answer, and may come a moment later.
    let audit = eventually("the calls are in the audit", PATIENCE, || {
        Some(fs::read_to_string(&path).unwrap()).filter(|audit| audit.matches("tools/call").count() == 2)
    });
    assert!(!audit.contains(&token), "{audit}");
    assert!(!bed.log().contains(&token), "the token is in the log");

    // The containers outlive the controller, and are attached to again.
    let before = (bed.ids(Which::All, "pipe"), bed.ids(Which::All, "web"));
    assert!(bed.stop().success());
    assert!(ask(address, &token, "tools/list", json!({})).is_err(), "nobody listens any more");
    bed.start();
    await_tools_of(address, &token, &["pipe", "web"]);
    assert_eq!((bed.ids(Which::All, "pipe"), bed.ids(Which::All, "web")), before);
}

#[test]
fn an_audit_that_is_full_goes_on_in_another_file_and_all_of_them_are_one_chain() {
    let Some(mut bed) = mcp_scene("mcp-audit") else { return };
    let address = free_address();
    let hub = |more: &str| {
        let audit = format!("audit: {{ values: true, maxSize: 1MiB{more} }}");
        object("McpGateway", "hub", &format!("spec: {{ listen: \"{address}\", {audit} }}\n"))
    };
    bed.write("server.yaml", &over_stdio("pipe"));
    bed.write("gateway.yaml", &hub(""));
    bed.start();
    bed.await_ready("McpServer", "pipe");
    let token = token(&bed);
    await_tools_of(address, &token, &["pipe"]);
    let call = || {
        let arguments = json!({ "text": "x".repeat(400_000) });
        let call = json!({ "name": "pipe__test_simple_text", "arguments": arguments });
        assert_eq!(ask(address, &token, "tools/call", call).unwrap().status, 200);
    };
    let stem = format!("{}_hub.audit", bed.namespace());
    // As `{stem}*.jsonl`, which is how the documents name them: the one that is just being begun has another name until it has its place.
    let files = || {
        let entries = fs::read_dir(bed.data().join("mcp")).unwrap().map(|entry| entry.unwrap().path());
        let entries = entries.filter(|path| path.extension() == Some(OsStr::new("jsonl")));
        let mut files: Vec<String> = entries.map(|path| path.to_str().unwrap().to_owned()).collect();
        files.retain(|file| file.contains(&stem));
        files.sort();
        files
    };
    let verify = |files: &[String]| {
        let files = files.iter().map(String::as_str);
        text_of(&bed.evenkeel(&["audit", "verify"].into_iter().chain(files).collect::<Vec<_>>()))
    };
    (0..6).for_each(|_| call());
    let full = eventually("there are three files", PATIENCE, || Some(files()).filter(|files| files.len() == 3));
    assert!(full.iter().all(|file| fs::metadata(file).unwrap().len() <= 1 << 20), "{full:?}");
    let said = verify(&full);
    assert_eq!(said.matches("the chain is whole").count(), 3, "{said}");

    // Those that are too many go as soon as the manifest says how many there are to be.
    bed.write("gateway.yaml", &hub(", maxBackups: 1"));
    let kept = eventually("the oldest file is gone", PATIENCE, || Some(files()).filter(|files| files.len() == 2));
    assert_eq!(kept, full[1..]);
    await_tools_of(address, &token, &["pipe"]);
    let said = verify(&kept);
    assert!(said.contains("the gateway removed those before it, and wrote that down"), "{said}");
}

#[test]
fn a_server_that_does_not_speak_the_protocol_never_replaces_one_that_does() {
    let Some(mut bed) = mcp_scene("mcp-rollout") else { return };
    let address = free_address();
    bed.write("gateway.yaml", &gateway(address));
    bed.write("server.yaml", &over_stdio("pipe"));
    bed.start();
    bed.await_ready("McpServer", "pipe");
    let token = token(&bed);
    await_tools_of(address, &token, &["pipe"]);
    let old = bed.ids(Which::Running, "pipe");
    bed.write("server.yaml", &object("McpServer", "pipe", "spec:\n  image: $image\n  command: [/bin/cat]\n"));
    bed.await_condition(("McpServer", "pipe"), "Ready", |ready| !ready.is_true);
    let both = bed.await_running("pipe", 2);
    assert!(both.contains(&old[0]), "the old one goes on");
    await_tools_of(address, &token, &["pipe"]);
    bed.write("server.yaml", &over_stdio("pipe").replace("name, pipe", "name, better"));
    eventually("a server that speaks takes over", PATIENCE, || {
        let ids = bed.ids(Which::All, "pipe");
        (ids.len() == 1 && !both.contains(&ids[0])).then_some(())
    });
    await_tools_of(address, &token, &["pipe"]);
}

#[test]
fn servers_of_the_era_with_sessions_are_asked_again_by_the_next_controller() {
    let Some(mut bed) = mcp_scene("mcp-legacy") else { return };
    let address = free_address();
    let servers = over_stdio("pipe") + &over_http("web");
    bed.write("mcp.yaml", &(servers.replace("--name,", "--era, legacy, --name,") + &gateway(address)));
    bed.start();
    let token = token(&bed);
    await_tools_of(address, &token, &["pipe", "web"]);
    let before = (bed.ids(Which::All, "pipe"), bed.ids(Which::All, "web"));
    bed.kill();
    bed.start();
    bed.await_ready("McpServer", "pipe");
    bed.await_ready("McpServer", "web");
    await_tools_of(address, &token, &["pipe", "web"]);
    assert_eq!((bed.ids(Which::All, "pipe"), bed.ids(Which::All, "web")), before);
}

#[test]
fn once_ends_when_servers_have_answered() {
    let Some(bed) = mcp_scene("mcp-once") else { return };
    bed.write("mcp.yaml", &over_stdio("pipe"));
    let once = bed.run_once();
    assert!(once.status.success(), "{}", text_of(&once));
}
