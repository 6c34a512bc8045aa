//! Evaluates champion and challenger on the same test rows and checks the gates.

use std::collections::{BTreeMap, BTreeSet};

use fenliu_model::compare::{
    RESAMPLES, measure_speed, paired_bootstrap, project, slice_names, slices, union,
};
use fenliu_model::evaluate::{RocCurve, roc_curves};
use fenliu_model::quality::QualityReport;
use fenliu_model::report::{Mistake, mistakes};
use fenliu_model::training_report::TrainReport;
use fenliu_model::{
    Calibration, Classifier, Comparison, Evaluation, Gate, GateInputs, GateLimits, Probabilities, Slice,
    Speed, evaluate, gates,
};

use serde::{Deserialize, Serialize};

use super::rows::Row;
use super::snapshot_summary::SnapshotSummary;
use super::split::SplitSummary;
use crate::error::{Converted, Result};

/// Seed of the bootstrap, fixed so that the same models and rows give the same intervals.
const SEED: u64 = 1;

/// How many wrongly labelled documents the report shows.
const MISTAKES: usize = 30;

/// How many texts speed is measured on.
const SPEED_TEXTS: usize = 256;

/// All measurements of a challenger. Stored as `report.json` of the job and as `eval/report.json` of its bundle.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ChallengerReport {
    /// ULID of the job.
    pub job: String,
    /// Version that training started from.
    pub base: String,
    /// The rows of the job.
    pub snapshot: SnapshotSummary,
    /// How they were split.
    pub split: SplitSummary,
    /// Suspicious labels and other problems of the training rows.
    pub quality: QualityReport,
    /// How the training went.
    pub train: TrainReport,
    /// How logits are turned into probabilities; `None` if there were no development rows.
    pub calibration: Option<Calibration>,
    /// The champion on the test rows; `None` if the base had no trained classification head.
    pub champion: Option<Evaluation>,
    /// The challenger on the test rows.
    pub challenger: Evaluation,
    /// The difference between the two, with confidence intervals; `None` without a champion.
    pub comparison: Option<Comparison>,
    /// Accuracy by language, source and length.
    pub slices: Vec<Slice>,
    /// ROC curves of the challenger.
    pub roc: Vec<RocCurve>,
    /// Examples of documents that the challenger labels wrongly.
    pub mistakes: Vec<Mistake>,
    /// Documents per second of both; `None` without a champion.
    pub speed: Option<Speed>,
    /// The gates, each with its value, its bound and whether it was passed.
    pub gates: Vec<Gate>,
}

impl ChallengerReport {
    /// Whether every gate was passed.
    pub(crate) fn passed(&self) -> bool {
        gates::passed(&self.gates)
    }

    /// The gates that were not passed, as text; empty if all were passed.
    pub(crate) fn failures(&self) -> String {
        let failed = self.gates.iter().filter(|gate| !gate.passed);
        failed.map(|gate| format!("{}: {}", gate.name, gate.detail)).collect::<Vec<_>>().join("; ")
    }
}

/// What is known about the challenger before it is evaluated.
pub(super) struct Candidate<'a> {
    pub(super) job: &'a str,
    pub(super) base: &'a str,
    pub(super) snapshot: SnapshotSummary,
    pub(super) split: SplitSummary,
    pub(super) quality: QualityReport,
    pub(super) train: &'a TrainReport,
}

/// Evaluates champion and challenger on `test`, compares them and checks all gates.
///
/// # Errors
/// A model fails on a row, or there are no rows.
pub(super) fn evaluate_challenger(
    candidate: Candidate<'_>,
    mut champion: Option<Classifier>,
    challenger: &mut Classifier,
    test: &[Row],
    limits: &GateLimits,
) -> Result<ChallengerReport> {
    // Both models are scored over the same labels; one that a model does not know has probability 0 there.
    let labels = all_labels(champion.as_ref(), challenger, test);
    let position = |row: &Row| labels.iter().position(|label| *label == row.label).unwrap_or_default();
    let gold: Vec<usize> = test.iter().map(position).collect();
    let texts: Vec<&str> = test.iter().map(|row| row.text.as_str()).collect();
    let theirs = champion.as_mut().map(|model| predict(model, &texts, &labels)).transpose()?;
    let ours = predict(challenger, &texts, &labels)?;
    let champion_score =
        theirs.as_ref().map(|theirs| evaluate(&labels, &gold, theirs)).transpose().converted()?;
    let challenger_score = evaluate(&labels, &gold, &ours).converted()?;
    let compare =
        |theirs: &Vec<Probabilities>| paired_bootstrap(&labels, &gold, theirs, &ours, RESAMPLES, SEED);
    let comparison = theirs.as_ref().map(compare).transpose().converted()?;
    let names: Vec<Vec<String>> =
        test.iter().map(|row| slice_names(&row.text, row.lang.as_deref(), row.source.as_deref())).collect();
    let slices = slices(&names, &gold, theirs.as_deref(), &ours);
    let sample = spread(&texts, SPEED_TEXTS);
    let speed =
        champion.as_mut().map(|model| measure_speed(model, challenger, &sample)).transpose().converted()?;
    let class_rows = with_rows(challenger, &candidate.split.train_by_label);
    let gates = gates::check(
        &GateInputs {
            challenger: &challenger_score,
            champion: champion_score.as_ref().zip(comparison.as_ref()),
            slices: &slices,
            class_rows: &class_rows,
            parity: candidate.train.parity_max_abs_diff,
            speed,
        },
        limits,
    );
    Ok(ChallengerReport {
        job: candidate.job.to_string(),
        base: candidate.base.to_string(),
        snapshot: candidate.snapshot,
        split: candidate.split,
        quality: candidate.quality,
        train: candidate.train.clone(),
        calibration: challenger.calibration().cloned(),
        champion: champion_score,
        challenger: challenger_score,
        comparison,
        slices,
        roc: roc_curves(&labels, &gold, &ours),
        mistakes: mistakes(&labels, &gold, &ours, &texts, MISTAKES),
        speed,
        gates,
    })
}

/// The number of training rows of each label of the challenger; 0 for a label that it only inherited from its base.
fn with_rows(challenger: &Classifier, train: &BTreeMap<String, usize>) -> BTreeMap<String, usize> {
    let labels = challenger.labels().ids().into_iter();
    labels.map(|label| (label.clone(), train.get(&label).copied().unwrap_or(0))).collect()
}

/// The labels of both models and of the test rows.
fn all_labels(champion: Option<&Classifier>, challenger: &Classifier, test: &[Row]) -> Vec<String> {
    let known = champion.map_or(vec![], |model| model.labels().ids());
    let labels = union(&known, &challenger.labels().ids());
    let tested: BTreeSet<String> = test.iter().map(|row| row.label.clone()).collect();
    union(&labels, &tested.into_iter().collect::<Vec<_>>())
}

fn predict(model: &mut Classifier, texts: &[&str], labels: &[String]) -> Result<Vec<Probabilities>> {
    let encodings = model.encoder().encode_batch(texts).converted()?;
    let probabilities = model.classify(&encodings).converted()?;
    Ok(project(&probabilities, &model.labels().ids(), labels))
}

/// At most `most` of the texts, evenly spaced.
fn spread<'a>(texts: &[&'a str], most: usize) -> Vec<&'a str> {
    let step = texts.len().div_ceil(most).max(1);
    texts.iter().step_by(step).copied().collect()
}
