//! A hub on the loopback, and servers of a few lines that may write whatever they like.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use gateway::config::{CallLimits, Endpoint, GatewayConfig, Instance, PinPolicy, Rule, ServerConfig, TokenConfig};
use gateway::hub::{Attach, Hub, HubParts};
use gateway::upstream::stdio::Attached;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, duplex};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// No test waits longer for anything: a hub that hangs fails it.
pub(crate) const IN_TIME: Duration = Duration::from_secs(30);

/// What a server does about a message.
pub(crate) type Script = Arc<dyn Fn(&Value, &Out) + Send + Sync>;

/// Where a server's bytes go.
#[derive(Clone)]
pub(crate) struct Out(mpsc::UnboundedSender<Vec<u8>>);

impl Out {
    /// Writes bytes as they are: no line end is added.
    pub(crate) fn write(&self, bytes: impl Into<Vec<u8>>) {
        drop(self.0.send(bytes.into()));
    }

    /// Writes a message.
    pub(crate) fn say(&self, message: &Value) {
        self.write(format!("{message}\n"));
    }

    /// Answers a request.
    pub(crate) fn answer(&self, request: &Value, result: &Value) {
        self.say(&json!({"jsonrpc": "2.0", "id": request["id"], "result": result}));
    }

    /// Answers a request with one text.
    pub(crate) fn answer_text(&self, request: &Value, text: &str) {
        self.answer(request, &json!({"resultType": "complete", "content": [{"type": "text", "text": text}]}));
    }
}

/// Servers by the ids of their instances.
#[derive(Clone, Default)]
pub(crate) struct Servers(Arc<Mutex<BTreeMap<String, Script>>>);

impl std::fmt::Debug for Servers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Servers")
    }
}

#[async_trait]
impl Attach for Servers {
    async fn attach(&self, instance: &str) -> io::Result<Attached> {
        let script = self.0.lock().unwrap().get(instance).cloned();
        let script = script.ok_or_else(|| io::Error::other("there is no such container"))?;
        let (input, its_input) = duplex(1 << 20);
        let (its_output, output) = duplex(1 << 20);
        tokio::spawn(follow(script, its_input, its_output));
        Ok(Attached { input: Box::new(input), output: Box::new(output) })
    }
}

async fn follow(script: Script, input: DuplexStream, mut output: DuplexStream) {
    let (tx, mut pieces) = mpsc::unbounded_channel::<Vec<u8>>();
    tokio::spawn(async move {
        while let Some(piece) = pieces.recv().await {
            if output.write_all(&piece).await.is_err() {
                return;
            }
        }
    });
    let mut input = BufReader::new(input).lines();
    while let Ok(Some(line)) = input.next_line().await {
        script(&serde_json::from_str(&line).unwrap(), &Out(tx.clone()));
    }
}

/// A tool of this name.
pub(crate) fn tool(name: &str) -> Value {
    json!({"name": name, "inputSchema": {"type": "object"}})
}

/// A server of one era with these tools; calls and notifications are `more`'s.
pub(crate) fn server(
    is_modern: bool,
    tools: Vec<Value>,
    more: impl Fn(&Value, &Out) + Send + Sync + 'static,
) -> Script {
    Arc::new(move |message, out| {
        let capabilities = json!({"tools": {"listChanged": true}, "logging": {}});
        match message["method"].as_str().unwrap_or_default() {
            "server/discover" if is_modern => out.answer(
                message,
                &json!({"resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": capabilities}),
            ),
            "initialize" if !is_modern => out.answer(
                message,
                &json!({"protocolVersion": "2025-11-25", "capabilities": capabilities, "serverInfo": {}}),
            ),
            "tools/list" => out.answer(message, &json!({"resultType": "complete", "tools": tools})),
            "ping" => out.answer(message, &json!({})),
            "tools/call" => more(message, out),
            method if method.starts_with("notifications/") => more(message, out),
            _ => {
                let error = json!({"code": -32601, "message": "no such method"});
                out.say(&json!({"jsonrpc": "2.0", "id": message["id"], "error": error}));
            }
        }
    })
}

/// Gives the arguments of a call back.
pub(crate) fn echo(message: &Value, out: &Out) {
    if message["method"] == "tools/call" {
        out.answer_text(message, &message["params"]["arguments"].to_string());
    }
}

/// A hub on a port of the loopback.
pub(crate) struct Stage {
    pub(crate) hub: Arc<Hub>,
    pub(crate) servers: Servers,
    pub(crate) address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Stage {
    /// A hub that lets everybody in.
    pub(crate) async fn begin() -> Self {
        Self::begin_with(&[], &[]).await
    }

    /// A hub for these principals, each with its token, and these rules.
    pub(crate) async fn begin_with(principals: &[(&str, &str)], rules: &[Rule]) -> Self {
        let token = |(principal, token): &(&str, &str)| TokenConfig {
            principal: (*principal).to_owned(),
            roles: vec![],
            sha256: Sha256::digest(token).into(),
        };
        let tokens = principals.iter().map(token).collect();
        Self::begin_as(|config| GatewayConfig { tokens, rules: rules.to_vec(), ..config }).await
    }

    /// A hub that is set otherwise.
    pub(crate) async fn begin_as(set: impl FnOnce(GatewayConfig) -> GatewayConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let config = set(GatewayConfig::on(address));
        let servers = Servers::default();
        let attach = Arc::new(servers.clone());
        let hub = Hub::open(HubParts { config, attach, state_dir: None, leases: Arc::default() }).unwrap();
        let shared = Arc::clone(&hub);
        let serving = tokio::spawn(async move { shared.serve(listener, std::future::pending()).await });
        Self { hub, servers, address, serving }
    }

    /// An instance speaks by this script from when it is next attached to.
    pub(crate) fn run(&self, instance: &str, script: Script) {
        self.servers.0.lock().unwrap().insert(instance.to_owned(), script);
    }

    /// Has these servers over standard streams, each with one instance of its own name.
    pub(crate) fn want(&self, names: &[&str]) {
        self.hub.set_servers(names.iter().map(|name| config(name, Endpoint::Stdio, PinPolicy::Off)).collect());
    }

    /// Has one server that is asked one thing at a time.
    pub(crate) fn want_one_at_a_time(&self, name: &str) {
        let mut config = config(name, Endpoint::Stdio, PinPolicy::Off);
        config.calls.concurrency = 1;
        self.hub.set_servers(vec![config]);
    }

    /// Has one server that has little time for a call.
    pub(crate) fn want_soon(&self, name: &str) {
        self.hub.set_servers(vec![soon(config(name, Endpoint::Stdio, PinPolicy::Off))]);
    }

    /// Has one server by HTTP that has little time for a call.
    pub(crate) fn want_http_soon(&self, name: &str, address: SocketAddr) {
        self.hub.set_servers(vec![soon(config(name, at(address), PinPolicy::Off))]);
    }

    /// Has one server whose definitions are pinned.
    pub(crate) fn want_pinned(&self, name: &str, pin: PinPolicy) {
        self.hub.set_servers(vec![config(name, Endpoint::Stdio, pin)]);
    }

    /// Has one server by HTTP.
    pub(crate) fn want_http(&self, name: &str, address: SocketAddr) {
        self.hub.set_servers(vec![config(name, at(address), PinPolicy::Off)]);
    }

    /// Has a server by HTTP that is sent a secret, and one over standard streams.
    pub(crate) fn want_http_with(&self, name: &str, address: SocketAddr, secret: &str, other: &str) {
        let mut with = config(name, at(address), PinPolicy::Off);
        with.secrets = vec![secret.to_owned()];
        self.hub.set_servers(vec![with, config(other, Endpoint::Stdio, PinPolicy::Off)]);
    }

    /// Has one server by HTTP, and one over standard streams.
    pub(crate) fn want_http_beside(&self, name: &str, address: SocketAddr, other: &str) {
        let configs = vec![config(name, at(address), PinPolicy::Off), config(other, Endpoint::Stdio, PinPolicy::Off)];
        self.hub.set_servers(configs);
    }

    /// Waits until so many tools are known, whether they are shown or not.
    pub(crate) async fn until_known(&self, count: usize) {
        eventually(|| self.hub.status().tools == count).await;
    }

    /// Waits until an instance is told as broken, and gives what it is told for.
    pub(crate) async fn until_failed(&self, instance: &str) -> String {
        let mut why = String::new();
        eventually(|| {
            let health = format!("{:?}", self.hub.health().borrow().get(instance));
            let is_failed = health.contains("Failed");
            why = health;
            is_failed
        })
        .await;
        why
    }
}

/// By HTTP, there.
pub(crate) fn at(address: SocketAddr) -> Endpoint {
    Endpoint::Http { address, path: "/mcp".to_owned(), host: address.to_string(), headers: BTreeMap::new() }
}

fn soon(mut config: ServerConfig) -> ServerConfig {
    config.calls.timeout = Duration::from_secs(1);
    config
}

/// A server with one instance of its own name.
pub(crate) fn config(name: &str, endpoint: Endpoint, pin: PinPolicy) -> ServerConfig {
    let instance = Instance { id: name.to_owned(), run_ms: None, is_current: true, is_leaving: false, endpoint };
    let calls = CallLimits { timeout: IN_TIME, result_bytes: 1 << 20, ..CallLimits::default() };
    ServerConfig { pin, calls, ..ServerConfig::of(name, vec![instance]) }
}

/// Waits until something has come true.
pub(crate) async fn eventually(mut is_true: impl FnMut() -> bool) {
    let waiting = async {
        while !is_true() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(IN_TIME, waiting).await.expect("it comes true in time");
}
