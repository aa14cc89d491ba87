//! A client that writes HTTP by hand, byte by byte.

use std::fmt::Write as _;
use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::stage::IN_TIME;

/// What came back.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    /// The status; 0 where the connection was closed without a word.
    pub(crate) status: u16,
    /// The lines before the body.
    pub(crate) head: String,
    /// The body.
    pub(crate) body: String,
}

impl Reply {
    /// The body as JSON; of a stream of events the last one.
    pub(crate) fn json(&self) -> Value {
        let event = self.body.lines().filter_map(|line| line.strip_prefix("data: ")).next_back();
        serde_json::from_str(event.unwrap_or(&self.body)).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// The code of the error.
    pub(crate) fn code(&self) -> i64 {
        self.json()["error"]["code"].as_i64().unwrap_or_else(|| panic!("{self:?}"))
    }

    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let of = |line: &'_ str| line.split_once(": ").is_some_and(|(known, _)| known.eq_ignore_ascii_case(name));
        self.head.lines().find(|line| of(line)).and_then(|line| line.split_once(": ")).map(|(_, value)| value)
    }
}

/// Writes bytes to a new connection and reads one answer.
pub(crate) async fn send(address: SocketAddr, request: impl AsRef<[u8]>) -> Reply {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A hub that has read enough may close before it has read all.
    drop(stream.write_all(request.as_ref()).await);
    receive(&mut stream).await
}

/// Reads one answer: its head, and its body to its end.
pub(crate) async fn receive(stream: &mut TcpStream) -> Reply {
    let mut bytes = Vec::new();
    let mut piece = vec![0; 64 * 1024];
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
            let reply = Reply { status, head: head.to_owned(), body: body.to_owned() };
            let length = reply.header("content-length").and_then(|length| length.parse::<usize>().ok());
            if length.is_some_and(|length| body.len() >= length) || body.ends_with("\r\n0\r\n\r\n") {
                return reply;
            }
        }
        match timeout(IN_TIME, stream.read(&mut piece)).await.expect("an answer in time") {
            Ok(0) | Err(_) => break,
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    Reply { status, head: head.to_owned(), body: body.to_owned() }
}

/// A stream that is read until something is in it.
pub(crate) async fn read_until(stream: &mut TcpStream, wanted: &str) -> String {
    let mut text = String::new();
    let mut piece = vec![0; 16 << 10];
    while !text.contains(wanted) {
        let count = timeout(IN_TIME, stream.read(&mut piece)).await.expect("it comes in time").unwrap();
        assert_ne!(count, 0, "it ended: {text}");
        text += &String::from_utf8_lossy(&piece[..count]);
    }
    text
}

/// The id of the question that a stream brings next.
pub(crate) async fn asked_id(stream: &mut TcpStream) -> Value {
    id_of(&read_until(stream, "elicitation/create").await)
}

/// The id of the question that a stream has brought.
pub(crate) fn id_of(question: &str) -> Value {
    let line = question.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    serde_json::from_str::<Value>(line).unwrap()["id"].clone()
}

/// A request with these headers, each with its line end, and a body.
pub(crate) fn request(line: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("{line} HTTP/1.1\r\n{headers}Content-Length: {length}\r\n\r\n{body}")
}

/// A POST of JSON as a client should send it, with further headers.
pub(crate) fn post(address: SocketAddr, headers: &str, body: &str) -> String {
    request("POST /mcp", &format!("Host: {address}\r\nContent-Type: application/json\r\n{headers}"), body)
}

/// A request of 2026-07-28, with its headers.
pub(crate) fn modern(address: SocketAddr, headers: &str, method: &str, mut params: Value) -> String {
    params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
    let mut all = format!("MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\n{headers}");
    if let Some(name) = params["name"].as_str() {
        write!(all, "Mcp-Name: {name}\r\n").unwrap();
    }
    post(address, &all, &json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string())
}

/// The answer to a call of 2026-07-28.
pub(crate) async fn call(address: SocketAddr, name: &str, arguments: &Value) -> Reply {
    send(address, modern(address, "", "tools/call", json!({"name": name, "arguments": arguments}))).await
}

/// The tools that a client of 2026-07-28 is shown.
pub(crate) async fn tools(address: SocketAddr) -> Vec<Value> {
    let reply = send(address, modern(address, "", "tools/list", json!({}))).await;
    reply.json()["result"]["tools"].as_array().unwrap().clone()
}

/// The names of those tools.
pub(crate) async fn tool_names(address: SocketAddr) -> Vec<String> {
    tools(address).await.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

/// Begins a session of 2025-11-25: its id. `headers` are those of every request, such as a token.
pub(crate) async fn begin_session(address: SocketAddr, headers: &str, capabilities: Value) -> String {
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": {"name": "c", "version": "1"}});
    let body = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}).to_string();
    let reply = send(address, post(address, headers, &body)).await;
    let id = reply.header("mcp-session-id").unwrap_or_else(|| panic!("{reply:?}")).to_owned();
    let note = json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string();
    assert_eq!(send(address, legacy(address, headers, &id, &note)).await.status, 202);
    id
}

/// A message within a session.
pub(crate) fn legacy(address: SocketAddr, headers: &str, session: &str, body: &str) -> String {
    post(address, &format!("Mcp-Session-Id: {session}\r\nMCP-Protocol-Version: 2025-11-25\r\n{headers}"), body)
}
