//! A gateway with sessions that ends the stream of a call before its answer, and has the rest fetched.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What came and when: a call, or with the event that it names a request for what comes after that.
type Seen = Arc<Mutex<Vec<(Instant, Option<String>)>>>;

/// The gateway. The rest of a stream has the answer where `has_answer` says so, and else nothing at all.
pub(crate) struct EndingEarly {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Seen,
    task: JoinHandle<()>,
}

impl EndingEarly {
    pub(crate) async fn start(has_answer: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Seen::default();
        let told = Arc::clone(&seen);
        let service = move |request: Request<Incoming>| {
            let told = Arc::clone(&told);
            async move {
                let event = request.headers().get("last-event-id").map(|id| id.to_str().unwrap().to_owned());
                let is_read = request.method() == Method::GET;
                let body = request.into_body().collect().await?.to_bytes();
                let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
                if event.is_some() || asked["method"] == "tools/call" {
                    told.lock().unwrap().push((Instant::now(), event.clone()));
                }
                Ok::<_, hyper::Error>(answer(&asked, is_read, event.as_deref(), has_answer))
            }
        };
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(service.clone())));
            }
        });
        Self { address, seen, task }
    }
}

fn answer(asked: &Value, is_read: bool, event: Option<&str>, has_answer: bool) -> Response<Full<Bytes>> {
    let reply = |result: Value| json!({ "jsonrpc": "2.0", "id": asked["id"], "result": result }).to_string();
    let (status, kind, text) = match (asked["method"].as_str(), event) {
        (Some("initialize"), _) => {
            let result = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": { "name": "early", "version": "1" } });
            (StatusCode::OK, "application/json", reply(result))
        }
        (Some("tools/call"), _) => (StatusCode::OK, "text/event-stream", "id: 7\nretry: 300\ndata:\n\n".to_owned()),
        // The only call here has this id.
        (None, Some("7")) if has_answer => {
            let result =
                json!({ "jsonrpc": "2.0", "id": 2, "result": { "content": [{ "type": "text", "text": "late" }] } });
            (StatusCode::OK, "text/event-stream", format!("id: 8\ndata: {result}\n\n"))
        }
        (None, Some(_)) => (StatusCode::OK, "text/event-stream", String::new()),
        (None, None) if is_read => (StatusCode::METHOD_NOT_ALLOWED, "text/plain", String::new()),
        _ => (StatusCode::ACCEPTED, "text/plain", String::new()),
    };
    let response = Response::builder().status(status).header("content-type", kind).header("mcp-session-id", "s-1");
    response.body(Full::new(Bytes::from(text))).unwrap()
}

impl Drop for EndingEarly {
    fn drop(&mut self) {
        self.task.abort();
    }
}
