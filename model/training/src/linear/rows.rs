//! The rows that a linear classifier is trained on.

use fenliu_model::{ModelError, Result};

/// Texts with their labels.
#[derive(Clone, Copy, Debug)]
pub struct LinearRows<'a, S> {
    /// The texts.
    pub texts: &'a [S],
    /// The label of each text, as an index into the classes.
    pub labels: &'a [usize],
    /// How much each row counts, above 0; `None` = 1 each. A row of weight 2 counts as two equal rows.
    pub weights: Option<&'a [f32]>,
}

impl<'a, S> LinearRows<'a, S> {
    /// Rows that all have the weight 1.
    pub fn new(texts: &'a [S], labels: &'a [usize]) -> Self {
        Self { texts, labels, weights: None }
    }

    /// The weight of each row.
    pub(super) fn weights(&self) -> Vec<f64> {
        match self.weights {
            Some(weights) => weights.iter().copied().map(f64::from).collect(),
            None => vec![1.0; self.texts.len()],
        }
    }

    /// # Errors
    ///
    /// There are no rows; there are other numbers of labels or weights; a label is not below `classes`; or a
    /// weight is not a number above 0.
    pub(super) fn check(&self, classes: usize) -> Result<()> {
        self.problem(classes).map_or(Ok(()), |problem| Err(ModelError::Training(problem)))
    }

    fn problem(&self, classes: usize) -> Option<String> {
        let rows = self.texts.len();
        if rows == 0 {
            return Some("there are no rows".to_owned());
        }
        if self.labels.len() != rows {
            return Some(format!("there are {rows} texts but {} labels", self.labels.len()));
        }
        if let Some(row) = self.labels.iter().position(|label| *label >= classes) {
            return Some(format!("row {row}: label {} but there are {classes} classes", self.labels[row]));
        }
        let weights = self.weights?;
        if weights.len() != rows {
            return Some(format!("there are {rows} texts but {} weights", weights.len()));
        }
        let row = weights.iter().position(|weight| !(weight.is_finite() && *weight > 0.0))?;
        Some(format!("row {row}: the weight is {} but must be a number above 0", weights[row]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unusable_rows_are_named() {
        type Case<'a> = (&'a [&'a str], &'a [usize], Option<&'a [f32]>, &'a str);
        let cases: [Case<'_>; 6] = [
            (&[], &[], None, "there are no rows"),
            (&["a"], &[0, 1], None, "there are 1 texts but 2 labels"),
            (&["a", "b"], &[0, 2], None, "row 1: label 2 but there are 2 classes"),
            (&["a"], &[0], Some(&[1.0, 1.0]), "there are 1 texts but 2 weights"),
            (&["a"], &[0], Some(&[0.0]), "row 0: the weight is 0 but must be a number above 0"),
            (&["a"], &[0], Some(&[f32::NAN]), "row 0: the weight is NaN but must be a number above 0"),
        ];
        for (texts, labels, weights, message) in cases {
            let error = LinearRows { texts, labels, weights }.check(2).unwrap_err().to_string();
            assert_eq!(error, format!("training failed: {message}"));
        }
    }
}
