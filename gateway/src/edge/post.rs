//! A POST: its message read, and the era told in which it is spoken.

use std::sync::Arc;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use hyper::{Request, Response, StatusCode};

use super::body::Body;
use super::request::{Fault, refused};
use super::{legacy, modern};
use crate::era::MODERN_VERSION;
use crate::hub::Hub;
use crate::policy::Principal;
use crate::wire::envelope::{EnvelopeError, Message};
use crate::wire::object::RawObject;
use crate::wire::reply::RpcError;

/// The key of `_meta` that only a modern request has.
pub(super) const VERSION_KEY: &str = "io.modelcontextprotocol/protocolVersion";

/// What came.
#[derive(Debug)]
pub(super) struct Posted {
    pub(super) hub: Arc<Hub>,
    pub(super) principal: Principal,
    pub(super) scope: Option<String>,
    pub(super) headers: HeaderMap,
}

/// Answers a POST.
pub(super) async fn answer(
    hub: Arc<Hub>,
    principal: Principal,
    scope: Option<String>,
    request: Request<Incoming>,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let refuse = async |status, code, message: String| {
        let fault = Fault { status, id: None, error: RpcError::new(code, message) };
        refused(&hub, Some(&principal), "http POST", fault).await
    };
    if !accepts_both(&head.headers) {
        let message = "`Accept` must allow application/json and text/event-stream".to_owned();
        return refuse(StatusCode::NOT_ACCEPTABLE, RpcError::INVALID_REQUEST, message).await;
    }
    if !is_json(&head.headers) {
        let message = "`Content-Type` must be application/json".to_owned();
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, RpcError::INVALID_REQUEST, message).await;
    }
    let Ok(body) = Limited::new(body, hub.config.limits.request_bytes).collect().await else {
        let message = format!("a request may have {} bytes", hub.config.limits.request_bytes);
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, RpcError::TOO_LARGE, message).await;
    };
    let body = body.to_bytes();
    let Ok(text) = std::str::from_utf8(&body) else {
        return refuse(StatusCode::BAD_REQUEST, RpcError::PARSE, "it is no UTF-8".to_owned()).await;
    };
    let message = match Message::parse(text) {
        Ok(message) => message,
        Err(error) => {
            let code = match &error {
                EnvelopeError::NotJson(_) => RpcError::PARSE,
                EnvelopeError::NotAMessage(_) => RpcError::INVALID_REQUEST,
            };
            return refuse(StatusCode::BAD_REQUEST, code, error.to_string()).await;
        }
    };
    let posted = Posted { hub, principal, scope, headers: head.headers };
    if is_modern(&posted.headers, &message) {
        modern::answer(posted, message).await
    } else {
        legacy::answer(posted, message).await
    }
}

/// A request is modern by what it says itself, in its header or in its body; one that says a version that nobody knows gets the modern
/// answer to that.
fn is_modern(headers: &HeaderMap, message: &Message<'_>) -> bool {
    let header = headers.get("mcp-protocol-version").and_then(|version| version.to_str().ok());
    if header == Some(MODERN_VERSION) {
        return true;
    }
    let has_meta = |params: Option<&serde_json::value::RawValue>| {
        // Most params have no such key anywhere, which is found quicker than it is read.
        params.is_some_and(|params| {
            params.get().contains(VERSION_KEY)
                && RawObject::parse(params.get())
                    .and_then(|fields| fields.get("_meta").and_then(RawObject::parse).map(|meta| meta.has(VERSION_KEY)))
                    .unwrap_or(false)
        })
    };
    match message {
        Message::Request { params, .. } | Message::Notification { params, .. } => {
            has_meta(*params) || header.is_some_and(|header| header > MODERN_VERSION)
        }
        Message::Response { .. } => false,
    }
}

fn accepts_both(headers: &HeaderMap) -> bool {
    let mut kinds = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).peekable();
    if kinds.peek().is_none() {
        return true;
    }
    let kinds: Vec<String> =
        kinds.flat_map(|value| value.split(',')).map(|kind| kind.trim().to_ascii_lowercase()).collect();
    let allows = |wanted: &str| {
        kinds.iter().any(|kind| {
            let kind = kind.split(';').next().unwrap_or_default().trim();
            kind == wanted || kind == "*/*" || (kind.ends_with("/*") && wanted.starts_with(kind.trim_end_matches('*')))
        })
    };
    allows("application/json") && allows("text/event-stream")
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}
