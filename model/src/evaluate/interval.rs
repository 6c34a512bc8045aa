//! Confidence intervals of scores by the bootstrap.

use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde::{Deserialize, Serialize};

use super::counts::{ClassCounts, macro_f1, ratio};

/// Resamples that make an interval steady to about a tenth of its width.
pub(crate) const RESAMPLES: usize = 1000;
/// Every evaluation draws the same resamples, so that equal predictions have equal intervals.
const SEED: u64 = 7;

/// The ends of a 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// 95 % intervals of the scores of a set of rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intervals {
    /// Interval of the share of rows that are labelled correctly.
    pub accuracy: Interval,
    /// Interval of the mean F1.
    pub macro_f1: Interval,
}

/// Percentile intervals from 1,000 resamples of the rows, drawn with replacement (Efron & Tibshirani 1993,
/// chapter 13). A row is its gold and its predicted label, indices below `labels`. Without rows all ends are 0.
pub(super) fn intervals(rows: &[(usize, usize)], labels: usize) -> Intervals {
    let mut generator = SmallRng::seed_from_u64(SEED);
    let resample = |_| {
        let drawn = (0..rows.len()).filter_map(|_| rows.get(generator.random_range(0..rows.len())));
        scores(drawn, labels)
    };
    let (accuracies, f1s) = (0..RESAMPLES).map(resample).unzip();
    Intervals { accuracy: percentiles(accuracies), macro_f1: percentiles(f1s) }
}

/// Accuracy and macro-F1 of rows, each a gold and a predicted label.
pub(super) fn scores<'a>(rows: impl Iterator<Item = &'a (usize, usize)>, labels: usize) -> (f64, f64) {
    let mut counts = vec![ClassCounts::default(); labels];
    for (gold, predicted) in rows {
        counts[*gold].support += 1;
        counts[*predicted].predicted += 1;
        counts[*gold].correct += usize::from(gold == predicted);
    }
    let sum = |count: fn(&ClassCounts) -> usize| counts.iter().map(count).sum();
    (ratio(sum(|class| class.correct), sum(|class| class.support)), macro_f1(&counts))
}

/// The 2.5 % and the 97.5 % quantile of `values`; 0 without values.
pub(crate) fn percentiles(mut values: Vec<f64>) -> Interval {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1) as f64;
    let quantile = |share: f64| values.get((share * last).round() as usize).copied().unwrap_or(0.0);
    Interval { low: quantile(0.025), high: quantile(0.975) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_accuracy_is_that_of_a_share() {
        // 90 % of 1,000 rows: the standard error is 0.0095.
        let rows: Vec<(usize, usize)> = (0..1000).map(|row| (0, usize::from(row % 10 == 0))).collect();
        let Interval { low, high } = intervals(&rows, 2).accuracy;
        assert!((low - 0.881).abs() < 0.004 && (high - 0.919).abs() < 0.004, "{low} to {high}");
        assert_eq!(intervals(&rows, 2), intervals(&rows, 2));
    }

    #[test]
    fn scores_without_rows_are_zero_and_those_of_sure_rows_certain() {
        let none = intervals(&[], 2);
        assert_eq!((none.accuracy, none.macro_f1), (none.macro_f1, Interval { low: 0.0, high: 0.0 }));
        assert_eq!(intervals(&[(1, 1); 9], 2).macro_f1, Interval { low: 1.0, high: 1.0 });
    }
}
