//! What every request must pass before a handler sees it: who is meant, where it comes from, and that it is one request.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::api::ENGINE_HEADER;
use super::error::Problem;
use super::server::Api;
use super::strict::WireReport;

/// No body is longer.
pub(super) const MAX_BODY_BYTES: usize = 64 * 1024;

/// No head is longer, counted as names and values.
const MAX_HEADER_BYTES: usize = 32 * 1024;

/// No request target is longer.
const MAX_URI_BYTES: usize = 8 * 1024;

/// How the request came in; put into the request by the accept loop.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    /// The address of ours that it came to; `None` for a unix socket.
    pub(super) local: Option<SocketAddr>,
    /// What the scanner found.
    pub(super) report: Arc<WireReport>,
}

/// Refuses what must not be answered, and adds the headers that every answer has.
pub(super) async fn guard(State(api): State<Api>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().cloned();
    let local = peer.as_ref().and_then(|peer| peer.local);
    let report = peer.map(|peer| peer.report).unwrap_or_default();
    let is_ambiguous = report.is_ambiguous();
    let mut response = match check(is_ambiguous, local, request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    let must_close = is_ambiguous || report.has_body();
    add_headers(response.headers_mut(), &api, must_close);
    response
}

fn add_headers(headers: &mut HeaderMap, api: &Api, must_close: bool) {
    let engine = if api.board.controller().is_simulated { "simulated" } else { "docker" };
    headers.insert(ENGINE_HEADER, HeaderValue::from_static(engine));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    if must_close {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}

/// Decides whether a request may go on.
fn check(is_ambiguous: bool, local: Option<SocketAddr>, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    if is_ambiguous {
        return Err(
            bad_request().detail("the request can be read in two ways: end lines with CR LF, and send one length")
        );
    }
    check_size(uri, headers)?;
    check_host(local, uri, headers)?;
    check_origin(local, headers)?;
    // No path of ours needs an escape, so that none has to be decoded, and nothing can hide in one.
    if uri.path().contains(['%', '\\']) || uri.path().contains("..") || !uri.path().is_ascii() {
        return Err(Problem::invalid_name());
    }
    let is_token = |pair: &str| matches!(pair.split('=').next(), Some("token" | "access_token" | "api_key"));
    if uri.query().is_some_and(|query| query.split('&').any(is_token)) {
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "no token in the address")
            .detail("a token in an address ends up in logs")
            .hint("send `Authorization: Bearer …`"));
    }
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "compressed bodies are not read"));
    }
    Ok(())
}

fn check_size(uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    let uri_bytes = uri.path().len() + uri.query().map_or(0, str::len);
    if uri_bytes > MAX_URI_BYTES {
        return Err(Problem::new(StatusCode::URI_TOO_LONG, "address too long"));
    }
    let header_bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if header_bytes > MAX_HEADER_BYTES {
        return Err(Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "header fields too large"));
    }
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > MAX_BODY_BYTES as u64) {
        return Err(body_too_large());
    }
    Ok(())
}

/// A web page that had its own name resolve to this host (DNS rebinding) sends its own name here.
fn check_host(local: Option<SocketAddr>, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(bad_request().detail("exactly one `Host` is needed"));
    };
    let host = host.to_str().map_err(|_| bad_request().detail("`Host` is not readable"))?;
    if uri.authority().is_some_and(|authority| authority.as_str() != host) {
        return Err(bad_request().detail("the address names another host than `Host`"));
    }
    if is_ours(local, host) { Ok(()) } else { Err(Problem::new(StatusCode::FORBIDDEN, "host not allowed")) }
}

fn check_origin(local: Option<SocketAddr>, headers: &HeaderMap) -> Result<(), Problem> {
    let refused = || Problem::new(StatusCode::FORBIDDEN, "origin not allowed");
    let is_own_page = |origin: &HeaderValue| {
        origin.to_str().is_ok_and(|text| text.strip_prefix("http://").is_some_and(|host| is_ours(local, host)))
    };
    if !headers.get_all(header::ORIGIN).iter().all(is_own_page) {
        return Err(refused());
    }
    match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) => Err(refused()),
    }
}

/// Whether a `Host` means us: a loopback name with our port, or the very address that the connection came to.
fn is_ours(local: Option<SocketAddr>, host: &str) -> bool {
    let Some(local) = local else {
        return host == "localhost";
    };
    let port = local.port();
    let is_named = |name: &str| host.strip_prefix(name).is_some_and(|rest| is_port(rest, port));
    ["localhost", "127.0.0.1", "[::1]"].into_iter().any(is_named) || host == local.to_string()
}

/// `:PORT`, which may be left out for 80.
fn is_port(rest: &str, port: u16) -> bool {
    rest.strip_prefix(':').map_or(rest.is_empty() && port == 80, |digits| digits == port.to_string())
}

fn bad_request() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad request")
}

/// The body is longer than [`MAX_BODY_BYTES`].
pub(super) fn body_too_large() -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body too large").detail("at most 64KiB are read")
}
