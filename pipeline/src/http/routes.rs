//! The routes: a file a resource.

mod ask;
mod corrections;
mod dead_letters;
mod documents;
mod events;
mod jobs;
mod layer;
mod models;
mod ops;
mod page;
mod review;
mod status;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::routing::{MethodRouter, get, post};
use axum::{Router, middleware};

use super::app::App;

/// Metrics and health, without a guard.
pub(super) use ops::router as ops;
/// Reads the counters once a second, for as long as it is polled.
pub(super) use status::sample;

/// Largest body of a request.
const BODY_LIMIT: usize = 64 << 10;

/// The paths of the API below its prefix; `openapi.json` describes each of them.
fn routes() -> [(&'static str, MethodRouter<Arc<App>>); 18] {
    [
        ("/login", post(page::log_in)),
        ("/logout", post(page::log_out)),
        ("/status", get(status::status)),
        ("/events", get(events::events)),
        ("/documents", get(documents::list)),
        ("/documents/{topic}/{partition}/{offset}", get(documents::one)),
        ("/documents/{topic}/{partition}/{offset}/explain", post(ask::explain)),
        ("/review", get(review::review)),
        ("/corrections", get(corrections::list).post(corrections::add)),
        ("/corrections/{ulid}/withdraw", post(corrections::withdraw)),
        ("/predict", post(ask::predict)),
        ("/models", get(models::list)),
        ("/models/versions/{version}/report", get(models::report)),
        ("/models/promote", post(models::promote)),
        ("/models/rollback", post(models::roll_back)),
        ("/jobs", get(jobs::list).post(jobs::start)),
        ("/dead-letters", get(dead_letters::list)),
        ("/openapi.json", get(page::openapi)),
    ]
}

/// The page, its API, metrics and health.
pub(super) fn router(app: &Arc<App>) -> Router {
    let mut api = Router::new();
    for (path, handler) in routes() {
        api = api.route(path, handler);
    }
    let guarded = Router::new()
        .nest("/api/v1", api)
        .fallback(page::asset)
        .layer(middleware::from_fn_with_state(Arc::clone(app), layer::guard))
        .layer(DefaultBodyLimit::max(BODY_LIMIT));
    guarded.with_state(Arc::clone(app)).merge(ops(app))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_description_has_the_paths_of_the_router() {
        let description: serde_json::Value = serde_json::from_str(page::OPENAPI).unwrap();
        let described: BTreeSet<&str> =
            description["paths"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(described, routes().iter().map(|(path, _)| *path).collect());
        // A request other than GET and POST is refused by the guard, so no operation may promise one.
        let methods = description["paths"]
            .as_object()
            .unwrap()
            .values()
            .flat_map(|path| path.as_object().unwrap().keys());
        assert!(methods.clone().all(|method| ["get", "post"].contains(&method.as_str())));
    }
}
