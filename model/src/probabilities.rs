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

    /// The probabilities at `places`, in that order; 0 where there is no place.
    pub(crate) fn rearranged(&self, places: &[Option<usize>]) -> Self {
        let at = |place: &Option<usize>| place.and_then(|place| self.0.get(place)).copied().unwrap_or(0.0);
        Self(places.iter().map(at).collect())
    }

    /// The `k` most probable labels (fewer if there are fewer) as logit index and probability, most
    /// probable first; of equal ones the lower index first.
    pub fn top(&self, k: usize) -> Vec<(usize, f32)> {
        let mut ranked: Vec<(usize, f32)> = self.0.iter().copied().enumerate().collect();
        ranked.sort_by(|(_, left), (_, right)| right.total_cmp(left));
        ranked.truncate(k);
        ranked
    }
}
