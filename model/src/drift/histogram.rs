//! Counts of documents by bin, and the distance between two such counts.

use serde::{Deserialize, Serialize};

/// A histogram of numbers. A bin holds the values up to and including its edge; the last bin those above all
/// edges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Histogram {
    /// Upper edges, ascending; a bin holds its edge.
    edges: Vec<f64>,
    /// Documents by bin: one more than edges.
    pub(super) counts: Vec<u64>,
}

impl Histogram {
    /// Counts finite `values` in bins between their deciles. Equal deciles become one edge, so that a
    /// frequent value has a bin of its own; and there is always a bin above the last edge.
    pub(super) fn at_deciles(mut values: Vec<f64>) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        let mut edges: Vec<f64> =
            (1..10).filter_map(|n| values.get(values.len() * n / 10).copied()).collect();
        // Discrete values, such as short lengths, have the same decile several times.
        edges.dedup();
        let mut histogram = Self { counts: vec![0; edges.len() + 1], edges };
        for value in values {
            let bin = histogram.bin(value);
            histogram.counts[bin] += 1;
        }
        histogram
    }

    /// The bin of `value`, an index into the counts.
    pub(super) fn bin(&self, value: f64) -> usize {
        self.edges.partition_point(|edge| *edge < value)
    }

    /// Whether a histogram from a file is valid.
    pub(super) fn is_valid(&self) -> bool {
        self.counts.len() == self.edges.len() + 1 && self.edges.is_sorted()
    }
}

/// Population stability index of `window` against `reference`, two counts over the same bins.
///
/// Half a document is added to each bin (Jeffreys' prior), so that an empty bin gives a finite value. That
/// value is smaller if there are fewer documents.
pub(super) fn psi(reference: &[u64], window: &[u64]) -> f64 {
    let smoothed = |counts: &[u64]| {
        let total = counts.iter().sum::<u64>() as f64 + 0.5 * counts.len() as f64;
        counts.iter().map(|count| (*count as f64 + 0.5) / total).collect::<Vec<f64>>()
    };
    let (reference, window) = (smoothed(reference), smoothed(window));
    reference.iter().zip(&window).map(|(p, q)| (q - p) * (q / p).ln()).sum()
}

/// The mean of the index of two samples of the same distribution: `(bins - 1) * (1 / n + 1 / m)` (Yurdakul,
/// Statistical Properties of the PSI, 2018), over the bins that either sample has documents in.
pub(super) fn psi_by_chance(reference: &[u64], window: &[u64]) -> f64 {
    let bins = reference.iter().zip(window).filter(|(p, q)| **p + **q > 0).count();
    let per_bin: f64 = [reference, window].iter().map(|counts| 1.0 / counts.iter().sum::<u64>() as f64).sum();
    bins.saturating_sub(1) as f64 * per_bin
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::rngs::SmallRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    #[test]
    fn edges_are_deciles_and_frequent_values_have_bins_of_their_own() {
        let histogram = Histogram::at_deciles((0..100).map(f64::from).collect());
        assert_eq!(histogram.edges, [10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0]);
        assert_eq!(histogram.counts, [11, 10, 10, 10, 10, 10, 10, 10, 10, 9]);
        let zeros = Histogram::at_deciles(vec![0.0; 30]);
        assert_eq!((&zeros.edges, &zeros.counts), (&vec![0.0], &vec![30, 0]));
        assert_eq!((zeros.bin(0.0), zeros.bin(0.1)), (0, 1));
        assert_eq!(Histogram::at_deciles(vec![]).counts, [0]);
    }

    #[test]
    fn the_index_is_that_of_the_formula() {
        // 0.5/0.5 against 0.75/0.25: 0.25 ln 1.5 - 0.25 ln 0.5; large counts make the prior vanish.
        let expected = 0.25 * 1.5f64.ln() - 0.25 * 0.5f64.ln();
        let index = psi(&[5_000_000, 5_000_000], &[7_500_000, 2_500_000]);
        assert!((index - expected).abs() < 1e-5, "{index} is not {expected}");
    }

    #[test]
    fn a_bin_that_is_empty_in_the_reference_weighs_more_if_the_reference_is_larger() {
        let few = psi(&[50, 0], &[900, 100]);
        let many = psi(&[50_000, 0], &[900, 100]);
        assert!(few > 0.2 && many > 2.0 * few && many.is_finite(), "{few} {many}");
    }

    #[test]
    fn samples_of_one_distribution_have_the_expected_index() {
        let mut rng = SmallRng::seed_from_u64(7);
        let mut sample = |rows: usize| {
            let mut counts = vec![0; 40];
            (0..rows).for_each(|_| counts[rng.random_range(0..40)] += 1);
            counts
        };
        let (mut index, mut chance) = (0.0, 0.0);
        for _ in 0..50 {
            let (reference, window) = (sample(400), sample(2000));
            index += psi(&reference, &window) / 50.0;
            chance += psi_by_chance(&reference, &window) / 50.0;
        }
        assert!((chance - 39.0 * (1.0 / 400.0 + 1.0 / 2000.0)).abs() < 1e-9, "{chance}");
        assert!((index - chance).abs() < 0.02, "{index} is not {chance}");
    }

    proptest! {
        #[test]
        fn it_is_never_negative_and_zero_for_equal_shares(
            counts in prop::collection::vec((0u64..1000, 0u64..1000), 1..20),
        ) {
            let (reference, window): (Vec<u64>, Vec<u64>) = counts.into_iter().unzip();
            prop_assert!(psi(&reference, &window) >= 0.0);
            prop_assert!(psi(&reference, &reference).abs() < 1e-12);
            prop_assert!((psi(&reference, &window) - psi(&window, &reference)).abs() < 1e-9);
        }
    }
}
