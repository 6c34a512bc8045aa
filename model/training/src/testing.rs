//! A small classification problem for the tests of this crate.

use std::path::Path;

use fenliu_model::tokenize::Tokenization;
use fenliu_model::{Bundle, Example, Result, runtime};
use fenliu_skip::{Part, found};
use serde_json::json;

use crate::from_scratch::{TrainRequest, Trained, train};
use crate::optimisation::Optimisation;
use crate::options::{Preset, TrainOptions};
use crate::shape::EncoderShape;
use crate::staged::Destination;

/// Rows of two labels. One word in each text, at varying places among filler words, determines the label.
pub(crate) fn examples(rows: usize) -> Vec<Example> {
    let filler = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta"];
    let row = |number: usize| {
        let (label, keyword) = if number.is_multiple_of(2) { ("sea", "whale") } else { ("land", "camel") };
        let mut words: Vec<&str> = (0..3 + number % 5).map(|k| filler[(number * 3 + k * k) % 7]).collect();
        words.insert(number % words.len(), keyword);
        Example { text: words.join(" "), label: label.to_owned(), group: None }
    };
    (0..rows).map(row).collect()
}

pub(crate) fn options(tokenization: Tokenization) -> TrainOptions {
    let mut options = TrainOptions::new(Preset::Tiny, tokenization);
    options.encoder = EncoderShape { layers: 1, width: 16, heads: 2, feed_forward: 32 };
    options.ngrams.bigram_buckets = 97;
    options.ngrams.trigram_buckets = 89;
    options.optimisation =
        Optimisation { epochs: 8, batch_rows: 16, learning_rate: 1e-2, ..options.optimisation };
    options
}

/// Whether ONNX Runtime is available. If it is not, this says so on standard error, past the test runner's capture; or
/// it fails the test, if the environment variable `FENLIU_REQUIRE` lists `onnx`.
pub(crate) fn has_runtime() -> bool {
    found(Part::Onnx, runtime::load(None)).is_some()
}

/// Trains on `examples` and publishes the result as a version of `<root>/animals`.
pub(crate) fn run(examples: Vec<Example>, options: &TrainOptions, root: &Path) -> Result<Trained> {
    let request = TrainRequest {
        destination: Destination { root, name: "animals" },
        train: examples,
        dev: None,
        preprocessing: json!({"cleaning": "none"}),
        options,
    };
    train(request, &mut ())
}

/// A trained bundle that knows `land` and `sea`.
pub(crate) fn base(root: &Path) -> Bundle {
    run(examples(120), &options(Tokenization::Words), root).unwrap().bundle
}
