//! A client of either era that keeps its connection, and tells how each call ended.

use std::net::SocketAddr;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use crate::support::http;
use crate::support::mcp::{VERSION, message_of, with_meta};

/// The newest version of the era with sessions.
const LEGACY_VERSION: &str = "2025-11-25";

/// Which of the two protocols a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    /// With sessions.
    Legacy,
    /// Without.
    Modern,
}

/// Where the gateway is, and what lets one in.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
}

impl Door {
    /// A gauge of the gateway; nothing while nobody answers.
    pub(crate) fn gauge(&self, name: &str) -> Option<usize> {
        let headers = format!("Authorization: Bearer {}\r\n", self.token);
        let answer = http::request(self.address, "GET", "/metrics", &headers).ok()?;
        answer.body.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With a result.
    Well,
    /// With an error of the protocol: its code and its message.
    Error(i64, String),
    /// It was not carried out: there is no such session.
    SessionLost,
    /// Without an answer.
    Broken(String),
}

/// What came back for a message.
struct Reply {
    status: StatusCode,
    session: Option<String>,
    body: String,
}

/// A client with one connection.
pub(crate) struct McpClient {
    http: Client<HttpConnector, Full<Bytes>>,
    door: Door,
    era: Era,
    session: Option<String>,
    next_id: u64,
}

impl McpClient {
    /// One that has not asked anything yet.
    pub(crate) fn new(door: &Door, era: Era) -> Self {
        // What was not answered is not sent again behind the test's back.
        let http = Client::builder(TokioExecutor::new()).retry_canceled_requests(false).build_http();
        Self { http, door: door.clone(), era, session: None, next_id: 1 }
    }

    /// Begins a session, where its era has any.
    pub(crate) async fn begin(&mut self) -> Ended {
        if self.era == Era::Modern {
            return Ended::Well;
        }
        self.session = None;
        let client = json!({ "name": "test", "version": "1" });
        let params = json!({ "protocolVersion": LEGACY_VERSION, "capabilities": {}, "clientInfo": client });
        let reply = match self.request("initialize", &params).await {
            Ok(reply) => reply,
            Err(why) => return Ended::Broken(why),
        };
        let ended = ended(&reply);
        if ended != Ended::Well {
            return ended;
        }
        let Some(session) = reply.session else { return Ended::Broken("there is no session".to_owned()) };
        self.session = Some(session);
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        match self.send(Method::POST, "notifications/initialized", None, initialized.to_string()).await {
            Ok(reply) if reply.status == StatusCode::ACCEPTED => Ended::Well,
            Ok(reply) => Ended::Broken(format!("{}: {}", reply.status, reply.body)),
            Err(why) => Ended::Broken(why),
        }
    }

    /// Calls a tool.
    pub(crate) async fn call(&mut self, tool: &str, arguments: &Value) -> Ended {
        self.call_for(tool, arguments).await.err().unwrap_or(Ended::Well)
    }

    /// Calls a tool for its result.
    pub(crate) async fn call_for(&mut self, tool: &str, arguments: &Value) -> Result<Value, Ended> {
        let params = json!({ "name": tool, "arguments": arguments });
        match self.request("tools/call", &params).await {
            Ok(reply) if reply.status == StatusCode::NOT_FOUND && self.era == Era::Legacy => Err(Ended::SessionLost),
            Ok(reply) => match ended(&reply) {
                Ended::Well => Ok(message_of(&reply.body)["result"].clone()),
                other @ (Ended::Error(..) | Ended::SessionLost | Ended::Broken(_)) => Err(other),
            },
            Err(why) => Err(Ended::Broken(why)),
        }
    }

    /// Ends the session.
    pub(crate) async fn end(&mut self) -> Ended {
        match self.send(Method::DELETE, "", None, String::new()).await {
            Ok(reply) if reply.status == StatusCode::OK => Ended::Well,
            Ok(reply) => Ended::Broken(format!("{}: {}", reply.status, reply.body)),
            Err(why) => Ended::Broken(why),
        }
    }

    async fn request(&mut self, method: &str, params: &Value) -> Result<Reply, String> {
        let id = self.next_id;
        self.next_id += 1;
        let params = if self.era == Era::Modern { with_meta(params.clone()) } else { params.clone() };
        let message = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let reply = self.send(Method::POST, method, params["name"].as_str(), message.to_string()).await?;
        let answer = message_of(&reply.body);
        // An error without an id is a refusal of the message itself.
        if answer["id"] != id && !answer["id"].is_null() {
            return Err(format!("the answer to another request: {answer}"));
        }
        Ok(reply)
    }

    async fn send(&self, verb: Method, method: &str, name: Option<&str>, body: String) -> Result<Reply, String> {
        let mut request = Request::builder()
            .method(verb)
            .uri(format!("http://{}/mcp", self.door.address))
            .header("authorization", format!("Bearer {}", self.door.token))
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream");
        match self.era {
            Era::Modern => {
                request = request.header("mcp-protocol-version", VERSION).header("mcp-method", method);
                if let Some(name) = name {
                    request = request.header("mcp-name", name);
                }
            }
            Era::Legacy => {
                if let Some(session) = &self.session {
                    request = request.header("mcp-protocol-version", LEGACY_VERSION).header("mcp-session-id", session);
                }
            }
        }
        let request = request.body(Full::new(Bytes::from(body))).map_err(|error| error.to_string())?;
        let response = self.http.request(request).await.map_err(|error| format!("{error:?}"))?;
        let status = response.status();
        let session = response.headers().get("mcp-session-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
        let body = response.into_body().collect().await.map_err(|error| format!("{error:?}"))?.to_bytes();
        Ok(Reply { status, session, body: String::from_utf8_lossy(&body).into_owned() })
    }
}

/// How a request ended whose answer is this.
fn ended(reply: &Reply) -> Ended {
    let answer = message_of(&reply.body);
    if answer["result"].is_object() && answer["result"]["isError"] != true {
        return Ended::Well;
    }
    match answer["error"]["code"].as_i64() {
        Some(code) => Ended::Error(code, answer["error"]["message"].as_str().unwrap_or_default().to_owned()),
        None => Ended::Broken(format!("{}: {}", reply.status, reply.body)),
    }
}
