//! From a wanted precision to the mean confidence that trusted documents must have.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::histogram::{bin_of, lower_edge, mean, units};
use crate::error::{ModelError, Result};
use crate::evaluate::reliability::Prediction;

/// The precisions for which a calibration has goals, in hundredths.
const PERCENTS: std::ops::RangeInclusive<u32> = 80..=99;
/// The precision that is used where none is asked for, in hundredths. On headlines its goal is about 0.92, which
/// gave 94 % on rows like the training set and 85 % on rows of another publisher.
const DEFAULT_PERCENT: u32 = 94;
/// The threshold of a source of which too little is known. A source may be unlike the training rows, so it is
/// not taken from these: it is the confidence from which on 85 % were right on headlines of another publisher.
const CAUTIOUS_THRESHOLD: f32 = 0.77;
/// Fewest trusted calibration rows that a goal is taken from: the share that is right is too uncertain below.
const MIN_ROWS: u64 = 100;
/// A fitted temperature is multiplied by this: it was fitted to rows like those of the training, and confidences
/// are too high on all others. With this factor the calibration error is 0.02 on the former, and was halved to
/// below 0.05 on headlines of another publisher.
pub(crate) const SOFTENING: f64 = 1.15;

/// The mean confidence that the trusted documents of each source must have.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Goal {
    /// Share of the trusted calibration rows that is right, at least.
    pub precision: f64,
    /// Mean confidence of trusted documents, at least.
    pub mean_confidence: f32,
    /// The threshold of a source with too few documents.
    pub default_threshold: f32,
    /// Share of the calibration rows that the goal trusts.
    pub trusted: f64,
}

/// The goals that a calibration knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceGoals {
    /// The temperature is the fitted one, multiplied by this.
    pub temperature_factor: f64,
    /// The precision that is used where none is asked for.
    pub target_precision: f64,
    /// In ascending order of precision; at least one.
    pub goals: Vec<Goal>,
}

impl SourceGoals {
    /// The goals of calibration rows, whose confidences are softened already; `None` if none is reached.
    pub(crate) fn fit(predictions: &[Prediction]) -> Option<Self> {
        let goals: Vec<Goal> =
            PERCENTS.filter_map(|percent| goal(predictions, f64::from(percent) / 100.0)).collect();
        let default = f64::from(DEFAULT_PERCENT) / 100.0;
        // Where the default is out of reach, the nearest goal is used.
        let target_precision = goals.iter().rev().map(|goal| goal.precision).find(|p| *p <= default)?;
        Some(Self { temperature_factor: SOFTENING, target_precision, goals })
    }

    /// The goal for a precision; for `None` the one of `target_precision`.
    ///
    /// # Errors
    ///
    /// There is no goal for this precision. The error lists the precisions that there are goals for.
    pub fn goal(&self, precision: Option<f64>) -> Result<Goal> {
        let wanted = precision.unwrap_or(self.target_precision);
        // Precisions are hundredths, and the same hundredth may be written with another rounding error.
        let found = self.goals.iter().find(|goal| (goal.precision - wanted).abs() < 1e-6);
        found.copied().ok_or_else(|| {
            let known: Vec<String> = self.goals.iter().map(|goal| format!("{:.2}", goal.precision)).collect();
            ModelError::option(
                "target",
                wanted,
                format!("the model's calibration has goals for {}", known.join(", ")),
            )
        })
    }

    /// What is wrong with goals from a file.
    pub(crate) fn problem(&self) -> Option<String> {
        let is_share = |value: f64| (0.0..=1.0).contains(&value);
        let broken = |goal: &&Goal| {
            !is_share(goal.precision)
                || !is_share(goal.mean_confidence.into())
                || !is_share(goal.default_threshold.into())
        };
        if let Some(goal) = self.goals.iter().find(broken) {
            return Some(format!("`per_source.goals` has {goal:?}, but all of its values must be 0 to 1"));
        }
        self.goal(None).err().map(|error| format!("`per_source.target_precision`: {error}"))
    }
}

/// The calibration rows from a threshold on.
struct TrustedSet {
    threshold: f32,
    rows: u64,
    right: u64,
    mean: f64,
    /// Share of all rows.
    share: f64,
}

impl TrustedSet {
    fn precision(&self) -> f64 {
        self.right as f64 / self.rows.max(1) as f64
    }
}

/// The sets for all thresholds, the highest threshold first. Thresholds are edges of bins, as in
/// [`Histogram`](super::Histogram), so that a goal trusts in service what it trusted here.
fn trusted_sets(predictions: &[Prediction]) -> Vec<TrustedSet> {
    let mut bins = BTreeMap::<u16, (u64, u64, u64)>::new();
    for Prediction { confidence, is_correct } in predictions {
        let units = units(*confidence);
        let (rows, sum, right) = bins.entry(bin_of(units)).or_default();
        *rows += 1;
        *sum += u64::from(units);
        *right += u64::from(*is_correct);
    }
    let mut total = (0, 0, 0);
    let set = |(bin, (rows, sum, right)): (u16, (u64, u64, u64))| {
        total = (total.0 + rows, total.1 + sum, total.2 + right);
        let share = total.0 as f64 / predictions.len() as f64;
        let mean = mean(total.0, total.1);
        TrustedSet { threshold: lower_edge(bin), rows: total.0, right: total.2, mean, share }
    };
    bins.into_iter().rev().map(set).collect()
}

/// The lowest goal with which the trusted calibration rows reach the precision `target`; `None` if no goal that
/// trusts at least 100 rows does. A higher target never has a lower goal.
pub(crate) fn goal(predictions: &[Prediction], target: f64) -> Option<Goal> {
    let reaches = |set: &&TrustedSet| set.rows >= MIN_ROWS && set.precision() >= target;
    let sets = trusted_sets(predictions);
    let set = sets.iter().rev().find(reaches)?;
    // If all rows together are right more often than wanted, every goal up to their mean trusts all of them. On
    // other sources the goal decides, so it stays as far below the mean as the target is below the precision.
    let spare = if set.share < 1.0 { 0.0 } else { set.precision() - target };
    Some(Goal {
        precision: target,
        mean_confidence: rounded_down(set.mean - spare),
        default_threshold: set.threshold.max(CAUTIOUS_THRESHOLD),
        trusted: set.share,
    })
}

/// The largest `f32` that is not above `value`, so that the set that a goal was taken from reaches it. At least 0.
fn rounded_down(value: f64) -> f32 {
    let rounded = value.max(0.0) as f32;
    if f64::from(rounded) > value.max(0.0) { rounded.next_down() } else { rounded }
}
