//! One training step on made-up tokens, for `benches/step.rs`.

use std::time::{Duration, Instant};

use fenliu_model::Result;
use fenliu_model::tokenize::{Encoding, Tokenization};
use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::adapt::adapt;
use crate::adaptation::Adaptation;
use crate::architecture::{Activation, Architecture, Head, NormPlacement};
use crate::data::Dataset;
use crate::network::Network;
use crate::optimisation::Optimisation;
use crate::options::{Preset, TrainOptions};
use crate::shape::{EncoderShape, NgramShape};
use crate::threads::on_threads;
use crate::trainer::{Position, Trainer};

/// What a step is measured on.
#[derive(Clone, Debug)]
pub struct StepBench {
    /// Sizes of the encoder.
    pub encoder: EncoderShape,
    /// Whether the encoder is BERT's (normalisation after each sum, pooling of the first token, no n-grams)
    /// instead of our own.
    pub is_bert: bool,
    /// Which weights are trained.
    pub adaptation: Adaptation,
    /// Entries of the vocabulary.
    pub vocabulary: usize,
    /// Documents of the batch.
    pub rows: usize,
    /// Tokens of each document.
    pub tokens: usize,
    /// Threads; 0 = one per core.
    pub threads: usize,
}

impl StepBench {
    /// A preset's encoder without n-grams over a vocabulary of 30,000: 32 documents of 128 tokens.
    pub fn preset(preset: Preset) -> Self {
        let encoder = TrainOptions::new(preset, Tokenization::Words).encoder;
        let adaptation = Adaptation::Full;
        Self { encoder, is_bert: false, adaptation, vocabulary: 30_000, rows: 32, tokens: 128, threads: 0 }
    }

    /// The time of `steps` steps (forward, backward, update), measured after one step that warms up.
    ///
    /// # Errors
    ///
    /// A step fails.
    pub fn time(&self, steps: u64) -> Result<Duration> {
        let mut options = TrainOptions::new(Preset::Tiny, Tokenization::Words);
        options.encoder = self.encoder;
        options.ngrams = NgramShape { enabled: false, ..options.ngrams };
        options.max_tokens = self.tokens;
        options.optimisation = Optimisation {
            token_dropout: 0.0,
            dropout: 0.1,
            batch_rows: self.rows,
            batch_tokens: self.rows * self.tokens,
            ..options.optimisation
        };
        let mut config = options.network(self.vocabulary, 8);
        if self.is_bert {
            config.architecture = Architecture {
                norm: NormPlacement::Post,
                embedding_norm: true,
                head: Head::FirstToken(Activation::Tanh),
                ..Architecture::default()
            };
        }
        let mut generator = SmallRng::seed_from_u64(1);
        let mut network = Network::new(config, &mut generator)?;
        adapt(&mut network, self.adaptation, &mut generator);
        let mut document = || {
            let ids = (0..self.tokens).map(|_| generator.random_range(2..self.vocabulary as u32));
            Encoding::new(ids.collect(), false)
        };
        let documents = (0..self.rows).map(|_| document()).collect();
        let data = Dataset::new(documents, (0..self.rows).map(|row| row % 8).collect());
        let mut hyperparameters = options.hyperparameters();
        hyperparameters.adaptation = self.adaptation;
        on_threads(self.threads, || {
            let mut trainer = Trainer::try_new(&hyperparameters, network)?;
            let mut step = || trainer.epoch(&data, Position::default(), &mut (), &mut |_, _| Ok(()));
            step()?;
            let start = Instant::now();
            for _ in 0..steps {
                step()?;
            }
            Ok(start.elapsed())
        })
    }
}
