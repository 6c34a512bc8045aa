//! Coverage: the accuracy on the rows whose confidence reaches a threshold, against their share. The risk is the
//! share of them that is wrong.

use serde::{Deserialize, Serialize};

use super::reliability::Prediction;

/// Points of a coverage curve: 5 %, 10 % … 100 % of the rows.
const POINTS: usize = 20;
/// The precisions that [`trustable`] is computed for.
const PRECISIONS: [f64; 3] = [0.85, 0.9, 0.95];

/// One threshold on the highest probability of a row, and its effect.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CoveragePoint {
    /// Rows with at least this confidence are covered.
    pub threshold: f32,
    /// Share of rows that are covered.
    pub coverage: f64,
    /// Accuracy on the covered rows.
    pub accuracy: f64,
}

/// The largest share of rows that can be trusted at a precision, if the threshold is chosen on these very rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trustable {
    /// Share of the trusted rows that is right, at least.
    pub precision: f64,
    /// Share of all rows that is trusted; 0 if no threshold reaches the precision.
    pub share: f64,
}

/// One point for each distinct confidence as a threshold, in descending order.
fn points(predictions: &[Prediction]) -> Vec<CoveragePoint> {
    let mut sorted = predictions.to_vec();
    sorted.sort_by(|left, right| right.confidence.total_cmp(&left.confidence));
    let mut points = Vec::new();
    let mut correct = 0;
    for (row, prediction) in sorted.iter().enumerate() {
        correct += usize::from(prediction.is_correct);
        // A threshold covers all rows with its confidence, so there is no point between rows of equal confidence.
        if sorted.get(row + 1).is_none_or(|next| next.confidence < prediction.confidence) {
            let answered = (row + 1) as f64;
            points.push(CoveragePoint {
                threshold: prediction.confidence,
                coverage: answered / sorted.len() as f64,
                accuracy: correct as f64 / answered,
            });
        }
    }
    points
}

/// The coverage curve, thinned to at most 20 points; the last one covers every row.
pub(crate) fn coverage(predictions: &[Prediction]) -> Vec<CoveragePoint> {
    let all = points(predictions);
    let mut thinned: Vec<CoveragePoint> = Vec::new();
    for step in 1..=POINTS {
        let wanted = step as f64 / POINTS as f64;
        // 1e-9: the share of all rows may be a rounding error below 1.
        let point = all.iter().find(|point| point.coverage >= wanted - 1e-9);
        thinned.extend(point.filter(|point| thinned.last() != Some(point)));
    }
    thinned
}

/// The trustable shares at 85 %, 90 % and 95 % right.
pub(crate) fn trustable(predictions: &[Prediction]) -> Vec<Trustable> {
    let points = points(predictions);
    let at = |precision: f64| {
        let point = points.iter().rev().find(|point| point.accuracy >= precision);
        Trustable { precision, share: point.map_or(0.0, |point| point.coverage) }
    };
    PRECISIONS.map(at).to_vec()
}

/// Area under the risk–coverage curve (Geifman & El-Yaniv 2017): the mean, over all rows, of the risk at the
/// row's confidence as the threshold. 0 is best; without any ranking it is the share of wrong rows. 0 without
/// rows.
pub(crate) fn aurc(predictions: &[Prediction]) -> f64 {
    let mut covered = 0.0;
    let step = |point: CoveragePoint| {
        let added = point.coverage - covered;
        covered = point.coverage;
        added * (1.0 - point.accuracy)
    };
    points(predictions).into_iter().map(step).sum()
}

/// The lowest confidence for which the accuracy on the rows that reach it is at least `target`; `None` if
/// there is none.
pub(crate) fn lowest_threshold(predictions: &[Prediction], target: f64) -> Option<f32> {
    points(predictions).into_iter().rev().find(|point| point.accuracy >= target).map(|point| point.threshold)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn predictions(rows: &[(f32, bool)]) -> Vec<Prediction> {
        rows.iter().map(|&(confidence, is_correct)| Prediction { confidence, is_correct }).collect()
    }

    #[test]
    fn rows_of_equal_confidence_are_covered_together() {
        let rows = predictions(&[(0.9, true), (0.5, false), (0.5, true), (0.2, false)]);
        let curve: Vec<_> = coverage(&rows).iter().map(|p| (p.threshold, p.coverage, p.accuracy)).collect();
        assert_eq!(curve, [(0.9, 0.25, 1.0), (0.5, 0.75, 2.0 / 3.0), (0.2, 1.0, 0.5)]);
    }

    #[test]
    fn the_threshold_is_the_lowest_that_keeps_the_target() {
        let rows = predictions(&[(0.9, true), (0.8, false), (0.7, true), (0.6, true), (0.5, false)]);
        for (target, threshold) in [(0.75, Some(0.6)), (0.6, Some(0.5)), (1.0, Some(0.9)), (0.76, Some(0.9))]
        {
            assert_eq!(lowest_threshold(&rows, target), threshold, "{target}");
        }
        assert_eq!(lowest_threshold(&predictions(&[(0.9, false)]), 0.5), None);
        assert_eq!(lowest_threshold(&[], 0.5), None);
        assert!(coverage(&[]).is_empty());
    }

    #[test]
    fn the_trustable_share_is_the_largest_at_a_precision() {
        let rows: Vec<_> = (0..100).map(|row| (1.0 - row as f32 / 100.0, row < 80 || row % 2 == 0)).collect();
        let shares: Vec<_> =
            trustable(&predictions(&rows)).iter().map(|at| (at.precision, at.share)).collect();
        // All hundred are 90 % right, and 89 rows have 85 right ones.
        assert_eq!(shares, [(0.85, 1.0), (0.9, 1.0), (0.95, 0.89)]);
        assert_eq!(trustable(&[]).iter().map(|at| at.share).collect::<Vec<_>>(), [0.0; 3]);
    }

    #[test]
    fn the_area_is_the_mean_risk_over_the_ranks() {
        let ranked = predictions(&[(0.9, true), (0.8, false), (0.7, true), (0.6, false)]);
        assert!((aurc(&ranked) - (0.0 + 1.0 / 2.0 + 1.0 / 3.0 + 2.0 / 4.0) / 4.0).abs() < 1e-12);
        let tied = predictions(&[(0.5, true), (0.5, false), (0.5, false), (0.5, true)]);
        assert!((aurc(&tied) - 0.5).abs() < 1e-12, "a tie ranks nothing");
        assert_eq!(aurc(&[]), 0.0);
    }

    #[test]
    fn a_curve_is_thinned_and_ends_at_all_rows() {
        let rows: Vec<_> = (0..997).map(|row| (row as f32 / 997.0, row % 3 > 0)).collect();
        let curve = coverage(&predictions(&rows));
        assert_eq!(curve.len(), 20);
        assert_eq!(curve.last().map(|point| point.coverage), Some(1.0));
    }
}
