//! The sizes of a network: everything that determines the shapes of its weights.

use serde::{Deserialize, Serialize};

use crate::architecture::{Architecture, Head};
use crate::features::FeatureLayout;

/// The size of the encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderShape {
    /// Number of layers; with 0 the head reads the mean of the embeddings, as in fastText (Joulin et al.,
    /// 2017).
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
    /// Rows that bigrams are hashed to; 0 = no bigrams. A prime spreads them most evenly.
    pub bigram_buckets: usize,
    /// Rows that trigrams are hashed to; 0 = no trigrams. A prime spreads them most evenly.
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

    /// The layout of the side path's table for a vocabulary; `None` if there is no side path.
    pub(super) fn layout(&self, vocabulary: usize) -> Option<FeatureLayout> {
        self.enabled.then_some(FeatureLayout {
            tokens: vocabulary,
            bigrams: self.bigram_buckets,
            trigrams: self.trigram_buckets,
            positions: 0,
        })
    }
}

/// `config.json` in a bundle: determines the shapes of all weights and what is computed from them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct NetworkConfig {
    /// Number of labels: the length of the logits' last axis.
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

    /// Width of the head's input.
    pub(crate) fn head_inputs(&self) -> usize {
        match self.architecture.head {
            Head::Means => self.encoder.width + self.embedding_width(),
            Head::Mean | Head::FirstToken(_) => self.encoder.width,
        }
    }
}
