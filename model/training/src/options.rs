//! What can be chosen about training from scratch, and the sizes that presets give.

use std::path::PathBuf;
use std::str::FromStr;

use fenliu_model::tokenize::{Tokenization, VocabularyOptions};
use fenliu_model::{ModelError, Result};
use serde::{Deserialize, Serialize};

use crate::adaptation::Adaptation;
use crate::architecture::Architecture;
use crate::bounds::{check_at_least_one, check_shares};
use crate::features::FeatureLayout;
use crate::hyperparameters::Hyperparameters;
use crate::optimisation::{Optimisation, Transfer};
use crate::reads::Reads;
use crate::shape::{EncoderShape, NetworkConfig, NgramShape};

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
    /// The linear experts alone, which are served without a graph.
    Linear,
}

impl Preset {
    /// All presets.
    pub const ALL: [Self; 5] = [Self::Tiny, Self::Small, Self::Base, Self::Classic, Self::Linear];

    /// The name used in options and manifests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tiny => "tiny",
            Self::Small => "small",
            Self::Base => "base",
            Self::Classic => "classic",
            Self::Linear => "linear",
        }
    }

    fn encoder(self) -> EncoderShape {
        let (layers, width, heads, feed_forward) = match self {
            Self::Tiny => (1, 128, 4, 256),
            Self::Small => (2, 128, 4, 512),
            Self::Base => (4, 256, 4, 1024),
            Self::Classic => (2, 512, 8, 2048),
            // Not used: there is no encoder.
            Self::Linear => (0, 1, 1, 1),
        };
        EncoderShape { layers, width, heads, feed_forward }
    }

    /// The peak learning rate that suits the size: wider networks need smaller steps.
    pub(crate) fn learning_rate(self) -> f32 {
        match self {
            Self::Tiny | Self::Small | Self::Linear => 2e-3,
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

/// Everything that can be chosen about training from scratch; [`TrainOptions::new`] gives the defaults of a
/// preset.
///
/// In JSON and on command lines the fields of [`Optimisation`] stand beside the others, without a prefix.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TrainOptions {
    /// The preset that the other values started from.
    pub preset: Preset,
    /// How texts are cut into tokens.
    pub tokenization: Tokenization,
    /// A `tokenizer.json` to use as it is, for `subword`; `None` trains a tokenizer on the corpus.
    pub tokenizer: Option<PathBuf>,
    /// How the vocabulary is drawn from the corpus when a tokenizer is trained.
    pub vocabulary: VocabularyOptions,
    /// Size of the encoder.
    pub encoder: EncoderShape,
    /// Size of the n-gram side path.
    pub ngrams: NgramShape,
    /// Most tokens of a window of a document that the encoder reads.
    pub max_tokens: usize,
    /// Most windows of a document, one after another; the encoder does not read what follows them.
    pub windows: usize,
    /// Whether the encoder learns an embedding of each position. It then learns that long titles mean certain labels,
    /// which does not hold for texts of another source; without, it knows of order only what attention finds.
    pub positions: bool,
    /// Rows of the encoder's embedding table that bigrams of tokens are hashed to; 0 = none. They tell an encoder without
    /// positions which tokens stand beside each other.
    pub bigrams: usize,
    /// Whether linear experts over n-grams of the whole text are added to the network.
    pub linear: bool,
    /// Share of the training rows held out for development when no development rows are given, 1,500 at most.
    pub dev_share: f32,
    /// Threads; 0 = one per core.
    pub threads: usize,
    /// How the weights are optimised.
    #[serde(flatten)]
    pub optimisation: Optimisation,
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
            windows: 2,
            positions: false,
            bigrams: 32_749,
            linear: true,
            dev_share: 0.1,
            threads: 0,
            optimisation: Optimisation {
                epochs: 8,
                learning_rate: preset.learning_rate(),
                crop_share: 0.5,
                ..Optimisation::default()
            },
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
            ("windows", self.windows),
        ])?;
        check_shares(&[("dev_share", self.dev_share)])?;
        if self.positions && self.windows > 1 {
            return Err(ModelError::option("windows", self.windows, "must be 1 with `positions`"));
        }
        if let (Tokenization::Words, Some(file)) = (self.tokenization, &self.tokenizer) {
            let bound = "is only for the tokenization `subword`";
            return Err(ModelError::option("tokenizer", file.display(), bound));
        }
        let EncoderShape { width, heads, .. } = self.encoder;
        if width == 0 || !width.is_multiple_of(heads) {
            let bound = format!("must be a multiple of {heads} heads");
            return Err(ModelError::option("encoder.width", width, bound));
        }
        self.hyperparameters().validate()
    }

    /// The settings of the training loop; options that only fine-tuning has get values that change nothing.
    ///
    /// Beside a linear expert, encoder and side path are experts of their own, each with a loss of its own.
    pub(crate) fn hyperparameters(&self) -> Hyperparameters {
        let transfer = Transfer::from_scratch(self.optimisation.learning_rate);
        let transfer = Transfer { ngrams_apart: self.linear, ..transfer };
        Hyperparameters::new(Adaptation::Full, self.optimisation.clone(), transfer)
    }

    /// What the network reads of a text.
    pub(crate) fn reads(&self) -> Reads {
        Reads { max_tokens: self.max_tokens, windows: self.windows }
    }

    /// The network that these options describe for a vocabulary and a number of labels.
    pub(crate) fn network(&self, vocabulary: usize, labels: usize) -> NetworkConfig {
        let positions = if self.positions { self.max_tokens } else { 0 };
        NetworkConfig {
            labels,
            encoder: self.encoder,
            embedding: FeatureLayout { tokens: vocabulary, bigrams: self.bigrams, trigrams: 0, positions },
            ngrams: self.ngrams.layout(vocabulary),
            architecture: Architecture::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn options_are_written_and_read_without_a_prefix() {
        let options = TrainOptions::new(Preset::Tiny, Tokenization::Words);
        let mut value = serde_json::to_value(&options).unwrap();
        assert_eq!((&value["epochs"], &value["encoder"]["layers"]), (&json!(8), &json!(1)));
        value["epochs"] = json!(2);
        let read: TrainOptions = serde_json::from_value(value).unwrap();
        assert_eq!(read.optimisation, Optimisation { epochs: 2, ..options.optimisation });
    }
}
