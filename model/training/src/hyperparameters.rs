//! The settings of one training loop, from scratch or from a bundle alike.

use fenliu_model::{ModelError, Result};
use serde::Serialize;

use crate::adaptation::Adaptation;
use crate::optimisation::{Optimisation, Transfer};

/// The settings of a training loop.
///
/// Its JSON is part of the key of a checkpoint: all fields on one level, under the names that the options
/// have. With another name or value a half-done run of an earlier release would start again from its base.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Hyperparameters {
    pub(crate) adaptation: Adaptation,
    #[serde(flatten)]
    pub(crate) optimisation: Optimisation,
    #[serde(flatten)]
    pub(crate) transfer: Transfer,
    /// Share of a teacher's probabilities in the training target; 0 without a teacher.
    pub(crate) soft_share: f32,
    /// Temperature at which teacher and student are compared.
    pub(crate) temperature: f32,
}

impl Hyperparameters {
    /// The settings of a run without a teacher.
    pub(crate) fn new(adaptation: Adaptation, optimisation: Optimisation, transfer: Transfer) -> Self {
        Self { adaptation, optimisation, transfer, soft_share: 0.0, temperature: 1.0 }
    }

    /// Checks every value against its bounds.
    pub(crate) fn validate(&self) -> Result<()> {
        self.optimisation.validate()?;
        self.transfer.validate()?;
        if self.transfer.adversarial > 0.0 && self.adaptation != Adaptation::Full {
            let why = "moves embeddings: only with `full`, which trains them";
            return Err(ModelError::option("adversarial", self.transfer.adversarial, why));
        }
        Ok(())
    }

    /// The peak learning rate of a parameter of an encoder of `layers` layers, by its name.
    ///
    /// The lower a layer, the smaller its rate (Howard and Ruder, 2018).
    pub(crate) fn rate(&self, name: &str, layers: usize) -> f32 {
        let mut parts = name.split('.');
        let depth = match (parts.next(), parts.next()) {
            (Some("head" | "pooler"), _) => return self.transfer.head_learning_rate,
            (Some("layer"), Some(number)) => {
                let above = |number: usize| layers.saturating_sub(number + 1);
                number.parse().map_or(0, above)
            }
            (Some("final_norm"), _) => 0,
            _ => layers,
        };
        self.optimisation.learning_rate * self.transfer.layer_decay.powi(depth as i32)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The JSON that 78ec496 wrote into checkpoints for these settings.
    #[test]
    fn the_key_of_a_checkpoint_is_that_of_earlier_releases() {
        let settings = Hyperparameters::new(
            Adaptation::lora(4),
            Optimisation { epochs: 3, batch_rows: 32, learning_rate: 0.5, ..Optimisation::default() },
            Transfer::default(),
        );
        let key = json!(["news", settings]).to_string();
        let written = concat!(
            r#"["news",{"accumulate":1,"adaptation":"lora-4","adversarial":0.0,"batch_rows":32,"batch_tokens":3072,"#,
            r#""cache_bytes":2147483648,"checkpoint_seconds":300,"class_weights":false,"consistency":0.0,"#,
            r#""device":"cpu","dropout":0.20000000298023224,"epochs":3,"head_learning_rate":0.0010000000474974513,"#,
            r#""label_smoothing":0.10000000149011612,"layer_decay":0.8999999761581421,"learning_rate":0.5,"#,
            r#""mixed_precision":false,"ngram_dropout":0.5,"ngram_learning_rate":0.4000000059604645,"#,
            r#""ngram_weight_decay":0.009999999776482582,"ngrams_apart":true,"patience":0,"seed":1,"#,
            r#""soft_share":0.0,"temperature":1.0,"token_dropout":0.10000000149011612,"#,
            r#""warmup_share":0.10000000149011612,"weight_decay":0.009999999776482582}]"#,
        );
        assert_eq!(key, written);
    }
}
