//! A user's word that what prune holds back may go: the one change that the API makes.

use std::time::Duration;

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::timeout;

use super::api::PruneConfirmation;
use super::error::Problem;
use super::guard::{MAX_BODY_BYTES, body_too_large};
use super::server::Api;

/// A body that is not here by then is not waited for.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// `POST /api/v1/prune-confirmations {"token": …}` with the bearer token: 202, or 409 when something else is held.
pub(super) async fn post_prune_confirmation(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Value>), Problem> {
    authorize(&api, &headers)?;
    let PruneConfirmation { token } = read_json(&headers, body).await?;
    let held = api.board.controller().prune_held.filter(|held| held.token == token).ok_or_else(|| {
        Problem::new(StatusCode::CONFLICT, "nothing is held under this token")
            .detail("it was used before, or what would be removed has changed since")
            .hint("`evenkeel prune` shows what is held now")
    })?;
    match api.confirmations.try_send(token) {
        Ok(()) => {}
        Err(TrySendError::Full(_)) => {
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy").hint("try again in a moment"));
        }
        Err(TrySendError::Closed(_)) => {
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the controller is shutting down"));
        }
    }
    tracing::info!(count = held.keys.len(), "prune confirmed");
    Ok((StatusCode::ACCEPTED, Json(json!({ "keys": held.keys }))))
}

fn authorize(api: &Api, headers: &HeaderMap) -> Result<(), Problem> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let presented = match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok().and_then(|text| text.strip_prefix("Bearer ")),
        (_, _) => None,
    };
    if presented.is_some_and(|presented| api.token.matches(presented)) {
        return Ok(());
    }
    Err(Problem::new(StatusCode::UNAUTHORIZED, "a valid token is needed")
        .hint("send `Authorization: Bearer …` with the text of the file `api.token` in the data directory"))
}

async fn read_json(headers: &HeaderMap, body: Body) -> Result<PruneConfirmation, Problem> {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    if !media_type.split(';').next().is_some_and(|text| text.trim().eq_ignore_ascii_case("application/json")) {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send `Content-Type: application/json`"));
    }
    let too_slow = |_| Problem::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time");
    let bytes = timeout(BODY_TIMEOUT, to_bytes(body, MAX_BODY_BYTES)).await.map_err(too_slow)?;
    // Any other fault of a body ends the connection, so that nobody reads this answer.
    let bytes = bytes.map_err(|_| body_too_large())?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let detail =
            format!("line {}, column {}: expected {{\"token\": \"…\"}} and nothing else", error.line(), error.column());
        Problem::new(StatusCode::BAD_REQUEST, "the body is not what is expected").detail(detail)
    })
}
