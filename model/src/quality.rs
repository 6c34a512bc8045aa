//! What is wrong with labelled data before a model learns from it.
//!
//! Rows that stand on both sides of a split, one text under several labels, labels with too few rows, and labels
//! that a model which did not learn the row would not have given. Nothing is changed or dropped here.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::example::Example;

/// One text that stands under several labels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// Start of the text.
    pub text: String,
    /// Rows of each label that the text has.
    pub labels: BTreeMap<String, usize>,
    /// Numbers of the rows.
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
    /// Probability of its label, from a model that did not learn the row.
    pub probability: f32,
    /// Probability of the likely label, from the same model.
    pub likely_probability: f32,
}

/// What was found in labelled data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct QualityReport {
    /// Rows to learn from.
    pub rows: usize,
    /// Rows to learn from by label.
    pub class_rows: BTreeMap<String, usize>,
    /// Numbers of the rows to learn from whose text also stands among the rows to test on.
    pub leaked: Vec<usize>,
    /// Texts with several labels.
    pub conflicts: Vec<Conflict>,
    /// Rows whose label is probably wrong, the likeliest first.
    pub suspects: Vec<Suspect>,
}

/// SHA-256 of the letters and digits of a text in lower case: equal for texts that differ in nothing that a reader
/// would notice. A text without any letter or digit stands for itself.
pub fn text_key(text: &str) -> [u8; 32] {
    let letters: String =
        text.chars().filter(|character| character.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    Sha256::digest(if letters.is_empty() { text } else { &letters }).into()
}

/// Rows of each label.
pub fn class_rows(examples: &[Example]) -> BTreeMap<String, usize> {
    let mut rows = BTreeMap::new();
    for example in examples {
        *rows.entry(example.label.clone()).or_default() += 1;
    }
    rows
}

/// Numbers of the rows of `train` whose text, as [`text_key`] sees it, is also in `test`.
pub fn leaked(train: &[&str], test: &[&str]) -> Vec<usize> {
    let tested: std::collections::HashSet<[u8; 32]> = test.iter().map(|text| text_key(text)).collect();
    (0..train.len()).filter(|row| tested.contains(&text_key(train[*row]))).collect()
}

/// Texts, equal as [`text_key`] sees them, that have several labels; in order of their first rows.
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
    fn texts_are_equal_when_a_reader_sees_no_difference() {
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
    fn an_excerpt_says_that_it_is_cut() {
        assert_eq!(excerpt("short"), "short");
        let long = excerpt(&"字".repeat(500));
        assert_eq!(long.chars().count(), EXCERPT + 1);
        assert!(long.ends_with('…'));
    }
}
