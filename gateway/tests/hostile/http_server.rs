//! A server by HTTP that may answer whatever it likes.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// What it does about a request.
pub(crate) enum Conduct {
    /// It writes this and closes.
    Say(Vec<u8>),
    /// It writes the first and then the second, again and again.
    SayForEver(Vec<u8>, Vec<u8>),
    /// It writes this, and nothing more.
    Stop(Vec<u8>),
    /// It writes this once it is told to, and closes.
    Wait(Arc<Notify>, Vec<u8>),
}

/// A request that came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The lines before the body, in lower case.
    pub(crate) head: String,
    /// The body as JSON.
    pub(crate) message: Value,
}

impl Asked {
    /// The method of MCP.
    pub(crate) fn method(&self) -> &str {
        self.message["method"].as_str().unwrap_or_default()
    }
}

/// A server, and all that it was asked.
pub(crate) struct HttpServer {
    pub(crate) address: SocketAddr,
    pub(crate) asked: Arc<Mutex<Vec<Asked>>>,
    task: JoinHandle<()>,
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl HttpServer {
    /// A server of one era with a tool `t`, whose conduct is `more`'s wherever that has one.
    pub(crate) async fn start(
        is_modern: bool,
        more: impl Fn(&Asked) -> Option<Conduct> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (noted, more) = (Arc::clone(&asked), Arc::new(more));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (noted, more) = (Arc::clone(&noted), Arc::clone(&more));
                tokio::spawn(async move {
                    let mut stream = stream;
                    let Some(asked) = read(&mut stream).await else { return };
                    noted.lock().unwrap().push(asked.clone());
                    let conduct = more(&asked).unwrap_or_else(|| Conduct::Say(usual(is_modern, &asked)));
                    act(&mut stream, conduct).await;
                });
            }
        });
        Self { address, asked, task }
    }
}

async fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    let mut piece = vec![0; 64 << 10];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.and_then(|length| length.parse().ok()).unwrap_or(0) {
                return Some(Asked { head, message: serde_json::from_str(body).unwrap_or_default() });
            }
        }
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
        }
    }
}

async fn act(stream: &mut TcpStream, conduct: Conduct) {
    match conduct {
        Conduct::Say(bytes) => drop(stream.write_all(&bytes).await),
        Conduct::SayForEver(first, then) => {
            let mut is_heard = stream.write_all(&first).await.is_ok();
            while is_heard {
                is_heard = stream.write_all(&then).await.is_ok();
                tokio::task::yield_now().await;
            }
        }
        Conduct::Wait(told, bytes) => {
            told.notified().await;
            drop(stream.write_all(&bytes).await);
        }
        Conduct::Stop(bytes) => {
            drop(stream.write_all(&bytes).await);
            // Until the other side has had enough.
            drop(stream.read(&mut [0; 1]).await);
        }
    }
}

fn usual(is_modern: bool, asked: &Asked) -> Vec<u8> {
    let result = match asked.method() {
        "server/discover" if is_modern => {
            json!({"resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}})
        }
        "initialize" if !is_modern => {
            json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {}})
        }
        "tools/list" => json!({"resultType": "complete", "tools": [super::stage::tool("t")]}),
        "tools/call" => json!({"resultType": "complete", "content": [{"type": "text", "text": "fine"}]}),
        _ if asked.message["id"].is_null() => {
            let status = if asked.head.starts_with("get") { "405 Method Not Allowed" } else { "202 Accepted" };
            return format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").into_bytes();
        }
        _ => {
            let error = json!({"code": -32601, "message": "no such method"});
            return whole("", &json!({"jsonrpc": "2.0", "id": asked.message["id"], "error": error}).to_string());
        }
    };
    let session = if asked.method() == "initialize" { "Mcp-Session-Id: theirs\r\n" } else { "" };
    whole(session, &json!({"jsonrpc": "2.0", "id": asked.message["id"], "result": result}).to_string())
}

/// An answer of JSON, with further headers.
pub(crate) fn whole(headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// The head of a stream of events that ends with its connection.
pub(crate) fn stream_head() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n".to_vec()
}
