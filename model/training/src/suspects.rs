//! Labels that are probably wrong, by confident learning (Northcutt et al. 2021).
//!
//! Each row is classified by a model that was not trained on it. The threshold of a label is the mean
//! probability of the label over the rows that have it. A row is a suspect if the most probable of the labels
//! that reach their threshold is not its own.

use fenliu_model::quality::{QualityReport, Suspect, class_rows, conflicts, excerpt, leaked, text_key};
use fenliu_model::{Example, Labels, Probabilities, Result};
use rand::{SeedableRng, rngs::SmallRng, seq::SliceRandom};

use crate::out_of_fold::out_of_fold;

/// Number of parts of the rows: a model is trained on four of them and classifies the fifth.
const FOLDS: usize = 5;
/// Labels with fewer rows are not checked, because a model learns too little about them.
const LEAST_ROWS: usize = 10;
/// Seed of the division into folds.
const SEED: u64 = 1;

/// Checks training rows, given the texts of the test rows. `threads`: 0 = one per core.
///
/// # Errors
///
/// As [`suspects`].
pub fn inspect(train: &[Example], test: &[&str], threads: usize) -> Result<QualityReport> {
    let texts: Vec<&str> = train.iter().map(|example| example.text.as_str()).collect();
    Ok(QualityReport {
        rows: train.len(),
        class_rows: class_rows(train),
        leaked: leaked(&texts, test),
        conflicts: conflicts(train),
        suspects: suspects(train, threads)?,
    })
}

/// Rows whose label is probably wrong, the largest difference of probabilities first.
///
/// `threads`: 0 = one per core.
///
/// # Errors
///
/// There are fewer than two labels, or training diverges.
pub fn suspects(examples: &[Example], threads: usize) -> Result<Vec<Suspect>> {
    let ids: std::collections::BTreeSet<&str> =
        examples.iter().map(|example| example.label.as_str()).collect();
    let labels = Labels::from_ids(ids)?;
    let gold: Vec<usize> = examples.iter().filter_map(|example| labels.index_of(&example.label)).collect();
    let texts: Vec<&str> = examples.iter().map(|example| example.text.as_str()).collect();
    let probabilities = out_of_fold(&texts, &gold, labels.len(), &folds(examples), threads)?;
    let thresholds = thresholds(labels.len(), &gold, &probabilities);
    let ids = labels.ids();
    let suspect = |row: usize| {
        let (likely, likely_probability) = likely(gold[row], &thresholds, &probabilities[row])?;
        Some(Suspect {
            row,
            text: excerpt(&examples[row].text),
            label: ids[gold[row]].clone(),
            likely: ids[likely].clone(),
            probability: probabilities[row].as_slice()[gold[row]],
            likely_probability,
        })
    };
    let mut suspects: Vec<Suspect> = (0..examples.len()).filter_map(suspect).collect();
    let margin = |suspect: &Suspect| suspect.likely_probability - suspect.probability;
    suspects.sort_by(|left, right| margin(right).total_cmp(&margin(left)));
    Ok(suspects)
}

/// The fold of each row. Rows with the same text are in the same fold; otherwise the model would have been
/// trained on the text that it classifies.
fn folds(examples: &[Example]) -> Vec<usize> {
    let keys: Vec<[u8; 32]> = examples.iter().map(|example| text_key(&example.text)).collect();
    let mut distinct: Vec<&[u8; 32]> = keys.iter().collect();
    // A fixed order before the shuffle: folds then depend on the texts, not on the order of the rows.
    distinct.sort_unstable();
    distinct.dedup();
    distinct.shuffle(&mut SmallRng::seed_from_u64(SEED));
    let fold_of: std::collections::HashMap<&[u8; 32], usize> =
        distinct.into_iter().enumerate().map(|(place, key)| (key, place % FOLDS)).collect();
    keys.iter().map(|key| fold_of.get(key).copied().unwrap_or(0)).collect()
}

/// For each label its mean probability over the rows that have it; `None` if there are too few rows.
fn thresholds(labels: usize, gold: &[usize], probabilities: &[Probabilities]) -> Vec<Option<f32>> {
    let mut sums = vec![(0.0, 0); labels];
    for (gold, row) in gold.iter().zip(probabilities) {
        let (sum, rows) = &mut sums[*gold];
        *sum += row.as_slice()[*gold];
        *rows += 1;
    }
    sums.into_iter().map(|(sum, rows)| (rows >= LEAST_ROWS).then(|| sum / rows as f32)).collect()
}

/// The most probable of the labels that reach their threshold; `None` if it is the row's own label, or if
/// that label has no threshold.
fn likely(gold: usize, thresholds: &[Option<f32>], row: &Probabilities) -> Option<(usize, f32)> {
    // A label without a threshold can neither be suspected nor be the likely one.
    thresholds[gold]?;
    let reaches = |(label, probability): &(usize, f32)| {
        thresholds[*label].is_some_and(|threshold| *probability >= threshold)
    };
    row.top(thresholds.len()).into_iter().find(reaches).filter(|(label, _)| *label != gold)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn example(text: &str, label: &str) -> Example {
        Example { text: text.to_owned(), label: label.to_owned(), group: None }
    }

    #[test]
    fn planted_errors_are_suspected_and_few_other_rows() {
        let filler = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta"];
        let planted: BTreeSet<usize> = [10, 57, 90, 133, 171, 222, 301, 415].into();
        let rows: Vec<Example> = (0..480)
            .map(|row| {
                let classes = [("whale", "sea"), ("camel", "land"), ("falcon", "air")];
                let (word, _) = classes[row % 3];
                let (_, label) = classes[(row + usize::from(planted.contains(&row))) % 3];
                let other = |step: usize| filler[(row * step + step) % 7];
                example(&format!("{} {} {word} {} {row}", other(1), other(3), other(5)), label)
            })
            .collect();
        let found: BTreeSet<usize> = suspects(&rows, 1).unwrap().iter().map(|suspect| suspect.row).collect();
        // The threshold is a mean, so a planted error is found only if the model is more certain of it than
        // of an average row of its true label.
        let right = found.intersection(&planted).count();
        assert!(right >= 5 && found.len() <= right + 2, "{found:?}");
        let first = &suspects(&rows, 2).unwrap()[0];
        assert!(planted.contains(&first.row));
        assert!(first.likely_probability > first.probability);
    }

    #[test]
    fn duplicate_texts_share_a_fold_and_folds_are_of_equal_size() {
        let rows: Vec<Example> = (0..100).map(|row| example(&format!("text {}", row % 50), "a")).collect();
        let folds = folds(&rows);
        assert!((0..50).all(|row| folds[row] == folds[row + 50]));
        for fold in 0..FOLDS {
            assert_eq!(folds.iter().filter(|other| **other == fold).count(), 20);
        }
    }

    #[test]
    fn rare_labels_are_not_checked() {
        let row = Probabilities::from_logits(&[0.0, 2.0, 1.0]);
        for (gold, thresholds, expected) in [
            (0, [Some(0.5), Some(0.5), Some(0.5)], Some(1)),
            (0, [Some(0.5), Some(0.9), Some(0.2)], Some(2)),
            (0, [Some(0.05), Some(0.9), Some(0.9)], None),
            (1, [Some(0.5), Some(0.5), Some(0.5)], None),
            (0, [None, Some(0.5), Some(0.5)], None),
            (0, [Some(0.5), None, Some(0.9)], None),
        ] {
            let found = likely(gold, &thresholds, &row).map(|(label, _)| label);
            assert_eq!(found, expected, "{gold} {thresholds:?}");
        }
    }
}
