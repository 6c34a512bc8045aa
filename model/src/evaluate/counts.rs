//! Correct and wrong predictions of one label, and the scores that follow from them.

/// Rows of one label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClassCounts {
    /// Rows that have the label and for which it was predicted.
    pub(crate) correct: usize,
    /// Rows for which the label was predicted.
    pub(crate) predicted: usize,
    /// Rows that have the label.
    pub(crate) support: usize,
}

impl ClassCounts {
    pub(crate) fn precision(self) -> f64 {
        ratio(self.correct, self.predicted)
    }

    pub(crate) fn recall(self) -> f64 {
        ratio(self.correct, self.support)
    }

    /// Equal to 2PR / (P + R), without its division of zero by zero.
    pub(crate) fn f1(self) -> f64 {
        ratio(2 * self.correct, self.predicted + self.support)
    }
}

/// Mean F1 of the labels that occur in the gold labels or the predictions.
pub(crate) fn macro_f1(counts: &[ClassCounts]) -> f64 {
    let occurring = counts.iter().filter(|counts| counts.predicted + counts.support > 0);
    let (sum, labels) = occurring.fold((0.0, 0), |(sum, labels), counts| (sum + counts.f1(), labels + 1));
    if labels == 0 { 0.0 } else { sum / f64::from(labels) }
}

/// A share of rows; 0 if there are no rows.
pub(crate) fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
