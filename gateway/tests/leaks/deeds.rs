//! What clients and servers do to a hub, again and again.

use std::sync::Arc;

use gateway::config::{AuditConfig, Endpoint, GatewayConfig, PinPolicy};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::http_server::{Conduct, HttpServer};
use super::meter::growth;
use super::stage::{IN_TIME, Out, Stage, at, config, server, tool};
use super::wire::{asked_id, begin_session, call, legacy, modern, post, read_until, request, send, tools};

/// A hub with an audit, a server of each era by streams, `old` and `new`, and one by HTTP, `web`.
struct Scene {
    stage: Stage,
    web: HttpServer,
    /// Told of each call that hangs.
    hung: Arc<Notify>,
    /// Where the audit is.
    _directory: TempDir,
}

impl Scene {
    async fn begin() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let audit = Some(AuditConfig::to(directory.path().join("audit.jsonl")));
        let stage = Stage::begin_as(|config| GatewayConfig { audit, ..config }).await;
        // It gives no answer to a call that says so, and breaks off.
        let is_broken = |message: &Value| message["params"]["arguments"]["break"] == true;
        let web =
            HttpServer::start(true, move |asked| is_broken(&asked.message).then(|| Conduct::Say(Vec::new()))).await;
        let hung: Arc<Notify> = Arc::default();
        for (name, is_modern) in [("old", false), ("new", true)] {
            let told = Arc::clone(&hung);
            let conduct = move |message: &Value, out: &Out| conduct(message, out, &told);
            stage.run(name, server(is_modern, vec![tool("t")], conduct));
        }
        let scene = Self { stage, web, hung, _directory: directory };
        scene.want(&["old", "new"]);
        scene.stage.until_known(3).await;
        scene
    }

    /// Has these servers by streams, and the one by HTTP.
    fn want(&self, names: &[&str]) {
        let by_streams = names.iter().map(|name| config(name, Endpoint::Stdio, PinPolicy::Off));
        let by_http = config("web", at(self.web.address), PinPolicy::Off);
        self.stage.hub.set_servers(by_streams.chain([by_http]).collect());
    }

    /// Has a request answered, whatever the answer is.
    async fn send(&self, request: String) {
        assert_ne!(send(self.stage.address, request).await.status, 0, "it is answered");
        self.web.asked.lock().unwrap().clear();
    }

    /// A request of 2026-07-28.
    fn modern(&self, method: &str, params: Value) -> String {
        modern(self.stage.address, "", method, params)
    }

    /// A request in a session.
    fn legacy(&self, session: &str, id: u32, method: &str, params: &Value) -> String {
        let body = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string();
        legacy(self.stage.address, "", session, &body)
    }

    /// A line and headers of a request in a session.
    fn with(&self, line: &str, session: &str) -> String {
        request(line, &format!("Host: {}\r\nMcp-Session-Id: {session}\r\n", self.stage.address), "")
    }

    /// Something done in a session that is ended then.
    async fn in_session(&self, work: impl AsyncFnOnce(&str)) {
        let session = begin_session(self.stage.address, "", json!({"elicitation": {}})).await;
        work(&session).await;
        self.send(self.with("DELETE /mcp", &session)).await;
    }

    /// Sends a request, waits until something of its answer is there, and goes away.
    async fn hear(&self, request: &str, wanted: &str) {
        let mut stream = TcpStream::connect(self.stage.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        read_until(&mut stream, wanted).await;
    }

    /// Sends a request whose call hangs, and goes away once it does.
    async fn hang_up(&self, request: &str) {
        let mut stream = TcpStream::connect(self.stage.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        timeout(IN_TIME, self.hung.notified()).await.expect("it reaches its server");
    }
}

/// What a call's arguments say: to hang, to ask, to tell of progress, or that the list has changed.
fn conduct(message: &Value, out: &Out, hung: &Notify) {
    if message["method"] != "tools/call" {
        return;
    }
    let params = &message["params"];
    let says = |word: &str| params["arguments"][word] == true;
    if says("hang") {
        hung.notify_one();
        return;
    }
    if says("ask") && !params["inputResponses"].is_object() {
        let question = json!({"message": "who?", "requestedSchema": {"type": "object", "properties": {}}});
        let requests = json!({"who": {"method": "elicitation/create", "params": question}});
        out.answer(message, &json!({"resultType": "input_required", "inputRequests": requests, "requestState": "s"}));
        return;
    }
    if says("tell") {
        let progress = json!({"progressToken": params["_meta"]["progressToken"], "progress": 1});
        out.say(&json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": progress}));
    }
    if says("change") {
        out.say(&json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}));
    }
    out.answer_text(message, "fine");
}

/// The tool of each server.
const TOOLS: [&str; 3] = ["old__t", "new__t", "web__t"];

async fn call_each(scene: &Scene, _: usize) {
    for name in TOOLS {
        scene.send(scene.modern("tools/call", json!({"name": name, "arguments": {"a": 1}}))).await;
    }
}

async fn call_each_in_a_session(scene: &Scene, _: usize) {
    let calls = async |session: &str| {
        for name in TOOLS {
            scene.send(scene.legacy(session, 1, "tools/call", &json!({"name": name, "arguments": {"a": 1}}))).await;
        }
    };
    scene.in_session(calls).await;
}

async fn list(scene: &Scene, _: usize) {
    assert_eq!(tools(scene.stage.address).await.len(), TOOLS.len());
    scene.in_session(async |session| scene.send(scene.legacy(session, 1, "tools/list", &json!({}))).await).await;
}

/// Names that nobody has ever said before.
async fn ask_for_what_there_is_not(scene: &Scene, number: usize) {
    for name in [format!("none{number}__t"), format!("old__t{number}"), format!("web__t{number}")] {
        scene.send(scene.modern("tools/call", json!({"name": name, "arguments": {}}))).await;
    }
    scene.send(scene.modern(&format!("no/such{number}"), json!({}))).await;
    scene.send(scene.with("POST /mcp", &format!("session-{number}"))).await;
}

async fn say_nonsense(scene: &Scene, number: usize) {
    for body in ["{", "[]", "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":5}", &number.to_string(), &"[".repeat(2_000)] {
        scene.send(post(scene.stage.address, "MCP-Protocol-Version: 2026-07-28\r\n", body)).await;
    }
    let mut stream = TcpStream::connect(scene.stage.address).await.unwrap();
    stream.write_all(b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n{").await.unwrap();
}

async fn go_away_meanwhile(scene: &Scene, _: usize) {
    for name in ["old__t", "new__t"] {
        let params = json!({"name": name, "arguments": {"hang": true}});
        scene.hang_up(&scene.modern("tools/call", params.clone())).await;
        scene.in_session(async |session| scene.hang_up(&scene.legacy(session, 1, "tools/call", &params)).await).await;
    }
}

async fn cancel(scene: &Scene, _: usize) {
    let cancel = async |session: &str| {
        let params = json!({"name": "old__t", "arguments": {"hang": true}});
        scene.hang_up(&scene.legacy(session, 7, "tools/call", &params)).await;
        let note = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}});
        scene.send(legacy(scene.stage.address, "", session, &note.to_string())).await;
    };
    scene.in_session(cancel).await;
}

async fn hear_of_progress(scene: &Scene, number: usize) {
    for name in ["old__t", "new__t"] {
        let token = format!("token-{number}");
        let params = json!({"name": name, "arguments": {"tell": true}, "_meta": {"progressToken": token}});
        scene.hear(&scene.modern("tools/call", params), "fine").await;
    }
}

async fn be_asked(scene: &Scene, _: usize) {
    let params = json!({"name": "new__t", "arguments": {"ask": true}});
    let answer = async |session: &str| {
        let mut stream = TcpStream::connect(scene.stage.address).await.unwrap();
        stream.write_all(scene.legacy(session, 7, "tools/call", &params).as_bytes()).await.unwrap();
        let id = asked_id(&mut stream).await;
        let declined = json!({"jsonrpc": "2.0", "id": id, "result": {"action": "decline"}});
        scene.send(legacy(scene.stage.address, "", session, &declined.to_string())).await;
        read_until(&mut stream, "\"id\":7").await;
    };
    scene.in_session(answer).await;
}

async fn be_asked_and_go_away(scene: &Scene, _: usize) {
    let params = json!({"name": "new__t", "arguments": {"ask": true}});
    let leave = async |session: &str| {
        scene.hear(&scene.legacy(session, 7, "tools/call", &params), "elicitation/create").await;
    };
    scene.in_session(leave).await;
    scene.send(scene.modern("tools/call", params.clone())).await;
}

async fn listen_and_go_away(scene: &Scene, _: usize) {
    let wanted = json!({"notifications": {"toolsListChanged": true, "resourceSubscriptions": ["x://r"]}});
    scene.hear(&scene.modern("subscriptions/listen", wanted), "acknowledged").await;
    let listen = async |session: &str| scene.hear(&scene.with("GET /mcp", session), "text/event-stream").await;
    scene.in_session(listen).await;
}

async fn change_the_list(scene: &Scene, _: usize) {
    for name in ["old__t", "new__t"] {
        call(scene.stage.address, name, &json!({"change": true})).await;
    }
}

async fn break_off(scene: &Scene, _: usize) {
    scene.send(scene.modern("tools/call", json!({"name": "web__t", "arguments": {"break": true}}))).await;
}

/// Other instances, each of which is attached to and listed anew.
async fn come_and_go(scene: &Scene, _: usize) {
    scene.want(&[]);
    scene.stage.until_known(1).await;
    scene.want(&["old", "new"]);
    scene.stage.until_known(3).await;
}

/// What has to be found: eight bytes for each call.
async fn forget(scene: &Scene, number: usize) {
    scene.send(scene.modern("tools/call", json!({"name": "new__t", "arguments": {}}))).await;
    let _: &mut usize = Box::leak(Box::new(number));
}

/// By how many bytes the hub has grown each time that this was done, where it has.
macro_rules! grown {
    ($deed:ident) => {{
        let scene = Scene::begin().await;
        let grown = growth(async |number| $deed(&scene, number).await).await;
        grown.map(|by| format!("{}: {by:.0} bytes each time", stringify!($deed)))
    }};
}

#[tokio::test]
async fn whatever_is_done_again_and_again_leaves_nothing_behind() {
    assert_eq!(grown!(forget).as_deref(), Some("forget: 8 bytes each time"), "what is left behind is found");
    let all = [
        grown!(call_each),
        grown!(call_each_in_a_session),
        grown!(list),
        grown!(ask_for_what_there_is_not),
        grown!(say_nonsense),
        grown!(go_away_meanwhile),
        grown!(cancel),
        grown!(hear_of_progress),
        grown!(be_asked),
        grown!(be_asked_and_go_away),
        grown!(listen_and_go_away),
        grown!(change_the_list),
        grown!(break_off),
        grown!(come_and_go),
    ];
    let grown: Vec<String> = all.into_iter().flatten().collect();
    assert!(grown.is_empty(), "the hub grows by what is done again and again:\n{}", grown.join("\n"));
}
