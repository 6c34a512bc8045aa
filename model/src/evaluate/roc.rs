//! ROC curves: how well the probability of a label separates its rows from all others.

use serde::{Deserialize, Serialize};

use crate::probabilities::Probabilities;

/// Approximate number of points of a curve that are kept for drawing.
const POINTS: usize = 64;

/// Receiver operating characteristic of one label against the rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RocCurve {
    /// The label's id.
    pub label: String,
    /// Area under the curve.
    pub auc: f64,
    /// (false positive rate, true positive rate) from (0, 0) to (1, 1), thinned for drawing.
    pub points: Vec<(f64, f64)>,
}

/// The curves of the labels that have both positive and negative rows.
///
/// `gold[row]` is an index into `labels`, and so is the place of a probability in its row.
pub fn roc_curves(labels: &[String], gold: &[usize], probabilities: &[Probabilities]) -> Vec<RocCurve> {
    let curve = |(class, label): (usize, &String)| {
        let curve = curve(&scores(class, gold, probabilities))?;
        Some(RocCurve { label: label.clone(), auc: area(&curve), points: thinned(&curve) })
    };
    labels.iter().enumerate().filter_map(curve).collect()
}

/// Area under the curve of one label: the probability that a row that has it scores higher than one that does
/// not, ties counting half (Hanley & McNeil 1982). `None` if there are no rows of either kind.
pub(crate) fn auc(class: usize, gold: &[usize], probabilities: &[Probabilities]) -> Option<f64> {
    curve(&scores(class, gold, probabilities)).map(|curve| area(&curve))
}

/// Probability of the label and whether it is the gold one, the highest probability first.
fn scores(class: usize, gold: &[usize], probabilities: &[Probabilities]) -> Vec<(f32, bool)> {
    let mut scores: Vec<(f32, bool)> = gold
        .iter()
        .zip(probabilities)
        .filter_map(|(gold, row)| Some((*row.as_slice().get(class)?, *gold == class)))
        .collect();
    scores.sort_by(|(left, _), (right, _)| right.total_cmp(left));
    scores
}

/// One point for each distinct score. Rows of equal score are added together, so that ties become sloped
/// segments.
fn curve(scores: &[(f32, bool)]) -> Option<Vec<(f64, f64)>> {
    let positives = scores.iter().filter(|(_, is_positive)| *is_positive).count();
    let negatives = scores.len() - positives;
    if positives == 0 || negatives == 0 {
        return None;
    }
    let mut points = vec![(0.0, 0.0)];
    let (mut true_positives, mut false_positives) = (0, 0);
    for (row, (score, is_positive)) in scores.iter().enumerate() {
        if *is_positive {
            true_positives += 1
        } else {
            false_positives += 1
        }
        // Rows of equal probability cannot be separated by a threshold, so only the last of them ends a segment.
        if scores.get(row + 1).is_none_or(|(next, _)| next < score) {
            points.push((
                f64::from(false_positives) / negatives as f64,
                f64::from(true_positives) / positives as f64,
            ));
        }
    }
    Some(points)
}

/// Computed by the trapezium rule, which counts a tie half.
fn area(curve: &[(f64, f64)]) -> f64 {
    curve
        .windows(2)
        .map(|ends| match ends {
            [(x0, y0), (x1, y1)] => (x1 - x0) * f64::midpoint(*y0, *y1),
            _ => 0.0,
        })
        .sum()
}

/// Points at about equal distances along the curve, both ends included.
fn thinned(curve: &[(f64, f64)]) -> Vec<(f64, f64)> {
    // Along x + y, so that the steep start keeps its points.
    let step = 2.0 / POINTS as f64;
    let mut kept: Vec<(f64, f64)> = Vec::new();
    for (number, point) in curve.iter().enumerate() {
        let moved = kept.last().map_or(f64::INFINITY, |last| point.0 - last.0 + point.1 - last.1);
        if moved >= step || number + 1 == curve.len() {
            kept.push(*point);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(scores: &[f32]) -> Vec<Probabilities> {
        scores.iter().map(|score| Probabilities::from_logits(&[*score, 0.0])).collect()
    }

    /// Expected values computed with scikit-learn's `roc_auc_score`.
    #[test]
    fn areas_are_those_of_scikit_learn() {
        for (gold, scores, expected) in [
            (&[0, 0, 1, 1][..], &[4.0, 3.0, 2.0, 1.0][..], Some(1.0)),
            (&[0, 1, 0, 1], &[4.0, 3.0, 2.0, 1.0], Some(0.75)),
            (&[0, 1, 0, 1], &[2.0, 2.0, 2.0, 2.0], Some(0.5)),
            (&[0, 1, 0, 1, 0], &[3.0, 3.0, 2.0, 1.0, 1.0], Some(0.5)),
            (&[0, 0], &[3.0, 1.0], None),
            (&[1, 1], &[3.0, 1.0], None),
        ] {
            let auc = auc(0, gold, &rows(scores));
            assert_eq!(auc.is_some(), expected.is_some(), "{gold:?}");
            assert!((auc.unwrap_or(0.0) - expected.unwrap_or(0.0)).abs() < 1e-12, "{gold:?}: {auc:?}");
        }
    }

    proptest! {
        #[test]
        fn the_area_is_the_share_of_pairs_in_order(
            rows_of in prop::collection::vec((0_usize..2, 0_u8..6), 2..60),
        ) {
            let gold: Vec<usize> = rows_of.iter().map(|(gold, _)| *gold).collect();
            let scores: Vec<f32> = rows_of.iter().map(|(_, score)| f32::from(*score)).collect();
            let mut pairs = Vec::new();
            for (left, _) in gold.iter().enumerate().filter(|(_, gold)| **gold == 0) {
                for (right, _) in gold.iter().enumerate().filter(|(_, gold)| **gold == 1) {
                    pairs.push(match scores[left].total_cmp(&scores[right]) {
                        std::cmp::Ordering::Greater => 1.0,
                        std::cmp::Ordering::Equal => 0.5,
                        std::cmp::Ordering::Less => 0.0,
                    });
                }
            }
            let expected = (!pairs.is_empty()).then(|| pairs.iter().sum::<f64>() / pairs.len() as f64);
            let auc = auc(0, &gold, &rows(&scores));
            prop_assert_eq!(auc.is_some(), expected.is_some());
            prop_assert!((auc.unwrap_or(0.0) - expected.unwrap_or(0.0)).abs() < 1e-9);
        }

        #[test]
        fn a_thinned_curve_keeps_its_ends_and_stays_small(scores in prop::collection::vec(-9.0_f32..9.0, 2..500)) {
            let gold: Vec<usize> = (0..scores.len()).map(|row| row % 2).collect();
            let labels = ["a".to_owned(), "b".to_owned()];
            for curve in roc_curves(&labels, &gold, &rows(&scores)) {
                prop_assert!(curve.points.len() <= POINTS + 2);
                prop_assert_eq!(curve.points.first(), Some(&(0.0, 0.0)));
                prop_assert_eq!(curve.points.last(), Some(&(1.0, 1.0)));
            }
        }
    }
}
