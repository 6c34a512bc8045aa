//! The probabilities of all labels for one text, as softmax gives them.

/// The probability of each label for one text, in logit order; they sum to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Probabilities(Vec<f32>);

impl Probabilities {
    /// Softmax of finite `logits`: `exp(logit_i - max) / sum_j exp(logit_j - max)`.
    pub fn from_logits(logits: &[f32]) -> Self {
        Self::at_temperature(logits, 1.0)
    }

    /// Softmax of `logits / temperature`, for a temperature above 0.
    pub fn at_temperature(logits: &[f32], temperature: f64) -> Self {
        // Subtracting the largest logit changes no quotient; without it, `exp` overflows from about 89 on.
        let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let scale = (1.0 / temperature) as f32;
        let mut values: Vec<f32> = logits.iter().map(|logit| ((logit - max) * scale).exp()).collect();
        let sum: f32 = values.iter().sum();
        values.iter_mut().for_each(|value| *value /= sum);
        Self(values)
    }

    /// All probabilities in logit order.
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }

    /// The probabilities at `places`, in that order; 0 for `None`.
    pub(crate) fn rearranged(&self, places: &[Option<usize>]) -> Self {
        let at = |place: &Option<usize>| place.and_then(|place| self.0.get(place)).copied().unwrap_or(0.0);
        Self(places.iter().map(at).collect())
    }

    /// The `k` most probable labels (or all, if there are fewer) as logit index and probability, in
    /// descending order of probability. Of equally probable labels the one with the lower index comes first.
    pub fn top(&self, k: usize) -> Vec<(usize, f32)> {
        let mut ranked: Vec<(usize, f32)> = self.0.iter().copied().enumerate().collect();
        // A stable sort: equal probabilities keep the order of the labels.
        ranked.sort_by(|(_, left), (_, right)| right.total_cmp(left));
        ranked.truncate(k);
        ranked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_handles_large_logits_and_ties() {
        for (logits, expected) in [
            (vec![0.0, 0.0], vec![0.5, 0.5]),
            (vec![3e38, -3e38], vec![1.0, 0.0]),
            (vec![1000.0 + 3f32.ln(), 1000.0], vec![0.75, 0.25]),
        ] {
            let probabilities = Probabilities::from_logits(&logits);
            for (value, expected) in probabilities.as_slice().iter().zip(expected) {
                assert!((value - expected).abs() < 1e-4, "{logits:?}: {probabilities:?}");
            }
        }
    }

    #[test]
    fn the_top_is_sorted_and_ties_keep_their_order() {
        let probabilities = Probabilities(vec![0.2, 0.3, 0.2, 0.3]);
        assert_eq!(probabilities.top(3), [(1, 0.3), (3, 0.3), (0, 0.2)]);
        assert_eq!(probabilities.top(9).len(), 4);
    }
}
