//! One HTTP request: let in, and handed to what answers it.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Method, Request, Response, StatusCode};

use super::body::{Body, empty, fault, json, text};
use super::guard::{Refusal, admit};
use super::{legacy, post};
use crate::audit::AuditRecord;
use crate::hub::{Hub, now_ms};
use crate::policy::Principal;
use crate::wire::reply::RpcError;

/// Where a request is for.
enum Place {
    /// The endpoint of all servers, or of one.
    Mcp(Option<String>),
    /// Whether the gateway lives.
    Health,
    /// What it counts.
    Metrics,
}

/// Answers a request.
pub(super) async fn answer(hub: Arc<Hub>, request: Request<Incoming>) -> Response<Body> {
    let Some(place) = place_of(request.uri().path()) else { return empty(StatusCode::NOT_FOUND) };
    if matches!(place, Place::Health) {
        return json(StatusCode::OK, "{\"status\":\"ok\"}");
    }
    let principal = match admit(&hub.config, request.headers()) {
        Ok(principal) => principal,
        Err(refusal) => return refuse(&hub, refusal, request.method()).await,
    };
    match place {
        Place::Metrics => {
            let metrics = hub.metrics.text(&hub.gauges());
            text(StatusCode::OK, "text/plain; version=0.0.4", metrics)
        }
        Place::Mcp(scope) => answer_mcp(hub, principal, scope, request).await,
        Place::Health => empty(StatusCode::OK),
    }
}

async fn answer_mcp(
    hub: Arc<Hub>,
    principal: Principal,
    scope: Option<String>,
    request: Request<Incoming>,
) -> Response<Body> {
    if scope.is_some() && hub.catalogue().view(&principal, scope.as_deref()).is_none() {
        return empty(StatusCode::NOT_FOUND);
    }
    match *request.method() {
        Method::POST => post::answer(hub, principal, scope, request).await,
        Method::GET => legacy::open_stream(&hub, &principal, scope.as_deref(), request.headers()),
        Method::DELETE => legacy::end_session(&hub, &principal, scope.as_deref(), request.headers()),
        _ => {
            let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST, GET, DELETE"));
            response
        }
    }
}

fn place_of(path: &str) -> Option<Place> {
    match path {
        "/mcp" | "/mcp/" | "/" => Some(Place::Mcp(None)),
        "/health" | "/healthz" => Some(Place::Health),
        "/metrics" => Some(Place::Metrics),
        _ => {
            let name = path.strip_prefix("/mcp/")?;
            let name = name.strip_suffix("/mcp").unwrap_or(name);
            let is_name = !name.is_empty()
                && name.len() <= 63
                && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
            is_name.then(|| Place::Mcp(Some(name.to_owned())))
        }
    }
}

async fn refuse(hub: &Hub, refusal: Refusal, method: &Method) -> Response<Body> {
    hub.metrics.denied.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let (status, message) = match refusal {
        Refusal::Host => (StatusCode::FORBIDDEN, "the request is for a host that is not served here"),
        Refusal::Origin => (StatusCode::FORBIDDEN, "this web page may not call"),
        Refusal::Token => (StatusCode::UNAUTHORIZED, "a bearer token is needed that is known here"),
    };
    hub.audit
        .write(AuditRecord {
            time_ms: now_ms(),
            method: format!("http {method}"),
            outcome: "refused".to_owned(),
            code: Some(i64::from(status.as_u16())),
            ..AuditRecord::default()
        })
        .await;
    let mut response = fault(status, None, &RpcError::new(RpcError::DENIED, message));
    if refusal == Refusal::Token {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
