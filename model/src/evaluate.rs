//! Evaluation of predictions: accuracy, F1, ROC-AUC, calibration, confusion.
//!
//! Definitions are scikit-learn's: a rate with an empty denominator is 0, and macro-F1 is the mean over the
//! classes that occur in the gold labels or the predictions.

pub(crate) mod counts;
pub(crate) mod coverage;
pub(crate) mod interval;
pub(crate) mod reliability;
mod roc;
mod slice;

use serde::{Deserialize, Serialize};

use crate::error::{ModelError, Result};
use crate::probabilities::Probabilities;
use counts::{ClassCounts, macro_f1, ratio};
use reliability::{Prediction, expected_error};

pub use coverage::{CoveragePoint, Trustable};
pub use interval::{Interval, Intervals};
pub use reliability::ReliabilityBin;
pub use roc::{RocCurve, roc_curves};
pub use slice::{SliceScores, Trusted, evaluate_slices};

/// Lower bound of probabilities in the log loss, so that one row with probability 0 does not make it infinite.
const LEAST_PROBABILITY: f32 = f32::EPSILON;

/// The scores of one label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassScores {
    /// The label's id.
    pub label: String,
    /// Correct predictions of the label / predictions of the label.
    pub precision: f64,
    /// Correct predictions of the label / rows that have the label.
    pub recall: f64,
    /// Harmonic mean of precision and recall.
    pub f1: f64,
    /// Rows that have the label.
    pub support: usize,
    /// Area under the ROC curve of the label against the rest, with ties counted half (Hanley & McNeil 1982);
    /// `None` if no row or every row has the label.
    #[serde(default)]
    pub roc_auc: Option<f64>,
}

/// A pair of labels that are confused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// Id of the gold label.
    pub gold: String,
    /// Id of the label that was predicted instead.
    pub predicted: String,
    /// Rows.
    pub rows: usize,
}

/// Predictions against gold labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Rows compared.
    pub rows: usize,
    /// Share of rows whose most probable label is the gold label.
    pub accuracy: f64,
    /// Mean F1 of the classes that occur in the gold labels or the predictions.
    pub macro_f1: f64,
    /// Scores by label, in logit order.
    pub per_class: Vec<ClassScores>,
    /// Expected calibration error (Guo et al. 2017): the mean of |accuracy - confidence| over the bins of
    /// `reliability`, weighted by their rows.
    pub ece: f64,
    /// `confusion[gold][predicted]` is the number of rows; both indices are in logit order.
    pub confusion: Vec<Vec<usize>>,
    /// Mean of `roc_auc` over the labels that have one; `None` if no label has one.
    #[serde(default)]
    pub macro_roc_auc: Option<f64>,
    /// Mean negative logarithm of the gold label's probability, in nats.
    #[serde(default)]
    pub log_loss: f64,
    /// Mean squared distance of the probabilities from 1 for the gold label and 0 for the others, from 0 to 2
    /// (Brier 1950).
    #[serde(default)]
    pub brier: f64,
    /// Confidence against accuracy in 15 equally wide bins.
    #[serde(default)]
    pub reliability: Vec<ReliabilityBin>,
    /// Accuracy on the rows that reach a confidence, against their share.
    #[serde(default)]
    pub coverage: Vec<CoveragePoint>,
    /// Area under the risk–coverage curve, from 0, the best; `None` in evaluations of earlier releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aurc: Option<f64>,
    /// Shares of the rows that could be trusted at 85 %, 90 % and 95 % right.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trustable: Vec<Trustable>,
    /// 95 % intervals of accuracy and macro-F1; only by [`evaluate_slices`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intervals: Option<Intervals>,
    /// Scores of all rows and of parts of them; only by [`evaluate_slices`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<SliceScores>,
}

/// Compares the most probable label of each row with its gold label.
///
/// # Errors
///
/// There are no rows; the numbers of predictions and of gold labels differ; a gold label is not an index into
/// `labels`; or there are probabilities for another number of labels.
pub fn evaluate(labels: &[String], gold: &[usize], probabilities: &[Probabilities]) -> Result<Evaluation> {
    check(labels, gold, probabilities)?;
    let mut confusion = vec![vec![0; labels.len()]; labels.len()];
    let mut predictions = Vec::with_capacity(gold.len());
    for (&gold, probabilities) in gold.iter().zip(probabilities) {
        for (predicted, confidence) in probabilities.top(1) {
            confusion[gold][predicted] += 1;
            predictions.push(Prediction { confidence, is_correct: predicted == gold });
        }
    }
    let counts = class_counts(&confusion);
    let per_class = class_scores(labels, &counts, gold, probabilities);
    let aucs: Vec<f64> = per_class.iter().filter_map(|class| class.roc_auc).collect();
    let reliability = reliability::reliability(&predictions);
    Ok(Evaluation {
        rows: gold.len(),
        accuracy: ratio(counts.iter().map(|class| class.correct).sum(), gold.len()),
        macro_f1: macro_f1(&counts),
        per_class,
        ece: expected_error(&reliability),
        confusion,
        macro_roc_auc: (!aucs.is_empty()).then(|| aucs.iter().sum::<f64>() / aucs.len() as f64),
        log_loss: mean(gold, probabilities, log_loss),
        brier: mean(gold, probabilities, brier),
        reliability,
        coverage: coverage::coverage(&predictions),
        aurc: Some(coverage::aurc(&predictions)),
        trustable: coverage::trustable(&predictions),
        intervals: None,
        slices: vec![],
    })
}

impl Evaluation {
    /// The `most` pairs of different labels with the most confused rows, in descending order.
    pub fn top_confusions(&self, most: usize) -> Vec<Confusion> {
        let label = |class: usize| self.per_class.get(class).map_or_else(String::new, |c| c.label.clone());
        let mut pairs = Vec::new();
        for (gold, row) in self.confusion.iter().enumerate() {
            for (predicted, rows) in row.iter().enumerate() {
                if gold != predicted && *rows > 0 {
                    pairs.push(Confusion { gold: label(gold), predicted: label(predicted), rows: *rows });
                }
            }
        }
        // A stable sort: pairs with equally many rows stay in the order of the labels.
        pairs.sort_by_key(|pair| std::cmp::Reverse(pair.rows));
        pairs.truncate(most);
        pairs
    }
}

/// The mean over all rows of `loss`, a function of the gold label and the probabilities of a row.
fn mean(gold: &[usize], probabilities: &[Probabilities], loss: fn(usize, &[f32]) -> f64) -> f64 {
    let losses = gold.iter().zip(probabilities).map(|(gold, row)| loss(*gold, row.as_slice()));
    losses.sum::<f64>() / gold.len() as f64
}

fn log_loss(gold: usize, probabilities: &[f32]) -> f64 {
    -f64::from(probabilities[gold].max(LEAST_PROBABILITY)).ln()
}

fn brier(gold: usize, probabilities: &[f32]) -> f64 {
    let distance = |(class, probability): (usize, &f32)| {
        (f64::from(*probability) - f64::from(u8::from(class == gold))).powi(2)
    };
    probabilities.iter().enumerate().map(distance).sum()
}

/// Refuses rows that cannot be compared: see [`evaluate`].
pub(crate) fn check(labels: &[String], gold: &[usize], probabilities: &[Probabilities]) -> Result<()> {
    let problem = if gold.is_empty() {
        "there are no rows".to_owned()
    } else if gold.len() != probabilities.len() {
        format!("{} gold labels but {} predictions", gold.len(), probabilities.len())
    } else if let Some(index) = gold.iter().find(|index| **index >= labels.len()) {
        format!("gold label {index} but there are {} labels", labels.len())
    } else if let Some(row) = probabilities.iter().position(|row| row.as_slice().len() != labels.len()) {
        format!(
            "row {row} has {} probabilities for {} labels",
            probabilities[row].as_slice().len(),
            labels.len()
        )
    } else {
        return Ok(());
    };
    Err(ModelError::Evaluation(problem))
}

fn class_counts(confusion: &[Vec<usize>]) -> Vec<ClassCounts> {
    let counts = |class: usize| ClassCounts {
        correct: confusion[class][class],
        predicted: confusion.iter().map(|row| row[class]).sum(),
        support: confusion[class].iter().sum(),
    };
    (0..confusion.len()).map(counts).collect()
}

fn class_scores(
    labels: &[String],
    counts: &[ClassCounts],
    gold: &[usize],
    probabilities: &[Probabilities],
) -> Vec<ClassScores> {
    let scores = |(class, (label, counts)): (usize, (&String, &ClassCounts))| ClassScores {
        label: label.clone(),
        precision: counts.precision(),
        recall: counts.recall(),
        f1: counts.f1(),
        support: counts.support,
        roc_auc: roc::auc(class, gold, probabilities),
    };
    labels.iter().zip(counts).enumerate().map(scores).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Probabilities whose top label is `class` with about `confidence`.
    fn prediction(class: usize, confidence: f32, labels: usize) -> Probabilities {
        let rest = (1.0 - confidence) / (labels - 1) as f32;
        let probability = |label| if label == class { confidence } else { rest };
        Probabilities::from_logits(&(0..labels).map(|label| probability(label).ln()).collect::<Vec<_>>())
    }

    fn labels(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    /// Expected values computed with scikit-learn's `classification_report`.
    #[test]
    fn scores_are_those_of_scikit_learn() {
        let gold = [0, 0, 0, 1, 1, 2];
        let predicted = [0, 0, 1, 1, 2, 2];
        let probabilities: Vec<_> = predicted.iter().map(|class| prediction(*class, 0.8, 4)).collect();
        let evaluation = evaluate(&labels(&["a", "b", "c", "unused"]), &gold, &probabilities).unwrap();
        assert_eq!(evaluation.rows, 6);
        assert!((evaluation.accuracy - 4.0 / 6.0).abs() < 1e-12);
        assert!((evaluation.macro_f1 - (0.8 + 0.5 + 2.0 / 3.0) / 3.0).abs() < 1e-12);
        let scores: Vec<_> =
            evaluation.per_class.iter().map(|class| (class.precision, class.recall, class.support)).collect();
        assert_eq!(scores, [(1.0, 2.0 / 3.0, 3), (0.5, 0.5, 2), (0.5, 1.0, 1), (0.0, 0.0, 0)]);
        assert_eq!(evaluation.confusion[0], [2, 1, 0, 0]);
        let pair = |gold: &str, predicted: &str| Confusion {
            gold: gold.to_owned(),
            predicted: predicted.to_owned(),
            rows: 1,
        };
        assert_eq!(evaluation.top_confusions(9), [pair("a", "b"), pair("b", "c")]);
        assert_eq!(evaluation.top_confusions(1).len(), 1);
        // Four correct rows at 0.8; two wrong ones, where the gold label has a third of the remaining
        // probability.
        let rest = 0.2_f64 / 3.0;
        let log_loss = -(4.0 * 0.8_f64.ln() + 2.0 * rest.ln()) / 6.0;
        assert!((evaluation.log_loss - log_loss).abs() < 1e-6, "{}", evaluation.log_loss);
        let brier =
            |gold: f64, top: f64, others: f64| (1.0 - gold).powi(2) + top * top + others * rest * rest;
        let brier = (4.0 * brier(0.8, 0.0, 3.0) + 2.0 * brier(rest, 0.8, 2.0)) / 6.0;
        assert!((evaluation.brier - brier).abs() < 1e-6, "{}", evaluation.brier);
        let aucs: Vec<f64> = evaluation.per_class.iter().filter_map(|class| class.roc_auc).collect();
        assert_eq!(aucs.len(), 3, "no row has the unused label");
        assert_eq!(evaluation.macro_roc_auc, Some(aucs.iter().sum::<f64>() / 3.0));
        assert!((evaluation.ece - (0.8 - 4.0 / 6.0)).abs() < 1e-6, "{}", evaluation.ece);
    }

    #[test]
    fn rows_that_cannot_be_compared_are_refused() {
        let labels = labels(&["a", "b"]);
        let row = [prediction(0, 0.9, 2)];
        for (gold, probabilities, message) in [
            (vec![], &row[..0], "cannot evaluate: there are no rows"),
            (vec![0, 1], &row[..], "cannot evaluate: 2 gold labels but 1 predictions"),
            (vec![2], &row[..], "cannot evaluate: gold label 2 but there are 2 labels"),
            (
                vec![0],
                &[prediction(0, 0.9, 3)][..],
                "cannot evaluate: row 0 has 3 probabilities for 2 labels",
            ),
        ] {
            assert_eq!(evaluate(&labels, &gold, probabilities).unwrap_err().to_string(), message);
        }
    }

    proptest! {
        #[test]
        fn scores_stay_in_their_bounds(rows in prop::collection::vec((0usize..5, 0usize..5, 0.21f32..1.0), 1..60)) {
            let gold: Vec<_> = rows.iter().map(|row| row.0).collect();
            let probabilities: Vec<_> = rows.iter().map(|row| prediction(row.1, row.2, 5)).collect();
            let evaluation = evaluate(&labels(&["a", "b", "c", "d", "e"]), &gold, &probabilities).unwrap();
            for score in [evaluation.accuracy, evaluation.macro_f1, evaluation.ece] {
                prop_assert!((0.0..=1.0).contains(&score));
            }
            prop_assert_eq!(evaluation.confusion.concat().iter().sum::<usize>(), rows.len());
            let right = rows.iter().filter(|row| row.0 == row.1).count();
            prop_assert!((evaluation.accuracy - right as f64 / rows.len() as f64).abs() < 1e-12);
        }
    }
}
