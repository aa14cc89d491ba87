//! What is true of the controller itself.

use axum::Json;
use axum::extract::State;

use super::api::{ControllerView, PruneHeldView};
use super::server::Api;
use crate::board::PruneHeld;

/// `GET /api/v1/controller`.
pub(super) async fn get_controller(State(api): State<Api>) -> Json<ControllerView> {
    let controller = api.board.controller();
    let to_view = |PruneHeld { keys, token, reason }| PruneHeldView { keys, token, reason };
    Json(ControllerView {
        engine: api.engine_name(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        is_ready: controller.is_ready,
        is_engine_reachable: controller.is_engine_reachable,
        store_recovered: controller.store_recovered,
        source_problem: controller.source_problem,
        diagnostics: controller.diagnostics,
        prune_held: controller.prune_held.map(to_view),
    })
}
