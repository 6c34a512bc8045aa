//! Examples of texts that a model labels wrongly.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::probabilities::Probabilities;
use crate::quality::excerpt;

/// Most examples of one pair of labels, so that other pairs are shown, too.
const PER_PAIR: usize = 3;

/// A row that was labelled wrongly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mistake {
    /// Number of the row.
    pub row: usize,
    /// Start of its text.
    pub text: String,
    /// Id of its gold label.
    pub gold: String,
    /// Id of the predicted label.
    pub predicted: String,
    /// Probability of the predicted label.
    pub confidence: f32,
}

/// At most `most` wrong rows: up to three of each pair of labels, starting with the pairs that are confused
/// most often, and of each pair the rows with the highest confidence.
///
/// `gold[row]` is an index into `labels`, and so is the place of a probability in its row.
pub fn mistakes(
    labels: &[String],
    gold: &[usize],
    probabilities: &[Probabilities],
    texts: &[&str],
    most: usize,
) -> Vec<Mistake> {
    let mut pairs: HashMap<(usize, usize), Vec<(usize, f32)>> = HashMap::new();
    for (row, (gold, probabilities)) in gold.iter().zip(probabilities).enumerate() {
        for (predicted, confidence) in probabilities.top(1) {
            if predicted != *gold {
                pairs.entry((*gold, predicted)).or_default().push((row, confidence));
            }
        }
    }
    let mut pairs: Vec<_> = pairs.into_iter().collect();
    pairs.sort_by_key(|(pair, rows)| (std::cmp::Reverse(rows.len()), *pair));
    let label = |class: usize| labels.get(class).cloned().unwrap_or_default();
    let mut chosen = Vec::new();
    for ((gold, predicted), mut rows) in pairs {
        rows.sort_by(|left, right| right.1.total_cmp(&left.1));
        chosen.extend(rows.into_iter().take(PER_PAIR).map(|(row, confidence)| Mistake {
            row,
            text: excerpt(texts.get(row).copied().unwrap_or_default()),
            gold: label(gold),
            predicted: label(predicted),
            confidence,
        }));
    }
    chosen.truncate(most);
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_pair_comes_first_with_its_most_confident_rows() {
        let labels = ["a", "b", "c"].map(str::to_owned);
        let of = |class: usize, logit: f32| {
            let mut logits = [0.0; 3];
            logits[class] = logit;
            Probabilities::from_logits(&logits)
        };
        let gold = [2, 0, 0, 0, 0, 0, 1];
        let rows = [of(0, 9.0), of(1, 1.0), of(1, 3.0), of(1, 2.0), of(1, 4.0), of(0, 1.0), of(1, 1.0)];
        let texts = ["0", "1", "2", "3", "4", "5", "6"];
        let found = mistakes(&labels, &gold, &rows, &texts, 9);
        let rows: Vec<_> =
            found.iter().map(|m| (m.text.as_str(), m.gold.as_str(), m.predicted.as_str())).collect();
        assert_eq!(rows, [("4", "a", "b"), ("2", "a", "b"), ("3", "a", "b"), ("0", "c", "a")]);
        assert_eq!(mistakes(&labels, &gold, &[], &texts, 9), []);
    }
}
