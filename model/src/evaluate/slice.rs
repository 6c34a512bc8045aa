//! Scores of parts of the rows, such as those of one source.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::counts::ratio;
use super::coverage::{Trustable, aurc, trustable};
use super::interval::{Intervals, intervals, scores};
use super::reliability::{Prediction, expected_error, reliability};
use super::{Evaluation, evaluate};
use crate::error::{ModelError, Result};
use crate::probabilities::Probabilities;

/// The name of the slice with all rows.
const ALL: &str = "all documents";

/// Scores of one slice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SliceScores {
    /// What its rows have in common, such as `source=reuters`.
    pub name: String,
    /// Rows.
    pub rows: usize,
    /// Share of them whose most probable label is the gold label.
    pub accuracy: f64,
    /// Mean F1 of the labels that occur in them.
    pub macro_f1: f64,
    /// 95 % intervals of both.
    pub intervals: Intervals,
    /// Expected calibration error over 15 bins.
    pub ece: f64,
    /// Area under the risk–coverage curve.
    pub aurc: f64,
    /// Shares that could be trusted if the threshold were chosen on these rows.
    pub trustable: Vec<Trustable>,
    /// The rows that a rule trusts; `None` if there is no rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusted: Option<Trusted>,
}

/// The rows of a slice that a rule trusts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trusted {
    /// Their share of the slice.
    pub share: f64,
    /// Share of them whose most probable label is the gold label; 0 without such rows.
    pub precision: f64,
}

/// As [`evaluate()`], with scores of slices and with intervals. `names[row]` are the slices that a row is in; a
/// slice with all rows comes first, the others follow in the order of their names. `trusted[row]` says whether a
/// rule trusts the row.
///
/// # Errors
///
/// As [`evaluate()`], or there is not one entry of `names` and of `trusted` for each row.
pub fn evaluate_slices(
    labels: &[String],
    gold: &[usize],
    probabilities: &[Probabilities],
    names: &[Vec<String>],
    trusted: Option<&[bool]>,
) -> Result<Evaluation> {
    let evaluation = evaluate(labels, gold, probabilities)?;
    for (what, got) in [("names of slices", Some(names.len())), ("trust", trusted.map(<[bool]>::len))] {
        if let Some(got) = got.filter(|got| *got != gold.len()) {
            let problem = format!("{what} of {got} rows but {} gold labels", gold.len());
            return Err(ModelError::Evaluation(problem));
        }
    }
    let rows = answers(gold, probabilities, trusted);
    let slices: Vec<SliceScores> = members(names)
        .into_iter()
        .map(|(name, members)| {
            scored(name, members.into_iter().filter_map(|row| rows.get(row)), labels.len())
        })
        .collect();
    let intervals = slices.first().map(|all| all.intervals);
    Ok(Evaluation { intervals, slices, ..evaluation })
}

/// The prediction of one row.
struct Answer {
    gold: usize,
    predicted: usize,
    confidence: f32,
    trusted: Option<bool>,
}

fn answers(gold: &[usize], probabilities: &[Probabilities], trusted: Option<&[bool]>) -> Vec<Answer> {
    let answer = |(row, (gold, probabilities)): (usize, (&usize, &Probabilities))| {
        let (predicted, confidence) = probabilities.top(1).first().copied().unwrap_or((0, 0.0));
        let trusted = trusted.and_then(|trusted| trusted.get(row)).copied();
        Answer { gold: *gold, predicted, confidence, trusted }
    };
    gold.iter().zip(probabilities).enumerate().map(answer).collect()
}

/// The slices with their rows; the one with all rows first.
fn members(names: &[Vec<String>]) -> Vec<(&str, Vec<usize>)> {
    let mut rows_of = BTreeMap::<&str, Vec<usize>>::new();
    for (row, names) in names.iter().enumerate() {
        names.iter().for_each(|name| rows_of.entry(name).or_default().push(row));
    }
    std::iter::once((ALL, (0..names.len()).collect())).chain(rows_of).collect()
}

fn scored<'a>(name: &str, rows: impl Iterator<Item = &'a Answer>, labels: usize) -> SliceScores {
    let rows: Vec<&Answer> = rows.collect();
    let pairs: Vec<(usize, usize)> = rows.iter().map(|row| (row.gold, row.predicted)).collect();
    let prediction =
        |row: &&Answer| Prediction { confidence: row.confidence, is_correct: row.gold == row.predicted };
    let predictions: Vec<Prediction> = rows.iter().map(prediction).collect();
    let (accuracy, macro_f1) = scores(pairs.iter(), labels);
    SliceScores {
        name: name.to_owned(),
        rows: rows.len(),
        accuracy,
        macro_f1,
        intervals: intervals(&pairs, labels),
        ece: expected_error(&reliability(&predictions)),
        aurc: aurc(&predictions),
        trustable: trustable(&predictions),
        trusted: trusted(&rows),
    }
}

fn trusted(rows: &[&Answer]) -> Option<Trusted> {
    let flags: Vec<bool> = rows.iter().filter_map(|row| row.trusted).collect();
    let trusted: Vec<_> = rows.iter().filter(|row| row.trusted == Some(true)).collect();
    let right = trusted.iter().filter(|row| row.gold == row.predicted).count();
    let scores = Trusted { share: ratio(trusted.len(), rows.len()), precision: ratio(right, trusted.len()) };
    (!flags.is_empty()).then_some(scores)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Vec<String> {
        ["a", "b"].map(str::to_owned).to_vec()
    }

    /// The prediction `class` with a confidence.
    fn row(class: usize, confidence: f32) -> Probabilities {
        let mut logits = [(1.0 - confidence).ln(); 2];
        logits[class] = confidence.ln();
        Probabilities::from_logits(&logits)
    }

    #[test]
    fn near_and_far_are_scored_side_by_side() {
        let probabilities = [row(0, 0.9), row(0, 0.9), row(1, 0.8), row(1, 0.6)];
        let gold = [0, 0, 0, 1];
        let names: Vec<Vec<String>> =
            ["near", "near", "far", "far"].map(|name| vec![format!("source={name}")]).to_vec();
        let trusted = [true, true, true, false];
        let evaluation = evaluate_slices(&labels(), &gold, &probabilities, &names, Some(&trusted)).unwrap();
        let found: Vec<_> = evaluation.slices.iter().map(|s| (s.name.as_str(), s.rows, s.accuracy)).collect();
        assert_eq!(found, [(ALL, 4, 0.75), ("source=far", 2, 0.5), ("source=near", 2, 1.0)]);
        let [all, far, near] = evaluation.slices.as_slice() else { panic!() };
        assert_eq!(far.trusted, Some(Trusted { share: 0.5, precision: 0.0 }));
        assert_eq!(near.trusted, Some(Trusted { share: 1.0, precision: 1.0 }));
        assert_eq!((all.accuracy, all.macro_f1, all.ece), (0.75, evaluation.macro_f1, evaluation.ece));
        assert_eq!(evaluation.intervals, Some(all.intervals));
        assert_eq!(near.trustable.iter().map(|at| at.share).collect::<Vec<_>>(), [1.0; 3]);
        assert_eq!(far.trustable.iter().map(|at| at.share).collect::<Vec<_>>(), [0.0; 3]);

        let without = evaluate_slices(&labels(), &gold, &probabilities, &names, None).unwrap();
        assert_eq!(without.slices[0].trusted, None);
    }

    #[test]
    fn every_row_needs_its_names() {
        let error = evaluate_slices(&labels(), &[0], &[row(0, 0.9)], &[], None).unwrap_err().to_string();
        assert!(error.contains("names of slices of 0 rows but 1 gold labels"), "{error}");
    }

    #[test]
    fn evaluations_of_earlier_releases_are_read_and_slices_are_kept() {
        let evaluation = evaluate_slices(&labels(), &[0], &[row(0, 0.9)], &[vec![]], Some(&[true])).unwrap();
        let mut json = serde_json::to_value(&evaluation).unwrap();
        assert_eq!(serde_json::from_value::<Evaluation>(json.clone()).unwrap().slices.len(), 1);
        for key in ["aurc", "trustable", "intervals", "slices"] {
            assert!(json.as_object_mut().unwrap().remove(key).is_some(), "{key}");
        }
        let earlier: Evaluation = serde_json::from_value(json).unwrap();
        assert!(earlier.slices.is_empty() && earlier.intervals.is_none() && earlier.aurc.is_none());
    }
}
