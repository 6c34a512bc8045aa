//! `/corrections`: labels that people give to stories. Who made one and when is set here and never taken from the request.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use chrono::Utc;
use serde::Deserialize;
use serde_json::{Value, json};
use ulid::Ulid;

use crate::error::Result;
use crate::http::app::{App, in_background};
use crate::http::corrections::{Correction, Corrections, Queue};
use crate::http::extract::{Body, Named, Parameters};
use crate::http::guard::Identity;
use crate::http::problem::{Answer, Problem};
use crate::http::story::Story;

/// Most stories that are labelled at once.
const AT_ONCE: usize = 100;

/// What the page sends: one story or several.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct New {
    ulid: String,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    keys: Vec<String>,
    label: String,
    #[serde(default)]
    queue: Queue,
}

impl App {
    fn corrections(&self) -> Answer<&Corrections> {
        self.corrections.as_ref().ok_or_else(|| Problem::conflict(self.why_dark("corrections")))
    }

    /// The stories of a request; all of them, or none.
    fn corrected_stories(&self, new: &New) -> Answer<Vec<Arc<Story>>> {
        let keys: Vec<&String> = new.key.iter().chain(&new.keys).collect();
        if keys.is_empty() || keys.len() > AT_ONCE {
            return Err(Problem::bad_request(format!(
                "{} stories are named: 1 to {AT_ONCE} may be",
                keys.len()
            )));
        }
        let feed = self.feed()?;
        let gone = |key: &str| {
            Problem::not_found(format!(
                "{key} is not among the newest documents any more, so its text is not known: raise `http.feed.documents` and \
                 `http.feed.memory`, or send the text itself to the corrections (`finetune.feedback`)"
            ))
        };
        keys.into_iter().map(|key| feed.get(key).ok_or_else(|| gone(key))).collect()
    }

    fn check_label(&self, label: &str) -> Answer<()> {
        let Some(live) = self.live.get() else { return Ok(()) };
        let current = live.current();
        if current.labels().iter().any(|known| known.id == label) {
            return Ok(());
        }
        let known = current.labels().ids().join(", ");
        Err(Problem::bad_request(format!("`{label}` is not a label of the model, which has: {known}")))
    }
}

pub(super) async fn add(
    State(app): State<Arc<App>>,
    Extension(identity): Extension<Identity>,
    Body(new): Body<New>,
) -> Answer<(StatusCode, Json<Value>)> {
    app.check_label(&new.label)?;
    if new.ulid.parse::<Ulid>().is_err() {
        return Err(Problem::bad_request(format!("`{}` is not a ULID", new.ulid)));
    }
    let is_one = new.key.is_some();
    let stories = app.corrected_stories(&new)?;
    // Brokers and disks may take a while, and this thread serves everyone.
    let made = in_background(app, move |app| {
        let corrections = app.corrections()?;
        let metrics = &app.counters.metrics;
        let made = stories.iter().map(|story| corrections.add(new.of(story, &identity), story, metrics));
        Ok(made.collect::<Result<Vec<Correction>>>()?)
    });
    let mut made = made.await?;
    let body = match made.pop() {
        Some(one) if is_one => json!(one),
        last => json!({ "corrections": made.into_iter().chain(last).collect::<Vec<_>>() }),
    };
    Ok((StatusCode::CREATED, Json(body)))
}

impl New {
    fn of(&self, story: &Story, identity: &Identity) -> Correction {
        Correction {
            ulid: self.ulid.clone(),
            key: story.key.clone(),
            id: story.id.clone(),
            title: story.title.clone(),
            label: self.label.clone(),
            predicted: story.label.clone(),
            score: story.score,
            model_version: story.model_version.clone(),
            by: identity.name.clone(),
            at: Utc::now(),
            queue: self.queue,
            withdrawn: false,
        }
    }
}

pub(super) async fn withdraw(
    State(app): State<Arc<App>>,
    Named(ulid): Named<String>,
) -> Answer<(StatusCode, Json<Value>)> {
    let named = ulid.clone();
    let withdrawn =
        in_background(app, move |app| Ok(app.corrections()?.withdraw(&named, &app.counters.metrics)?));
    let mut withdrawn = withdrawn.await?;
    match (withdrawn.pop(), withdrawn.is_empty()) {
        (None, _) => Err(Problem::not_found(format!("there is no correction {ulid} of this process"))),
        (Some(one), true) => Ok((StatusCode::CREATED, Json(json!(one)))),
        (Some(last), false) => {
            withdrawn.push(last);
            Ok((StatusCode::CREATED, Json(json!({ "corrections": withdrawn }))))
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    limit: usize,
    /// Only of stories that the model gave this label, or that people did.
    predicted: Option<String>,
    label: Option<String>,
}

impl Default for Wanted {
    fn default() -> Self {
        Wanted { limit: 100, predicted: None, label: None }
    }
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Parameters(wanted): Parameters<Wanted>,
) -> Answer<Json<Value>> {
    let corrections = app.corrections()?;
    let (newest, confusion) =
        corrections.listed(wanted.predicted.as_deref(), wanted.label.as_deref(), wanted.limit);
    let cell =
        |((predicted, label), count)| json!({ "predicted": predicted, "label": label, "count": count });
    let confusion: Vec<Value> = confusion.into_iter().map(cell).collect();
    Ok(Json(json!({ "corrections": newest, "confusion": confusion })))
}
