//! Divides the rows into training rows, development rows (for early stopping and calibration) and test rows.
//!
//! Contract: texts that differ only in white space, punctuation or case are in the same part, and the same rows always
//! give the same split. If test rows are drawn by their content, a text that is a test text in one job is one in every
//! job. So a champion was never trained on a text that it is tested on later. Beside other rows, corrections are never
//! development rows.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::rows::{ExampleOrigin, Row, fingerprint};
use crate::config::FinetuneConfig;

/// How the test rows were chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TestRows {
    /// The configuration names them.
    Given,
    /// The newest rows.
    Newest,
    /// Rows drawn by a hash of their text.
    #[default]
    Content,
}

/// Which rows may be drawn as development rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DevRows {
    /// All, as in jobs of earlier releases, which are resumed as they began.
    #[default]
    Any,
    /// All but corrections, as long as there are others. Corrections are mostly errors of the champion, so confidences that
    /// are fitted to them are too low for documents.
    Documents,
}

/// How many rows each part has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SplitSummary {
    /// Training rows.
    pub train: usize,
    /// Development rows.
    pub dev: usize,
    /// Test rows.
    pub test: usize,
    /// Rows of another source.
    #[serde(default)]
    pub far: usize,
    /// How the test rows were chosen.
    pub test_rows: TestRows,
    /// Which rows the development rows were drawn from.
    #[serde(default)]
    pub dev_rows: DevRows,
    /// Training rows by label.
    pub train_by_label: BTreeMap<String, usize>,
}

/// The rows of each part, in the order of the snapshot.
#[derive(Debug, Default)]
pub(super) struct Split {
    pub(super) train: Vec<Row>,
    pub(super) dev: Vec<Row>,
    pub(super) test: Vec<Row>,
    pub(super) far: Vec<Row>,
}

/// Splits the rows of a snapshot.
pub(super) fn split(rows: Vec<Row>, config: &FinetuneConfig, dev_rows: DevRows) -> (Split, SplitSummary) {
    let (far, rows): (Vec<Row>, Vec<Row>) =
        rows.into_iter().partition(|row| row.origin == ExampleOrigin::Far);
    let (test_rows, test) = test_texts(&rows, config.test_share);
    let has_data = rows.iter().any(|row| row.origin == ExampleOrigin::Data);
    let spares_corrections = has_data && dev_rows == DevRows::Documents;
    let mut split = Split { far, ..Split::default() };
    for row in rows {
        let text = fingerprint(&row.text);
        let part = if row.origin == ExampleOrigin::Test || test.contains(&text) {
            &mut split.test
        } else if is_drawn(text, DEV, config.dev_share)
            && !(spares_corrections && row.origin == ExampleOrigin::Feedback)
        {
            &mut split.dev
        } else {
            &mut split.train
        };
        part.push(row);
    }
    split.move_labels_without_training_rows();
    let summary = SplitSummary {
        train: split.train.len(),
        dev: split.dev.len(),
        test: split.test.len(),
        far: split.far.len(),
        test_rows,
        dev_rows,
        train_by_label: count_labels(&split.train),
    };
    (split, summary)
}

/// The number of rows of each label.
pub(super) fn count_labels(rows: &[Row]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for row in rows {
        *counts.entry(row.label.clone()).or_default() += 1;
    }
    counts
}

impl Split {
    /// Moves development rows of labels that have no training row to the training rows. The model could not learn such
    /// a label, so its development rows would only distort early stopping and calibration.
    fn move_labels_without_training_rows(&mut self) {
        let trained: BTreeSet<String> = self.train.iter().map(|row| row.label.clone()).collect();
        let (kept, mut moved): (Vec<Row>, Vec<Row>) =
            std::mem::take(&mut self.dev).into_iter().partition(|row| trained.contains(&row.label));
        self.dev = kept;
        self.train.append(&mut moved);
    }
}

/// How the test rows are chosen, and the fingerprints of their texts; none if the configuration names the rows.
fn test_texts(rows: &[Row], share: f64) -> (TestRows, BTreeSet<u128>) {
    if rows.iter().any(|row| row.origin == ExampleOrigin::Test) {
        return (TestRows::Given, BTreeSet::new());
    }
    let texts = rows.iter().map(|row| (fingerprint(&row.text), row.time));
    // By text, so that all rows of one text are in the same part. `None` as soon as one row has no time.
    let times: Option<BTreeMap<u128, i64>> = texts.clone().map(|(text, time)| Some((text, time?))).collect();
    // Without a time for every row it is not known which are the newest, so the rows are drawn by content.
    let Some(times) = times else {
        let drawn = texts.map(|(text, _)| text).filter(|text| is_drawn(*text, TEST, share));
        return (TestRows::Content, drawn.collect());
    };
    let mut newest: Vec<(i64, u128)> = times.into_iter().map(|(text, time)| (time, text)).collect();
    // By time and then by text, so that equal times give the same split in each job.
    newest.sort_unstable_by(|a, b| b.cmp(a));
    let wanted = (newest.len() as f64 * share).ceil() as usize;
    (TestRows::Newest, newest.into_iter().take(wanted).map(|(_, text)| text).collect())
}

/// The first bit of the 64 bits of a fingerprint that decide about a draw. Different bits decide about test rows and about
/// development rows, so that the two draws are independent.
const TEST: u32 = 0;
const DEV: u32 = 64;

/// Whether a text belongs to a sample of this share of all texts. The answer for a text never changes.
fn is_drawn(text: u128, bits: u32, share: f64) -> bool {
    let drawn = (text >> bits) as u64;
    (drawn as f64) < share * u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(text: &str, label: &str, time: Option<i64>, origin: ExampleOrigin) -> Row {
        let (id, lang, source, by) = (None, None, None, None);
        Row { id, text: text.into(), label: label.into(), lang, source, time, by, origin }
    }

    fn rows(count: usize, time: impl Fn(usize) -> Option<i64>) -> Vec<Row> {
        let row = |n| row(&format!("text number {n}"), ["a", "b"][n % 2], time(n), ExampleOrigin::Data);
        (0..count).map(row).collect()
    }

    #[test]
    fn the_newest_rows_are_the_test_where_all_have_a_time() {
        let (split, summary) =
            split(rows(200, |n| Some(n as i64)), &FinetuneConfig::default(), DevRows::Documents);
        assert_eq!((summary.test_rows, summary.test), (TestRows::Newest, 20));
        assert!(split.test.iter().all(|row| row.time >= Some(180)));
        assert_eq!(summary.train + summary.dev, 180);
    }

    #[test]
    fn named_test_rows_are_the_test() {
        let mut all = rows(50, |n| Some(n as i64));
        all.push(row("for testing", "a", None, ExampleOrigin::Test));
        let (split, summary) = split(all, &FinetuneConfig::default(), DevRows::Documents);
        assert_eq!((summary.test_rows, split.test.len()), (TestRows::Given, 1));
    }

    #[test]
    fn corrections_are_development_rows_only_where_there_are_no_others() {
        let corrections =
            || (0..200).map(|n| row(&format!("correction {n}"), "a", None, ExampleOrigin::Feedback));
        let (split_alone, _) = split(corrections().collect(), &FinetuneConfig::default(), DevRows::Documents);
        assert!(!split_alone.dev.is_empty());
        let (both, _) = split(
            corrections().chain(rows(200, |_| None)).collect(),
            &FinetuneConfig::default(),
            DevRows::Documents,
        );
        assert!(!both.dev.is_empty() && both.dev.iter().all(|row| row.origin == ExampleOrigin::Data));
        let all = corrections().chain(rows(200, |_| None)).collect();
        let (earlier, _) = split(all, &FinetuneConfig::default(), DevRows::Any);
        assert!(earlier.dev.iter().any(|row| row.origin == ExampleOrigin::Feedback));
    }

    #[test]
    fn far_rows_are_in_no_other_part() {
        let mut all = rows(200, |n| Some(n as i64));
        all.push(row("far away", "a", Some(1000), ExampleOrigin::Far));
        let (split, summary) = split(all, &FinetuneConfig::default(), DevRows::Documents);
        assert_eq!((summary.test_rows, summary.test, summary.far), (TestRows::Newest, 20, 1));
        assert_eq!(split.far[0].text, "far away");
        assert!(!split.test.iter().any(|row| row.text == "far away"));
    }

    #[test]
    fn a_text_drawn_for_the_test_stays_there_as_rows_come() {
        let texts = |rows: Vec<Row>| -> BTreeSet<String> {
            let (split, summary) = split(rows, &FinetuneConfig::default(), DevRows::Documents);
            assert_eq!(summary.test_rows, TestRows::Content);
            split.test.into_iter().map(|row| row.text).collect()
        };
        let (few, many) = (texts(rows(400, |_| None)), texts(rows(900, |_| None)));
        assert!(few.is_subset(&many) && (20..=60).contains(&few.len()), "{}", few.len());
    }

    #[test]
    fn a_label_that_would_have_only_development_rows_becomes_training_rows() {
        let config = FinetuneConfig { dev_share: 0.5, ..FinetuneConfig::default() };
        for n in 0..20 {
            let mut all = rows(60, |_| None);
            all.push(row(&format!("rare {n}"), "rare", None, ExampleOrigin::Feedback));
            let (split, _) = split(all, &config, DevRows::Documents);
            assert!(!split.dev.iter().any(|row| row.label == "rare"));
        }
    }

    proptest! {
        #[test]
        fn no_text_is_in_two_parts_and_no_row_is_lost(
            texts in prop::collection::vec(0..30u8, 1..80),
            times in any::<bool>(),
        ) {
            let all: Vec<Row> = (0..).zip(&texts).map(|(n, text)| {
                let time = times.then_some(n);
                row(&format!("Text {text}{}", if n % 2 == 0 { "" } else { " !" }), "a", time, ExampleOrigin::Data)
            }).collect();
            let (split, _) = split(all, &FinetuneConfig::default(), DevRows::Documents);
            let sides = [&split.train, &split.dev, &split.test].map(|rows| {
                rows.iter().map(|row| fingerprint(&row.text)).collect::<BTreeSet<_>>()
            });
            prop_assert!(sides[0].is_disjoint(&sides[1]));
            prop_assert!(sides[0].is_disjoint(&sides[2]));
            prop_assert!(sides[1].is_disjoint(&sides[2]));
            prop_assert_eq!(split.train.len() + split.dev.len() + split.test.len(), texts.len());
        }
    }
}
