//! A POST: its message read, and the era told in which it is spoken.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::poll_immediate;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Request, Response, StatusCode};
use tokio::sync::watch;
use tokio::time::timeout;

use super::arrival::Arrival;
use super::body::Body;
use super::request::{Fault, refused};
use super::{legacy, modern};
use crate::era::MODERN_VERSION;
use crate::header::MCP_PROTOCOL_VERSION;
use crate::hub::Hub;
use crate::policy::Principal;
use crate::wire::depth::{NESTING_LIMIT, is_too_deep};
use crate::wire::envelope::{ClientMessage, EnvelopeError, Message};
use crate::wire::params::Params;
use crate::wire::reply::RpcError;

/// The key of `_meta` that only a modern request has.
pub(super) const VERSION_KEY: &str = "io.modelcontextprotocol/protocolVersion";

/// How long a client has for the body of a request.
const BODY_TIME: Duration = Duration::from_secs(30);

/// What came.
#[derive(Debug)]
pub(super) struct Posted {
    pub(super) hub: Arc<Hub>,
    pub(super) principal: Principal,
    pub(super) scope: Option<String>,
    pub(super) headers: HeaderMap,
    /// Says that the gateway ends; closed where nobody would say so.
    pub(super) end: watch::Receiver<bool>,
}

/// Answers a POST.
pub(super) async fn answer(
    hub: Arc<Hub>,
    principal: Principal,
    scope: Option<String>,
    end: watch::Receiver<bool>,
    request: Request<Incoming>,
    mut arrival: Arrival,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let mut refuse = async |status, code, message: String| {
        arrival.hand_over();
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
    if is_encoded(&head.headers) {
        let message = "`Content-Encoding` is not taken: send the body as it is".to_owned();
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, RpcError::INVALID_REQUEST, message).await;
    }
    let mut reading = pin!(Limited::new(body, hub.config.limits.request_bytes).collect());
    // Most bodies come with their heads.
    let body = match poll_immediate(reading.as_mut()).await {
        Some(body) => Ok(body),
        None => timeout(BODY_TIME, reading).await,
    };
    let Ok(body) = body else {
        let message = format!("the body did not come within {}s", BODY_TIME.as_secs());
        let mut response = refuse(StatusCode::REQUEST_TIMEOUT, RpcError::INVALID_REQUEST, message).await;
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        return response;
    };
    let body = match body {
        Ok(body) => body,
        Err(error) if error.is::<LengthLimitError>() => {
            let message = format!("a request may have {} bytes", hub.config.limits.request_bytes);
            return refuse(StatusCode::PAYLOAD_TOO_LARGE, RpcError::TOO_LARGE, message).await;
        }
        Err(_) => {
            let message = "the body broke off, or its chunks are none".to_owned();
            return refuse(StatusCode::BAD_REQUEST, RpcError::INVALID_REQUEST, message).await;
        }
    };
    let body = body.to_bytes();
    let Ok(text) = std::str::from_utf8(&body) else {
        return refuse(StatusCode::BAD_REQUEST, RpcError::PARSE, "it is no UTF-8".to_owned()).await;
    };
    let mut message = match ClientMessage::parse_with_params(text) {
        Ok(message) => message,
        Err(error) => {
            let code = match &error {
                EnvelopeError::NotJson(_) => RpcError::PARSE,
                EnvelopeError::NotAMessage(_) => RpcError::INVALID_REQUEST,
            };
            return refuse(StatusCode::BAD_REQUEST, code, error.to_string()).await;
        }
    };
    // Readers of JSON that call themselves for each level end, with their process, where the levels do not.
    if is_too_deep(text) {
        let message = format!("it is nested deeper than {NESTING_LIMIT}");
        return refuse(StatusCode::BAD_REQUEST, RpcError::INVALID_REQUEST, message).await;
    }
    arrival.hand_over();
    let posted = Posted { hub, principal, scope, headers: head.headers, end };
    let params = Params::take(&mut message, text);
    if is_modern(&posted.headers, &message, &params) {
        modern::answer(posted, message, &params).await
    } else {
        legacy::answer(posted, message, &params).await
    }
}

/// A request is modern by what it says itself, in its header or in its body; one that says a version that nobody knows gets the modern
/// answer to that.
fn is_modern(headers: &HeaderMap, message: &ClientMessage<'_>, params: &Params<'_>) -> bool {
    let header = headers.get(&MCP_PROTOCOL_VERSION).and_then(|version| version.to_str().ok());
    if header == Some(MODERN_VERSION) {
        return true;
    }
    match message {
        Message::Request { .. } | Message::Notification { .. } => {
            params.meta.has(VERSION_KEY) || header.is_some_and(|header| header > MODERN_VERSION)
        }
        Message::Response { .. } => false,
    }
}

fn accepts_both(headers: &HeaderMap) -> bool {
    // What most clients send, and send once.
    if headers.get(ACCEPT).is_some_and(|value| value == "application/json, text/event-stream") {
        return true;
    }
    let values = || headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let allows = |wanted: &str| values().flat_map(|value| value.split(',')).any(|kind| is_allowed_by(kind, wanted));
    values().next().is_none() || (allows("application/json") && allows("text/event-stream"))
}

/// Whether a part of `Accept` allows a kind of content.
fn is_allowed_by(part: &str, wanted: &str) -> bool {
    let kind = part.split(';').next().unwrap_or_default().trim();
    let is_of_family =
        |family: &str| wanted.get(..family.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(family));
    kind.eq_ignore_ascii_case(wanted)
        || kind == "*/*"
        || (kind.ends_with("/*") && is_of_family(kind.trim_end_matches('*')))
}

/// Whether the body is packed: what it would be unpacked is not known before it is.
fn is_encoded(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).iter().any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}
