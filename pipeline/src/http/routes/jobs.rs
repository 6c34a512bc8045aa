//! `/jobs`: the fine-tuning jobs of the model. A request has no parameters: it starts the job that the configuration
//! describes.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::http::app::{App, in_background};
use crate::http::jobs::Jobs;
use crate::http::problem::{Answer, Problem};

impl App {
    fn jobs(&self) -> Answer<&Jobs> {
        self.jobs.as_ref().ok_or_else(|| Problem::not_found(self.why_dark("jobs")))
    }
}

pub(super) async fn list(State(app): State<Arc<App>>) -> Answer<Json<Value>> {
    in_background(app, |app| {
        let jobs = app.jobs()?;
        let is_running = jobs.is_running();
        let states = jobs.states()?;
        let newest = states.last().filter(|state| is_running && !state.is_over());
        let running = newest.map(|state| jobs.shown(state, true));
        let all: Vec<Value> = states.iter().rev().map(|state| jobs.shown(state, is_running)).collect();
        // A job that has just been started has not written its state yet.
        let running = running.or_else(|| {
            is_running.then(|| json!({ "state": "running", "stage": "start", "gates": [], "log": [] }))
        });
        Ok(Json(json!({ "configured": true, "running": running, "jobs": all })))
    })
    .await
}

pub(super) async fn start(State(app): State<Arc<App>>) -> Answer<(StatusCode, Json<Value>)> {
    in_background(app, |app| {
        app.jobs()?.start()?;
        Ok((
            StatusCode::ACCEPTED,
            Json(json!({ "state": "running", "stage": "start", "gates": [], "log": [] })),
        ))
    })
    .await
}
