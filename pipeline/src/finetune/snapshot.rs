//! The snapshot of a job: corrections and replayed documents as they are at one moment.
//!
//! Contract: a snapshot does not change after it was written, whatever arrives later. Every correction up to its end
//! offsets is in it, either as a row or among the skipped ones with a reason.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use fenliu_model::Labels;
use fenliu_operators::Plan;
use sha2::{Digest, Sha256};

use super::feedback::{Collected, Correction, Skipped, read_files, read_topic};
use super::join::labelled_texts;
use super::rows::{ExampleOrigin, Row, fingerprint};
use super::snapshot_summary::SnapshotSummary;
use super::state::JobDirectory;
use crate::config::Config;
use crate::config::RowFilter;
use crate::corpus;
use crate::error::{Error, Result};

pub(super) const ROWS: &str = "rows.jsonl";
const SKIPPED: &str = "skipped.jsonl";

/// Takes a snapshot and writes it to the directory of `job`.
///
/// # Errors
/// A file cannot be read, a broker does not answer, or there is no row to train on.
pub(super) fn take(
    config: &Config,
    plan: &Plan,
    labels: &Labels,
    job: &JobDirectory,
) -> Result<SnapshotSummary> {
    let mut snapshot = Builder { config, plan, summary: SnapshotSummary::default(), skipped: vec![] };
    let feedback = snapshot.feedback(labels)?;
    let job_config = &config.finetune;
    let data = snapshot.documents(&job_config.data, job_config.select.as_ref(), ExampleOrigin::Data)?;
    let test = snapshot.documents(&job_config.test, job_config.test_select.as_ref(), ExampleOrigin::Test)?;
    let far = snapshot.documents(&job_config.far, job_config.far_select.as_ref(), ExampleOrigin::Far)?;
    snapshot.summary.far = far.len();
    let rows = snapshot.combine(feedback, data, [test, far].concat());
    let Builder { mut summary, skipped, .. } = snapshot;
    for entry in &skipped {
        *summary.skipped.entry(entry.reason.clone()).or_default() += 1;
    }
    summary.sha256 = sha256(&rows);
    // Before the error below, whose message names this file.
    job.write_lines(SKIPPED, &skipped)?;
    if rows.iter().all(|row| row.origin.is_held_out()) {
        let reasons = summary.skipped.iter().map(|(reason, count)| format!("{count} {reason}"));
        let reasons: Vec<String> = reasons.collect();
        return Err(Error::input(format!(
            "there is no row to train on: no usable correction and no `finetune.data`; skipped: {}, see {}",
            if reasons.is_empty() { "none".into() } else { reasons.join(", ") },
            job.path().join(SKIPPED).display()
        )));
    }
    job.write_lines(ROWS, &rows)?;
    Ok(summary)
}

struct Builder<'a> {
    config: &'a Config,
    plan: &'a Plan,
    summary: SnapshotSummary,
    skipped: Vec<Skipped>,
}

impl Builder<'_> {
    fn feedback(&mut self, labels: &Labels) -> Result<Vec<Row>> {
        let feedback = &self.config.finetune.feedback;
        let mut collected = Collected::default();
        read_files(&feedback.paths, &mut collected)?;
        if !feedback.topic.is_empty() {
            read_topic(&self.config.kafka, &feedback.topic, &mut collected)?;
        }
        self.summary.seen = (collected.corrections.len() + collected.skipped.len()) as u64;
        self.summary.ends = collected.ends;
        self.skipped = collected.skipped;
        let is_excluded = |correction: &Correction| {
            correction.feedback.by.as_ref().is_some_and(|by| feedback.exclude_by.contains(by))
        };
        let (excluded, corrections): (Vec<Correction>, Vec<Correction>) =
            collected.corrections.into_iter().partition(is_excluded);
        self.skipped.extend(excluded.into_iter().map(|correction| correction.skip("excluded_by", None)));
        let known = (!feedback.allow_new_labels).then_some(labels);
        let (documents, skipped) = (&self.config.documents, &mut self.skipped);
        labelled_texts(corrections, &feedback.texts, documents, self.plan, known, skipped)
    }

    fn documents(
        &mut self,
        paths: &[PathBuf],
        selection: Option<&RowFilter>,
        origin: ExampleOrigin,
    ) -> Result<Vec<Row>> {
        if paths.is_empty() {
            return Ok(vec![]);
        }
        let corpus = corpus::read(paths, selection, &self.config.documents, self.plan)?;
        let count = corpus.documents.len();
        let rows: Vec<Row> =
            corpus.documents.into_iter().filter_map(|document| Row::of(document, origin)).collect();
        self.summary.unusable += corpus.rejected + count - rows.len();
        Ok(rows)
    }

    /// Combines the kinds of rows. A correction takes precedence over the label that a document came with, and a document
    /// of `test`, where the far ones are, too, is not used for training.
    fn combine(&mut self, feedback: Vec<Row>, mut data: Vec<Row>, mut test: Vec<Row>) -> Vec<Row> {
        let corrected: HashMap<u128, &Row> =
            feedback.iter().map(|row| (fingerprint(&row.text), row)).collect();
        for row in data.iter_mut().chain(&mut test) {
            if let Some(correction) = corrected.get(&fingerprint(&row.text))
                && correction.label != row.label
            {
                row.label.clone_from(&correction.label);
                self.summary.relabelled += 1;
            }
        }
        let tested: HashSet<u128> = test.iter().map(|row| fingerprint(&row.text)).collect();
        let before = data.len();
        // A test document in the training rows would make the comparison worthless.
        data.retain(|row| !tested.contains(&fingerprint(&row.text)));
        self.summary.data_in_test = before - data.len();
        let known: HashSet<u128> = data.iter().map(|row| fingerprint(&row.text)).chain(tested).collect();
        self.summary.feedback = feedback.len();
        // Corrections of known texts have changed the labels of those rows above; as rows of their own, these texts
        // would count twice.
        let new = feedback.into_iter().filter(|row| !known.contains(&fingerprint(&row.text)));
        let mut rows: Vec<Row> = new.collect();
        (self.summary.data, self.summary.test) = (data.len(), test.len() - self.summary.far);
        rows.append(&mut data);
        rows.append(&mut test);
        rows
    }
}

/// SHA-256 over labels and texts. Each is preceded by its length, so that different rows cannot concatenate to the same
/// bytes.
fn sha256(rows: &[Row]) -> String {
    let mut hasher = Sha256::new();
    for part in rows.iter().flat_map(|row| [&row.label, &row.text]) {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hex::encode(hasher.finalize())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use fenliu_connectors::kafka::Ends;
    use serde_json::Value;

    use super::*;
    use crate::clean::compile;

    fn lines(path: &std::path::Path, lines: &[&str]) -> Vec<PathBuf> {
        std::fs::write(path, lines.join("\n")).unwrap();
        vec![path.to_path_buf()]
    }

    #[test]
    fn corrections_override_given_labels_and_test_rows_are_not_trained_on() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.finetune.data = lines(
            &dir.path().join("data.jsonl"),
            &[
                r#"{"text":"one","label":"a"}"#,
                r#"{"text":"two","label":"a"}"#,
                r#"{"text":"three","label":"b"}"#,
                r#"{"text":"no label"}"#,
            ],
        );
        config.finetune.test = lines(
            &dir.path().join("test.jsonl"),
            &[r#"{"text":"Three!","label":"b"}"#, r#"{"text":"four","label":"a"}"#],
        );
        config.finetune.far = lines(
            &dir.path().join("far.jsonl"),
            &[r#"{"text":"far away","label":"a"}"#, r#"{"text":"far, too","label":"b"}"#],
        );
        config.finetune.feedback.exclude_by = vec!["mallory".into()];
        config.finetune.feedback.paths = lines(
            &dir.path().join("feedback.jsonl"),
            &[
                r#"{"text":"two","label":"b"}"#,
                r#"{"text":"four","label":"b"}"#,
                r#"{"text":"five","label":"new"}"#,
                r#"{"text":"six","label":"a","by":"desk"}"#,
                r#"{"text":"six","label":"b","by":"mallory"}"#,
                r#"{"text":"Far away!","label":"a"}"#,
                r#"{"text":"seven","label":"a","at":1700000000}"#,
                r#"{"text":"seven","label":"new","at":1700000001}"#,
            ],
        );
        config.finetune.feedback.allow_new_labels = false;
        let plan = compile(&Default::default()).unwrap();
        let job = JobDirectory::create(dir.path(), "base", Value::Null).unwrap();
        let labels = Labels::from_ids(["a", "b"]).unwrap();
        let summary = take(&config, &plan, &labels, &job).unwrap();

        let rows: Vec<Row> = job.read_lines(ROWS).unwrap();
        let found: Vec<_> = rows.iter().map(|r| (r.text.as_str(), r.label.as_str(), r.origin)).collect();
        let expected = [
            ("six", "a", ExampleOrigin::Feedback),
            ("one", "a", ExampleOrigin::Data),
            ("two", "b", ExampleOrigin::Data),
            ("Three!", "b", ExampleOrigin::Test),
            ("four", "b", ExampleOrigin::Test),
            ("far away", "a", ExampleOrigin::Far),
            ("far, too", "b", ExampleOrigin::Far),
        ];
        assert_eq!(found, expected);
        assert_eq!(rows[0].by.as_deref(), Some("desk"));
        let expected = SnapshotSummary {
            data: 2,
            feedback: 4,
            test: 2,
            far: 2,
            relabelled: 2,
            data_in_test: 1,
            unusable: 1,
            skipped: BTreeMap::from([
                ("excluded_by".to_string(), 1),
                ("superseded".to_string(), 1),
                ("unknown_label".to_string(), 2),
            ]),
            seen: 8,
            ends: Ends::new(),
            sha256: summary.sha256.clone(),
        };
        assert_eq!(summary, expected);
    }
}
