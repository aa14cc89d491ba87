//! A user's word that a rollout which has failed is to be tried again.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use crds_schema::ObjectKey;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::api::RolloutRetry;
use super::change::{read_change, say};
use super::error::Problem;
use super::server::Api;
use crate::user_word::UserWord;

/// The answer does not wait longer than this for the controller to have heard of it.
const HEARD_WITHIN: Duration = Duration::from_secs(5);

/// `POST /api/v1/rollout-retries {"object": "KIND/NAME"}` with the bearer token: 202; 404 where there is no such object, and 409 where
/// its rollout has not failed. Whoever asks after this answer how the rollout goes is not told of the failure before, but by a controller
/// that has not heard of it in five seconds.
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
    let mut changes = api.board.subscribe();
    say(&api, UserWord::RetryRollout(object.clone()))?;
    let mut shutdown = api.shutdown.clone();
    tokio::select! {
        // A controller that is busy hears it later.
        _ = timeout(HEARD_WITHIN, changes.wait_for(|_| !is_told_to_have_failed(&api, &object))) => {}
        _ = shutdown.wait_for(|is_told| *is_told) => {}
    }
    Ok((StatusCode::ACCEPTED, Json(json!({ "object": object }))))
}

fn is_told_to_have_failed(api: &Api, key: &ObjectKey) -> bool {
    api.board.object(key).is_some_and(|record| record.is_looked_at() && record.failed_rollout().is_some())
}
