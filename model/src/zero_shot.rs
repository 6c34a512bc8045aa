//! How much the meaning of the class names counts beside experts that learnt from labelled texts.
//!
//! A graph may have the output `zero_shot`: the logits that follow from comparing a text with the names of the classes.
//! They are the better ones on text that is unlike the training texts, and the worse ones on text like them. Their factor
//! therefore falls with the share of a text's n-grams that the training texts have,
//!
//! ```text
//! factor = most / (1 + exp(2.5 ((share - mean) / deviation + 0.7)))
//! ```
//!
//! where mean and deviation are those of the share on held-out documents. The constants were chosen on Chinese headlines of
//! two sources.

use serde::{Deserialize, Serialize};

/// How quickly the factor falls, per deviation of the share.
const STEEPNESS: f64 = 2.5;
/// At this many deviations below the mean the factor is half of the most.
const HALFWAY: f64 = 0.7;

/// The part of the output `zero_shot` in the sum of logits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZeroShotPart {
    /// The file of the linear expert whose n-grams are the familiar ones.
    pub familiar_to: String,
    /// Mean of the share of familiar n-grams in held-out documents.
    pub mean: f64,
    /// Standard deviation of that share; above 0.
    pub deviation: f64,
    /// The factor of a text without any familiar n-gram, nearly.
    pub most: f64,
}

impl ZeroShotPart {
    /// The factor of the logits of a text of whose n-grams this share, from 0 to 1, is familiar.
    pub fn factor(&self, share: f64) -> f32 {
        let distance = (share - self.mean) / self.deviation;
        (self.most / (1.0 + (STEEPNESS * (distance + HALFWAY)).exp())) as f32
    }

    /// Says what makes the part unusable, if anything does.
    pub(crate) fn check(&self) -> Result<(), String> {
        if !(self.deviation > 0.0 && self.deviation.is_finite()) {
            return Err(format!("`deviation` is {} but must be above 0", self.deviation));
        }
        if self.mean.is_finite() && self.most.is_finite() {
            return Ok(());
        }
        Err(format!("`mean` is {} and `most` {} but both must be finite", self.mean, self.most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factor_falls_with_familiarity_from_the_most_to_nothing() {
        let part = ZeroShotPart { familiar_to: String::new(), mean: 0.65, deviation: 0.16, most: 2.0 };
        let factors = [0.0, 0.3, 0.65 - 0.7 * 0.16, 0.65, 1.0].map(|share| part.factor(share));
        assert!(factors.windows(2).all(|pair| pair[0] > pair[1]), "{factors:?}");
        assert!((factors[0] - 2.0).abs() < 0.01 && (factors[2] - 1.0).abs() < 1e-6 && factors[4] < 0.01);
        assert!(part.check().is_ok());
        assert!(ZeroShotPart { deviation: 0.0, ..part }.check().unwrap_err().contains("`deviation` is 0"));
    }
}
