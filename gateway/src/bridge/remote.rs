//! The gateway by HTTP: raw messages there, raw messages back.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};

use crate::address::McpAddress;
use crate::header::{MCP_PROTOCOL_VERSION, MCP_SESSION_ID};
use crate::upstream::answer::{Place, collect, is_stream};
use crate::upstream::client::HttpClient;
use crate::upstream::exchange::UpstreamError;
use crate::upstream::http::HttpSession;
use crate::upstream::pool::{Pool, RequestError, path_of};
use crate::upstream::stdio::LINE_LIMIT;
use crate::wire::sse::{SseReader, one_line};

/// The largest answer: a server may write [`LINE_LIMIT`], and the gateway puts its envelope around it.
const ANSWER_LIMIT: usize = LINE_LIMIT + (1 << 20);

/// Headers of one message, by name.
pub(super) type Headers = Vec<(String, String)>;

/// The way to the gateway.
#[derive(Debug, Clone)]
pub(super) struct Remote {
    pool: Arc<Pool>,
    path: Uri,
    host: HeaderValue,
    authorization: Option<HeaderValue>,
}

/// Why nothing came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RemoteError {
    /// The message never got there: it may be sent again.
    Unreachable(String),
    /// It may have got there.
    Broken(String),
}

/// What came back.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) status: StatusCode,
    /// The session that it begins.
    pub(super) session_id: Option<String>,
    pub(super) content: Content,
}

/// The body of what came back.
#[derive(Debug)]
pub(super) enum Content {
    /// All of it, on one line.
    Whole(String),
    /// Messages that come one by one.
    Stream(MessageStream),
}

/// Messages that come one by one.
#[derive(Debug)]
pub(super) struct MessageStream {
    body: Incoming,
    reader: SseReader,
    ready: VecDeque<String>,
    /// How far it came.
    pub(super) place: Place,
}

impl Remote {
    /// The way to an address; `None` when the token cannot stand in a header.
    pub(super) fn new(address: &McpAddress, token: Option<&str>) -> Option<Self> {
        let authorization = match token {
            Some(token) => {
                let mut value = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
                value.set_sensitive(true);
                Some(value)
            }
            None => None,
        };
        let host = HeaderValue::from_str(address.authority()).ok()?;
        let pool = Pool::new(HttpClient::plain(), address.uri().clone());
        Some(Self { pool, path: path_of(address.uri()).into(), host, authorization })
    }

    /// Sends a message.
    pub(super) async fn post(&self, headers: &Headers, line: &str) -> Result<Arrived, RemoteError> {
        self.send(Method::POST, headers, Bytes::copy_from_slice(line.as_bytes())).await
    }

    /// Opens the stream of what belongs to no request.
    pub(super) async fn listen(&self, session: &HttpSession) -> Result<Arrived, RemoteError> {
        self.send(Method::GET, &session_headers(session), Bytes::new()).await
    }

    /// Opens a stream again after one of its events.
    pub(super) async fn listen_after(
        &self,
        session: &HttpSession,
        event: &HeaderValue,
    ) -> Result<Arrived, RemoteError> {
        let mut headers = session_headers(session);
        let event = event.to_str().map_err(|error| RemoteError::Broken(error.to_string()))?;
        headers.push(("last-event-id".to_owned(), event.to_owned()));
        self.send(Method::GET, &headers, Bytes::new()).await
    }

    /// Ends a session; one that is not known any more has nothing to end.
    pub(super) async fn end(&self, session: &HttpSession) {
        drop(self.send(Method::DELETE, &session_headers(session), Bytes::new()).await);
    }

    async fn send(&self, method: Method, headers: &Headers, body: Bytes) -> Result<Arrived, RemoteError> {
        let mut map = HeaderMap::new();
        map.insert(HOST, self.host.clone());
        if method == Method::POST {
            map.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            map.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        } else {
            map.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        }
        if let Some(authorization) = &self.authorization {
            map.insert(AUTHORIZATION, authorization.clone());
        }
        for (name, value) in headers {
            let pair = name.parse::<HeaderName>().ok().zip(HeaderValue::from_str(value).ok());
            let fault = || RemoteError::Broken(format!("the header `{name}` cannot be sent"));
            let (name, value) = pair.ok_or_else(fault)?;
            map.insert(name, value);
        }
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.path.clone();
        *request.headers_mut() = map;
        let response = self.pool.request(request).await.map_err(|error| match &error {
            RequestError::NoConnection(_) => RemoteError::Unreachable(cause_of(&error)),
            RequestError::Broken(_) => RemoteError::Broken(cause_of(&error)),
        })?;
        let status = response.status();
        let session_id = response.headers().get(&MCP_SESSION_ID).and_then(|id| id.to_str().ok()).map(str::to_owned);
        if status.is_success() && is_stream(&response) {
            let reader = SseReader::new(ANSWER_LIMIT);
            let (body, ready) = (response.into_body(), VecDeque::new());
            let stream = MessageStream { body, reader, ready, place: Place::default() };
            return Ok(Arrived { status, session_id, content: Content::Stream(stream) });
        }
        let body = collect(response.into_body(), ANSWER_LIMIT).await;
        let body = body.map_err(|error: UpstreamError| RemoteError::Broken(error.to_string()))?;
        let text = String::from_utf8_lossy(&body);
        Ok(Arrived { status, session_id, content: Content::Whole(one_line(text.trim()).into_owned()) })
    }
}

impl MessageStream {
    /// The rest of another one.
    pub(super) fn going_on_from(self, ended: Self) -> Self {
        Self { place: ended.place, ..self }
    }

    /// The next message, on one line; `None` when the stream has ended. Not cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Option<String>, RemoteError> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Ok(Some(message));
            }
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            let frame = frame.map_err(|error| RemoteError::Broken(format!("the stream broke off: {error}")))?;
            let Ok(data) = frame.into_data() else { continue };
            let events = self.reader.push(&data).map_err(|error| RemoteError::Broken(error.to_string()))?;
            for event in events {
                self.place.note(&event);
                let text = one_line(event.data.trim());
                // An event without data only says where to go on from.
                if !text.is_empty() {
                    self.ready.push_back(text.into_owned());
                }
            }
        }
    }
}

/// The headers of a message within a session.
pub(super) fn session_headers(session: &HttpSession) -> Headers {
    let mut headers = vec![(MCP_PROTOCOL_VERSION.to_string(), session.version.clone())];
    if let Some(id) = &session.id {
        headers.push((MCP_SESSION_ID.to_string(), id.clone()));
    }
    headers
}

/// What is at the bottom of an error.
fn cause_of(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
