//! Whether the process lives, and whether it serves.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::error::Problem;
use super::server::Api;

/// `GET /healthz`: the process answers.
pub(super) async fn get_healthz() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// `GET /readyz`: the first full pass is done and the Engine answers; else 503 with every reason.
pub(super) async fn get_readyz(State(api): State<Api>) -> Result<Json<Value>, Problem> {
    let controller = api.board.controller();
    let mut reasons = Vec::new();
    if !controller.is_engine_reachable {
        reasons.push("the engine does not answer");
    }
    if !controller.is_ready {
        reasons.push("the first full pass is not done");
    }
    if reasons.is_empty() {
        return Ok(Json(json!({ "status": "ok" })));
    }
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not ready").detail(reasons.join("; ")))
}
