//! Checks of labelled data before a model is trained on it.
//!
//! They find training rows that are also test rows, texts with several labels, labels with too few rows, and
//! labels that a model trained on the other rows would not have predicted (computed by `fenliu-training`).
//! Nothing is changed or dropped.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::example::Example;

/// One text with several labels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// Start of the text.
    pub text: String,
    /// Number of rows for each label of the text.
    pub labels: BTreeMap<String, usize>,
    /// The numbers of the rows.
    pub rows: Vec<usize>,
}

/// A row whose label is probably wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Suspect {
    /// Number of the row.
    pub row: usize,
    /// Start of its text.
    pub text: String,
    /// Id of its label.
    pub label: String,
    /// Id of the label that it probably should have.
    pub likely: String,
    /// Probability of its label, from a model that was not trained on the row.
    pub probability: f32,
    /// Probability of the likely label, from the same model.
    pub likely_probability: f32,
}

/// The results of all checks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct QualityReport {
    /// Number of training rows.
    pub rows: usize,
    /// Number of training rows of each label.
    pub class_rows: BTreeMap<String, usize>,
    /// The numbers of the training rows whose text is also the text of a test row.
    pub leaked: Vec<usize>,
    /// Texts with several labels.
    pub conflicts: Vec<Conflict>,
    /// Rows whose label is probably wrong, in descending order of probability.
    pub suspects: Vec<Suspect>,
}

/// SHA-256 of the letters and digits of a text in lower case. Texts that differ only in punctuation, white
/// space or case have the same key. For a text without letters and digits, all its characters are used.
pub fn text_key(text: &str) -> [u8; 32] {
    let letters: String =
        text.chars().filter(|character| character.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    // A text of symbols only would otherwise have the key of every other such text.
    Sha256::digest(if letters.is_empty() { text } else { &letters }).into()
}

/// Number of rows of each label.
pub fn class_rows(examples: &[Example]) -> BTreeMap<String, usize> {
    let mut rows = BTreeMap::new();
    for example in examples {
        *rows.entry(example.label.clone()).or_default() += 1;
    }
    rows
}

/// The numbers of the rows of `train` whose [`text_key`] is also that of a text in `test`.
pub fn leaked(train: &[&str], test: &[&str]) -> Vec<usize> {
    let tested: std::collections::HashSet<[u8; 32]> = test.iter().map(|text| text_key(text)).collect();
    (0..train.len()).filter(|row| tested.contains(&text_key(train[*row]))).collect()
}

/// Texts (by [`text_key`]) that have several labels, in the order of their first rows.
pub fn conflicts(examples: &[Example]) -> Vec<Conflict> {
    let mut rows_of: HashMap<[u8; 32], Vec<usize>> = HashMap::new();
    for (row, example) in examples.iter().enumerate() {
        rows_of.entry(text_key(&example.text)).or_default().push(row);
    }
    let conflict = |rows: Vec<usize>| {
        let mut labels = BTreeMap::new();
        for row in &rows {
            *labels.entry(examples[*row].label.clone()).or_default() += 1;
        }
        let text = excerpt(&examples[*rows.first()?].text);
        (labels.len() > 1).then_some(Conflict { text, labels, rows })
    };
    let mut found: Vec<Conflict> = rows_of.into_values().filter_map(conflict).collect();
    found.sort_by(|left, right| left.rows.cmp(&right.rows));
    found
}

/// Characters of a text that a report shows.
const EXCERPT: usize = 160;

/// The start of a text, for reports.
pub fn excerpt(text: &str) -> String {
    let mut start: String = text.chars().take(EXCERPT).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn example(text: &str, label: &str) -> Example {
        Example { text: text.to_owned(), label: label.to_owned(), group: None }
    }

    #[test]
    fn keys_ignore_case_punctuation_and_white_space() {
        for (left, right, is_equal) in [
            ("Shares rose, again.", "shares  ROSE — again", true),
            ("股市上涨!", "股市 上涨", true),
            ("Shares rose 5 %", "Shares rose 6 %", false),
            ("!!", "??", false),
            ("", "", true),
        ] {
            assert_eq!(text_key(left) == text_key(right), is_equal, "{left} / {right}");
        }
    }

    #[test]
    fn conflicts_and_leaks_are_found() {
        let rows = [
            example("A match!", "sports"),
            example("Shares rose", "finance"),
            example("a match", "finance"),
            example("A match", "sports"),
            example("shares rose.", "finance"),
        ];
        let conflict = Conflict {
            text: "A match!".to_owned(),
            labels: BTreeMap::from([("finance".to_owned(), 1), ("sports".to_owned(), 2)]),
            rows: vec![0, 2, 3],
        };
        assert_eq!(conflicts(&rows), [conflict]);
        assert_eq!(class_rows(&rows), BTreeMap::from([("finance".to_owned(), 3), ("sports".to_owned(), 2)]));
        let texts: Vec<&str> = rows.iter().map(|row| row.text.as_str()).collect();
        assert_eq!(leaked(&texts, &["SHARES ROSE"]), [1, 4]);
        assert!(leaked(&texts, &[]).is_empty());
    }

    #[test]
    fn a_shortened_excerpt_ends_with_an_ellipsis() {
        assert_eq!(excerpt("short"), "short");
        let long = excerpt(&"字".repeat(500));
        assert_eq!(long.chars().count(), EXCERPT + 1);
        assert!(long.ends_with('…'));
    }
}
