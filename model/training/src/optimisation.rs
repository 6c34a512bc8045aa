//! How weights are optimised: the options that training from scratch and fine-tuning share, and those that only
//! fine-tuning has.
//!
//! Each option is declared once, here: its field says its name and meaning, `Default` or
//! [`Transfer::from_scratch`] its value, `validate` its bounds.

use fenliu_model::{Device, Result};
use serde::{Deserialize, Serialize};

use crate::bounds::{check_at_least_one, check_not_negative, check_shares};

/// Options of the training loop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Optimisation {
    /// Seed of everything random: the same seed, data and options (and base) give the same model.
    pub seed: u64,
    /// Passes over the training rows.
    pub epochs: usize,
    /// Most padded tokens of a batch: longest row x rows.
    pub batch_tokens: usize,
    /// Most rows of a batch.
    pub batch_rows: usize,
    /// Peak learning rate of the encoder.
    pub learning_rate: f32,
    /// Peak learning rate of the n-gram side path.
    pub ngram_learning_rate: f32,
    /// Share of activations dropped.
    pub dropout: f32,
    /// Share of token embeddings dropped.
    pub token_dropout: f32,
    /// Share of n-gram features dropped.
    ///
    /// The remaining features are not scaled up, so the side path's logits are `1 / (1 - share)` times as
    /// large in use as in training: on held-out Chinese headlines that scores better than inverted dropout
    /// does.
    pub ngram_dropout: f32,
    /// Share of the documents of a batch that are cut to a random contiguous piece of more than half of their tokens, so
    /// that a label does not depend on the length of a text.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub crop_share: f32,
    /// Probability spread over all labels in the training target.
    pub label_smoothing: f32,
    /// Weight of the loss that makes two passes over one document under different dropout agree (R-Drop,
    /// Liang et al., 2021), relative to the cross-entropy. 0 = one pass per document and step; otherwise two,
    /// which takes twice the time.
    pub consistency: f32,
    /// Decoupled weight decay of the encoder's matrices and embeddings.
    pub weight_decay: f32,
    /// Decoupled weight decay of the n-gram side path.
    pub ngram_weight_decay: f32,
    /// Share of the steps during which the learning rate rises.
    pub warmup_share: f32,
    /// Epochs without a better development macro-F1 after which training stops; 0 = never.
    pub patience: usize,
    /// Where passes are computed; the optimiser, the tables and the evaluation stay on the CPU.
    pub device: Device,
    /// On a CUDA device: whether matrices are multiplied in bfloat16; weights and gradients stay `f32`.
    pub mixed_precision: bool,
}

/// Left out of the key of a checkpoint if it changes nothing, so that runs of earlier releases resume.
fn is_zero(share: &f32) -> bool {
    *share == 0.0
}

impl Default for Optimisation {
    fn default() -> Self {
        Self {
            seed: 1,
            epochs: 6,
            batch_tokens: 3072,
            batch_rows: 128,
            learning_rate: 2e-3,
            ngram_learning_rate: 0.4,
            dropout: 0.2,
            token_dropout: 0.1,
            ngram_dropout: 0.5,
            crop_share: 0.0,
            label_smoothing: 0.1,
            consistency: 0.0,
            weight_decay: 0.01,
            ngram_weight_decay: 0.01,
            warmup_share: 0.1,
            patience: 0,
            device: Device::Cpu,
            mixed_precision: false,
        }
    }
}

impl Optimisation {
    /// Checks every value against its bounds.
    pub(crate) fn validate(&self) -> Result<()> {
        self.device.check()?;
        check_at_least_one(&[
            ("epochs", self.epochs),
            ("batch_tokens", self.batch_tokens),
            ("batch_rows", self.batch_rows),
        ])?;
        check_shares(&[
            ("dropout", self.dropout),
            ("token_dropout", self.token_dropout),
            ("ngram_dropout", self.ngram_dropout),
            ("crop_share", self.crop_share),
            ("label_smoothing", self.label_smoothing),
            ("warmup_share", self.warmup_share),
        ])?;
        check_not_negative(&[
            ("learning_rate", self.learning_rate),
            ("ngram_learning_rate", self.ngram_learning_rate),
            ("consistency", self.consistency),
            ("weight_decay", self.weight_decay),
            ("ngram_weight_decay", self.ngram_weight_decay),
        ])
    }
}

/// Options that only fine-tuning has, because training starts from trained weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transfer {
    /// Batches whose gradients are summed for one step of the optimiser.
    pub accumulate: usize,
    /// Peak learning rate of the classification head.
    pub head_learning_rate: f32,
    /// The learning rate of each layer, as a multiple of that of the layer above it (layer-wise decay); 1 = all
    /// layers have the same rate.
    pub layer_decay: f32,
    /// Distance, as a Euclidean norm, by which the embeddings of all tokens of a batch together are moved up
    /// the loss for a second pass over the batch (adversarial training, Miyato, Dai and Goodfellow, 2017). 0
    /// = no second pass. Only where the embeddings are trained; it doubles the time of a step.
    pub adversarial: f32,
    /// Whether encoder and n-gram side path are trained separately, each with a loss of its own, instead of
    /// with one loss of the sum of their logits. In use the logits are summed (a product of experts, Hinton,
    /// 2002), the side path's times a weight that is fitted to the development rows. Trained together, a
    /// pretrained encoder would leave the side path little to learn, or the other way round.
    pub ngrams_apart: bool,
    /// Whether the rows of a rare label get a larger weight: the root of its rarity, 1 on average.
    pub class_weights: bool,
    /// Most memory for hidden states of frozen layers, in bytes. States that do not fit are computed again in
    /// every epoch.
    pub cache_bytes: usize,
    /// Seconds between two checkpoints within an epoch; one is also written after every epoch.
    pub checkpoint_seconds: u64,
}

impl Default for Transfer {
    fn default() -> Self {
        Self {
            accumulate: 1,
            head_learning_rate: 1e-3,
            layer_decay: 0.9,
            adversarial: 0.0,
            ngrams_apart: true,
            class_weights: false,
            cache_bytes: 2 << 30,
            checkpoint_seconds: 300,
        }
    }
}

impl Transfer {
    /// Values under which a network is trained as one whole, at one rate: those of training from scratch.
    pub(crate) fn from_scratch(learning_rate: f32) -> Self {
        Self {
            accumulate: 1,
            head_learning_rate: learning_rate,
            layer_decay: 1.0,
            adversarial: 0.0,
            ngrams_apart: false,
            class_weights: false,
            cache_bytes: 0,
            checkpoint_seconds: 0,
        }
    }

    /// Checks every value against its bounds.
    pub(crate) fn validate(&self) -> Result<()> {
        check_at_least_one(&[("accumulate", self.accumulate)])?;
        if !(self.layer_decay > 0.0 && self.layer_decay <= 1.0) {
            let bound = "must be above 0 and at most 1";
            return Err(fenliu_model::ModelError::option("layer_decay", self.layer_decay, bound));
        }
        check_not_negative(&[
            ("head_learning_rate", self.head_learning_rate),
            ("adversarial", self.adversarial),
        ])
    }
}
