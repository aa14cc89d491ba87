//! A tap on the wire before the gateway counts what clients say: the audit has a line for each, and no line more.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use gateway::audit::verify;
use gateway::config::{Action, AuditConfig, GatewayConfig, Rule};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::stage::{Out, Stage, eventually, server, tool};
use super::wire::{asked_id, begin_session, call, legacy, modern, post, read_until, request, send};

/// How often each was said.
type Counts = BTreeMap<String, usize>;

/// Passes on what comes, and counts the messages in it.
struct Tap {
    address: SocketAddr,
    counts: Arc<Mutex<Counts>>,
    task: JoinHandle<()>,
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Tap {
    async fn before(hub: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let counts: Arc<Mutex<Counts>> = Arc::default();
        let counted = Arc::clone(&counts);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let hub = TcpStream::connect(hub).await.unwrap();
                let ((from_client, mut to_client), (mut from_hub, to_hub)) = (client.into_split(), hub.into_split());
                tokio::spawn(async move { copy(&mut from_hub, &mut to_client).await });
                tokio::spawn(listen(from_client, to_hub, Arc::clone(&counted)));
            }
        });
        Self { address, counts, task }
    }
}

async fn listen(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, counts: Arc<Mutex<Counts>>) {
    let (mut heard, mut piece) = (Vec::new(), vec![0; 64 << 10]);
    while let Ok(count @ 1..) = from.read(&mut piece).await {
        heard.extend_from_slice(&piece[..count]);
        while let Some((said, length)) = first_of(&heard) {
            *counts.lock().unwrap().entry(said).or_default() += 1;
            heard.drain(..length);
        }
        if to.write_all(&piece[..count]).await.is_err() {
            return;
        }
    }
}

/// What the first whole request in what was heard says, and how long it is.
fn first_of(bytes: &[u8]) -> Option<(String, usize)> {
    let text = std::str::from_utf8(bytes).unwrap();
    let (head, rest) = text.split_once("\r\n\r\n")?;
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).map_or(0, |n| n.parse().unwrap());
    let body = rest.get(..length)?;
    let http = format!("http {}", head.split(' ').next().unwrap());
    let message: Value = serde_json::from_str(body).unwrap_or_default();
    let is_answer = message["result"].is_object() || message["error"].is_object();
    let said = if is_answer { "response".to_owned() } else { message["method"].as_str().map_or(http, str::to_owned) };
    Some((said, head.len() + 4 + length))
}

/// Asks its client first where it is asked to, and hangs where it is asked to.
fn conduct(message: &Value, out: &Out, hung: &AtomicUsize) {
    let params = &message["params"];
    let wants_to_ask = params["arguments"]["ask"] == true && !params["inputResponses"].is_object();
    if message["method"] == "tools/call" && wants_to_ask {
        let requests = json!({"who": {"method": "elicitation/create", "params": {"message": "who?"}}});
        out.answer(message, &json!({"resultType": "input_required", "inputRequests": requests, "requestState": "s"}));
    } else if message["method"] == "tools/call" && params["arguments"]["hang"] == true {
        hung.fetch_add(1, Ordering::Relaxed);
    } else if message["method"] == "tools/call" {
        out.answer_text(message, "fine");
    }
}

/// Everything that clients of 2026-07-28 say, refused things among it.
#[expect(clippy::cognitive_complexity, reason = "it is a list of what is said, one after the other")]
async fn say_modern(address: SocketAddr, hung: &AtomicUsize) {
    for arguments in [json!({}), json!({"ask": true})] {
        assert_eq!(call(address, "a__t", &arguments).await.status, 200);
    }
    for name in ["a__denied", "a__none", "b__t"] {
        assert_eq!(call(address, name, &json!({})).await.code(), -32602);
    }
    for method in ["server/discover", "tools/list", "prompts/list", "resources/list", "resources/templates/list"] {
        assert_eq!(send(address, modern(address, "", method, json!({}))).await.status, 200, "{method}");
    }
    assert_eq!(send(address, modern(address, "", "tools/list", json!({"cursor": "x"}))).await.status, 400);
    assert_eq!(send(address, modern(address, "", "no/such", json!({}))).await.status, 404);
    let mismatch = modern(address, "", "tools/list", json!({})).replace("Mcp-Method: tools/list", "Mcp-Method: x");
    assert_eq!(send(address, mismatch).await.status, 400);
    let version = "MCP-Protocol-Version: 2026-07-28\r\n";
    let note = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {}}).to_string();
    assert_eq!(send(address, post(address, version, &note)).await.status, 202);
    let answer = json!({"jsonrpc": "2.0", "id": 1, "result": {}}).to_string();
    assert_eq!(send(address, post(address, version, &answer)).await.status, 400);
    // A subscription, and a call that its client does not wait for.
    let mut stream = TcpStream::connect(address).await.unwrap();
    let params = json!({"notifications": {"toolsListChanged": true}});
    stream.write_all(modern(address, "", "subscriptions/listen", params).as_bytes()).await.unwrap();
    read_until(&mut stream, "acknowledged").await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let params = json!({"name": "a__t", "arguments": {"hang": true}});
    stream.write_all(modern(address, "", "tools/call", params).as_bytes()).await.unwrap();
    eventually(|| hung.load(Ordering::Relaxed) == 1).await;
}

/// Everything that clients with sessions say, refused things among it.
#[expect(clippy::cognitive_complexity, reason = "it is a list of what is said, one after the other")]
async fn say_legacy(address: SocketAddr, hung: &AtomicUsize) {
    let session = begin_session(address, "", json!({"elicitation": {}})).await;
    let say = async |message: Value| send(address, legacy(address, "", &session, &message.to_string())).await.status;
    let ask = async |method: &str, params: Value| {
        say(json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})).await
    };
    for method in ["ping", "tools/list", "prompts/list", "resources/list", "resources/templates/list", "no/such"] {
        assert_eq!(ask(method, json!({})).await, 200, "{method}");
    }
    for name in ["a__t", "a__denied", "a__none", "b__t"] {
        assert_eq!(ask("tools/call", json!({"name": name, "arguments": {}})).await, 200, "{name}");
    }
    for method in ["resources/subscribe", "resources/unsubscribe", "resources/read"] {
        assert_eq!(ask(method, json!({"uri": "file:///r"})).await, 200, "{method}");
    }
    assert_eq!(ask("prompts/get", json!({"name": "p"})).await, 200);
    assert_eq!(ask("logging/setLevel", json!({"level": "debug"})).await, 200);
    assert_eq!(ask("logging/setLevel", json!({"level": "loud"})).await, 200);
    for method in ["notifications/progress", "notifications/roots/list_changed", "notifications/none"] {
        assert_eq!(say(json!({"jsonrpc": "2.0", "method": method, "params": {}})).await, 202);
    }
    assert_eq!(say(json!({"jsonrpc": "2.0", "id": 999, "result": {}})).await, 202);
    let mut stream = TcpStream::connect(address).await.unwrap();
    let params = json!({"name": "a__t", "arguments": {"ask": true}});
    let body = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}).to_string();
    stream.write_all(legacy(address, "", &session, &body).as_bytes()).await.unwrap();
    let id = asked_id(&mut stream).await;
    assert_eq!(say(json!({"jsonrpc": "2.0", "id": id, "result": {"action": "decline"}})).await, 202);
    read_until(&mut stream, "\"id\":7").await;
    // A call that is cancelled.
    let params = json!({"name": "a__t", "arguments": {"hang": true}});
    let body = json!({"jsonrpc": "2.0", "id": 8, "method": "tools/call", "params": params}).to_string();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(legacy(address, "", &session, &body).as_bytes()).await.unwrap();
    eventually(|| hung.load(Ordering::Relaxed) == 2).await;
    let note = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 8}});
    assert_eq!(say(note).await, 202);
    read_until(&mut stream, "text/event-stream").await;
    let with = |line: &str, more: &str| request(line, &format!("Host: {address}\r\n{more}"), "");
    let own = format!("Mcp-Session-Id: {session}\r\n");
    let mut heard = TcpStream::connect(address).await.unwrap();
    heard.write_all(with("GET /mcp", &own).as_bytes()).await.unwrap();
    read_until(&mut heard, "text/event-stream").await;
    assert_eq!(send(address, with("DELETE /mcp", &own)).await.status, 200);
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
    assert_eq!(send(address, legacy(address, "", &session, &ping)).await.status, 404);
    assert_eq!(send(address, post(address, "", &ping)).await.status, 400);
}

/// What is no message, and what is not let in: seven of them.
async fn say_nonsense(address: SocketAddr) {
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
    let other = post(address, "", &ping).replace(&address.to_string(), "evil.example");
    let foreign = post(address, "Origin: https://evil.example\r\n", &ping);
    let plain = post(address, "", &ping).replace("application/json", "text/plain");
    for (said, status) in [
        (other, 403),
        (foreign, 403),
        (plain, 415),
        (post(address, "", "{"), 400),
        (post(address, "", "[]"), 400),
        (post(address, "", "{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"ping\"}"), 400),
        (post(address, "", &ping).replace("/mcp", "/mcp/nobody"), 404),
    ] {
        assert_eq!(send(address, said).await.status, status);
    }
}

#[tokio::test]
async fn the_audit_has_exactly_one_line_for_each_message_of_a_client() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.jsonl");
    let rule = |server: &str, tool: &str, action| Rule {
        principals: vec!["*".into()],
        servers: vec![server.into()],
        tools: vec![tool.into()],
        action,
    };
    let rules = vec![rule("b", "*", Action::Deny), rule("*", "denied", Action::Deny), rule("*", "*", Action::Allow)];
    let audit = Some(AuditConfig::to(path.clone()));
    let stage = Stage::begin_as(|config| GatewayConfig { audit, rules, ..config }).await;
    let hung: Arc<AtomicUsize> = Arc::default();
    let counted = Arc::clone(&hung);
    let conduct = move |message: &Value, out: &Out| conduct(message, out, &counted);
    stage.run("a", server(true, vec![tool("t"), tool("denied")], conduct));
    stage.run("b", server(false, vec![tool("t")], |_, _| {}));
    stage.want(&["a", "b"]);
    stage.until_known(3).await;
    let tap = Tap::before(stage.address).await;
    say_nonsense(tap.address).await;
    say_modern(tap.address, &hung).await;
    say_legacy(tap.address, &hung).await;
    let said = tap.counts.lock().unwrap().clone();
    let total: usize = said.values().sum();
    // A subscription and what nobody waits for are in it once the hub has seen that.
    eventually(|| {
        let text = fs::read_to_string(&path).unwrap();
        text.lines().filter(|line| !line.contains("\"askedBy\"")).count() >= total
    })
    .await;
    stage.hub.audit.settled().await;
    let text = fs::read_to_string(&path).unwrap();
    verify(text.as_bytes()).unwrap();
    let mut written = Counts::new();
    let mut asked = 0;
    for line in text.lines() {
        let record = serde_json::from_str::<Value>(line).unwrap()["record"].take();
        if record["askedBy"] == "server" {
            asked += 1;
        } else {
            *written.entry(record["method"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    assert_eq!(asked, 2, "what the server asked of either client");
    // Of what was not let in, or could not be read, the audit says no more than that it came; the tap counts five of the seven as pings.
    let nameless = 5;
    let mut expected = said.clone();
    *expected.get_mut("ping").unwrap() -= nameless;
    *expected.get_mut("http POST").unwrap() += nameless;
    assert_eq!(written, expected);
}
