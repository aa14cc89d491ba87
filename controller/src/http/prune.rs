//! A user's word that what prune holds back may go.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::api::PruneConfirmation;
use super::change::{read_change, say};
use super::error::Problem;
use super::server::Api;
use crate::user_word::UserWord;

/// `POST /api/v1/prune-confirmations {"token": …}` with the bearer token: 202, or 409 when something else is held.
pub(super) async fn post_prune_confirmation(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let PruneConfirmation { token } = read_change(&api, &headers, body, "{\"token\": \"…\"}").await?;
    let held = api.board.controller().prune_held.filter(|held| held.token == token).ok_or_else(|| {
        Problem::new(StatusCode::CONFLICT, "nothing is held under this token")
            .detail("it was used before, or what would be removed has changed since")
            .hint("`evenkeel prune` shows what is held now")
    })?;
    say(&api, UserWord::ConfirmPrune(token))?;
    tracing::info!(count = held.keys.len(), "prune confirmed");
    Ok((StatusCode::ACCEPTED, Json(json!({ "keys": held.keys }))))
}
