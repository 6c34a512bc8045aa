//! Documents as vectors of term frequency times inverse document frequency.

use super::documents::Documents;
use super::solver::Design;

/// A document as its distinct keys, ascending, and how often it has each.
pub(super) struct Counted {
    pub(super) keys: Vec<u64>,
    counts: Vec<u32>,
}

impl Counted {
    /// Counts keys.
    pub(super) fn new(mut keys: Vec<u64>) -> Self {
        keys.sort_unstable();
        let counts = keys.chunk_by(|left, right| left == right).map(|run| run.len() as u32).collect();
        keys.dedup();
        Self { keys, counts }
    }
}

/// Inverse document frequency of each feature, as scikit-learn smooths it: ln((1 + N) / (1 + n)) + 1.
pub(super) fn inverse_frequencies(documents: &[Counted], vocabulary: &[u64]) -> Vec<f64> {
    let mut frequencies = vec![0_u32; vocabulary.len()];
    for key in documents.iter().flat_map(|document| &document.keys) {
        if let Ok(column) = vocabulary.binary_search(key) {
            frequencies[column] += 1;
        }
    }
    let all = 1.0 + documents.len() as f64;
    frequencies.into_iter().map(|frequency| (all / (1.0 + f64::from(frequency))).ln() + 1.0).collect()
}

/// Rows (1 + ln tf) · idf, divided by their lengths.
pub(super) struct TfIdf {
    documents: Documents,
    /// A value for each column of each document.
    values: Vec<f32>,
    features: usize,
}

impl TfIdf {
    /// `inverse_frequencies` has a value for each key of `vocabulary`, which is ascending.
    pub(super) fn new(documents: &[Counted], vocabulary: &[u64], inverse_frequencies: &[f64]) -> Self {
        let lists = documents.iter().map(|document| document.keys.as_slice());
        let columns = Documents::new(lists, vocabulary);
        let mut values = Vec::with_capacity(columns.range(documents.len().saturating_sub(1)).end);
        for document in documents {
            values.extend(unit_vector(document, vocabulary, inverse_frequencies));
        }
        Self { documents: columns, values, features: vocabulary.len() }
    }

    fn row(&self, row: usize) -> impl Iterator<Item = (usize, f64)> {
        let columns = self.documents.columns(row).iter().map(|column| *column as usize);
        columns.zip(self.values[self.documents.range(row)].iter().copied().map(f64::from))
    }
}

fn unit_vector(document: &Counted, vocabulary: &[u64], inverse_frequencies: &[f64]) -> Vec<f32> {
    let value = |(key, count): (&u64, &u32)| {
        let column = vocabulary.binary_search(key).ok()?;
        Some((1.0 + f64::from(*count).ln()) * inverse_frequencies[column])
    };
    let values: Vec<f64> = document.keys.iter().zip(&document.counts).filter_map(value).collect();
    let length = values.iter().map(|value| value * value).sum::<f64>().sqrt();
    values.into_iter().map(|value| (value / length) as f32).collect()
}

impl Design for TfIdf {
    fn rows(&self) -> usize {
        self.documents.len()
    }

    fn features(&self) -> usize {
        self.features
    }

    fn dot(&self, row: usize, weights: &[f64]) -> f64 {
        self.row(row).map(|(column, value)| weights[column] * value).sum()
    }

    fn add(&self, row: usize, step: f64, weights: &mut [f64]) {
        self.row(row).for_each(|(column, value)| weights[column] += step * value);
    }

    fn squared_norm(&self, row: usize) -> f64 {
        self.row(row).map(|(_, value)| value * value).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `TfidfVectorizer(sublinear_tf=True)` of scikit-learn computes them, by its formulas.
    #[test]
    fn values_are_those_of_the_formulas() {
        let documents = [vec![1, 2], vec![1, 2, 3, 1], vec![3]].map(Counted::new);
        assert_eq!(documents[1].keys, [1, 2, 3]);
        let idf = inverse_frequencies(&documents, &[1, 2, 3]);
        assert!(idf.iter().all(|idf| (idf - ((4.0_f64 / 3.0).ln() + 1.0)).abs() < 1e-12));
        let design = TfIdf::new(&documents, &[1, 2, 3], &idf);
        // 1 + ln 2 against 1 and 1, since the frequencies are equal.
        let tf = 1.0 + 2.0_f64.ln();
        let length = (tf * tf + 2.0).sqrt();
        for (weights, expected) in [([1.0, 0.0, 0.0], tf / length), ([0.0, 1.0, 1.0], 2.0 / length)] {
            assert!((design.dot(1, &weights) - expected).abs() < 1e-6);
        }
        assert!((0..3).all(|row| (design.squared_norm(row) - 1.0).abs() < 1e-6));
    }
}
