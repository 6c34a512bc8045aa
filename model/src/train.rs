//! Labelled texts in, a bundle out: training a classifier from scratch, or further from another bundle, on
//! the CPU.
//!
//! [`stage`] holds development rows out, draws a vocabulary, trains a small transformer encoder with a
//! linear n-gram side path (see [`TrainOptions`] for what can be chosen), keeps the weights of the epoch
//! with the best development macro-F1 (the latest of nearly equal ones), exports them to ONNX, and proves
//! that the graph gives the same logits. [`stage_finetuned`] does the same from the weights, tokenizer and
//! labels of a bundle ([`FineTuneOptions`]). Either gives a [`Staged`] bundle, which its owner may score and
//! add files to before it is published; [`train`] stages and publishes. The same rows, options and seed give
//! the same weights.
//!
//! Not here: cleaning texts, choosing which version is in use, judging a model against another.

mod adapt;
mod architecture;
mod bench;
mod calibrate;
mod checkpoint;
mod config;
mod corpus;
mod data;
mod distill;
mod features;
mod finetune;
mod fit;
mod grow;
mod hyperparameters;
mod network;
mod ops;
mod optimizer;
mod out_of_fold;
mod publish;
mod report;
mod schedule;
mod split;
mod stack;
mod staged;
mod states;
mod table;
mod tensors;
mod trainer;
mod weights;

use std::path::Path;

use rand::{SeedableRng, rngs::SmallRng};
use serde_json::json;

use crate::bundle::Bundle;
use crate::calibration::Calibration;
use crate::classifier::ClassifierOptions;
use crate::error::{ModelError, Result};
use crate::report::ModelCard;
use corpus::Corpus;
use staged::Provenance;

pub use adapt::Adaptation;
pub(crate) use architecture::{Activation, Architecture, Head, NormPlacement};
#[doc(hidden)]
pub use bench::StepBench;
pub(crate) use config::NetworkConfig;
pub use config::{EncoderShape, NgramShape, Preset, TrainOptions};
pub use distill::{DistillOptions, Lessons, distill};
pub(crate) use features::{FeatureLayout, MULTIPLIERS};
pub use finetune::{FineTuneOptions, stage_finetuned};
pub(crate) use network::Network;
pub(crate) use out_of_fold::out_of_fold;
pub(crate) use publish::{ONNX_FILE, check_parity, write_network};
pub use report::{EpochReport, Observer, RunSize, TrainReport};
pub use staged::Staged;
pub(crate) use weights::Weights;

/// One labelled document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The text, cleaned as it will be when the model is used.
    pub text: String,
    /// Id of its label.
    pub label: String,
    /// Documents of one group (one story, one source page) are never split between training and
    /// development rows.
    pub group: Option<String>,
}

/// A published model and how its training went.
#[derive(Debug)]
pub struct Trained {
    /// The bundle, opened.
    pub bundle: Bundle,
    /// Epochs, scores, times.
    pub report: TrainReport,
}

/// Trains a classifier, calibrates it on the development rows, and publishes it with a model card as a new version
/// of `<root>/<name>`.
///
/// # Errors
///
/// As [`stage`], [`Staged::calibrate`] and [`Staged::publish`]. Nothing is published then.
pub fn train(
    name: &str,
    root: &Path,
    train: Vec<Example>,
    dev: Option<Vec<Example>>,
    preprocessing: serde_json::Value,
    options: &TrainOptions,
    observer: &mut dyn Observer,
) -> Result<Trained> {
    finish(stage(name, root, train, dev, preprocessing, options, observer)?, name, options)
}

/// Calibrates, describes and publishes what was trained from scratch.
fn finish(staged: Staged, name: &str, options: &TrainOptions) -> Result<Trained> {
    staged.calibrate(&mut staged.classifier(&ClassifierOptions::default())?)?;
    publish::write(&staged.path().join("card.md"), card(name, options, &staged)?.as_bytes())?;
    let report = staged.report().clone();
    Ok(Trained { bundle: staged.publish()?, report })
}

/// The model card of a network that was trained from scratch.
fn card(name: &str, options: &TrainOptions, staged: &Staged) -> Result<String> {
    let TrainReport { size, dataset_sha256, dev, .. } = staged.report();
    let calibration = Calibration::load(staged.path())?;
    let facts = [
        ("preset", options.preset.name().to_owned()),
        ("parameters", size.parameters.to_string()),
        ("vocabulary", size.vocabulary.to_string()),
        ("longest text read, in tokens", options.max_tokens.to_string()),
        ("documents learnt", size.train_rows.to_string()),
        ("SHA-256 of the documents", dataset_sha256.clone()),
    ];
    let card = ModelCard {
        name,
        purpose: "Gives a news document one of the labels below. Trained from scratch.",
        facts: &facts.map(|(name, value)| (name.to_owned(), value)),
        tested_on: "documents held out of the training documents",
        evaluation: dev.as_ref(),
        calibration: calibration.as_ref(),
    };
    Ok(card.to_markdown())
}

/// Trains a classifier from scratch, ready to be published as a new version of `<root>/<name>`.
///
/// Without `dev`, [`TrainOptions::dev_share`] of the training rows is held out. `preprocessing` goes into
/// the manifest as it is: the caller's description of how texts were cleaned.
///
/// # Errors
///
/// An option is out of its bounds; there are no training rows, fewer than two labels, or a development
/// label without training rows; training diverges; the exported graph does not agree with the network;
/// ONNX Runtime is not there; a file cannot be written.
pub fn stage(
    name: &str,
    root: &Path,
    train: Vec<Example>,
    dev: Option<Vec<Example>>,
    preprocessing: serde_json::Value,
    options: &TrainOptions,
    observer: &mut dyn Observer,
) -> Result<Staged> {
    options.validate()?;
    on_threads(options.threads, || {
        let (train, dev) = match dev {
            Some(dev) => (train, dev),
            None => split::hold_out(train, options.dev_share, options.seed),
        };
        let corpus = Corpus::from_scratch(train, dev, options)?;
        let config = NetworkConfig::new(options, corpus.tokenizer.vocab_size(), corpus.labels.len());
        let network = Network::new(config, &mut SmallRng::seed_from_u64(options.seed))?;
        let provenance = Provenance {
            preset: options.preset.name().to_owned(),
            tokenization: options.tokenization,
            max_tokens: options.max_tokens,
            preprocessing,
            training: json!({ "options": options }),
        };
        Staged::build(name, root, network, corpus, provenance, &options.hyperparameters(), None, observer)
    })
}

/// Runs `work` in a thread pool of its own; 0 threads = one per core.
fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map_err(|error| ModelError::Training(format!("cannot start threads: {error}")))?.install(work)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifier::{Classifier, ClassifierOptions};
    use crate::runtime;
    use crate::tokenize::Tokenization;

    /// Two labels told apart by one word each, at random places among words that say nothing.
    pub(super) fn examples(rows: usize) -> Vec<Example> {
        let filler = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta"];
        let row = |number: usize| {
            let (label, keyword) =
                if number.is_multiple_of(2) { ("sea", "whale") } else { ("land", "camel") };
            let mut words: Vec<&str> =
                (0..3 + number % 5).map(|k| filler[(number * 3 + k * k) % 7]).collect();
            words.insert(number % words.len(), keyword);
            Example { text: words.join(" "), label: label.to_owned(), group: None }
        };
        (0..rows).map(row).collect()
    }

    pub(super) fn options(tokenization: Tokenization) -> TrainOptions {
        let mut options = TrainOptions::new(Preset::Tiny, tokenization);
        options.encoder = EncoderShape { layers: 1, width: 16, heads: 2, feed_forward: 32 };
        options.ngrams.bigram_buckets = 97;
        options.ngrams.trigram_buckets = 89;
        options.epochs = 8;
        options.batch_rows = 16;
        options.learning_rate = 1e-2;
        options
    }

    /// Whether ONNX Runtime is there; says so when it is not.
    pub(super) fn has_runtime() -> bool {
        runtime::load(None).inspect_err(|error| println!("skipped: {error}")).is_ok()
    }

    fn run(examples: Vec<Example>, options: &TrainOptions, root: &Path) -> Result<Trained> {
        train("animals", root, examples, None, json!({"cleaning": "none"}), options, &mut ())
    }

    #[test]
    fn a_trained_bundle_tells_the_labels_apart() {
        if !has_runtime() {
            return;
        }
        for tokenization in [Tokenization::Words, Tokenization::Subword] {
            let root = tempfile::tempdir().unwrap();
            let trained = run(examples(200), &options(tokenization), root.path()).unwrap();
            assert_eq!(trained.report.dev.as_ref().map(|dev| dev.accuracy), Some(1.0));
            assert!(trained.report.parity_max_abs_diff <= 1e-4);

            let bundle = Bundle::open(&root.path().join("animals")).unwrap();
            assert_eq!(bundle.manifest().model.preprocessing, json!({"cleaning": "none"}));
            let calibration = Calibration::load(bundle.path()).unwrap().expect("calibrated");
            assert_eq!(calibration.rows, trained.report.size.dev_rows);
            assert!(bundle.path().join("reference/drift.json").exists());
            let card = std::fs::read_to_string(bundle.path().join("card.md")).unwrap();
            assert!(card.contains("| land |") && card.contains("temperature"), "{card}");
            let mut classifier = Classifier::open(&bundle, &ClassifierOptions::default()).unwrap();
            let texts = ["beta whale gamma", "zeta camel delta", "eta eta eta eta camel alpha beta"];
            let encodings = classifier.encoder().encode_batch(&texts).unwrap();
            let labels: Vec<usize> = classifier
                .classify(&encodings)
                .unwrap()
                .iter()
                .map(|probabilities| probabilities.top(1)[0].0)
                .collect();
            let (land, sea) = (0, 1);
            assert_eq!(labels, [sea, land, land], "{tokenization:?}");
        }
    }

    #[test]
    fn every_shape_trains_and_exports_without_development_rows() {
        if !has_runtime() {
            return;
        }
        let plain = TrainOptions { dev_share: 0.0, epochs: 2, ..options(Tokenization::Words) };
        let shapes: [(&str, usize, bool, usize); 4] = [
            ("no layer", 0, true, 97),
            ("deep", 3, true, 97),
            ("no side path", 1, false, 97),
            ("no bigrams", 1, true, 0),
        ];
        for (name, layers, enabled, bigram_buckets) in shapes {
            let mut options = plain.clone();
            options.encoder.layers = layers;
            options.ngrams = NgramShape { enabled, bigram_buckets, ..options.ngrams };
            let root = tempfile::tempdir().unwrap();
            let report = run(examples(40), &options, root.path()).expect(name).report;
            assert!(report.parity_max_abs_diff <= 1e-4, "{name}");
            assert_eq!((report.dev, report.best_epoch), (None, 2), "{name}");
        }
    }

    #[test]
    fn a_bundle_loads_as_the_network_that_was_trained() {
        if !has_runtime() {
            return;
        }
        for enabled in [true, false] {
            let root = tempfile::tempdir().unwrap();
            let mut options = TrainOptions { epochs: 1, ..options(Tokenization::Words) };
            options.ngrams.enabled = enabled;
            let bundle = run(examples(60), &options, root.path()).unwrap().bundle;
            let network = Network::load(&bundle).unwrap();
            let saved = std::fs::read(bundle.path().join(weights::WEIGHTS_FILE)).unwrap();
            assert!(network.weights().serialize().unwrap() == saved);
            let texts: Vec<String> = examples(20).into_iter().map(|example| example.text).collect();
            let documents = bundle.tokenizer().unwrap().encode_batch(&texts, options.max_tokens).unwrap();
            check_parity(&network, bundle.path(), &documents, bundle.manifest().model.pad_id).unwrap();
        }
    }

    #[test]
    fn weights_of_another_network_are_refused() {
        if !has_runtime() {
            return;
        }
        let root = tempfile::tempdir().unwrap();
        let options = TrainOptions { epochs: 1, ..options(Tokenization::Words) };
        let bundle = run(examples(60), &options, root.path()).unwrap().bundle;
        let path = bundle.path().join(network::CONFIG_FILE);
        let config = std::fs::read_to_string(&path).unwrap();
        for (from, to, message) in [
            (
                "\"feed_forward\": 32",
                "\"feed_forward\": 16",
                "`layer.0.expand.weight` has the shape [16, 32]",
            ),
            ("\"layers\": 1", "\"layers\": 2", "no tensor `layer.1.attention_norm.weight`"),
            ("\"layers\": 1", "\"layers\": 0", "`layer.0.attention_norm.bias` is of no use"),
        ] {
            assert!(config.contains(from), "{config}");
            std::fs::write(&path, config.replace(from, to)).unwrap();
            let error = Network::load(&bundle).err().unwrap().to_string();
            assert!(error.contains(message) && error.contains(weights::WEIGHTS_FILE), "{error}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_weights() {
        if !has_runtime() {
            return;
        }
        let weights = |seed: u64, threads: usize| {
            let root = tempfile::tempdir().unwrap();
            let options = TrainOptions { seed, threads, ..options(Tokenization::Words) };
            let trained = run(examples(60), &options, root.path()).unwrap();
            std::fs::read(trained.bundle.path().join("weights/model.safetensors")).unwrap()
        };
        assert!(weights(5, 1) == weights(5, 2), "also on another number of threads");
        assert!(weights(5, 1) != weights(6, 1));
    }

    #[test]
    fn what_cannot_be_trained_is_refused_and_nothing_is_published() {
        let lone =
            |label: &str| vec![Example { text: "a a".to_owned(), label: label.to_owned(), group: None }];
        let words = options(Tokenization::Words);
        let heads = EncoderShape { heads: 3, ..words.encoder };
        let cases = [
            (Vec::new(), None, words.clone(), "there are no training rows"),
            (lone("a"), None, words.clone(), "1 given but at least 2 are needed"),
            (
                examples(9),
                Some(lone("b")),
                words.clone(),
                "label `b` has development rows but no training row",
            ),
            (
                examples(9),
                None,
                TrainOptions { encoder: heads, ..words.clone() },
                "must be a multiple of 3 heads",
            ),
            (
                examples(9),
                None,
                TrainOptions { dropout: 1.0, ..words },
                "`dropout` is 1 but must be at least 0 and below 1",
            ),
        ];
        for (rows, dev, options, message) in cases {
            let root = tempfile::tempdir().unwrap();
            let error = train("animals", root.path(), rows, dev, json!(null), &options, &mut ()).unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
            let versions = root.path().join("animals/versions");
            let published = std::fs::read_dir(versions).map_or(0, |entries| entries.count());
            assert_eq!(published, 0);
        }
    }

    #[test]
    fn a_diverging_run_names_the_step() {
        let mut options = options(Tokenization::Words);
        options.ngram_learning_rate = f32::MAX;
        let root = tempfile::tempdir().unwrap();
        let error = run(examples(60), &options, root.path()).unwrap_err().to_string();
        assert!(error.contains("at step"), "{error}");
    }
}
