//! Servers of the Model Context Protocol behind a gateway: their manifests, and asking the gateway.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use super::engine::{TestBed, eventually, free_port};
use super::http::{self, HttpResponse};
use super::mcp_fixture::{MCP_FIXTURE, import_mcp_fixture};
use super::scene::{PATIENCE, object, scene};

/// The newest version of the protocol, in which a request needs no session.
pub(crate) const VERSION: &str = "2026-07-28";

/// A bed with the image of the MCP server.
pub(crate) fn mcp_scene(test_name: &str) -> Option<TestBed> {
    let bed = scene(test_name)?;
    import_mcp_fixture(bed.engine());
    Some(bed)
}

/// A server of the fixture; `spec` is more of its spec, one field a line.
pub(crate) fn server(name: &str, spec: &str) -> String {
    let fields: Vec<String> = spec.lines().map(|line| format!("  {line}")).collect();
    object("McpServer", name, &format!("spec:\n  image: {MCP_FIXTURE}\n{}\n", fields.join("\n")))
}

/// A server of the fixture over standard input and output.
pub(crate) fn over_stdio(name: &str) -> String {
    server(name, &format!("args: [stdio, --name, {name}]"))
}

/// A server of the fixture over HTTP.
pub(crate) fn over_http(name: &str) -> String {
    let arguments = format!("args: [http, --listen, \"0.0.0.0:8080\", --allow-host, {name}, --name, {name}]");
    server(name, &format!("transport: http\nport: 8080\n{arguments}"))
}

/// The gateway `hub`.
pub(crate) fn gateway(address: SocketAddr) -> String {
    object("McpGateway", "hub", &format!("spec: {{ listen: \"{address}\" }}\n"))
}

/// An address that nobody listens on at this moment.
pub(crate) fn free_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}

/// The token that the controller made for the gateway, once it has: it answers its own clients before it does.
pub(crate) fn token(bed: &TestBed) -> String {
    let path = bed.data().join(format!("mcp/{}_hub.token", bed.namespace()));
    let metadata = eventually("the gateway has a token", PATIENCE, || fs::metadata(&path).ok());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    fs::read_to_string(path).unwrap().trim().to_owned()
}

/// What a request of [`VERSION`] has beside its own params.
pub(crate) fn with_meta(mut params: Value) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": VERSION,
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    params
}

/// Asks the gateway.
pub(crate) fn ask(address: SocketAddr, token: &str, method: &str, params: Value) -> std::io::Result<HttpResponse> {
    let params = with_meta(params);
    let name = params["name"].as_str().map(|name| format!("Mcp-Name: {name}\r\n")).unwrap_or_default();
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let headers = format!(
        "Authorization: Bearer {token}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
         MCP-Protocol-Version: {VERSION}\r\nMcp-Method: {method}\r\n{name}"
    );
    http::post(address, "/mcp", &headers, &body)
}

/// The answer in a body, whether it came as JSON or as the last event of a stream; `null` where there is none.
pub(crate) fn message_of(body: &str) -> Value {
    let text = body.lines().rfind(|line| line.starts_with('{') || line.starts_with("data: {"));
    let text = text.map(|line| line.trim_start_matches("data: ")).unwrap_or_default();
    serde_json::from_str(text).unwrap_or_default()
}

/// The result of an answer.
pub(crate) fn result_of(answer: &HttpResponse) -> Value {
    message_of(&answer.body)["result"].clone()
}

/// The names of the tools that the gateway lists.
pub(crate) fn tools(address: SocketAddr, token: &str) -> Vec<String> {
    let Ok(answer) = ask(address, token, "tools/list", json!({})) else { return Vec::new() };
    let result = result_of(&answer);
    let tools = result["tools"].as_array().cloned().unwrap_or_default();
    tools.iter().filter_map(|tool| tool["name"].as_str().map(str::to_owned)).collect()
}

/// How many of the tools are of a server.
pub(crate) fn of_server(tools: &[String], server: &str) -> usize {
    tools.iter().filter(|tool| tool.starts_with(&format!("{server}__"))).count()
}

/// Waits until the gateway lists tools of each of these servers.
pub(crate) fn await_tools_of(address: SocketAddr, token: &str, servers: &[&str]) {
    eventually(&format!("the gateway lists tools of {}", servers.join(", ")), PATIENCE, || {
        let tools = tools(address, token);
        servers.iter().all(|server| of_server(&tools, server) > 0).then_some(())
    });
}
