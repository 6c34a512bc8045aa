//! `/live`, `/ready` and `/metrics`: what machines ask. They carry no text of documents.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use fenliu_engine::metrics::Format;

use crate::http::app::App;
use crate::telemetry::health::Health;

const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The three routes. A probe names whatever host it likes, so no guard is around them.
pub(in crate::http) fn router(app: &Arc<App>) -> Router {
    let routes =
        Router::new().route("/live", get(live)).route("/ready", get(ready)).route("/metrics", get(metrics));
    routes.with_state(Arc::clone(app))
}

async fn live(State(app): State<Arc<App>>) -> Response {
    let health = app.counters.telemetry.health();
    answer(health.live, health)
}

async fn ready(State(app): State<Arc<App>>) -> Response {
    let health = app.counters.telemetry.health();
    answer(health.ready, health)
}

fn answer(is_well: bool, health: Health) -> Response {
    let status = if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(health)).into_response()
}

async fn metrics(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let accepted = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let (format, kind) = match accepted.contains("application/openmetrics-text") {
        true => (Format::OpenMetrics, OPENMETRICS),
        false => (Format::Prometheus, PROMETHEUS),
    };
    ([(header::CONTENT_TYPE, kind)], app.counters.telemetry.metrics_text(format)).into_response()
}
