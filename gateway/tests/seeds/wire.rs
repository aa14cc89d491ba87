//! HTTP in memory: one connection for each request, as many clients have it.

use std::sync::Arc;

use bytes::Bytes;
use gateway::hub::Hub;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::duplex;
use tokio::task::AbortHandle;

/// How much of what nobody has read yet is between a client and the hub.
const PIPE_BYTES: usize = 8 << 10;

/// The way of a client to the hub.
#[derive(Debug, Clone)]
pub(crate) struct Wire {
    pub(crate) hub: Arc<Hub>,
    pub(crate) token: String,
}

/// An answer that is read as it comes. Whoever drops it hangs up.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) session: Option<String>,
    is_stream: bool,
    body: Incoming,
    text: String,
    is_over: bool,
    _connection: Connection,
}

/// Hung up when it is dropped.
#[derive(Debug)]
struct Connection(AbortHandle);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Wire {
    /// Sends a request; `headers` are those that say what it is about.
    pub(crate) async fn send(&self, method: Method, headers: &[(&str, &str)], body: &Value) -> Answer {
        let (io, its_io) = duplex(PIPE_BYTES);
        let hub = Arc::clone(&self.hub);
        tokio::spawn(async move { hub.serve_stream(its_io).await });
        let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await.unwrap();
        let connection = Connection(tokio::spawn(async move { drop(connection.await) }).abort_handle());
        let mut request = Request::builder()
            .method(method)
            .uri("/mcp")
            .header("host", "localhost")
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let response = sender.send_request(request.body(Full::new(Bytes::from(text))).unwrap()).await.unwrap();
        let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        Answer {
            status: response.status(),
            session: header("mcp-session-id"),
            is_stream: header("content-type").as_deref() == Some("text/event-stream"),
            body: response.into_body(),
            text: String::new(),
            is_over: false,
            _connection: connection,
        }
    }
}

impl Answer {
    /// The next message. Cancel-safe: what was read of one is kept.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            if self.is_stream
                && let Some((event, rest)) = self.text.split_once("\n\n")
            {
                let data: String = event.lines().filter_map(|line| line.strip_prefix("data:")).collect();
                let rest = rest.to_owned();
                self.text = rest;
                if !data.is_empty() {
                    return Some(serde_json::from_str(&data).unwrap());
                }
                continue;
            }
            if self.is_over {
                let text = std::mem::take(&mut self.text);
                return (!text.trim().is_empty()).then(|| serde_json::from_str(&text).unwrap());
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    let bytes = frame.into_data().unwrap_or_default();
                    self.text.push_str(std::str::from_utf8(&bytes).unwrap());
                }
                Some(Err(_)) | None => self.is_over = true,
            }
        }
    }
}
