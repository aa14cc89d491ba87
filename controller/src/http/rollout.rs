//! A user's word that a rollout which has failed is to be tried again.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::api::RolloutRetry;
use super::change::{read_change, say};
use super::error::Problem;
use super::server::Api;
use crate::user_word::UserWord;

/// `POST /api/v1/rollout-retries {"object": "KIND/NAME"}` with the bearer token: 202; 404 where there is no such object, and 409 where
/// its rollout has not failed.
pub(super) async fn post_rollout_retry(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let RolloutRetry { object } = read_change(&api, &headers, body, "{\"object\": \"KIND/NAME\"}").await?;
    let Some(record) = api.board.object(&object) else {
        return Err(Problem::new(StatusCode::NOT_FOUND, "no such object").detail(format!("{object} is not known")));
    };
    if record.failed_rollout().is_none() {
        return Err(Problem::new(StatusCode::CONFLICT, "its rollout has not failed")
            .detail(format!("the rollout of {object} has not failed"))
            .hint("`evenkeel describe` tells how it is"));
    }
    say(&api, UserWord::RetryRollout(object.clone()))?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "object": object }))))
}
