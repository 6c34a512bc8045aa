//! What the training loop is told, from scratch or from a bundle alike.

use serde::Serialize;

use super::adapt::Adaptation;
use crate::device::Device;
use crate::error::{ModelError, Result};

/// The settings of a training loop; [`super::TrainOptions`] and [`super::FineTuneOptions`] document each.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Hyperparameters {
    pub(super) adaptation: Adaptation,
    pub(super) seed: u64,
    pub(super) epochs: usize,
    pub(super) batch_tokens: usize,
    pub(super) batch_rows: usize,
    pub(super) accumulate: usize,
    pub(super) learning_rate: f32,
    pub(super) head_learning_rate: f32,
    pub(super) ngram_learning_rate: f32,
    pub(super) layer_decay: f32,
    pub(super) dropout: f32,
    pub(super) token_dropout: f32,
    pub(super) ngram_dropout: f32,
    pub(super) label_smoothing: f32,
    pub(super) consistency: f32,
    pub(super) adversarial: f32,
    pub(super) ngrams_apart: bool,
    pub(super) weight_decay: f32,
    pub(super) ngram_weight_decay: f32,
    pub(super) warmup_share: f32,
    pub(super) patience: usize,
    pub(super) class_weights: bool,
    pub(super) soft_share: f32,
    pub(super) temperature: f32,
    pub(super) cache_bytes: usize,
    pub(super) checkpoint_seconds: u64,
    pub(super) device: Device,
    pub(super) mixed_precision: bool,
}

impl Hyperparameters {
    /// Checks every value against its bounds.
    pub(super) fn validate(&self) -> Result<()> {
        self.device.check()?;
        check_at_least_one(&[
            ("epochs", self.epochs),
            ("batch_tokens", self.batch_tokens),
            ("batch_rows", self.batch_rows),
            ("accumulate", self.accumulate),
        ])?;
        check_shares(&[
            ("dropout", self.dropout),
            ("token_dropout", self.token_dropout),
            ("ngram_dropout", self.ngram_dropout),
            ("label_smoothing", self.label_smoothing),
            ("warmup_share", self.warmup_share),
        ])?;
        if !(self.layer_decay > 0.0 && self.layer_decay <= 1.0) {
            return Err(ModelError::option("layer_decay", self.layer_decay, "must be above 0 and at most 1"));
        }
        let rates = [
            ("learning_rate", self.learning_rate),
            ("head_learning_rate", self.head_learning_rate),
            ("ngram_learning_rate", self.ngram_learning_rate),
            ("consistency", self.consistency),
            ("adversarial", self.adversarial),
            ("weight_decay", self.weight_decay),
            ("ngram_weight_decay", self.ngram_weight_decay),
        ];
        for (name, value) in rates {
            if !(value.is_finite() && value >= 0.0) {
                return Err(ModelError::option(name, value, "must be a number of at least 0"));
            }
        }
        if self.adversarial > 0.0 && self.adaptation != Adaptation::Full {
            let why = "moves embeddings: only with `full`, which trains them";
            return Err(ModelError::option("adversarial", self.adversarial, why));
        }
        Ok(())
    }

    /// The peak learning rate of a parameter of an encoder of `layers` layers, by its name.
    ///
    /// Layers learn the slower the lower they lie (Howard and Ruder, 2018).
    pub(super) fn rate(&self, name: &str, layers: usize) -> f32 {
        let mut parts = name.split('.');
        let depth = match (parts.next(), parts.next()) {
            (Some("head" | "pooler"), _) => return self.head_learning_rate,
            (Some("layer"), Some(number)) => {
                let above = |number: usize| layers.saturating_sub(number + 1);
                number.parse().map_or(0, above)
            }
            (Some("final_norm"), _) => 0,
            _ => layers,
        };
        self.learning_rate * self.layer_decay.powi(depth as i32)
    }
}

/// Refuses zero.
pub(super) fn check_at_least_one(values: &[(&'static str, usize)]) -> Result<()> {
    match values.iter().find(|(_, value)| *value == 0) {
        Some((name, value)) => Err(ModelError::option(name, value, "must be at least 1")),
        None => Ok(()),
    }
}

/// Refuses what is not in [0, 1).
pub(super) fn check_shares(values: &[(&'static str, f32)]) -> Result<()> {
    match values.iter().find(|(_, value)| !(0.0..1.0).contains(value)) {
        Some((name, value)) => Err(ModelError::option(name, value, "must be at least 0 and below 1")),
        None => Ok(()),
    }
}
