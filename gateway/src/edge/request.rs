//! One HTTP request: let in, and handed to what answers it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Method, Request, Response, StatusCode};

use super::arrival::Arrival;
use super::body::{self, Body, empty, json, text};
use super::guard::{Refusal, admit};
use super::heading::Heading;
use super::{Way, legacy, post, sessions};
use crate::audit::{AuditRecord, beginning_of};
use crate::hub::{Hub, now_ms};
use crate::policy::Principal;
use crate::wire::id::Id;
use crate::wire::reply::RpcError;

/// What the audit says of an answer of a client's, in the place of a method.
pub(super) const RESPONSE: &str = "response";

/// Where a request is for.
enum Place {
    /// The endpoint of all servers, or of one.
    Mcp(Option<String>),
    /// Whether the gateway lives.
    Health,
    /// What it counts.
    Metrics,
    /// The sessions of whoever asks.
    Sessions,
}

/// Whether a request is a message, or would be.
pub(super) fn is_message(request: &Request<Incoming>) -> bool {
    request.method() == Method::POST && matches!(place_of(request.uri().path()), Some(Place::Mcp(_)))
}

/// Answers a request. `way`: how it has come.
pub(super) async fn answer(
    hub: Arc<Hub>,
    way: Way,
    request: Request<Incoming>,
    mut arrival: Arrival,
) -> Response<Body> {
    let Some(place) = place_of(request.uri().path()) else { return empty(StatusCode::NOT_FOUND) };
    let is_read = [Method::GET, Method::HEAD].contains(request.method());
    if matches!(place, Place::Health) {
        return if is_read { json(StatusCode::OK, "{\"status\":\"ok\"}") } else { not_allowed("GET, HEAD") };
    }
    let (head, body) = request.into_parts();
    let heading = Heading::of(&head.headers);
    let principal = match admit(&hub.config, &head.uri, &heading) {
        Ok(principal) => principal,
        Err(refusal) => {
            arrival.hand_over();
            return refuse(&hub, refusal, &head.method).await;
        }
    };
    match place {
        Place::Metrics if is_read => {
            let metrics = hub.metrics.text(&hub.gauges());
            text(StatusCode::OK, "text/plain; version=0.0.4", metrics)
        }
        Place::Sessions if is_read => {
            record(&hub, Some(&principal), "http GET /sessions", "ok", None).await;
            json(StatusCode::OK, sessions::text(&hub, &principal))
        }
        Place::Mcp(scope) => answer_mcp(hub, principal, scope, way, (&head.method, &heading, body), arrival).await,
        Place::Health | Place::Metrics | Place::Sessions => not_allowed("GET, HEAD"),
    }
}

async fn answer_mcp(
    hub: Arc<Hub>,
    principal: Principal,
    scope: Option<String>,
    way: Way,
    (method, heading, body): (&Method, &Heading<'_>, Incoming),
    mut arrival: Arrival,
) -> Response<Body> {
    if scope.is_some() && hub.catalogue().view(&principal, scope.as_deref()).is_none() {
        arrival.hand_over();
        let error = RpcError::new(RpcError::INVALID_REQUEST, "there is no such server");
        let known = scope.filter(|scope| hub.catalogue().servers.contains_key(scope.as_str()));
        let outcome = if known.is_some() { "denied" } else { "refused" };
        let record = AuditRecord {
            server: known,
            ..record_of(&hub, Some(&principal), &format!("http {method}"), outcome, Some(error.code))
        };
        write(&hub, record).await;
        return body::fault(StatusCode::NOT_FOUND, None, &error);
    }
    match *method {
        Method::POST => {
            arrival.is_of(&principal);
            post::answer(hub, principal, scope, way, (heading, body), arrival).await
        }
        Method::GET => legacy::open_stream(&hub, &principal, scope.as_deref(), heading).await,
        Method::DELETE => legacy::end_session(&hub, &principal, scope.as_deref(), heading).await,
        _ => {
            record(&hub, Some(&principal), &format!("http {method}"), "refused", Some(405)).await;
            not_allowed("POST, GET, DELETE")
        }
    }
}

/// The answer to a method that is not for this place, with those that are.
fn not_allowed(methods: &'static str) -> Response<Body> {
    let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    response
}

fn place_of(path: &str) -> Option<Place> {
    match path {
        "/mcp" | "/mcp/" | "/" => Some(Place::Mcp(None)),
        "/health" | "/healthz" => Some(Place::Health),
        "/metrics" => Some(Place::Metrics),
        "/sessions" => Some(Place::Sessions),
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

/// A request that ended before anything was asked, or beside MCP's own messages: counted, and in the audit like all others.
pub(super) async fn record(
    hub: &Hub,
    principal: Option<&Principal>,
    method: &str,
    outcome: &'static str,
    code: Option<i64>,
) {
    write(hub, record_of(hub, principal, method, outcome, code)).await;
}

async fn write(hub: &Hub, record: AuditRecord) {
    let counter = if record.outcome == "ok" { &hub.metrics.ok } else { &hub.metrics.denied };
    counter.fetch_add(1, Ordering::Relaxed);
    hub.audit.write(&record).await;
}

pub(super) fn record_of(
    hub: &Hub,
    principal: Option<&Principal>,
    method: &str,
    outcome: &'static str,
    code: Option<i64>,
) -> AuditRecord {
    AuditRecord {
        time_ms: now_ms(),
        principal: principal.map(|principal| principal.name.to_string()).unwrap_or_default(),
        method: beginning_of(&hub.secrets().hide(method), 100),
        outcome: outcome.into(),
        code,
        ..AuditRecord::default()
    }
}

/// Refuses a request, with what is wrong with it.
pub(super) async fn refused(
    hub: &Hub,
    principal: Option<&Principal>,
    method: &str,
    fault: Fault<'_>,
) -> Response<Body> {
    let Fault { status, id, error } = fault;
    record(hub, principal, method, "refused", Some(error.code)).await;
    body::fault(status, id, &error)
}

/// What is wrong with a request.
#[derive(Debug)]
pub(super) struct Fault<'id> {
    /// The status that says so.
    pub(super) status: StatusCode,
    /// The request's id, where it has one.
    pub(super) id: Option<&'id Id>,
    /// What is wrong.
    pub(super) error: RpcError,
}

async fn refuse(hub: &Hub, refusal: Refusal, method: &Method) -> Response<Body> {
    let (status, message) = match refusal {
        Refusal::Doubtful => (StatusCode::BAD_REQUEST, "`Host` must be there, and once"),
        Refusal::Host => (StatusCode::FORBIDDEN, "the request is for a host that is not served here"),
        Refusal::Origin => (StatusCode::FORBIDDEN, "this web page may not call"),
        Refusal::Token => (StatusCode::UNAUTHORIZED, "a bearer token is needed that is known here"),
    };
    let error = RpcError::new(RpcError::DENIED, message);
    let mut response = refused(hub, None, &format!("http {method}"), Fault { status, id: None, error }).await;
    if refusal == Refusal::Token {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
