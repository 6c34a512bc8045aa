//! What features are multiplied by: naive Bayes ratios (Wang & Manning 2012, equation 1), or inverse document frequencies.

use super::documents::Documents;
use super::options::Scale;

/// How often each class has each feature.
pub(super) struct Counts {
    /// Weight of the documents, `[C, F]`.
    of_class: Vec<Vec<f64>>,
    /// Weight of the documents of all classes, `[F]`.
    of_all: Vec<f64>,
    /// Weight of all documents.
    documents: f64,
}

impl Counts {
    /// Counts documents by their labels, which are below `classes`.
    pub(super) fn new(
        documents: &Documents,
        labels: &[usize],
        weights: &[f64],
        (classes, features): (usize, usize),
    ) -> Self {
        let mut of_class = vec![vec![0.0; features]; classes];
        let mut of_all = vec![0.0; features];
        for (document, (label, weight)) in labels.iter().zip(weights).enumerate() {
            for column in documents.columns(document) {
                of_class[*label][*column as usize] += weight;
                of_all[*column as usize] += weight;
            }
        }
        Self { of_class, of_all, documents: weights.iter().sum() }
    }

    /// What each feature is multiplied by for one class.
    pub(super) fn scales(&self, scale: Scale, class: usize) -> Vec<f64> {
        match scale {
            Scale::NaiveBayes => self.ratios(class),
            Scale::InverseFrequency => self.inverse_frequencies(),
        }
    }

    /// ln((1 + N) / (1 + n)) + 1 of each feature, where n of N documents have it; the same for every class.
    fn inverse_frequencies(&self) -> Vec<f64> {
        let of_feature = |count: &f64| ((1.0 + self.documents) / (1.0 + count)).ln() + 1.0;
        self.of_all.iter().map(of_feature).collect()
    }

    /// r = log(p / q) of each feature: p is the share of the feature among all of the class, each counted once
    /// more than it occurs, and q is the same in the other classes.
    pub(super) fn ratios(&self, class: usize) -> Vec<f64> {
        let of_class = &self.of_class[class];
        // Sums of weights in another order may differ from 0 by rounding, and never should from below.
        let of_others = |feature: usize| (self.of_all[feature] - of_class[feature]).max(0.0);
        let features = of_class.len();
        let class_sum: f64 = of_class.iter().map(|count| 1.0 + count).sum();
        let others_sum: f64 = (0..features).map(|feature| 1.0 + of_others(feature)).sum();
        let ratio = |feature: usize| {
            let p = (1.0 + of_class[feature]) / class_sum;
            let q = (1.0 + of_others(feature)) / others_sum;
            (p / q).ln()
        };
        (0..features).map(ratio).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_those_computed_by_hand() {
        let keys: [&[u64]; 4] = [&[10, 20], &[10], &[20, 30], &[30]];
        let documents = Documents::new(keys.into_iter(), &[10, 20, 30]);
        let counts = Counts::new(&documents, &[0, 0, 1, 1], &[1.0; 4], (2, 3));
        // Class 0 has the counts 2, 1, 0 and the others 0, 1, 2; both sums are 6.
        let expected = [3.0_f64.ln(), 0.0, (1.0_f64 / 3.0).ln()];
        for (class, sign) in [(0, 1.0), (1, -1.0)] {
            for (ratio, expected) in counts.ratios(class).into_iter().zip(expected) {
                assert!((ratio - sign * expected).abs() < 1e-12);
            }
        }
        // With the first document three times: counts 4, 3, 0 (sum 10) against 0, 1, 2 (sum 6).
        let weighted = Counts::new(&documents, &[0, 0, 1, 1], &[3.0, 1.0, 1.0, 1.0], (2, 3));
        let expected = [(0.5 * 6.0_f64).ln(), (0.4 * 3.0_f64).ln(), (0.1 * 2.0_f64).ln()];
        for (ratio, expected) in weighted.ratios(0).into_iter().zip(expected) {
            assert!((ratio - expected).abs() < 1e-12);
        }
        // Features 10 and 20 are in two documents of four, 30 in the two others.
        let expected = vec![(5.0_f64 / 3.0).ln() + 1.0; 3];
        assert_eq!(counts.scales(Scale::InverseFrequency, 0), expected);
        assert_eq!(counts.scales(Scale::InverseFrequency, 1), expected);
    }
}
