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

    /// The peak learning rate that suits the size: wider networks need smaller steps.
    pub(crate) fn learning_rate(self) -> f32 {
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
    /// Most tokens read of a document; the rest is cut off.
    pub max_tokens: usize,
    /// Share of the training rows held out for development when no development rows are given.
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
            dev_share: 0.05,
            threads: 0,
            optimisation: Optimisation { learning_rate: preset.learning_rate(), ..Optimisation::default() },
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
    pub(crate) fn hyperparameters(&self) -> Hyperparameters {
        Hyperparameters::new(
            Adaptation::Full,
            self.optimisation.clone(),
            Transfer::from_scratch(self.optimisation.learning_rate),
        )
    }

    /// The network that these options describe for a vocabulary and a number of labels.
    pub(crate) fn network(&self, vocabulary: usize, labels: usize) -> NetworkConfig {
        let positions = self.max_tokens;
        NetworkConfig {
            labels,
            encoder: self.encoder,
            embedding: FeatureLayout { tokens: vocabulary, bigrams: 0, trigrams: 0, positions },
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
        assert_eq!((&value["epochs"], &value["encoder"]["layers"]), (&json!(6), &json!(1)));
        value["epochs"] = json!(2);
        let read: TrainOptions = serde_json::from_value(value).unwrap();
        assert_eq!(read.optimisation, Optimisation { epochs: 2, ..options.optimisation });
    }
}
