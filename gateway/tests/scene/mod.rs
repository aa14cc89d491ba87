//! A gateway in this process with a scripted server behind it, and a client of the bridge.

mod ending_early;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use gateway::bridge::{BridgeConfig, BridgeError, run};
use gateway::config::{Endpoint, GatewayConfig, Instance, ServerConfig, TokenConfig};
use gateway::hub::{Attach, Hub, HubParts};
use gateway::upstream::stdio::Attached;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, Lines, duplex};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub(crate) use ending_early::EndingEarly;

pub(crate) const MODERN: &str = "2026-07-28";
const IN_TIME: Duration = Duration::from_secs(20);

/// A server that knows three tools and remembers what was asked of it.
#[derive(Debug, Default)]
pub(crate) struct Script {
    pub(crate) is_modern: bool,
    /// How often `slow` was called.
    pub(crate) slow_calls: AtomicUsize,
    /// How often something was cancelled.
    pub(crate) cancelled: AtomicUsize,
    /// How many sessions with a client's name were begun.
    pub(crate) clients: Mutex<Vec<String>>,
}

#[derive(Debug)]
struct Scripted(Arc<Script>);

#[async_trait]
impl Attach for Scripted {
    async fn attach(&self, _: &str) -> std::io::Result<Attached> {
        let (input, server_input) = duplex(1 << 16);
        let (server_output, output) = duplex(1 << 16);
        tokio::spawn(serve_script(Arc::clone(&self.0), server_input, server_output));
        Ok(Attached { input: Box::new(input), output: Box::new(output) })
    }
}

async fn serve_script(script: Arc<Script>, input: DuplexStream, mut output: DuplexStream) {
    let mut lines = BufReader::new(input).lines();
    let (tx, mut rx) = mpsc::channel::<Value>(100);
    tokio::spawn(async move {
        while let Some(message) = rx.recv().await {
            if output.write_all(format!("{message}\n").as_bytes()).await.is_err() {
                return;
            }
        }
    });
    while let Ok(Some(line)) = lines.next_line().await {
        let asked: Value = serde_json::from_str(&line).unwrap();
        let (script, tx) = (Arc::clone(&script), tx.clone());
        tokio::spawn(async move { answer(&script, &asked, &tx).await });
    }
}

async fn answer(script: &Script, asked: &Value, tx: &mpsc::Sender<Value>) {
    let tool = |name: &str| json!({ "name": name, "inputSchema": { "type": "object" }, "vendorField": 1 });
    let region = json!({ "type": "string", "x-mcp-header": "Region" });
    let result = match asked["method"].as_str().unwrap_or_default() {
        "server/discover" if script.is_modern => {
            json!({ "supportedVersions": [MODERN], "capabilities": { "tools": {} },
            "ttlMs": 0, "cacheScope": "private", "resultType": "complete" })
        }
        "initialize" => {
            script.clients.lock().unwrap().push(asked["params"]["clientInfo"]["name"].to_string());
            json!({ "protocolVersion": "2025-11-25", "capabilities": { "tools": {} }, "serverInfo": {} })
        }
        "tools/list" => json!({ "resultType": "complete", "tools": [tool("echo"), tool("slow"), tool("hang"),
            { "name": "regional", "inputSchema": { "type": "object", "properties": { "region": region } } }] }),
        "notifications/cancelled" => {
            script.cancelled.fetch_add(1, Ordering::SeqCst);
            return;
        }
        "tools/call" => {
            let params = &asked["params"];
            match params["name"].as_str().unwrap_or_default() {
                "slow" => {
                    script.slow_calls.fetch_add(1, Ordering::SeqCst);
                    let token = &params["_meta"]["progressToken"];
                    if !token.is_null() {
                        let progress = json!({ "progressToken": token, "progress": 1, "total": 2 });
                        let note = json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": progress });
                        tx.send(note).await.unwrap();
                    }
                    tokio::time::sleep(Duration::from_millis(400)).await;
                }
                "hang" => {
                    script.slow_calls.fetch_add(1, Ordering::SeqCst);
                    std::future::pending::<()>().await;
                }
                _ => {}
            }
            let text = params["arguments"].to_string();
            json!({ "resultType": "complete", "content": [{ "type": "text", "text": text }], "isError": false })
        }
        _ => {
            if !asked["id"].is_null() {
                let error = json!({ "code": -32601, "message": "no such method" });
                drop(tx.send(json!({ "jsonrpc": "2.0", "id": asked["id"], "error": error })).await);
            }
            return;
        }
    };
    drop(tx.send(json!({ "jsonrpc": "2.0", "id": asked["id"], "result": result })).await);
}

/// A gateway that can be killed.
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    pub(crate) hub: Arc<Hub>,
    task: JoinHandle<()>,
    stop: Arc<Notify>,
}

/// An address that nobody listens at.
pub(crate) async fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

impl Gateway {
    pub(crate) async fn start(script: &Arc<Script>) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), script, None).await
    }

    /// A gateway, once its server has been listed.
    pub(crate) async fn start_at(listen: SocketAddr, script: &Arc<Script>, token: Option<&str>) -> Self {
        let tokens = token.map(|token| TokenConfig {
            principal: "ann".into(),
            roles: vec![],
            sha256: Sha256::digest(token).into(),
        });
        let config = GatewayConfig { tokens: tokens.into_iter().collect(), ..GatewayConfig::on(listen) };
        let attach = Arc::new(Scripted(Arc::clone(script)));
        let hub = Hub::open(HubParts { config, attach, state_dir: None, leases: Arc::default() }).unwrap();
        let instance = Instance {
            id: "one".to_owned(),
            run_ms: None,
            is_current: true,
            is_leaving: false,
            endpoint: Endpoint::Stdio,
        };
        hub.set_servers(vec![ServerConfig::of("s", vec![instance])]);
        let is_listed = async {
            while hub.status().tools == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(IN_TIME, is_listed).await.expect("the server is listed");
        let listener = TcpListener::bind(listen).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(Notify::new());
        let (serving, stopped) = (Arc::clone(&hub), Arc::clone(&stop));
        let task = tokio::spawn(async move { serving.serve(listener, stopped.notified()).await });
        Self { address, hub, task, stop }
    }

    /// Ends it as one ends that is told to: what is under way is answered.
    pub(crate) async fn end(self) {
        self.stop.notify_one();
        self.task.await.unwrap();
    }

    /// Ends it as a crash does: connections break, sessions are forgotten.
    pub(crate) async fn kill(self) {
        self.task.abort();
        drop(self.task.await);
    }
}

/// A client, and the bridge that it started.
pub(crate) struct Client {
    input: Option<DuplexStream>,
    output: Lines<BufReader<DuplexStream>>,
    bridge: JoinHandle<Result<(), BridgeError>>,
    stop: Option<oneshot::Sender<()>>,
}

impl Client {
    pub(crate) fn start(address: SocketAddr) -> Self {
        Self::start_with(address, None, None, Duration::from_secs(15))
    }

    pub(crate) fn start_with(
        address: SocketAddr,
        token: Option<&str>,
        cache_dir: Option<&Path>,
        patience: Duration,
    ) -> Self {
        let config = BridgeConfig {
            address: format!("http://{address}/mcp").parse().unwrap(),
            token: token.map(str::to_owned),
            cache_dir: cache_dir.map(Path::to_owned),
            patience,
        };
        let (input, bridge_input) = duplex(1 << 16);
        let (bridge_output, output) = duplex(1 << 16);
        let (stop, stopped) = oneshot::channel::<()>();
        let bridge = tokio::spawn(run(config, bridge_input, bridge_output, async {
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        }));
        Self { input: Some(input), output: BufReader::new(output).lines(), bridge, stop: Some(stop) }
    }

    pub(crate) async fn send_line(&mut self, line: &str) {
        let input = self.input.as_mut().expect("it is open");
        input.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    pub(crate) async fn send(&mut self, message: Value) {
        self.send_line(&message.to_string()).await;
    }

    /// The next line that the bridge writes, which is always a message.
    pub(crate) async fn next(&mut self) -> Value {
        let line = timeout(IN_TIME, self.output.next_line()).await.expect("a message in time").unwrap();
        let message: Value = serde_json::from_str(&line.expect("it has not ended")).unwrap();
        assert_eq!(message["jsonrpc"], "2.0", "{message}");
        message
    }

    /// The next message with this id; what comes before it is given too.
    pub(crate) async fn answer_of(&mut self, id: &Value) -> (Value, Vec<Value>) {
        let mut before = Vec::new();
        loop {
            let message = self.next().await;
            if message["id"] == *id && message.get("method").is_none() {
                return (message, before);
            }
            before.push(message);
        }
    }

    pub(crate) async fn ask(&mut self, id: Value, method: &str, params: Value) -> Value {
        self.send(json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })).await;
        self.answer_of(&id).await.0
    }

    /// Nothing comes for a while.
    pub(crate) async fn hears_nothing(&mut self) {
        let line = timeout(Duration::from_millis(300), self.output.next_line()).await;
        assert!(line.is_err(), "{line:?}");
    }

    pub(crate) async fn initialize(&mut self) -> Value {
        let answer = self.ask(json!("init"), "initialize", initialize_params()).await;
        self.send(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
        answer
    }

    /// Closes its side and waits for the end; what was still written.
    pub(crate) async fn close(mut self) -> Vec<String> {
        drop(self.input.take());
        self.ended().await
    }

    pub(crate) async fn stop(mut self) -> Vec<String> {
        self.stop.take().unwrap().send(()).unwrap();
        self.ended().await
    }

    async fn ended(&mut self) -> Vec<String> {
        let mut rest = Vec::new();
        let ended = async {
            while let Ok(Some(line)) = self.output.next_line().await {
                rest.push(line);
            }
            (&mut self.bridge).await.unwrap().unwrap();
        };
        timeout(IN_TIME, ended).await.expect("it ends in time");
        rest
    }
}

pub(crate) fn initialize_params() -> Value {
    json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "tester", "version": "1" } })
}

/// Params of a modern request.
pub(crate) fn modern(mut params: Value) -> Value {
    params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!(MODERN);
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
    params
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

/// A proxy that lists no tools and gives up on every call.
pub(crate) struct GivingUp {
    pub(crate) address: SocketAddr,
    /// How many calls it was given.
    pub(crate) calls: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl GivingUp {
    pub(crate) async fn start(status: StatusCode) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let answer = move |request: Request<Incoming>| {
            let counted = Arc::clone(&counted);
            async move {
                let body = request.into_body().collect().await?.to_bytes();
                let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
                let answer = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": { "tools": [] } }).to_string();
                let response = Response::builder().header("content-type", "application/json");
                let given_up = asked["method"] == "tools/call";
                counted.fetch_add(usize::from(given_up), Ordering::SeqCst);
                let (status, body) = if given_up { (status, String::new()) } else { (StatusCode::OK, answer) };
                Ok::<_, hyper::Error>(response.status(status).body(Full::new(Bytes::from(body))).unwrap())
            }
        };
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer.clone()));
                tokio::spawn(served);
            }
        });
        Self { address, calls, task }
    }
}

impl Drop for GivingUp {
    fn drop(&mut self) {
        self.task.abort();
    }
}
