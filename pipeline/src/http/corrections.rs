//! `/corrections`: labels that people give to stories. They go to where fine-tuning reads corrections: a topic or a file.
//!
//! A correction carries the text of its document as the model read it, so that a job needs no look-up. Who made it and when is
//! set here and never taken from the request. It is acknowledged when the brokers have it on all replicas, or when the file is
//! on disk. A client names each of its corrections by a ULID, so that one that is sent twice counts once.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use chrono::{DateTime, Utc};
use fenliu_connectors::kafka::{MessageWriter, NewMessage, client_config};
use fenliu_engine::metrics::Metrics;
use fenliu_schemas::Feedback;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use ulid::Ulid;

use super::App;
use super::extract::{Body, Named, Parameters};
use super::guard::Identity;
use super::problem::{Answer, Problem};
use super::story::Story;
use crate::error::{Error, Result};
use crate::plan::Plan;

/// Most stories that are labelled at once.
const AT_ONCE: usize = 100;
/// The file in a directory of corrections.
const FILE: &str = "corrections.jsonl";
/// Corrections that are kept in memory for the page.
const KEPT: usize = 10_000;

/// Where corrections go, and those of this process.
pub(super) struct Corrections {
    place: Place,
    /// Held while one is written, so that a double submission waits for the first.
    made: Mutex<Made>,
}

enum Place {
    Topic { writer: MessageWriter, topic: String },
    File(PathBuf),
}

/// The corrections of this process, oldest first.
#[derive(Default)]
struct Made {
    all: Vec<Correction>,
    /// Audits, and those in which the person chose the model's label.
    audits: usize,
    right: usize,
}

/// Which list a story was corrected from.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Queue {
    #[default]
    Desk,
    Uncertain,
    Disagreement,
    Abstained,
    Audit,
    Alike,
}

/// A correction as the page shows it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Correction {
    ulid: String,
    key: String,
    id: Option<String>,
    title: Option<String>,
    label: String,
    /// The label that the model gave.
    predicted: String,
    score: f32,
    model_version: String,
    by: String,
    #[serde(serialize_with = "super::time::rfc3339")]
    at: DateTime<Utc>,
    queue: Queue,
    withdrawn: bool,
}

impl Corrections {
    /// Opens the place that `finetune.feedback` names; `None` if it names none that can be written.
    ///
    /// # Errors
    /// librdkafka refuses a property.
    pub(super) fn open(config: &Plan) -> Result<Option<Self>> {
        let feedback = &config.finetune.feedback;
        let place = if feedback.topic.is_empty() {
            feedback.paths.first().and_then(|path| file_at(path)).map(Place::File)
        } else {
            let mut client = client_config(&config.kafka, &Default::default());
            client.set("acks", "all");
            let writer = MessageWriter::try_new(client)?;
            Some(Place::Topic { writer, topic: feedback.topic.clone() })
        };
        Ok(place.map(|place| Corrections { place, made: Mutex::default() }))
    }

    /// The label that people gave to each story, by key.
    pub(super) fn labels(&self) -> BTreeMap<String, String> {
        let made = self.made.lock();
        made.all.iter().filter(|c| !c.withdrawn).map(|c| (c.key.clone(), c.label.clone())).collect()
    }

    /// The corrections of one story, oldest first, without those that were withdrawn.
    pub(super) fn of(&self, key: &str) -> Vec<Correction> {
        let made = self.made.lock();
        made.all.iter().filter(|c| c.key == key && !c.withdrawn).cloned().collect()
    }

    /// How many audits there were, and how many agreed with the model: a share with its 95 % interval.
    pub(super) fn audits(&self) -> Value {
        let made = self.made.lock();
        let (low, high) = wilson(made.right, made.audits);
        json!({ "answered": made.audits, "right": made.right, "low": low, "high": high })
    }

    /// Writes a correction, and counts it in `metrics`; one that was sent before stays as it is.
    fn add(&self, correction: Correction, story: &Story, metrics: &Metrics) -> Result<Correction> {
        let mut made = self.made.lock();
        let is_same = |known: &&Correction| known.ulid == correction.ulid && known.key == correction.key;
        if let Some(known) = made.all.iter().find(is_same) {
            return Ok(known.clone());
        }
        self.write(&record(&correction, story))?;
        let is_right = correction.label == correction.predicted;
        metrics.corrections.with(&[if is_right { "confirmed" } else { "changed" }]).add(1);
        if correction.queue == Queue::Audit {
            metrics.audits.with(&[if is_right { "right" } else { "wrong" }]).add(1);
            made.audits += 1;
            made.right += usize::from(is_right);
        }
        made.all.push(correction.clone());
        let excess = made.all.len().saturating_sub(KEPT);
        made.all.drain(..excess);
        Ok(correction)
    }

    /// Withdraws all corrections with this ULID, and counts them in `metrics`; empty if there are none.
    fn withdraw(&self, ulid: &str, metrics: &Metrics) -> Result<Vec<Correction>> {
        let mut made = self.made.lock();
        let mut withdrawn = vec![];
        for correction in made.all.iter_mut().filter(|correction| correction.ulid == ulid) {
            if !correction.withdrawn {
                let taken_back = Correction { withdrawn: true, at: Utc::now(), ..correction.clone() };
                self.write(&withdrawal(&taken_back))?;
                metrics.corrections.with(&["withdrawn"]).add(1);
                *correction = taken_back;
            }
            withdrawn.push(correction.clone());
        }
        Ok(withdrawn)
    }

    fn write(&self, record: &Record<'_>) -> Result<()> {
        let mut line = serde_json::to_vec(record).map_err(|error| Error::internal(error.to_string()))?;
        match &self.place {
            Place::Topic { writer, topic } => {
                let key = record.feedback.id.as_deref().unwrap_or(record.key);
                writer.send(NewMessage { key: Some(key.as_bytes()), ..NewMessage::new(topic, &line) })?;
                writer.flush()
            }
            Place::File(path) => {
                line.push(b'\n');
                append(path, &line).map_err(Error::file("append to", path))
            }
        }
    }
}

/// What fine-tuning reads, with more for people who look into the topic: readers pass over fields that they do not know.
#[derive(Serialize)]
struct Record<'a> {
    #[serde(flatten)]
    feedback: Feedback,
    key: &'a str,
    ulid: &'a str,
    predicted: &'a str,
    score: f32,
    model_version: &'a str,
    queue: Queue,
}

fn record<'a>(correction: &'a Correction, story: &Story) -> Record<'a> {
    let feedback = Feedback { title: story.title.clone(), body: story.body.clone(), ..feedback(correction) };
    Record { feedback, ..withdrawal(correction) }
}

/// A record without a text.
fn withdrawal(correction: &Correction) -> Record<'_> {
    Record {
        feedback: feedback(correction),
        key: &correction.key,
        ulid: &correction.ulid,
        predicted: &correction.predicted,
        score: correction.score,
        model_version: &correction.model_version,
        queue: correction.queue,
    }
}

fn feedback(correction: &Correction) -> Feedback {
    Feedback {
        // A document without an id of its own is named by its place, so that a later correction replaces this one.
        id: Some(correction.id.clone().unwrap_or_else(|| correction.key.clone())),
        label: correction.label.clone(),
        by: Some(correction.by.clone()),
        at: Some(correction.at.timestamp_millis()),
        withdrawn: correction.withdrawn,
        ..Feedback::default()
    }
}

/// The file to append to; `None` if the path is a file of another kind.
fn file_at(path: &Path) -> Option<PathBuf> {
    let is_lines = path.extension().is_some_and(|extension| extension == "jsonl");
    match path.is_dir() || path.extension().is_none() {
        true => Some(path.join(FILE)),
        false => is_lines.then(|| path.to_path_buf()),
    }
}

fn append(path: &Path, line: &[u8]) -> std::io::Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let mut file = File::options().create(true).append(true).open(path)?;
    file.write_all(line)?;
    file.sync_all()
}

/// The 95 % score interval of a share (Wilson 1927); from 0 to 1 where nothing was counted.
fn wilson(right: usize, all: usize) -> (f64, f64) {
    if all == 0 {
        return (0.0, 1.0);
    }
    let (n, z) = (all as f64, 1.96_f64);
    let share = right as f64 / n;
    let centre = share + z * z / (2.0 * n);
    let spread = z * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z * z / n;
    ((centre - spread) / scale, (centre + spread) / scale)
}

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

/// Runs work that may block on a thread of its own.
pub(super) async fn in_background<T: Send + 'static>(
    app: Arc<App>,
    work: impl FnOnce(&App) -> Answer<T> + Send + 'static,
) -> Answer<T> {
    let ended = tokio::task::spawn_blocking(move || work(&app)).await;
    ended.unwrap_or_else(|_| Err(Error::internal("the work for this request panicked").into()))
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
    let made = app.corrections()?.made.lock();
    let is = |wanted: &Option<String>, value: &str| wanted.as_deref().is_none_or(|wanted| wanted == value);
    let of_cell =
        made.all.iter().filter(|c| is(&wanted.predicted, &c.predicted) && is(&wanted.label, &c.label));
    let newest: Vec<&Correction> = of_cell.rev().take(wanted.limit).collect();
    let mut confusion: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for correction in made.all.iter().filter(|correction| !correction.withdrawn) {
        *confusion.entry((&correction.predicted, &correction.label)).or_default() += 1;
    }
    let confusion: Vec<Value> = confusion
        .into_iter()
        .map(|((predicted, label), count)| json!({ "predicted": predicted, "label": label, "count": count }))
        .collect();
    Ok(Json(json!({ "corrections": newest, "confusion": confusion })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_wilsons() {
        // statsmodels: proportion_confint(80, 100, method="wilson") = (0.711170, 0.866633)
        let (low, high) = wilson(80, 100);
        assert!((low - 0.711_170).abs() < 1e-4 && (high - 0.866_633).abs() < 1e-4, "{low} {high}");
        assert_eq!(wilson(0, 0), (0.0, 1.0));
    }

    #[test]
    fn a_directory_gets_a_file_and_other_kinds_of_files_none() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(file_at(directory.path()), Some(directory.path().join(FILE)));
        assert_eq!(file_at(Path::new("a/b.jsonl")), Some(PathBuf::from("a/b.jsonl")));
        assert_eq!(file_at(Path::new("a/new")), Some(PathBuf::from("a/new/corrections.jsonl")));
        assert_eq!(file_at(Path::new("a/b.parquet")), None);
    }
}
