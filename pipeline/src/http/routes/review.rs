//! `/review`: the stories that a person should look at next.
//!
//! Uncertain ones come first, by the margin between the two most probable labels, those whose label is not trusted before
//! the others; at most a few of each pair of labels, and no near duplicates, so that the queue is diverse. One in ten is a
//! random story, shown without the label that the model gave it: the share of those that a person labels as the model did
//! estimates the model's accuracy, which the uncertain ones cannot.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use rand::seq::IndexedRandom;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::http::app::App;
use crate::http::extract::Parameters;
use crate::http::problem::Answer;
use crate::http::shingles::{NEAR, similarity};
use crate::http::story::Story;

/// Most stories of one pair of labels in a page.
const PER_PAIR: usize = 3;
/// One in so many is an audit.
const AUDIT_EVERY: usize = 10;
/// Margins from this on are not uncertain.
const CERTAIN: f32 = 0.5;
/// What an audit does not show before it is answered.
const HIDDEN: [&str; 6] = ["label", "score", "margin", "labels", "abstained", "correction"];

#[derive(Debug, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    limit: usize,
}

impl Default for Wanted {
    fn default() -> Self {
        Wanted { limit: 20 }
    }
}

pub(super) async fn review(
    State(app): State<Arc<App>>,
    Parameters(wanted): Parameters<Wanted>,
) -> Answer<Json<Value>> {
    let done = app.corrected();
    let open: Vec<Arc<Story>> =
        app.feed()?.after(0).into_iter().filter(|story| !done.contains_key(&story.key)).collect();
    let limit = wanted.limit.clamp(1, 100);
    let mut uncertain = open.clone();
    uncertain.retain(|story| story.abstained || story.margin < CERTAIN);
    uncertain.sort_by(|a, b| b.abstained.cmp(&a.abstained).then(a.margin.total_cmp(&b.margin)));
    let waiting = uncertain.len();
    let chosen = diverse(&uncertain, limit);
    let mut items = vec![];
    let mut audits = audits(&open, &chosen, limit / AUDIT_EVERY + 1).into_iter();
    for (place, story) in chosen.iter().enumerate() {
        if place % AUDIT_EVERY == AUDIT_EVERY / 2
            && let Some(audit) = audits.next()
        {
            items.push(json!({ "document": hidden(app.shown(&audit)), "queue": "audit" }));
        }
        let queue = if story.abstained { "abstained" } else { "uncertain" };
        items.push(json!({ "document": app.shown(story), "queue": queue }));
    }
    items.truncate(limit);
    let audited = app.corrections.as_ref().map(|corrections| corrections.audits());
    Ok(Json(json!({ "items": items, "waiting": waiting, "audits": audited })))
}

/// The first `limit` stories without near duplicates, and with few of each pair of labels.
fn diverse(stories: &[Arc<Story>], limit: usize) -> Vec<Arc<Story>> {
    let mut pairs: HashMap<(&str, &str), usize> = HashMap::new();
    let mut chosen: Vec<Arc<Story>> = vec![];
    for story in stories {
        let second = story.labels.get(1).map_or("", |scored| scored.label.as_str());
        let of_pair = pairs.entry((&story.label, second)).or_default();
        let is_alike = |other: &Arc<Story>| similarity(&story.shingles, &other.shingles) >= NEAR;
        if *of_pair < PER_PAIR && !chosen.iter().any(is_alike) {
            *of_pair += 1;
            chosen.push(Arc::clone(story));
        }
        if chosen.len() == limit {
            break;
        }
    }
    chosen
}

/// Random stories that are not among the `chosen` ones.
fn audits(open: &[Arc<Story>], chosen: &[Arc<Story>], count: usize) -> Vec<Arc<Story>> {
    let rest: Vec<&Arc<Story>> =
        open.iter().filter(|story| !chosen.iter().any(|other| other.key == story.key)).collect();
    rest.choose_multiple(&mut rand::rng(), count).map(|story| Arc::clone(story)).collect()
}

/// A story without what the model said of it: a label that is shown is agreed with more often.
pub(super) fn hidden(mut story: Value) -> Value {
    if let Some(fields) = story.as_object_mut() {
        HIDDEN.iter().for_each(|name| drop(fields.remove(*name)));
    }
    story
}
