//! What a server by HTTP says of itself outside of any request: it is heard again, however its stream fails.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::task::JoinSet;

use super::stage::Stage;
use super::subscriptions::Reader;
use crate::config::{Endpoint, Instance, ServerConfig};

const URI: &str = "x://a";

/// A legacy server by HTTP whose stream is not there when it is asked for first. What it says is `None` where its stream ends.
struct Speaker {
    tools: Mutex<Vec<&'static str>>,
    streams: AtomicUsize,
    says: broadcast::Sender<Option<String>>,
}

impl Speaker {
    async fn begin() -> (Arc<Self>, SocketAddr, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tools, says) = (Mutex::new(vec!["one"]), broadcast::Sender::new(16));
        let speaker = Arc::new(Self { tools, streams: AtomicUsize::new(0), says });
        let (own, mut serving) = (Arc::clone(&speaker), JoinSet::new());
        serving.spawn(async move {
            let mut answering = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let own = Arc::clone(&own);
                answering.spawn(async move { own.answer(stream).await });
            }
        });
        (speaker, address, serving)
    }

    async fn answer(&self, mut stream: TcpStream) -> Option<()> {
        let (is_get, message) = read_request(&mut stream).await?;
        if is_get {
            return self.speak(stream).await;
        }
        let capabilities = json!({"tools": {"listChanged": true}, "resources": {"subscribe": true}});
        let result = match message["method"].as_str().unwrap_or_default() {
            "initialize" => json!({"protocolVersion": "2025-11-25", "capabilities": capabilities, "serverInfo": {}}),
            "tools/list" => {
                let tools = self.tools.lock().unwrap().clone();
                let tools = tools.into_iter().map(|name| json!({"name": name, "inputSchema": {"type": "object"}}));
                json!({"tools": tools.collect::<Vec<Value>>()})
            }
            "resources/list" => json!({"resources": [{"uri": URI, "name": "a"}]}),
            "resources/templates/list" => json!({"resourceTemplates": []}),
            "server/discover" => Value::Null,
            _ => json!({}),
        };
        let mut body = json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
        if result.is_null() {
            body =
                json!({"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32601, "message": "no such method"}});
        }
        let (status, body) =
            if message["id"].is_null() { ("202 Accepted", String::new()) } else { ("200 OK", body.to_string()) };
        let head = "Content-Type: application/json\r\nMcp-Session-Id: theirs\r\nConnection: close";
        let text = format!("HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(text.as_bytes()).await.ok()
    }

    async fn speak(&self, mut stream: TcpStream) -> Option<()> {
        let mut says = self.says.subscribe();
        if self.streams.fetch_add(1, Ordering::Relaxed) == 0 {
            let text = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            return stream.write_all(text.as_bytes()).await.ok();
        }
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).await.ok()?;
        while let Some(line) = says.recv().await.ok()? {
            stream.write_all(format!("data: {line}\n\n").as_bytes()).await.ok()?;
        }
        Some(())
    }

    /// Waits until its stream was asked for so often.
    async fn until_asked(&self, times: usize) {
        for _ in 0..1_000 {
            if self.streams.load(Ordering::Relaxed) >= times {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it was asked for its stream {} times", self.streams.load(Ordering::Relaxed));
    }
}

/// A request, whole: whether it is a GET, and its message.
async fn read_request(stream: &mut TcpStream) -> Option<(bool, Value)> {
    let mut bytes = Vec::new();
    loop {
        let mut more = [0; 4096];
        let length = stream.read(&mut more).await.ok().filter(|length| *length > 0)?;
        bytes.extend_from_slice(&more[..length]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        if head.starts_with("GET") || head.starts_with("DELETE") {
            return Some((head.starts_with("GET"), Value::Null));
        }
        if let Ok(message) = serde_json::from_str(body) {
            return Some((false, message));
        }
    }
}

/// Waits until a session is told of the resource, and then of nothing more.
async fn until_heard(reader: &mut Reader) {
    for _ in 0..50 {
        if reader.hears().await.is_some() {
            while reader.hears().await.is_some() {}
            return;
        }
    }
    panic!("it was told of nothing");
}

#[tokio::test]
async fn a_server_is_heard_once_its_stream_opens_and_after_a_gap_everything_may_have_changed() {
    let stage = Stage::begin(None).await;
    let (speaker, address, _serving) = Speaker::begin().await;
    let endpoint =
        Endpoint::Http { address, path: "/mcp".to_owned(), host: address.to_string(), headers: BTreeMap::new() };
    let instance = Instance { id: "a-1".to_owned(), run_ms: None, is_current: true, is_leaving: false, endpoint };
    stage.hub.set_servers(vec![ServerConfig::of("a", vec![instance])]);
    stage.until_listed(&["a__one"]).await;
    let mut reader = Reader::begin(&stage).await;
    reader.subscribe(URI).await;
    speaker.until_asked(2).await;
    while reader.hears().await.is_some() {}
    let updated = json!({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": URI}});
    speaker.says.send(Some(updated.to_string())).unwrap();
    until_heard(&mut reader).await;
    // Its events have no ids, so what happens until it is heard again is not told.
    speaker.tools.lock().unwrap().push("two");
    speaker.says.send(None).unwrap();
    speaker.until_asked(3).await;
    until_heard(&mut reader).await;
    stage.until_listed(&["a__one", "a__two"]).await;
}
