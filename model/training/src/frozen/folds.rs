//! Predictions of a logistic regression for rows that it has not seen, where rows are too few to hold some out.

use rand::{SeedableRng, rngs::SmallRng, seq::SliceRandom};

use super::logistic::LinearHead;
use super::vectors::Vectors;

const FOLDS: usize = 5;

/// The logits of each row by a head that was fitted to four fifths of the rows without it; `None` if a class has a single
/// row, which some head would not know then.
pub(super) fn out_of_fold(
    vectors: &Vectors,
    labels: &[usize],
    classes: usize,
    cost: f64,
    seed: u64,
) -> Option<Vec<Vec<f32>>> {
    let folds = folds(labels, classes, seed)?;
    let mut logits = vec![Vec::new(); labels.len()];
    for fold in 0..FOLDS {
        let (others, members): (Vec<usize>, Vec<usize>) =
            (0..labels.len()).partition(|row| folds[*row] != fold);
        let gold: Vec<usize> = others.iter().map(|row| labels[*row]).collect();
        // Regularisation stays as strong, relative to the rows.
        let cost = cost * labels.len() as f64 / others.len().max(1) as f64;
        let head = LinearHead::fit(&vectors.select(&others), &gold, classes, cost);
        members.into_iter().for_each(|row| logits[row] = head.logits(vectors.row(row)));
    }
    Some(logits)
}

/// The fold of each row. The rows of a class are spread evenly.
fn folds(labels: &[usize], classes: usize, seed: u64) -> Option<Vec<usize>> {
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.shuffle(&mut SmallRng::seed_from_u64(seed));
    let mut seen = vec![0; classes];
    let mut folds = vec![0; labels.len()];
    for row in order {
        // Starts at another fold for each class, so that rare classes do not all have their rows in the first folds.
        folds[row] = (seen[labels[row]] + labels[row]) % FOLDS;
        seen[labels[row]] += 1;
    }
    seen.iter().all(|rows| *rows >= 2).then_some(folds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::random;

    #[test]
    fn rows_are_predicted_without_themselves() {
        // Labels by chance: a head that had seen a row could say its label, one that has not cannot.
        let vectors = Vectors::new(random(40 * 60, 1), 60);
        let labels: Vec<usize> = (0..40).map(|row| row % 2).collect();
        let right = |logits: &[Vec<f32>]| {
            let pairs = logits.iter().zip(&labels);
            pairs.filter(|(logits, label)| logits[**label] > logits[1 - **label]).count()
        };
        let head = LinearHead::fit(&vectors, &labels, 2, 1.0);
        let seen: Vec<Vec<f32>> = vectors.rows().map(|row| head.logits(row)).collect();
        let unseen = out_of_fold(&vectors, &labels, 2, 1.0, 0).unwrap();
        assert_eq!(right(&seen), 40);
        assert!(right(&unseen) < 32, "{}", right(&unseen));
    }

    #[test]
    fn a_class_with_one_row_has_no_folds() {
        assert!(folds(&[0, 0, 1], 2, 0).is_none());
        let folds = folds(&[0, 0, 1, 1, 0, 0, 0], 2, 0).unwrap();
        assert_eq!(folds.iter().max(), Some(&4));
    }
}
