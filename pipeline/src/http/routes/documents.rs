//! `/documents`: lists of stories, and one with its text.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};

use super::review::hidden;
use crate::http::app::App;
use crate::http::extract::{Named, Parameters};
use crate::http::feed::Filter;
use crate::http::problem::{Answer, Problem};
use crate::http::story::Story;

/// Most alike stories that are shown beside one.
const ALIKE: usize = 20;

/// The order of a list and its page.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub(super) struct Listing {
    order: Order,
    limit: usize,
    /// Where the page before ended: the number of its last story.
    cursor: Option<String>,
    /// Only stories that people have corrected.
    corrected: bool,
}

impl Default for Listing {
    fn default() -> Self {
        Listing { order: Order::Newest, limit: 50, cursor: None, corrected: false }
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Order {
    #[default]
    Newest,
    Uncertain,
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Parameters(filter): Parameters<Filter>,
    Parameters(listing): Parameters<Listing>,
) -> Answer<Json<Value>> {
    let corrected = app.corrected();
    let is_wanted = |story: &Arc<Story>| {
        filter.wants(story, &corrected) && (!listing.corrected || corrected.contains_key(&story.key))
    };
    let mut stories: Vec<Arc<Story>> = app.feed()?.after(0).into_iter().filter(is_wanted).rev().collect();
    if listing.order == Order::Uncertain {
        stories.sort_by(|a, b| b.abstained.cmp(&a.abstained).then(a.margin.total_cmp(&b.margin)));
    }
    let total = stories.len();
    let begin = match &listing.cursor {
        None => 0,
        Some(cursor) => {
            let last = stories.iter().position(|story| story.seq.to_string() == *cursor);
            last.map(|place| place + 1).ok_or_else(|| {
                Problem::bad_request(
                    "the list has moved on since the page before: begin again without `cursor`",
                )
            })?
        }
    };
    let page: Vec<&Arc<Story>> = stories.iter().skip(begin).take(listing.limit.clamp(1, 500)).collect();
    let is_last = begin + page.len() >= total;
    let next = page.last().filter(|_| !is_last).map(|story| story.seq.to_string());
    let documents: Vec<Value> = page.iter().map(|story| app.shown(story)).collect();
    Ok(Json(json!({ "documents": documents, "next": next, "total": total })))
}

/// The key of a story from the parts of a path.
pub(super) type Key = Named<(String, i32, i64)>;

impl App {
    /// The story with this key.
    ///
    /// # Errors
    /// It has left the store, or was never in it.
    pub(super) fn story(&self, Named((topic, partition, offset)): Key) -> Answer<Arc<Story>> {
        let key = format!("{topic}/{partition}/{offset}");
        let left =
            || Problem::not_found(format!("{key} is not among the newest documents any more (`http.feed`)"));
        self.feed()?.get(&key).ok_or_else(left)
    }
}

/// How one story is shown.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct View {
    /// Without what the model said of it, as an audit shows it.
    blind: bool,
}

pub(super) async fn one(
    State(app): State<Arc<App>>,
    key: Key,
    Parameters(view): Parameters<View>,
) -> Answer<Json<Value>> {
    let story = app.story(key)?;
    let mut value = app.shown(&story);
    if view.blind {
        value = hidden(value);
        value["body"] = json!(story.body);
        return Ok(Json(value));
    }
    value["body"] = json!(story.body);
    value["alike"] = json!(alike(app.feed()?.near(&story)));
    value["corrections"] = json!(app.corrections.as_ref().map(|all| all.of(&story.key)).unwrap_or_default());
    Ok(Json(value))
}

fn alike(near: Vec<(f64, Arc<Story>)>) -> Vec<Value> {
    let shown = near.into_iter().take(ALIKE).map(|(similarity, other)| {
        json!({
            "key": other.key, "title": other.title, "label": other.label, "why": "near_duplicate",
            "similarity": similarity,
        })
    });
    shown.collect()
}
