//! Calibration of a bundle's probabilities, and thresholds that say which labels can be trusted
//! (`calibration.json`).
//!
//! A temperature divides the logits before the softmax (Guo et al. 2017). It changes the confidences, but
//! never the most probable label. A threshold on the calibrated confidence, one for each label, separates
//! predictions that can be trusted from those that a person should check. Both are fitted to held-out rows.
//!
//! Not here: what the pipeline does with labels below their threshold.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{ModelError, Result};
use crate::evaluate::coverage::{CoveragePoint, coverage, lowest_threshold};
use crate::evaluate::reliability::{Prediction, expected_error, reliability};
use crate::labels::Labels;
use crate::probabilities::Probabilities;
use crate::thresholds::{SOFTENING, SourceGoals};

const CALIBRATION_FILE: &str = "calibration.json";
/// The precision that trusted predictions of each label should have.
const TARGET_PRECISION: f64 = 0.9;
/// The range of temperatures that is searched. Beyond its ends, all confidences would be 1, or all would be
/// equal.
const TEMPERATURES: (f64, f64) = (0.1, 10.0);

/// `calibration.json`: how a bundle's logits become confidences, and which of them can be trusted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Number of held-out rows that all values were fitted to.
    pub rows: usize,
    /// Logits are divided by this before the softmax.
    pub temperature: f64,
    /// The precision that trusted predictions should have.
    pub target_precision: f64,
    /// The lowest confidence at which `target_precision` was reached on the held-out rows of all labels
    /// together; 1 if it was not reached at any confidence.
    pub abstain_below: f32,
    /// Threshold of each label, in logit order.
    pub thresholds: Vec<ClassThreshold>,
    /// Errors of the confidences at temperature 1.
    pub before: ConfidenceError,
    /// Errors of the confidences at `temperature`.
    pub after: ConfidenceError,
    /// Accuracy on the held-out rows that reach a threshold, against their share, for one threshold over all
    /// labels.
    pub coverage: Vec<CoveragePoint>,
    /// Goals for thresholds per source ([`crate::thresholds`]); `None` if the bundle has none. A file without them
    /// has no such key, and programs that do not know it can read the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_source: Option<SourceGoals>,
}

/// The threshold of one label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassThreshold {
    /// The label's id.
    pub label: String,
    /// The label is trusted at this confidence or above. It is the lowest confidence at which
    /// `target_precision` was reached on the held-out rows for which the label was predicted, or
    /// `abstain_below` if it was never reached.
    pub threshold: f32,
    /// Held-out rows for which the label was predicted.
    pub rows: usize,
}

/// The error of confidences.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfidenceError {
    /// Expected calibration error over 15 bins (Guo et al. 2017).
    pub ece: f64,
    /// Mean negative logarithm of the gold label's probability, in nats.
    pub nll: f64,
}

impl Calibration {
    /// Fits temperature and thresholds to held-out rows. `gold[row]` is an index into `labels`; `logits[row]`
    /// has a logit for each label.
    ///
    /// # Errors
    ///
    /// There are no rows; the numbers of gold labels and of rows of logits differ; a row has another width; a
    /// gold label is not an index into `labels`; or a logit is not finite.
    pub fn fit(labels: &[String], gold: &[usize], logits: &[Vec<f32>]) -> Result<Self> {
        check_rows(labels, gold, logits)?;
        Ok(Self::at(labels, gold, logits, best_temperature(gold, logits)).0)
    }

    /// As [`Calibration::fit`], with goals for thresholds per source. For these, all confidences are softer: the
    /// fitted temperature is multiplied by 1.15, and everything else is fitted at the product.
    ///
    /// The result is that of [`Calibration::fit`] if no goal can be taken from so few rows.
    ///
    /// # Errors
    ///
    /// As [`Calibration::fit`].
    pub fn fit_per_source(labels: &[String], gold: &[usize], logits: &[Vec<f32>]) -> Result<Self> {
        check_rows(labels, gold, logits)?;
        let fitted = best_temperature(gold, logits);
        let (softened, predictions) = Self::at(labels, gold, logits, SOFTENING * fitted);
        Ok(match SourceGoals::fit(&predictions) {
            Some(goals) => Self { per_source: Some(goals), ..softened },
            None => Self::at(labels, gold, logits, fitted).0,
        })
    }

    /// The calibration with this temperature, and the prediction of each row.
    fn at(
        labels: &[String],
        gold: &[usize],
        logits: &[Vec<f32>],
        temperature: f64,
    ) -> (Self, Vec<Prediction>) {
        // Only for the report: how much the temperature improves the confidences.
        let raw = Scaled::new(gold, logits, 1.0);
        let scaled = Scaled::new(gold, logits, temperature);
        let predictions: Vec<Prediction> = scaled.rows.iter().map(|(_, prediction)| *prediction).collect();
        let abstain_below = lowest_threshold(&predictions, TARGET_PRECISION).unwrap_or(1.0);
        let class_threshold = |(class, label): (usize, &String)| {
            let of_class: Vec<Prediction> =
                scaled.rows.iter().filter(|(predicted, _)| *predicted == class).map(|(_, o)| *o).collect();
            ClassThreshold {
                label: label.clone(),
                // A label that is never precise enough, or never predicted, falls back to the threshold over all
                // labels.
                threshold: lowest_threshold(&of_class, TARGET_PRECISION).unwrap_or(abstain_below),
                rows: of_class.len(),
            }
        };
        let calibration = Self {
            rows: gold.len(),
            temperature,
            target_precision: TARGET_PRECISION,
            abstain_below,
            thresholds: labels.iter().enumerate().map(class_threshold).collect(),
            before: raw.error,
            after: scaled.error,
            coverage: coverage(&predictions),
            per_source: None,
        };
        (calibration, predictions)
    }

    /// Reads `calibration.json` in a bundle's directory; `None` if the bundle was not calibrated.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is not such JSON, its temperature is not a positive number, or its goals are
    /// not shares.
    pub fn load(bundle: &Path) -> Result<Option<Self>> {
        let path = bundle.join(CALIBRATION_FILE);
        if !path.exists() {
            return Ok(None);
        }
        let bytes = std::fs::read(&path).map_err(ModelError::io("read", &path))?;
        let calibration: Self = serde_json::from_slice(&bytes).map_err(ModelError::json(&path))?;
        let temperature = calibration.temperature;
        if !(temperature.is_finite() && temperature > 0.0) {
            let problem = format!("{CALIBRATION_FILE}: `temperature` is {temperature} but must be above 0");
            return Err(ModelError::bundle(bundle, problem));
        }
        if let Some(problem) = calibration.per_source.as_ref().and_then(SourceGoals::problem) {
            return Err(ModelError::bundle(bundle, format!("{CALIBRATION_FILE}: {problem}")));
        }
        Ok(Some(calibration))
    }

    /// Writes `calibration.json` into a bundle that is being built.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn save(&self, bundle: &Path) -> Result<()> {
        let path = bundle.join(CALIBRATION_FILE);
        let bytes = serde_json::to_vec_pretty(self).map_err(ModelError::json(&path))?;
        std::fs::write(&path, bytes).map_err(ModelError::io("write", &path))
    }

    /// Whether the most probable label of calibrated probabilities should not be trusted.
    pub fn abstains(&self, probabilities: &Probabilities) -> bool {
        let is_below = |(class, confidence): (usize, f32)| {
            self.thresholds.get(class).is_some_and(|class| confidence < class.threshold)
        };
        probabilities.top(1).into_iter().any(is_below)
    }

    /// Whether the thresholds are those of `labels`, in their order.
    pub(crate) fn fits(&self, labels: &Labels) -> bool {
        self.thresholds.iter().map(|class| &class.label).eq(labels.iter().map(|label| &label.id))
    }
}

fn check_rows(labels: &[String], gold: &[usize], logits: &[Vec<f32>]) -> Result<()> {
    let is_unusable =
        |row: &Vec<f32>| row.len() != labels.len() || row.iter().any(|logit| !logit.is_finite());
    let problem = if gold.is_empty() {
        "there are no held-out rows".to_owned()
    } else if gold.len() != logits.len() {
        format!("{} gold labels but {} rows of logits", gold.len(), logits.len())
    } else if let Some(row) = logits.iter().position(is_unusable) {
        format!("row {row} does not have {} finite logits", labels.len())
    } else if let Some(index) = gold.iter().find(|index| **index >= labels.len()) {
        format!("gold label {index} but there are {} labels", labels.len())
    } else {
        return Ok(());
    };
    Err(ModelError::Evaluation(format!("calibration: {problem}")))
}

/// Held-out rows at one temperature: the predicted label of each row, and its confidence.
struct Scaled {
    rows: Vec<(usize, Prediction)>,
    error: ConfidenceError,
}

impl Scaled {
    fn new(gold: &[usize], logits: &[Vec<f32>], temperature: f64) -> Self {
        let mut rows = Vec::with_capacity(gold.len());
        for (gold, logits) in gold.iter().zip(logits) {
            let top = Probabilities::at_temperature(logits, temperature).top(1);
            rows.extend(top.into_iter().map(|(predicted, confidence)| {
                (predicted, Prediction { confidence, is_correct: predicted == *gold })
            }));
        }
        let predictions: Vec<Prediction> = rows.iter().map(|(_, prediction)| *prediction).collect();
        let nll = cross_entropy(gold, logits, temperature, 0.0);
        Self { rows, error: ConfidenceError { ece: expected_error(&reliability(&predictions)), nll } }
    }
}

/// The temperature with the lowest cross-entropy, by golden-section search over its logarithm: the
/// cross-entropy is convex in 1 / T, so it has one minimum.
///
/// The target of a row is slightly below 1 (Platt 1999: `(n + 1) / (n + 2)`). Otherwise the temperature would
/// go to zero if all held-out rows are classified correctly.
///
/// `gold[row]` is an index into `logits[row]`, and both have the same number of rows. The result is between 0.1
/// and 10; it means nothing without rows.
pub fn best_temperature(gold: &[usize], logits: &[Vec<f32>]) -> f64 {
    let smoothing = 1.0 / (gold.len() as f64 + 2.0);
    let loss = |log_temperature: f64| cross_entropy(gold, logits, log_temperature.exp(), smoothing);
    // The inverse of the golden ratio: each step keeps this share of the interval.
    let shrink = (5.0_f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (TEMPERATURES.0.ln(), TEMPERATURES.1.ln());
    while high - low > 1e-4 {
        let (left, right) = (high - shrink * (high - low), low + shrink * (high - low));
        if loss(left) < loss(right) { high = right } else { low = left }
    }
    f64::midpoint(low, high).exp()
}

/// Mean cross-entropy of softmax(logits / T) against targets that give `smoothing` to the other labels, in
/// nats.
fn cross_entropy(gold: &[usize], logits: &[Vec<f32>], temperature: f64, smoothing: f64) -> f64 {
    let row_loss = |(gold, logits): (&usize, &Vec<f32>)| {
        let scaled: Vec<f64> = logits.iter().map(|logit| f64::from(*logit) / temperature).collect();
        // Relative to the largest logit, so that no exponential overflows at small temperatures.
        let max = scaled.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let log_sum = max + scaled.iter().map(|logit| (logit - max).exp()).sum::<f64>().ln();
        let gold = scaled.get(*gold).copied().unwrap_or(max);
        // The mean over the other labels; `max(2)` only avoids a division by zero, since there are at least two
        // labels.
        let others = (scaled.iter().sum::<f64>() - gold) / (scaled.len().max(2) - 1) as f64;
        log_sum - (1.0 - smoothing) * gold - smoothing * others
    };
    gold.iter().zip(logits).map(row_loss).sum::<f64>() / gold.len() as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(count: usize) -> Vec<String> {
        (0..count).map(|label| format!("label-{label}")).collect()
    }

    /// Rows of two labels with log-odds `logit` for label 0, of which the share sigmoid(logit / temperature)
    /// has it.
    fn rows(temperature: f64) -> (Vec<usize>, Vec<Vec<f32>>) {
        let mut gold = Vec::new();
        let mut logits = Vec::new();
        for logit in [-6.0_f64, -3.0, -1.0, 0.0, 2.0, 5.0] {
            let share = 1.0 / (1.0 + (-logit / temperature).exp());
            for row in 0..400 {
                gold.push(usize::from((f64::from(row) + 0.5) / 400.0 > share));
                logits.push(vec![logit as f32, 0.0]);
            }
        }
        (gold, logits)
    }

    #[test]
    fn the_temperature_that_made_the_rows_is_found() {
        for temperature in [0.5, 1.0, 3.0] {
            let (gold, logits) = rows(temperature);
            let fitted = Calibration::fit(&labels(2), &gold, &logits).unwrap();
            assert!((fitted.temperature / temperature - 1.0).abs() < 0.02, "{temperature}: {fitted:?}");
            assert!(fitted.after.nll <= fitted.before.nll + 1e-6);
            assert!(fitted.after.ece < 0.01, "{fitted:?}");
        }
    }

    #[test]
    fn held_out_rows_without_an_error_leave_confidences_below_one() {
        let logits: Vec<Vec<f32>> = (0..100).map(|row| vec![3.0, row as f32 / 50.0]).collect();
        let fitted = Calibration::fit(&labels(2), &[0; 100], &logits).unwrap();
        let confidence = Probabilities::at_temperature(&logits[50], fitted.temperature).top(1)[0].1;
        assert!(confidence < 0.9999, "{confidence} at {}", fitted.temperature);
        let least_sure = Probabilities::at_temperature(&logits[99], fitted.temperature);
        assert!(!fitted.abstains(&least_sure), "a label that is always right is always trusted");
    }

    #[test]
    fn a_label_is_trusted_where_it_was_right_often_enough() {
        // Label 0: right at 0.9 in all of 20 rows, right at 0.6 in half of 20. Label 1: never right.
        // Label 2: never predicted.
        let mut gold = vec![0; 30];
        gold.extend([2; 10]);
        gold.extend([2; 4]);
        let of = |class: usize, confidence: f32| {
            let mut row = vec![((1.0 - confidence) / 2.0).ln(); 3];
            row[class] = confidence.ln();
            row
        };
        let mut logits = vec![of(0, 0.9); 20];
        logits.extend(vec![of(0, 0.6); 20]);
        logits.extend(vec![of(1, 0.5); 4]);
        let fitted = Calibration::fit(&labels(3), &gold, &logits).unwrap();
        let at = |row: &[f32]| Probabilities::at_temperature(row, fitted.temperature);
        for (row, is_trusted) in
            [(of(0, 0.9), true), (of(0, 0.6), false), (of(1, 0.5), false), (of(2, 0.9), true)]
        {
            assert_eq!(fitted.abstains(&at(&row)), !is_trusted, "{row:?} {fitted:?}");
        }
        assert_eq!(fitted.thresholds.iter().map(|class| class.rows).collect::<Vec<_>>(), [40, 4, 0]);
        assert_eq!(fitted.thresholds[2].threshold, fitted.abstain_below);
    }

    #[test]
    fn a_saved_calibration_loads_and_damage_is_named() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(Calibration::load(root.path()).unwrap(), None);
        let (gold, logits) = rows(2.0);
        let mut calibration = Calibration::fit(&labels(2), &gold, &logits).unwrap();
        calibration.save(root.path()).unwrap();
        let loaded = Calibration::load(root.path()).unwrap().unwrap();
        assert_eq!(loaded.thresholds, calibration.thresholds);
        assert!((loaded.temperature - calibration.temperature).abs() < 1e-12);
        assert!(loaded.fits(&Labels::from_ids(labels(2)).unwrap()));
        assert!(!loaded.fits(&Labels::from_ids(["label-1", "label-0"]).unwrap()));

        calibration.temperature = 0.0;
        calibration.save(root.path()).unwrap();
        let error = Calibration::load(root.path()).unwrap_err().to_string();
        assert!(error.contains("calibration.json: `temperature` is 0 but must be above 0"), "{error}");
    }

    #[test]
    fn goals_soften_the_confidences_and_are_optional_in_the_file() {
        let root = tempfile::tempdir().unwrap();
        let (gold, logits) = rows(1.0);
        let plain = Calibration::fit(&labels(2), &gold, &logits).unwrap();
        plain.save(root.path()).unwrap();
        let text = std::fs::read_to_string(root.path().join(CALIBRATION_FILE)).unwrap();
        assert!(!text.contains("per_source"), "programs that do not know the key refuse it");
        assert_eq!(Calibration::load(root.path()).unwrap().unwrap().per_source, None);

        let fitted = Calibration::fit_per_source(&labels(2), &gold, &logits).unwrap();
        assert!((fitted.temperature / plain.temperature - 1.15).abs() < 1e-9);
        let goals = fitted.per_source.clone().expect("there are enough rows");
        assert_eq!(goals.temperature_factor, 1.15);
        fitted.save(root.path()).unwrap();
        let loaded = Calibration::load(root.path()).unwrap().unwrap().per_source.unwrap();
        assert_eq!(loaded.goal(None).unwrap().mean_confidence, goals.goal(None).unwrap().mean_confidence);

        let few = Calibration::fit_per_source(&labels(2), &gold[..50], &logits[..50]).unwrap();
        assert_eq!(few, Calibration::fit(&labels(2), &gold[..50], &logits[..50]).unwrap());
    }

    #[test]
    fn goals_that_are_no_shares_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let (gold, logits) = rows(1.0);
        let mut calibration = Calibration::fit_per_source(&labels(2), &gold, &logits).unwrap();
        let goals = calibration.per_source.as_mut().unwrap();
        goals.goals[0].mean_confidence = 1.5;
        calibration.save(root.path()).unwrap();
        let error = Calibration::load(root.path()).unwrap_err().to_string();
        assert!(error.contains("calibration.json: `per_source.goals`") && error.contains("1.5"), "{error}");
    }

    #[test]
    fn the_calibration_of_an_earlier_release_opens() {
        let models =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/state/78ec496/models/headlines/versions");
        for version in std::fs::read_dir(models).unwrap() {
            let calibration = Calibration::load(&version.unwrap().path()).unwrap().expect("it has one");
            assert_eq!(calibration.per_source, None);
        }
    }

    #[test]
    fn invalid_rows_are_refused() {
        for (gold, logits, message) in [
            (vec![], vec![], "there are no held-out rows"),
            (vec![0], vec![], "1 gold labels but 0 rows of logits"),
            (vec![0], vec![vec![1.0]], "row 0 does not have 2 finite logits"),
            (vec![0], vec![vec![1.0, f32::NAN]], "row 0 does not have 2 finite logits"),
            (vec![2], vec![vec![1.0, 0.0]], "gold label 2 but there are 2 labels"),
        ] {
            let error = Calibration::fit(&labels(2), &gold, &logits).unwrap_err().to_string();
            assert_eq!(error, format!("cannot evaluate: calibration: {message}"));
        }
    }

    proptest! {
        #[test]
        fn no_temperature_changes_a_label(
            logits in prop::collection::vec(-8.0_f32..8.0, 2..12),
            temperature in 0.1_f64..10.0,
        ) {
            let raw = Probabilities::from_logits(&logits).top(1)[0];
            let scaled = Probabilities::at_temperature(&logits, temperature);
            prop_assert!(scaled.as_slice()[raw.0] >= scaled.top(1)[0].1 - 1e-6);
            prop_assert!((scaled.as_slice().iter().sum::<f32>() - 1.0).abs() < 1e-5);
        }

        #[test]
        fn calibrated_rows_never_lose_likelihood(
            rows in prop::collection::vec((0_usize..3, prop::collection::vec(-5.0_f32..5.0, 3)), 50..80),
        ) {
            let (gold, logits): (Vec<usize>, Vec<Vec<f32>>) = rows.into_iter().unzip();
            let fitted = Calibration::fit(&labels(3), &gold, &logits).unwrap();
            // The smoothed target may cost as much as the probability that it takes from the gold label.
            prop_assert!(fitted.after.nll <= fitted.before.nll + 0.02, "{:?}", fitted);
        }
    }
}
