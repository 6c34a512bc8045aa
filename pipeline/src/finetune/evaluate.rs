//! Evaluates champion and challenger on the same test rows and checks the gates.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;

use fenliu_model::compare::{
    RESAMPLES, measure_speed, paired_bootstrap, project, slice_names, slices, union,
};
use fenliu_model::correctors::Correctors;
use fenliu_model::evaluate::{RocCurve, roc_curves};
use fenliu_model::quality::QualityReport;
use fenliu_model::report::{Mistake, mistakes};
use fenliu_model::training_report::TrainReport;
use fenliu_model::{
    Calibration, Classifier, Comparison, Evaluation, Gate, GateInputs, GateLimits, Probabilities, Slice,
    Speed, evaluate, gates,
};

use serde::{Deserialize, Serialize};

use super::rows::{ExampleOrigin, Row};
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
    /// Recall of both by label.
    #[serde(default)]
    pub classes: Vec<Slice>,
    /// Accuracy of both on the far rows; `None` if there are none, or no champion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub far: Option<Slice>,
    /// What is known of those who made the corrections.
    #[serde(default)]
    pub correctors: Correctors,
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
    /// Whether labels without training rows keep what the champion knows of them.
    pub(super) keeps_labels: bool,
}

/// The rows that a challenger is judged by.
pub(super) struct Judges<'a> {
    pub(super) test: &'a [Row],
    /// Rows of another source; may be empty.
    pub(super) far: &'a [Row],
    /// The rows that were trained on, of which the corrections are compared with the champion's errors.
    pub(super) trained: Vec<&'a Row>,
}

/// Evaluates champion and challenger on the same rows, compares them and checks all gates.
///
/// # Errors
/// A model fails on a row, or there are no rows.
pub(super) fn evaluate_challenger(
    candidate: Candidate<'_>,
    mut champion: Option<Classifier>,
    challenger: &mut Classifier,
    judges: &Judges<'_>,
    limits: &GateLimits,
) -> Result<ChallengerReport> {
    let test = judges.test;
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
    let by_part = slices(&part_names(test), &gold, theirs.as_deref(), &ours);
    let names: Vec<Vec<String>> = test.iter().map(|row| vec![row.label.clone()]).collect();
    let classes = slices(&names, &gold, theirs.as_deref(), &ours);
    let far = champion.as_mut().map(|champion| far(champion, challenger, judges.far)).transpose()?.flatten();
    let correctors = match (&mut champion, &theirs) {
        (Some(model), Some(theirs)) => {
            Correctors::count(errors(test, &gold, theirs), corrections(model, &judges.trained)?.into_iter())
        }
        _ => Correctors::default(),
    };
    let sample = spread(&texts, SPEED_TEXTS);
    let speed =
        champion.as_mut().map(|model| measure_speed(model, challenger, &sample)).transpose().converted()?;
    let mut class_rows = with_rows(challenger, &candidate.split.train_by_label);
    if let Some(champion) = champion.as_ref().filter(|_| candidate.keeps_labels) {
        class_rows.retain(|label, _| champion.labels().index_of(label).is_none());
    }
    let gates = gates::check(
        &GateInputs {
            challenger: &challenger_score,
            champion: champion_score.as_ref().zip(comparison.as_ref()),
            slices: &by_part,
            classes: &classes,
            far: far.as_ref(),
            correctors: &correctors,
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
        slices: by_part,
        classes,
        far,
        correctors,
        roc: roc_curves(&labels, &gold, &ours),
        mistakes: mistakes(&labels, &gold, &ours, &texts, MISTAKES),
        speed,
        gates,
    })
}

/// The slices of each row: those of its text, and whether it is in the newest quarter if all rows have a time.
fn part_names(rows: &[Row]) -> Vec<Vec<String>> {
    let times: Option<Vec<i64>> = rows.iter().map(|row| row.time).collect();
    let newest = times.and_then(|mut times| {
        times.sort_unstable();
        times.get(times.len() * 3 / 4).copied()
    });
    let names = |row: &Row| {
        let mut names = slice_names(&row.text, row.lang.as_deref(), row.source.as_deref());
        let is_new = newest.is_some_and(|newest| row.time >= Some(newest));
        names.extend(is_new.then(|| "time=newest quarter".to_owned()));
        names
    };
    rows.iter().map(names).collect()
}

/// Accuracy of both models on the far rows whose label at least one of them knows; `None` if there are none.
fn far(champion: &mut Classifier, challenger: &mut Classifier, rows: &[Row]) -> Result<Option<Slice>> {
    let labels = union(&champion.labels().ids(), &challenger.labels().ids());
    let position = |row: &Row| labels.iter().position(|label| *label == row.label);
    let (rows, gold): (Vec<&Row>, Vec<usize>) =
        rows.iter().filter_map(|row| Some((row, position(row)?))).unzip();
    if rows.is_empty() {
        return Ok(None);
    }
    let texts: Vec<&str> = rows.iter().map(|row| row.text.as_str()).collect();
    let (theirs, ours) = (predict(champion, &texts, &labels)?, predict(challenger, &texts, &labels)?);
    let names = vec![vec!["far".to_owned()]; rows.len()];
    Ok(slices(&names, &gold, Some(&theirs), &ours).pop())
}

/// The champion's probabilities of the gold labels of the rows that it labels wrongly, without rows whose label is a
/// correction.
fn errors(rows: &[Row], gold: &[usize], theirs: &[Probabilities]) -> Vec<f32> {
    let error = |((row, gold), theirs): ((&Row, &usize), &Probabilities)| {
        let is_wrong = theirs.top(1).first().is_some_and(|(label, _)| label != gold);
        let probability = theirs.as_slice().get(*gold).copied()?;
        (is_wrong && row.origin != ExampleOrigin::Feedback).then_some(probability)
    };
    iter::zip(iter::zip(rows, gold), theirs).filter_map(error).collect()
}

/// Who made each correction among `rows`, and the champion's probability of its label. Those to labels that it does not
/// know are left out, as are those of documents that it may have been trained on with another label.
fn corrections<'a>(champion: &mut Classifier, rows: &[&'a Row]) -> Result<Vec<(Option<&'a str>, f32)>> {
    let label = |row: &Row| champion.labels().index_of(&row.label);
    let known = rows.iter().filter(|row| row.origin == ExampleOrigin::Feedback);
    let (known, labels): (Vec<&Row>, Vec<usize>) = known.filter_map(|row| Some((*row, label(row)?))).unzip();
    if known.is_empty() {
        return Ok(vec![]);
    }
    let texts: Vec<&str> = known.iter().map(|row| row.text.as_str()).collect();
    let ids = champion.labels().ids();
    let probabilities = predict(champion, &texts, &ids)?;
    let correction = |((row, label), probabilities): ((&&'a Row, usize), &Probabilities)| {
        (row.by.as_deref(), probabilities.as_slice().get(label).copied().unwrap_or_default())
    };
    Ok(iter::zip(iter::zip(&known, labels), &probabilities).map(correction).collect())
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
