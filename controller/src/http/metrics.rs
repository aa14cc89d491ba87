//! Metrics for Prometheus.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use prometheus_client::encoding::text::encode;

use super::error::Problem;
use super::server::Api;

/// The media type of what `prometheus-client` writes.
const METRICS_MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `GET /metrics`.
pub(super) async fn get_metrics(State(api): State<Api>) -> Result<Response, Problem> {
    let mut text = String::new();
    encode(&mut text, &api.registry)
        .map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written"))?;
    Ok(([(header::CONTENT_TYPE, METRICS_MEDIA_TYPE)], text).into_response())
}
