//! Labels that people give to stories. They go to where fine-tuning reads corrections: a topic or a file.
//!
//! A correction carries the text of its document as the model read it, so that a job needs no look-up. It is acknowledged
//! when the brokers have it on all replicas, or when the file is on disk. A client names each of its corrections by a ULID,
//! so that one that is sent twice counts once.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use fenliu_connectors::kafka::{MessageWriter, NewMessage, client_config};
use fenliu_engine::metrics::Metrics;
use fenliu_schemas::Feedback;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::story::Story;
use crate::error::{Error, Result};
use crate::plan::Plan;

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
    pub(super) ulid: String,
    pub(super) key: String,
    pub(super) id: Option<String>,
    pub(super) title: Option<String>,
    pub(super) label: String,
    /// The label that the model gave.
    pub(super) predicted: String,
    pub(super) score: f32,
    pub(super) model_version: String,
    pub(super) by: String,
    #[serde(serialize_with = "super::time::rfc3339")]
    pub(super) at: DateTime<Utc>,
    pub(super) queue: Queue,
    pub(super) withdrawn: bool,
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
    pub(super) fn add(&self, correction: Correction, story: &Story, metrics: &Metrics) -> Result<Correction> {
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
    pub(super) fn withdraw(&self, ulid: &str, metrics: &Metrics) -> Result<Vec<Correction>> {
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

    /// The corrections of a cell of the confusion matrix, newest first, and the matrix: how often the model gave one label
    /// and people another. `None` is any label.
    pub(super) fn listed(
        &self,
        predicted: Option<&str>,
        label: Option<&str>,
        limit: usize,
    ) -> (Vec<Correction>, BTreeMap<(String, String), usize>) {
        let made = self.made.lock();
        let is = |wanted: Option<&str>, value: &str| wanted.is_none_or(|wanted| wanted == value);
        let of_cell = made.all.iter().filter(|c| is(predicted, &c.predicted) && is(label, &c.label));
        let newest = of_cell.rev().take(limit).cloned().collect();
        let mut confusion: BTreeMap<(String, String), usize> = BTreeMap::new();
        for correction in made.all.iter().filter(|correction| !correction.withdrawn) {
            *confusion.entry((correction.predicted.clone(), correction.label.clone())).or_default() += 1;
        }
        (newest, confusion)
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
