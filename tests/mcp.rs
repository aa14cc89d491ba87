//! Servers of the Model Context Protocol in containers, and the gateway that agents reach them by.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::support::engine::{TestBed, Which, eventually, free_port};
use crate::support::http::{self, HttpResponse};
use crate::support::mcp_fixture::{MCP_FIXTURE, import_mcp_fixture};
use crate::support::scene::{PATIENCE, object, scene};

/// The newest version of the protocol, in which a request needs no session.
const VERSION: &str = "2026-07-28";

/// A bed with the image of the MCP server.
fn mcp_scene(test_name: &str) -> Option<TestBed> {
    let bed = scene(test_name)?;
    import_mcp_fixture(bed.engine());
    Some(bed)
}

/// A server of the fixture; `spec` is more of its spec, one field a line.
fn server(name: &str, spec: &str) -> String {
    let fields: Vec<String> = spec.lines().map(|line| format!("  {line}")).collect();
    object("McpServer", name, &format!("spec:\n  image: {MCP_FIXTURE}\n{}\n", fields.join("\n")))
}

fn over_stdio(name: &str) -> String {
    server(name, &format!("args: [stdio, --name, {name}]"))
}

fn over_http(name: &str) -> String {
    let arguments = format!("args: [http, --listen, \"0.0.0.0:8080\", --allow-host, {name}, --name, {name}]");
    server(name, &format!("transport: http\nport: 8080\n{arguments}"))
}

fn gateway(address: SocketAddr) -> String {
    object("McpGateway", "hub", &format!("spec: {{ listen: \"{address}\" }}\n"))
}

fn free_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}

/// The token that the controller made for the gateway.
fn token(bed: &TestBed) -> String {
    let path = bed.data().join(format!("mcp/{}_hub.token", bed.namespace()));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    fs::read_to_string(path).unwrap().trim().to_owned()
}

/// Asks the gateway.
fn ask(address: SocketAddr, token: &str, method: &str, params: Value) -> std::io::Result<HttpResponse> {
    let mut params = params;
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": VERSION,
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let name = params["name"].as_str().map(|name| format!("Mcp-Name: {name}\r\n")).unwrap_or_default();
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let headers = format!(
        "Authorization: Bearer {token}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
         MCP-Protocol-Version: {VERSION}\r\nMcp-Method: {method}\r\n{name}"
    );
    http::post(address, "/mcp", &headers, &body)
}

/// The result of an answer, whether it came as JSON or as the last event of a stream.
fn result_of(answer: &HttpResponse) -> Value {
    let text = answer.body.lines().rfind(|line| line.starts_with('{') || line.starts_with("data: {"));
    let text = text.map(|line| line.trim_start_matches("data: ")).unwrap_or_default();
    let message: Value = serde_json::from_str(text).unwrap_or_default();
    message["result"].clone()
}

/// The names of the tools that the gateway lists.
fn tools(address: SocketAddr, token: &str) -> Vec<String> {
    let Ok(answer) = ask(address, token, "tools/list", json!({})) else { return Vec::new() };
    let result = result_of(&answer);
    let tools = result["tools"].as_array().cloned().unwrap_or_default();
    tools.iter().filter_map(|tool| tool["name"].as_str().map(str::to_owned)).collect()
}

/// How many of the tools are of a server.
fn of_server(tools: &[String], server: &str) -> usize {
    tools.iter().filter(|tool| tool.starts_with(&format!("{server}__"))).count()
}

fn await_tools_of(address: SocketAddr, token: &str, servers: &[&str]) {
    eventually(&format!("the gateway lists tools of {}", servers.join(", ")), PATIENCE, || {
        let tools = tools(address, token);
        servers.iter().all(|server| of_server(&tools, server) > 0).then_some(())
    });
}

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
    let audit = fs::read_to_string(bed.data().join(format!("mcp/{}_hub.audit.jsonl", bed.namespace()))).unwrap();
    assert!(audit.contains("tools/call") && !audit.contains(&token), "{audit}");
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
    assert!(once.status.success(), "{}", crate::support::engine::text_of(&once));
}
