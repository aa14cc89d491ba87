//! The server behind Streamable HTTP, at `/mcp`.

use std::io::Write as _;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::arguments::{Behaviour, Http};
use crate::era::{Era, Refusal};
use crate::fixture::Fixture;

/// The names of this machine, as `Host` and in `Origin`.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// The largest request.
const BODY_BYTES: usize = 4 * 1024 * 1024;

type Service = StreamableHttpService<Fixture, LocalSessionManager>;

#[derive(Clone)]
struct Server {
    service: Service,
    era: Era,
}

/// Serves until the program ends.
pub(crate) async fn serve(fixture: Fixture, behaviour: &Behaviour, http: &Http) -> anyhow::Result<()> {
    let hosts = LOOPBACK.into_iter().map(str::to_owned).chain(http.allow_host.iter().cloned());
    let origins: Vec<_> = hosts.clone().map(|host| format!("http://{host}:*")).collect();
    let config = StreamableHttpServerConfig::default()
        .with_allowed_hosts(hosts)
        .with_allowed_origins(origins)
        .enforce_origin_validation()
        .with_json_response(http.json)
        .with_max_request_body_bytes(BODY_BYTES)
        .with_legacy_session_mode(behaviour.era != Era::Modern)
        .with_stateless_protocol_metadata_required(behaviour.era == Era::Modern);
    let service = Service::new(move || Ok(fixture.for_session()), Arc::default(), config);
    let router = Router::new()
        .route("/mcp", any(handle))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .with_state(Server { service, era: behaviour.era });

    let listener = TcpListener::bind(http.listen).await.with_context(|| format!("cannot listen at {}", http.listen))?;
    let address = listener.local_addr().context("cannot tell the address")?;
    writeln!(std::io::stdout(), "http://{address}/mcp").context("cannot write to stdout")?;
    axum::serve(listener, router).await.context("cannot serve")
}

/// Refuses what is of the other era, and leaves the rest to `rmcp`.
async fn handle(State(server): State<Server>, request: Request) -> Response {
    if server.era == Era::Both || request.method() != Method::POST {
        return server.service.handle(request).await.into_response();
    }
    let (parts, body) = request.into_parts();
    let body = match axum::body::to_bytes(body, BODY_BYTES).await {
        Ok(body) => body,
        Err(error) => return (StatusCode::PAYLOAD_TOO_LARGE, error.to_string()).into_response(),
    };
    match refuse(server.era, &parts.headers, &body) {
        Some(refusal) => refusal_response(&refusal),
        None => server.service.handle(Request::from_parts(parts, Body::from(body))).await.into_response(),
    }
}

fn refuse(era: Era, headers: &HeaderMap, body: &Bytes) -> Option<Refusal> {
    let message: Value = serde_json::from_slice(body).ok()?;
    let version = headers.get("mcp-protocol-version").and_then(|value| value.to_str().ok());
    era.refuse_version(version, &message).or_else(|| era.refuse(&message))
}

fn refusal_response(refusal: &Refusal) -> Response {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
    (status, [(header::CONTENT_TYPE, "application/json")], refusal.response.to_string()).into_response()
}
