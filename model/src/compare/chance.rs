//! Exact tests on counts.

/// The probability of at least `hits` in `trials` independent trials that each succeed with probability `share`
/// (binomial distribution).
pub fn at_least(hits: usize, trials: usize, share: f64) -> f64 {
    let odds = (share / (1.0 - share)).ln();
    // Logarithms, because the probabilities of single counts among thousands are below the smallest number.
    let mut logarithm = trials as f64 * (1.0 - share).ln();
    let mut sum = 0.0;
    for count in 0..=trials {
        if count >= hits {
            sum += logarithm.exp();
        }
        logarithm += ((trials - count) as f64 / (count + 1) as f64).ln() + odds;
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of sums of binomial coefficients in exact fractions.
    #[test]
    fn tails_are_those_of_scipy() {
        for (hits, trials, share, expected) in [
            (0, 0, 0.5, 1.0),
            (0, 9, 0.5, 1.0),
            (5, 5, 0.5, 0.031_25),
            (8, 10, 0.5, 0.054_687_5),
            (60, 100, 0.5, 0.028_443_967),
            (16, 20, 0.4, 0.000_317_031),
            (2600, 5000, 0.5, 0.002_441_825),
        ] {
            let found = at_least(hits, trials, share);
            assert!((found - expected).abs() < 1e-6, "{hits} of {trials}: {found}, not {expected}");
        }
        assert!(at_least(5000, 5000, 0.5) < 1e-300);
    }
}
