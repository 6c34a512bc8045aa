//! What can be chosen about a training run, and the sizes that presets give.

use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::adapt::Adaptation;
use super::architecture::{Architecture, Head};
use super::features::FeatureLayout;
use super::hyperparameters::{Hyperparameters, check_at_least_one, check_shares};
use crate::device::Device;
use crate::error::{ModelError, Result};
use crate::tokenize::{Tokenization, VocabularyOptions};

/// A named size of network, with training settings that suit it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// 1 layer, width 128: a minute or two on a laptop.
    Tiny,
    /// 2 layers, width 128: headlines and briefs.
    Small,
    /// 4 layers, width 256.
    Base,
    /// The reference architecture: 2 layers, width 512, 8 heads of 64, feed-forward 2048.
    Classic,
}

impl Preset {
    /// All presets, smallest first.
    pub const ALL: [Self; 4] = [Self::Tiny, Self::Small, Self::Base, Self::Classic];

    /// The name used in options and manifests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tiny => "tiny",
            Self::Small => "small",
            Self::Base => "base",
            Self::Classic => "classic",
        }
    }

    fn encoder(self) -> EncoderShape {
        let (layers, width, heads, feed_forward) = match self {
            Self::Tiny => (1, 128, 4, 256),
            Self::Small => (2, 128, 4, 512),
            Self::Base => (4, 256, 4, 1024),
            Self::Classic => (2, 512, 8, 2048),
        };
        EncoderShape { layers, width, heads, feed_forward }
    }

    /// Wider networks want smaller steps.
    pub(super) fn learning_rate(self) -> f32 {
        match self {
            Self::Tiny | Self::Small => 2e-3,
            Self::Base => 1e-3,
            Self::Classic => 5e-4,
        }
    }
}

impl FromStr for Preset {
    type Err = ModelError;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|preset| preset.name() == name).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|preset| preset.name()).collect();
            ModelError::option("preset", name, format!("must be one of {}", names.join(", ")))
        })
    }
}

/// The size of the encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderShape {
    /// Encoder layers; 0 = only the mean of the embeddings, as in fastText (Joulin et al., 2017).
    pub layers: usize,
    /// Width of embeddings and layers; a multiple of `heads`.
    pub width: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width of the feed-forward part.
    pub feed_forward: usize,
}

/// The n-gram side path: a linear classifier over tokens and hashed n-grams beside the encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NgramShape {
    /// Whether there is a side path.
    pub enabled: bool,
    /// Rows that bigrams are hashed to; 0 = none. Best a prime.
    pub bigram_buckets: usize,
    /// Rows that trigrams are hashed to; 0 = none. Best a prime.
    pub trigram_buckets: usize,
}

impl Default for NgramShape {
    fn default() -> Self {
        Self { enabled: true, bigram_buckets: 131_071, trigram_buckets: 131_071 }
    }
}

impl NgramShape {
    /// No side path.
    pub(super) const NONE: Self = Self { enabled: false, bigram_buckets: 0, trigram_buckets: 0 };

    /// The rows of the side path's table for a vocabulary; none when there is no side path.
    pub(super) fn layout(&self, vocabulary: usize) -> Option<FeatureLayout> {
        self.enabled.then_some(FeatureLayout {
            tokens: vocabulary,
            bigrams: self.bigram_buckets,
            trigrams: self.trigram_buckets,
            positions: 0,
        })
    }
}

/// Everything that can be chosen about a run; [`TrainOptions::new`] gives the defaults of a preset.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainOptions {
    /// The preset that the other values started from.
    pub preset: Preset,
    /// How texts are cut into tokens.
    pub tokenization: Tokenization,
    /// A `tokenizer.json` to use as it is, for `subword`; none = train a tokenizer on the corpus.
    pub tokenizer: Option<PathBuf>,
    /// How the vocabulary is drawn from the corpus when a tokenizer is trained.
    pub vocabulary: VocabularyOptions,
    /// Size of the encoder.
    pub encoder: EncoderShape,
    /// Size of the n-gram side path.
    pub ngrams: NgramShape,
    /// Most tokens read of a document; the rest is cut off.
    pub max_tokens: usize,
    /// Seed of everything random: the same seed, data and options give the same model.
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
    /// Those that stay are not scaled up, so the side path counts `1 / (1 - share)` times as much in use as in
    /// training: on held-out Chinese headlines that scores better than inverted dropout does.
    pub ngram_dropout: f32,
    /// Probability spread over all labels in the training target.
    pub label_smoothing: f32,
    /// How much the two answers to one document under different dropout must agree (R-Drop, Liang et al., 2021),
    /// in units of the cross-entropy; 0 = each document is learnt once a step, else twice, at twice the time.
    pub consistency: f32,
    /// Decoupled weight decay of the encoder's matrices and embeddings.
    pub weight_decay: f32,
    /// Decoupled weight decay of the n-gram side path.
    pub ngram_weight_decay: f32,
    /// Share of the steps during which the learning rate rises.
    pub warmup_share: f32,
    /// Epochs without a better development macro-F1 after which training stops; 0 = never.
    pub patience: usize,
    /// Share of the training rows held out for development when no development rows are given.
    pub dev_share: f32,
    /// Threads; 0 = one per core.
    pub threads: usize,
    /// Where passes are computed; the optimiser, the tables and the evaluation stay on the CPU.
    pub device: Device,
    /// On a CUDA device: whether matrices are multiplied in bfloat16; weights and gradients stay `f32`.
    pub mixed_precision: bool,
}

impl TrainOptions {
    /// The defaults of a preset.
    pub fn new(preset: Preset, tokenization: Tokenization) -> Self {
        Self {
            preset,
            tokenization,
            tokenizer: None,
            vocabulary: VocabularyOptions::default(),
            encoder: preset.encoder(),
            ngrams: NgramShape::default(),
            max_tokens: 256,
            seed: 1,
            epochs: 6,
            batch_tokens: 3072,
            batch_rows: 128,
            learning_rate: preset.learning_rate(),
            ngram_learning_rate: 0.4,
            dropout: 0.2,
            token_dropout: 0.1,
            ngram_dropout: 0.5,
            label_smoothing: 0.1,
            consistency: 0.0,
            weight_decay: 0.01,
            ngram_weight_decay: 0.01,
            warmup_share: 0.1,
            patience: 0,
            dev_share: 0.05,
            threads: 0,
            device: Device::Cpu,
            mixed_precision: false,
        }
    }

    /// Checks every value against its bounds.
    ///
    /// # Errors
    ///
    /// The first value that is out of bounds.
    pub fn validate(&self) -> Result<()> {
        check_at_least_one(&[
            ("encoder.heads", self.encoder.heads),
            ("encoder.feed_forward", self.encoder.feed_forward),
            ("max_tokens", self.max_tokens),
        ])?;
        check_shares(&[("dev_share", self.dev_share)])?;
        if let (Tokenization::Words, Some(file)) = (self.tokenization, &self.tokenizer) {
            return Err(ModelError::option(
                "tokenizer",
                file.display(),
                "is only for the tokenization `subword`",
            ));
        }
        let EncoderShape { width, heads, .. } = self.encoder;
        if width == 0 || !width.is_multiple_of(heads) {
            return Err(ModelError::option(
                "encoder.width",
                width,
                format!("must be a multiple of {heads} heads"),
            ));
        }
        self.hyperparameters().validate()
    }

    pub(super) fn hyperparameters(&self) -> Hyperparameters {
        Hyperparameters {
            adaptation: Adaptation::Full,
            seed: self.seed,
            epochs: self.epochs,
            batch_tokens: self.batch_tokens,
            batch_rows: self.batch_rows,
            accumulate: 1,
            learning_rate: self.learning_rate,
            head_learning_rate: self.learning_rate,
            ngram_learning_rate: self.ngram_learning_rate,
            layer_decay: 1.0,
            dropout: self.dropout,
            token_dropout: self.token_dropout,
            ngram_dropout: self.ngram_dropout,
            label_smoothing: self.label_smoothing,
            consistency: self.consistency,
            adversarial: 0.0,
            ngrams_apart: false,
            weight_decay: self.weight_decay,
            ngram_weight_decay: self.ngram_weight_decay,
            warmup_share: self.warmup_share,
            patience: self.patience,
            class_weights: false,
            soft_share: 0.0,
            temperature: 1.0,
            cache_bytes: 0,
            checkpoint_seconds: 0,
            device: self.device,
            mixed_precision: self.mixed_precision,
        }
    }
}

/// `config.json`: what fixes the shapes of all weights and what is computed from them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct NetworkConfig {
    /// Rows of the logits' last axis.
    pub(crate) labels: usize,
    /// Size of the encoder.
    pub(crate) encoder: EncoderShape,
    /// Rows of the encoder's embedding table.
    pub(crate) embedding: FeatureLayout,
    /// Rows of the side path's table, if there is one.
    pub(crate) ngrams: Option<FeatureLayout>,
    /// Which variant of the encoder it is.
    #[serde(default)]
    pub(crate) architecture: Architecture,
}

impl NetworkConfig {
    /// Width of the rows of the embedding table.
    pub(crate) fn embedding_width(&self) -> usize {
        self.architecture.embedding_width.unwrap_or(self.encoder.width)
    }

    /// How many numbers of a document the last linear layer reads.
    pub(crate) fn head_inputs(&self) -> usize {
        match self.architecture.head {
            Head::Means => self.encoder.width + self.embedding_width(),
            Head::Mean | Head::FirstToken(_) => self.encoder.width,
        }
    }

    /// The network that `options` describe for a vocabulary and a number of labels.
    pub(crate) fn new(options: &TrainOptions, vocabulary: usize, labels: usize) -> Self {
        let positions = options.max_tokens;
        Self {
            labels,
            encoder: options.encoder,
            embedding: FeatureLayout { tokens: vocabulary, bigrams: 0, trigrams: 0, positions },
            ngrams: options.ngrams.layout(vocabulary),
            architecture: Architecture::default(),
        }
    }
}
