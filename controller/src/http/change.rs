//! What every change by the API needs: the bearer token, a body of JSON, and the way to the controller.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::timeout;

use super::error::Problem;
use super::guard::{MAX_BODY_BYTES, body_too_large};
use super::server::Api;
use crate::user_word::UserWord;

/// A body that is not here by then is not waited for.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The body of a change by somebody who may make one. `expected` says what it must be, such as `{"token": "…"}`.
pub(super) async fn read_change<T: DeserializeOwned>(
    api: &Api,
    headers: &HeaderMap,
    body: Body,
    expected: &str,
) -> Result<T, Problem> {
    authorize(api, headers)?;
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    if !media_type.split(';').next().is_some_and(|text| text.trim().eq_ignore_ascii_case("application/json")) {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send `Content-Type: application/json`"));
    }
    let too_slow = |_| Problem::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time");
    let bytes = timeout(BODY_TIMEOUT, to_bytes(body, MAX_BODY_BYTES)).await.map_err(too_slow)?;
    // Any other fault of a body ends the connection, so that nobody reads this answer.
    let bytes = bytes.map_err(|_| body_too_large())?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let detail = format!("line {}, column {}: expected {expected} and nothing else", error.line(), error.column());
        Problem::new(StatusCode::BAD_REQUEST, "the body is not what is expected").detail(detail)
    })
}

/// Passes a word on to the controller.
pub(super) fn say(api: &Api, word: UserWord) -> Result<(), Problem> {
    api.words.try_send(word).map_err(|error| match error {
        TrySendError::Full(_) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy").hint("try again in a moment"),
        TrySendError::Closed(_) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the controller is shutting down"),
    })
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
