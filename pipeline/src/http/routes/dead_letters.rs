//! `/dead-letters`: how many there are and why, with the newest ones as samples.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::http::app::App;
use crate::http::dead_letters::DeadLetter;
use crate::http::extract::Parameters;

#[derive(Debug, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    stage: Option<String>,
    reason: Option<String>,
    limit: usize,
}

impl Default for Wanted {
    fn default() -> Self {
        Wanted { stage: None, reason: None, limit: 50 }
    }
}

pub(super) async fn list(State(app): State<Arc<App>>, Parameters(wanted): Parameters<Wanted>) -> Json<Value> {
    let is = |wanted: &Option<String>, value: &str| wanted.as_deref().is_none_or(|wanted| wanted == value);
    let all = app.feed.as_ref().map(|feed| feed.dead_letters()).unwrap_or_default();
    let samples = all
        .into_iter()
        .filter(|letter| is(&wanted.stage, &letter.stage) && is(&wanted.reason, &letter.reason));
    let samples: Vec<DeadLetter> = samples.take(wanted.limit).collect();
    Json(json!({ "counts": app.dead_letter_counts(), "samples": samples }))
}
