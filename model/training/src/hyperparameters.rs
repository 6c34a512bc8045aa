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
        // How many layers lie above the parameter; the embeddings are below all of them.
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

    /// The JSON in a checkpoint that release 78ec496 wrote.
    #[test]
    fn the_key_of_a_checkpoint_is_that_of_earlier_releases() {
        let settings = Hyperparameters::new(
            Adaptation::lora(4),
            Optimisation {
                epochs: 40,
                batch_rows: 8,
                learning_rate: 0.5,
                ngram_learning_rate: 0.1,
                ..Optimisation::default()
            },
            Transfer {
                head_learning_rate: 2e-3,
                layer_decay: 1.0,
                ngrams_apart: false,
                checkpoint_seconds: 0,
                ..Transfer::default()
            },
        );
        let written = concat!(
            r#"{"accumulate":1,"adaptation":"lora-4","adversarial":0.0,"batch_rows":8,"batch_tokens":3072,"#,
            r#""cache_bytes":2147483648,"checkpoint_seconds":0,"class_weights":false,"consistency":0.0,"#,
            r#""device":"cpu","dropout":0.20000000298023224,"epochs":40,"#,
            r#""head_learning_rate":0.0020000000949949026,"label_smoothing":0.10000000149011612,"#,
            r#""layer_decay":1.0,"learning_rate":0.5,"mixed_precision":false,"ngram_dropout":0.5,"#,
            r#""ngram_learning_rate":0.10000000149011612,"ngram_weight_decay":0.009999999776482582,"#,
            r#""ngrams_apart":false,"patience":0,"seed":1,"soft_share":0.0,"temperature":1.0,"#,
            r#""token_dropout":0.10000000149011612,"warmup_share":0.10000000149011612,"#,
            r#""weight_decay":0.009999999776482582}"#,
        );
        assert_eq!(json!(settings).to_string(), written);
    }
}
