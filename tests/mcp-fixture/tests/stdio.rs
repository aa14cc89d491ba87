//! What a client of the fixture sees on stdio: the eras, and each way to misbehave.
//!
//! That the answers themselves are right is what the conformance suite says: `scripts/conformance.sh`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// A fixture and its pipes.
struct Server {
    process: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
}

impl Server {
    fn start(options: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_mcp-fixture"))
            .arg("stdio")
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, input, output }
    }

    /// One that a Legacy client has greeted.
    fn start_legacy(options: &[&str]) -> Self {
        let mut server = Self::start(options);
        server.send(&initialize());
        server.receive_until_id(0);
        server.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        server
    }

    fn send(&mut self, message: &Value) {
        writeln!(self.input.as_mut().unwrap(), "{message}").unwrap();
    }

    fn line(&mut self) -> Option<String> {
        self.output.next().map(Result::unwrap)
    }

    fn receive(&mut self) -> Value {
        serde_json::from_str(&self.line().unwrap()).unwrap()
    }

    /// The response to the request `id`, and all lines before it.
    fn receive_until_id(&mut self, id: i64) -> (Vec<String>, Value) {
        let mut before = Vec::new();
        loop {
            let line = self.line().unwrap();
            match serde_json::from_str::<Value>(&line) {
                Ok(message) if message["id"] == id && message.get("method").is_none() => return (before, message),
                _ => before.push(line),
            }
        }
    }

    fn call(&mut self, id: i64, tool: &str) -> (Vec<String>, Value) {
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": tool, "arguments": { "value": "é" } } }));
        self.receive_until_id(id)
    }

    /// Ends its input, and returns how it has ended.
    fn end(&mut self) -> i32 {
        self.input = None;
        self.process.wait().unwrap().code().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn initialize() -> Value {
    json!({
        "jsonrpc": "2.0",
        "id": 0,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": { "elicitation": {} },
            "clientInfo": { "name": "test", "version": "1" },
        },
    })
}

fn modern(id: i64, method: &str, mut params: Value) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": { "elicitation": {} },
    });
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

#[test]
fn a_legacy_server_knows_no_discover_and_takes_an_initialize_after_it() {
    let mut server = Server::start(&["--era", "legacy", "--name", "old"]);
    server.send(&modern(1, "server/discover", json!({})));
    assert_eq!(server.receive()["error"]["code"], -32601);
    server.send(&initialize());
    let greeting = server.receive();
    assert_eq!(greeting["result"]["protocolVersion"], "2025-11-25");
    assert_eq!(greeting["result"]["serverInfo"]["name"], "old");
    assert_eq!(server.end(), 0);
}

#[test]
fn a_modern_server_refuses_an_initialize_and_lives_on() {
    let mut server = Server::start(&["--era", "modern"]);
    server.send(&initialize());
    assert_eq!(server.receive()["error"]["data"]["supported"], json!(["2026-07-28"]));
    server.send(&modern(1, "server/discover", json!({})));
    assert_eq!(server.receive()["result"]["supportedVersions"], json!(["2026-07-28"]));
    assert_eq!(server.end(), 0);
}

#[test]
fn one_question_is_asked_as_a_request_in_one_era_and_as_a_result_in_the_other() {
    let name = json!({ "name": "test_input_required_result_elicitation" });
    let answer = json!({ "action": "accept", "content": { "name": "Ada" } });

    let mut legacy = Server::start_legacy(&[]);
    legacy.send(&json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": name }));
    let request = legacy.receive();
    assert_eq!(request["method"], "elicitation/create");
    legacy.send(&json!({ "jsonrpc": "2.0", "id": request["id"], "result": answer }));
    assert_eq!(legacy.receive()["result"]["content"][0]["text"], "Hello, Ada!");

    let mut server = Server::start(&[]);
    server.send(&modern(1, "tools/call", name.clone()));
    let asked = server.receive();
    assert_eq!(asked["result"]["resultType"], "input_required");
    assert_eq!(asked["result"]["inputRequests"]["user_name"]["method"], "elicitation/create");
    let mut again = name;
    again["inputResponses"] = json!({ "user_name": answer });
    server.send(&modern(2, "tools/call", again));
    assert_eq!(server.receive()["result"]["content"][0]["text"], "Hello, Ada!");
}

#[test]
fn what_the_client_cannot_do_is_named() {
    let mut server = Server::start(&[]);
    server.send(&modern(1, "tools/call", json!({ "name": "test_missing_capability" })));
    let error = server.receive()["error"].take();
    assert_eq!(
        (&error["code"], &error["data"]),
        (&json!(-32021), &json!({ "requiredCapabilities": { "sampling": {} } }))
    );
}

#[test]
fn plain_tools_return_their_arguments_and_are_listed_in_pages() {
    let mut server = Server::start_legacy(&["--tools", "25", "--page-size", "20"]);
    let (mut names, mut cursor) = (Vec::new(), Value::Null);
    loop {
        let params = if cursor.is_null() { json!({}) } else { json!({ "cursor": cursor }) };
        server.send(&json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": params }));
        let mut page = server.receive()["result"].take();
        names.extend(page["tools"].as_array().unwrap().iter().map(|tool| tool["name"].clone()));
        cursor = page["nextCursor"].take();
        if cursor.is_null() {
            break;
        }
    }
    assert_eq!(names.last().unwrap(), "tool_024");
    assert_eq!(server.call(2, "tool_024").1["result"]["structuredContent"], json!({ "arguments": { "value": "é" } }));
}

#[test]
fn a_description_changes_after_as_many_calls_as_were_said() {
    let mut server = Server::start_legacy(&["--change-after", "2"]);
    let description = |server: &mut Server| {
        server.send(&json!({ "jsonrpc": "2.0", "id": 9, "method": "tools/list" }));
        server.receive_until_id(9).1["result"]["tools"][0]["description"].take()
    };
    let first = description(&mut server);
    assert!(server.call(1, "test_simple_text").0.is_empty());
    assert_eq!(description(&mut server), first);
    let (told, _) = server.call(2, "test_simple_text");
    assert!(told[0].contains("notifications/tools/list_changed"));
    assert_ne!(description(&mut server), first);
}

#[test]
fn strays_come_between_the_messages_and_never_within_one() {
    let mut server = Server::start_legacy(&["--stray-stdout"]);
    for id in 1..8 {
        let (before, response) = server.call(id, "test_simple_text");
        assert_eq!(before.len(), 1);
        assert!(response["result"].is_object());
    }
}

#[test]
fn the_call_after_the_last_one_is_answered_by_death() {
    let mut server = Server::start_legacy(&["--die-after", "1"]);
    assert!(server.call(1, "test_simple_text").1["result"].is_object());
    server
        .send(&json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": { "name": "test_simple_text" } }));
    assert_eq!(server.line(), None);
    assert_eq!(server.process.wait().unwrap().code(), Some(1));
}

#[test]
fn a_call_in_flight_is_answered_though_the_input_has_ended() {
    let mut server = Server::start_legacy(&["--slow", "100"]);
    server
        .send(&json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "test_simple_text" } }));
    server.input = None;
    assert!(server.receive_until_id(1).1["result"].is_object());
    assert_eq!(server.end(), 0);
}

#[test]
fn a_signal_ends_it_at_once() {
    let mut server = Server::start_legacy(&["--slow", "60000"]);
    server
        .send(&json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "test_simple_text" } }));
    let pid = server.process.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(server.process.wait().unwrap().code(), Some(0));
}
