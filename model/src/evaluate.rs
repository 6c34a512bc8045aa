//! How good predictions are: accuracy, F1, calibration, confusion.
//!
//! Definitions are scikit-learn's: a rate without cases is 0, and macro-F1 is the mean over the
//! classes that occur in the gold labels or the predictions.

pub(crate) mod coverage;
pub(crate) mod reliability;

use serde::{Deserialize, Serialize};

use crate::classifier::Probabilities;
use crate::error::{ModelError, Result};
use reliability::{Outcome, expected_error};

pub use coverage::CoveragePoint;
pub use reliability::ReliabilityBin;

/// The scores of one label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassScores {
    /// The label's id.
    pub label: String,
    /// Right predictions of the label / predictions of the label.
    pub precision: f64,
    /// Right predictions of the label / rows that have the label.
    pub recall: f64,
    /// Harmonic mean of precision and recall.
    pub f1: f64,
    /// Rows that have the label.
    pub support: usize,
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
    /// `confusion[gold][predicted]` = rows, both in logit order.
    pub confusion: Vec<Vec<usize>>,
    /// Confidence against accuracy in 15 equally wide bins.
    #[serde(default)]
    pub reliability: Vec<ReliabilityBin>,
    /// Accuracy against the share of rows that reach a confidence.
    #[serde(default)]
    pub coverage: Vec<CoveragePoint>,
}

/// Compares the most probable label of each row with its gold label.
///
/// # Errors
///
/// No rows, not as many predictions as gold labels, a gold label that is not an index into `labels`,
/// or probabilities for another number of labels.
pub fn evaluate(labels: &[String], gold: &[usize], probabilities: &[Probabilities]) -> Result<Evaluation> {
    check(labels, gold, probabilities)?;
    let mut confusion = vec![vec![0; labels.len()]; labels.len()];
    let mut outcomes = Vec::with_capacity(gold.len());
    for (&gold, probabilities) in gold.iter().zip(probabilities) {
        for (predicted, confidence) in probabilities.top(1) {
            confusion[gold][predicted] += 1;
            outcomes.push(Outcome { confidence, is_correct: predicted == gold });
        }
    }
    let per_class = class_scores(labels, &confusion);
    let reliability = reliability::reliability(&outcomes);
    let correct: usize = (0..labels.len()).map(|class| confusion[class][class]).sum();
    Ok(Evaluation {
        rows: gold.len(),
        accuracy: ratio(correct, gold.len()),
        macro_f1: macro_f1(&per_class, &confusion),
        per_class,
        ece: expected_error(&reliability),
        confusion,
        reliability,
        coverage: coverage::coverage(&outcomes),
    })
}

fn check(labels: &[String], gold: &[usize], probabilities: &[Probabilities]) -> Result<()> {
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

fn class_scores(labels: &[String], confusion: &[Vec<usize>]) -> Vec<ClassScores> {
    let score = |(class, label): (usize, &String)| {
        let correct = confusion[class][class];
        let support = confusion[class].iter().sum();
        let predicted: usize = confusion.iter().map(|row| row[class]).sum();
        ClassScores {
            label: label.clone(),
            precision: ratio(correct, predicted),
            recall: ratio(correct, support),
            // Equal to 2PR / (P + R), without its division of zero by zero.
            f1: ratio(2 * correct, predicted + support),
            support,
        }
    };
    labels.iter().enumerate().map(score).collect()
}

fn macro_f1(per_class: &[ClassScores], confusion: &[Vec<usize>]) -> f64 {
    let is_predicted = |class: usize| confusion.iter().any(|row| row[class] > 0);
    let occurring =
        per_class.iter().enumerate().filter(|(class, scores)| scores.support > 0 || is_predicted(*class));
    let f1: Vec<f64> = occurring.map(|(_, scores)| scores.f1).collect();
    f1.iter().sum::<f64>() / f1.len() as f64
}

fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
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
