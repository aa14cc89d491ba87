//! A POST: its message read, and the era told in which it is spoken.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::poll_immediate;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::{Response, StatusCode};
use tokio::time::timeout;

use super::arrival::Arrival;
use super::body::Body;
use super::heading::Heading;
use super::request::{Fault, refused};
use super::{Way, legacy, modern};
use crate::era::MODERN_VERSION;
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
pub(super) struct Posted<'head> {
    pub(super) hub: Arc<Hub>,
    pub(super) principal: Principal,
    pub(super) scope: Option<String>,
    pub(super) heading: &'head Heading<'head>,
    /// How it has come.
    pub(super) way: Way,
}

/// Answers a POST.
pub(super) async fn answer(
    hub: Arc<Hub>,
    principal: Principal,
    scope: Option<String>,
    way: Way,
    (heading, body): (&Heading<'_>, Incoming),
    mut arrival: Arrival,
) -> Response<Body> {
    let mut refuse = async |status, code, message: String| {
        arrival.hand_over();
        let fault = Fault { status, id: None, error: RpcError::new(code, message) };
        refused(&hub, Some(&principal), "http POST", fault).await
    };
    if !heading.accepts_both() {
        let message = "`Accept` must allow application/json and text/event-stream".to_owned();
        return refuse(StatusCode::NOT_ACCEPTABLE, RpcError::INVALID_REQUEST, message).await;
    }
    if !heading.is_json() {
        let message = "`Content-Type` must be application/json".to_owned();
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, RpcError::INVALID_REQUEST, message).await;
    }
    if heading.is_encoded {
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
    let posted = Posted { hub, principal, scope, heading, way };
    let params = Params::take(&mut message, text);
    if is_modern(heading, &message, &params) {
        modern::answer(posted, message, &params).await
    } else {
        legacy::answer(posted, message, &params).await
    }
}

/// A request is modern by what it says itself, in its header or in its body; one that says a version that nobody knows gets the modern
/// answer to that.
fn is_modern(heading: &Heading<'_>, message: &ClientMessage<'_>, params: &Params<'_>) -> bool {
    let header = heading.version.first();
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
