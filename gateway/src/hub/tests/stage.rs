//! Servers of a few lines, a hub over them, and a client.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use crate::config::{AuditConfig, CallLimits, Endpoint, GatewayConfig, Instance, PinPolicy, ServerConfig};
use crate::connection::own_meta;
use crate::hub::{Attach, Hub, HubParts, InstanceHealth};
use crate::upstream::client::HttpClient;
use crate::upstream::exchange::{Answer, Exchange, Next, Note, UpstreamError};
use crate::upstream::http::{Dress, HttpLink, HttpSession};
use crate::upstream::stdio::Attached;
use crate::wire::object::RawObject;

/// What a server says to a message: any number of lines, at once.
pub(super) type Script = Arc<dyn Fn(&Value, &Out) + Send + Sync>;

/// Where a server's lines go.
#[derive(Clone)]
pub(super) struct Out(tokio::sync::mpsc::UnboundedSender<String>);

impl Out {
    /// Writes a line.
    pub(super) fn say(&self, line: &Value) {
        drop(self.0.send(line.to_string()));
    }

    /// Writes lines that are there all at once.
    pub(super) fn say_all(&self, lines: impl Iterator<Item = Value>) {
        let lines: Vec<String> = lines.map(|line| line.to_string()).collect();
        drop(self.0.send(lines.join("\n")));
    }

    /// Answers a request.
    pub(super) fn answer(&self, request: &Value, result: &Value) {
        self.say(&json!({"jsonrpc": "2.0", "id": request["id"], "result": result}));
    }

    /// Answers a request with an error.
    pub(super) fn fail(&self, request: &Value, code: i64, message: &str) {
        self.say(&json!({"jsonrpc": "2.0", "id": request["id"], "error": {"code": code, "message": message}}));
    }
}

/// Servers by the ids of their instances. To attach starts one, as long as there is a script.
#[derive(Clone, Default)]
pub(super) struct Servers {
    scripts: Arc<Mutex<BTreeMap<String, Script>>>,
    running: Arc<Mutex<BTreeMap<String, AbortHandle>>>,
    /// How often each was attached to.
    attached: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl std::fmt::Debug for Servers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Servers")
    }
}

impl Servers {
    /// An instance speaks by this script from now on.
    pub(super) fn run(&self, instance: &str, script: Script) {
        self.scripts.lock().unwrap().insert(instance.to_owned(), script);
    }

    /// Ends an instance; it is begun anew when it is attached to.
    pub(super) fn kill(&self, instance: &str) {
        if let Some(task) = self.running.lock().unwrap().remove(instance) {
            task.abort();
        }
    }

    /// An instance is not there any more.
    pub(super) fn remove(&self, instance: &str) {
        self.scripts.lock().unwrap().remove(instance);
        self.kill(instance);
    }
}

#[async_trait]
impl Attach for Servers {
    async fn attach(&self, instance: &str) -> io::Result<Attached> {
        let script = self.scripts.lock().unwrap().get(instance).cloned();
        let script = script.ok_or_else(|| io::Error::other("there is no such container"))?;
        *self.attached.lock().unwrap().entry(instance.to_owned()).or_default() += 1;
        let (input, its_input) = tokio::io::duplex(1 << 20);
        let (its_output, output) = tokio::io::duplex(1 << 20);
        let task = tokio::spawn(follow(script, its_input, its_output)).abort_handle();
        self.running.lock().unwrap().insert(instance.to_owned(), task);
        Ok(Attached { input: Box::new(input), output: Box::new(output) })
    }
}

async fn follow(script: Script, input: DuplexStream, mut output: DuplexStream) {
    let (tx, mut lines) = tokio::sync::mpsc::unbounded_channel::<String>();
    let mut input = BufReader::new(input).lines();
    loop {
        tokio::select! {
            line = input.next_line() => {
                let Ok(Some(line)) = line else { return };
                script(&serde_json::from_str(&line).unwrap(), &Out(tx.clone()));
            }
            Some(line) = lines.recv() => {
                if output.write_all(format!("{line}\n").as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// A server of one era with these tools; a call of `echo` gives its arguments back, any other tool is `more`'s.
pub(super) fn server(is_modern: bool, tools: &[&str], more: impl Fn(&Value, &Out) + Send + Sync + 'static) -> Script {
    let tools: Vec<Value> = tools
        .iter()
        .map(|name| json!({"name": name, "x-vendor": {"kept": [1, 2.50]}, "inputSchema": {"type": "object"}}))
        .collect();
    Arc::new(move |message, out| {
        let cache = json!({"resultType": "complete", "ttlMs": 0, "cacheScope": "private"});
        let with_cache = |mut result: Value| {
            if is_modern {
                for (key, value) in cache.as_object().unwrap() {
                    result[key] = value.clone();
                }
            }
            result
        };
        let capabilities = json!({"tools": {"listChanged": true}});
        match message["method"].as_str().unwrap_or_default() {
            "server/discover" if is_modern => {
                out.answer(message, &with_cache(json!({"supportedVersions": ["2026-07-28"], "capabilities": capabilities})));
            }
            "initialize" if !is_modern => out.answer(
                message,
                &json!({"protocolVersion": "2025-11-25", "capabilities": capabilities, "serverInfo": {"name": "s", "version": "1"}}),
            ),
            "tools/list" => out.answer(message, &with_cache(json!({"tools": tools}))),
            "ping" => out.answer(message, &json!({})),
            "tools/call" if message["params"]["name"] == "echo" => {
                let text = message["params"]["arguments"].to_string();
                let mut result = json!({"content": [{"type": "text", "text": text}], "vendor": {"kept": true}});
                if is_modern {
                    result["resultType"] = "complete".into();
                }
                out.answer(message, &result);
            }
            "tools/call" => more(message, out),
            method if method.starts_with("notifications/") => more(message, out),
            _ => out.fail(message, -32601, "Method not found"),
        }
    })
}

/// Nothing more than the standard tools.
pub(super) fn nothing_more(message: &Value, out: &Out) {
    if message.get("id").is_some() {
        out.fail(message, -32602, "unknown tool");
    }
}

/// Answers a call with a text.
pub(super) fn saying(text: &'static str) -> impl Fn(&Value, &Out) + Send + Sync {
    move |message, out| {
        out.answer(message, &json!({"resultType": "complete", "content": [{"type": "text", "text": text}]}));
    }
}

/// A hub on a port of the loopback.
pub(super) struct Stage {
    pub(super) hub: Arc<Hub>,
    pub(super) servers: Servers,
    pub(super) address: SocketAddr,
    serving: Mutex<JoinSet<()>>,
    stop: Arc<Notify>,
}

impl Stage {
    /// Begins without servers. `directory` keeps lists and the audit.
    pub(super) async fn begin(directory: Option<&Path>) -> Self {
        Self::begin_with(directory, Servers::default()).await
    }

    /// Begins with servers that may have been there before.
    pub(super) async fn begin_with(directory: Option<&Path>, servers: Servers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let audit = directory.map(|path| AuditConfig::to(path.join("audit.jsonl")));
        let config = GatewayConfig { audit, ..GatewayConfig::on(address) };
        let state_dir = directory.map(|path| path.join("state"));
        let attach = Arc::new(servers.clone());
        let hub = open_once_free(&HubParts { config, attach, state_dir, leases: Arc::default() }).await;
        let mut serving = JoinSet::new();
        let stop = Arc::new(Notify::new());
        let (served, stopped) = (Arc::clone(&hub), Arc::clone(&stop));
        serving.spawn(async move { served.serve(listener, stopped.notified()).await });
        Self { hub, servers, address, serving: Mutex::new(serving), stop }
    }

    /// Ends it as a gateway ends that is told to.
    pub(super) async fn end(&self) {
        self.stop.notify_one();
        let mut serving = std::mem::take(&mut *self.serving.lock().unwrap());
        while serving.join_next().await.is_some() {}
        self.hub.audit.settled().await;
    }

    /// Has these servers, each as its current instances and its old ones: `name`, ids, ids.
    pub(super) fn want(&self, servers: &[(&str, &[&str], &[&str])]) {
        self.hub.set_servers(configs(servers, PinPolicy::Off));
    }

    /// Has one server whose definitions are pinned.
    pub(super) fn want_pinned(&self, name: &str, current: &[&str], pin: PinPolicy) {
        self.hub.set_servers(configs(&[(name, current, &[])], pin));
    }

    /// Has one server whose definitions are pinned, as its current instances and its old ones.
    pub(super) fn want_succession(&self, name: &str, current: &[&str], old: &[&str], pin: PinPolicy) {
        self.hub.set_servers(configs(&[(name, current, old)], pin));
    }

    /// Waits until these tools are listed.
    pub(super) async fn until_listed(&self, names: &[&str]) {
        let mut last = Vec::new();
        for _ in 0..1_000 {
            last = self.tools().await;
            if last == names {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{last:?} instead of {names:?}; {:?}", self.hub.health().borrow());
    }

    /// Waits until an instance is ready.
    pub(super) async fn until_ready(&self, id: &str) {
        let mut health = self.hub.health();
        let ready = health.wait_for(|health| health.get(id) == Some(&InstanceHealth::Ready));
        timeout(Duration::from_secs(10), ready).await.unwrap().unwrap();
    }

    /// The names of the tools that a modern client is told.
    pub(super) async fn tools(&self) -> Vec<String> {
        let result = self.modern("tools/list", json!({})).await.unwrap();
        result["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    }

    pub(super) fn link(&self) -> HttpLink {
        let host = self.address.to_string();
        HttpLink::new(HttpClient::plain(), self.address, "/mcp", &host, &BTreeMap::new(), 16 << 20).unwrap()
    }

    /// What is at a path, whole.
    pub(super) async fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        body.to_owned()
    }

    /// What a modern client is answered.
    pub(super) async fn modern(&self, method: &str, params: Value) -> Result<Value, Value> {
        read(self.modern_exchange(method, params).await.answer().await)
    }

    /// A modern client's request under way.
    pub(super) async fn modern_exchange(&self, method: &str, mut params: Value) -> Exchange {
        params["_meta"] = serde_json::from_str(&own_meta()).unwrap();
        let name = params["name"].as_str().or_else(|| params["uri"].as_str()).map(str::to_owned);
        let text = params.to_string();
        let dress = Dress::Modern { name: name.as_deref(), params: &[] };
        self.link().call(dress, method, RawObject::parse(&text).unwrap(), false).await
    }

    /// A legacy client with a session.
    pub(super) async fn legacy(&self, capabilities: Value) -> LegacyClient {
        let link = self.link();
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": {"name": "c", "version": "1"}});
        let text = params.to_string();
        let (answer, id) = link.initialize(RawObject::parse(&text).unwrap()).await.unwrap();
        let result = read(Ok(answer)).unwrap();
        let version = result["protocolVersion"].as_str().unwrap().to_owned();
        let session = HttpSession { id: Some(id.unwrap()), version };
        link.notify(Dress::Session(&session), "notifications/initialized", None).await.unwrap();
        LegacyClient { link, session }
    }
}

/// Opens a hub once the audit's last writer has ended, as whoever runs hubs does.
async fn open_once_free(parts: &HubParts) -> Arc<Hub> {
    for _ in 0..1_000 {
        let (config, attach) = (parts.config.clone(), Arc::clone(&parts.attach));
        match Hub::open(HubParts {
            config,
            attach,
            state_dir: parts.state_dir.clone(),
            leases: Arc::clone(&parts.leases),
        }) {
            Ok(hub) => return hub,
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
    panic!("the audit is never free");
}

/// Servers, each as its current instances and its old ones.
fn configs(servers: &[(&str, &[&str], &[&str])], pin: PinPolicy) -> Vec<ServerConfig> {
    let instance = |id: &&str, is_current| {
        let endpoint = Endpoint::Stdio;
        Instance { id: (*id).to_owned(), run_ms: None, is_current, is_leaving: false, endpoint }
    };
    let config = |(name, current, old): &(&str, &[&str], &[&str])| {
        let current = current.iter().map(|id| instance(id, true));
        let instances = current.chain(old.iter().map(|id| instance(id, false))).collect();
        let calls = CallLimits { timeout: Duration::from_secs(5), result_bytes: 1 << 20, ..CallLimits::default() };
        ServerConfig { pin, calls, ..ServerConfig::of(name, instances) }
    };
    servers.iter().map(config).collect()
}

/// A client of a version with sessions.
pub(super) struct LegacyClient {
    pub(super) link: HttpLink,
    pub(super) session: HttpSession,
}

impl LegacyClient {
    /// What it is answered. What the server asks of it on the way is answered by `reply`.
    pub(super) async fn call(
        &self,
        method: &str,
        params: Value,
        reply: impl Fn(&str, &Value) -> Value,
    ) -> Result<Value, Value> {
        let text = params.to_string();
        let dress = Dress::Session(&self.session);
        let exchange = self.link.call(dress, method, RawObject::parse(&text).unwrap(), false).await;
        let Exchange::Open(mut open) = exchange else { return read(exchange.answer().await) };
        loop {
            match open.next().await {
                Next::Answer(answer) => return read(answer),
                Next::Note(Note::Request { id, method, params }) => {
                    let params = serde_json::from_str(&params.unwrap_or_default()).unwrap_or_default();
                    let result = reply(&method, &params).to_string();
                    let text = crate::wire::reply::result_reply(&id, &result);
                    self.link.respond(&self.session, text).await.unwrap();
                }
                Next::Note(Note::Notification { .. }) => {}
            }
        }
    }

    /// What it is answered to a call of a tool.
    pub(super) async fn call_tool(&self, name: &str, arguments: Value) -> Result<Value, Value> {
        self.call("tools/call", json!({"name": name, "arguments": arguments}), |_, _| Value::Null).await
    }
}

fn read(answer: Result<Answer, UpstreamError>) -> Result<Value, Value> {
    match answer.unwrap() {
        Answer::Result(result) => Ok(serde_json::from_str(&result).unwrap()),
        Answer::Error(error) => Err(serde_json::from_str(&error).unwrap()),
    }
}
