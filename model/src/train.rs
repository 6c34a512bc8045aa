//! Labelled texts in, a bundle out: training a classifier from scratch on the CPU.
//!
//! [`train`] holds development rows out, draws a vocabulary, trains a small transformer encoder with a
//! linear n-gram side path (see [`TrainOptions`] for what can be chosen), keeps the weights of the epoch
//! with the best development macro-F1 (the latest of nearly equal ones), exports them to ONNX, proves that
//! the graph gives the same logits, and publishes the bundle. The same rows, options and seed give the same
//! weights.
//!
//! Not here: cleaning texts, choosing which version is in use, judging a model against another.

mod config;
mod data;
mod features;
mod network;
mod ops;
mod optimizer;
mod publish;
mod report;
mod schedule;
mod split;
mod table;
mod trainer;
mod weights;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::bundle::{Bundle, BundleWriter, ModelDescription, ProblemType};
use crate::classifier::Probabilities;
use crate::error::{ModelError, Result};
use crate::evaluate::{Evaluation, evaluate};
use crate::labels::Labels;
use crate::tokenize::{Encoding, Tokenization, Tokenizer};
use config::NetworkConfig;
use data::Dataset;
use trainer::Trainer;

pub use config::{EncoderShape, NgramShape, Preset, TrainOptions};
pub(crate) use features::{FeatureLayout, MULTIPLIERS};
pub(crate) use network::Network;
pub(crate) use ops::EPSILON as LAYER_NORM_EPSILON;
pub use report::{EpochReport, Observer, RunSize, TrainReport};

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

/// Trains a classifier and publishes it as a new version of `<root>/<name>`.
///
/// Without `dev`, [`TrainOptions::dev_share`] of the training rows is held out. `preprocessing` goes into
/// the manifest as it is: the caller's description of how texts were cleaned.
///
/// # Errors
///
/// An option is out of its bounds; there are no training rows, fewer than two labels, or a development
/// label without training rows; training diverges; the exported graph does not agree with the network;
/// ONNX Runtime is not there; a file cannot be written. Nothing is published then.
pub fn train(
    name: &str,
    root: &Path,
    train: Vec<Example>,
    dev: Option<Vec<Example>>,
    preprocessing: serde_json::Value,
    options: &TrainOptions,
    observer: &mut dyn Observer,
) -> Result<Trained> {
    options.validate()?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).build();
    let pool = pool.map_err(|error| ModelError::Training(format!("cannot start threads: {error}")))?;
    let writer = BundleWriter::create(root, name)?;
    pool.install(|| {
        let start = Instant::now();
        let corpus = Corpus::try_new(train, dev, options)?;
        let fitted = fit(&corpus, options, observer)?;
        let directory = writer.path();
        publish::write_network(&fitted.network, directory)?;
        let pad_id = corpus.tokenizer.pad_id();
        let parity = publish::check_parity(&fitted.network, directory, corpus.dev_or_train(), pad_id)?;
        let report = TrainReport {
            size: corpus.size(&fitted.network, options),
            dataset_sha256: corpus.sha256.clone(),
            epochs: fitted.epochs,
            best_epoch: fitted.best_epoch,
            dev: fitted.dev,
            parity_max_abs_diff: parity,
            seconds: start.elapsed().as_secs_f64(),
        };
        let description = ModelDescription {
            tokenization: options.tokenization,
            max_tokens: options.max_tokens,
            pad_id,
            onnx: publish::ONNX_FILE.to_owned(),
            problem_type: ProblemType::SingleLabel,
            preset: options.preset.name().to_owned(),
            parameters: fitted.network.parameters(),
            preprocessing,
            training: training_description(options, &report),
            parity_max_abs_diff: parity,
        };
        corpus.labels.save(&directory.join("labels.json"))?;
        corpus.tokenizer.save(directory)?;
        let path = directory.join("eval/report.json");
        publish::write(&path, &serde_json::to_vec_pretty(&report).map_err(ModelError::json(&path))?)?;
        Ok(Trained { bundle: writer.finish(description)?, report })
    })
}

/// What the manifest says of a run: enough to repeat it and to compare models at a glance.
fn training_description(options: &TrainOptions, report: &TrainReport) -> serde_json::Value {
    json!({
        "options": options,
        "dataset_sha256": report.dataset_sha256,
        "train_rows": report.size.train_rows,
        "dev_rows": report.size.dev_rows,
        "best_epoch": report.best_epoch,
        "dev_accuracy": report.dev.as_ref().map(|dev| dev.accuracy),
        "dev_macro_f1": report.dev.as_ref().map(|dev| dev.macro_f1),
        "seconds": report.seconds,
    })
}

/// Encoded training and development rows with what encoded them.
struct Corpus {
    tokenizer: Tokenizer,
    labels: Labels,
    train: Dataset,
    dev: Dataset,
    sha256: String,
}

impl Corpus {
    fn try_new(train: Vec<Example>, dev: Option<Vec<Example>>, options: &TrainOptions) -> Result<Self> {
        let (train, dev) = match dev {
            Some(dev) => (train, dev),
            None => split::hold_out(train, options.dev_share, options.seed),
        };
        if train.is_empty() {
            return Err(ModelError::Training("there are no training rows".to_owned()));
        }
        let sha256 = digest(&train, &dev);
        let ids: BTreeSet<&str> = train.iter().map(|example| example.label.as_str()).collect();
        let labels = Labels::from_ids(ids)?;
        let (train_texts, train_labels) = numbered(train, &labels)?;
        let (dev_texts, dev_labels) = numbered(dev, &labels)?;
        let tokenizer = tokenizer(&train_texts, options)?;
        let encode = |texts: &[String]| tokenizer.encode_batch(texts, options.max_tokens);
        let train = Dataset { documents: encode(&train_texts)?, labels: train_labels };
        let dev = Dataset { documents: encode(&dev_texts)?, labels: dev_labels };
        Ok(Self { tokenizer, labels, train, dev, sha256 })
    }

    fn dev_or_train(&self) -> &[Encoding] {
        if self.dev.len() > 0 { &self.dev.documents } else { &self.train.documents }
    }

    fn size(&self, network: &Network, options: &TrainOptions) -> RunSize {
        RunSize {
            train_rows: self.train.len(),
            dev_rows: self.dev.len(),
            train_tokens: self.train.tokens(),
            labels: self.labels.len(),
            vocabulary: self.tokenizer.vocab_size(),
            parameters: network.parameters(),
            epochs: options.epochs,
        }
    }
}

fn tokenizer(texts: &[String], options: &TrainOptions) -> Result<Tokenizer> {
    match (options.tokenization, &options.tokenizer) {
        (Tokenization::Subword, Some(file)) => Tokenizer::from_file(file),
        (Tokenization::Subword, None) => Tokenizer::train_subword(texts, &options.vocabulary),
        (Tokenization::Words, _) => Tokenizer::train_words(texts, &options.vocabulary),
    }
}

/// Texts apart from the numbers of their labels.
fn numbered(examples: Vec<Example>, labels: &Labels) -> Result<(Vec<String>, Vec<usize>)> {
    let mut texts = Vec::with_capacity(examples.len());
    let mut numbers = Vec::with_capacity(examples.len());
    for Example { text, label, .. } in examples {
        let number = labels.index_of(&label);
        let unknown =
            || ModelError::Training(format!("label `{label}` has development rows but no training row"));
        numbers.push(number.ok_or_else(unknown)?);
        texts.push(text);
    }
    Ok((texts, numbers))
}

/// SHA-256 over the number of training rows and the labels and texts, each with its length in front, so
/// that no two data sets look alike.
fn digest(train: &[Example], dev: &[Example]) -> String {
    let mut hasher = Sha256::new();
    hasher.update((train.len() as u64).to_le_bytes());
    for example in train.iter().chain(dev) {
        for part in [&example.label, &example.text] {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The weights that were kept, and how the run went.
struct Fitted {
    network: Network,
    epochs: Vec<EpochReport>,
    best_epoch: usize,
    dev: Option<Evaluation>,
}

/// Epochs whose macro-F1 is this near to the best count as equal; the latest of them is kept, because
/// the falling learning rate makes a later epoch the better one where the score cannot tell.
const EQUAL_MACRO_F1: f64 = 0.005;

/// Trains until the epochs are over or the development score has stopped rising.
fn fit(corpus: &Corpus, options: &TrainOptions, observer: &mut dyn Observer) -> Result<Fitted> {
    let config = NetworkConfig::new(options, corpus.tokenizer.vocab_size(), corpus.labels.len());
    let mut trainer = Trainer::try_new(options, config)?;
    observer.start(&corpus.size(trainer.network(), options));
    let mut epochs: Vec<EpochReport> = Vec::new();
    let mut kept: Option<(usize, Evaluation, network::Snapshot)> = None;
    let mut best = f64::NEG_INFINITY;
    for epoch in 1..=options.epochs {
        let start = Instant::now();
        let train_loss = trainer.epoch(&corpus.train, epoch - 1, observer)?;
        let dev = evaluation(trainer.network(), corpus, options)?;
        let report = EpochReport {
            epoch,
            train_loss,
            dev_accuracy: dev.as_ref().map(|dev| dev.accuracy),
            dev_macro_f1: dev.as_ref().map(|dev| dev.macro_f1),
            seconds: start.elapsed().as_secs_f64(),
        };
        observer.epoch(&report);
        epochs.push(report);
        let Some(dev) = dev else { continue };
        best = best.max(dev.macro_f1);
        let kept_epoch = kept.as_ref().map_or(0, |(epoch, ..)| *epoch);
        if dev.macro_f1 >= best - EQUAL_MACRO_F1 {
            kept = Some((epoch, dev, trainer.network().snapshot()?));
        } else if options.patience > 0 && epoch - kept_epoch >= options.patience {
            break;
        }
    }
    let mut network = trainer.into_network();
    let Some((best_epoch, dev, weights)) = kept else {
        return Ok(Fitted { network, best_epoch: epochs.len(), epochs, dev: None });
    };
    network.restore(weights)?;
    Ok(Fitted { network, epochs, best_epoch, dev: Some(dev) })
}

/// Scores on the development rows; none when there are no such rows.
fn evaluation(network: &Network, corpus: &Corpus, options: &TrainOptions) -> Result<Option<Evaluation>> {
    if corpus.dev.len() == 0 {
        return Ok(None);
    }
    let logits = trainer::logits(network, &corpus.dev, options)?;
    let probabilities: Vec<Probabilities> =
        logits.iter().map(|logits| Probabilities::from_logits(logits)).collect();
    evaluate(&corpus.labels.ids(), &corpus.dev.labels, &probabilities).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifier::{Classifier, ClassifierOptions};
    use crate::runtime;

    /// Two labels told apart by one word each, at random places among words that say nothing.
    fn examples(rows: usize) -> Vec<Example> {
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

    fn options(tokenization: Tokenization) -> TrainOptions {
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
    fn has_runtime() -> bool {
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
            assert!(network.weights().unwrap().serialize().unwrap() == saved);
            let texts: Vec<String> = examples(20).into_iter().map(|example| example.text).collect();
            let documents = bundle.tokenizer().unwrap().encode_batch(&texts, options.max_tokens).unwrap();
            publish::check_parity(&network, bundle.path(), &documents, bundle.manifest().model.pad_id)
                .unwrap();
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
    fn the_digest_tells_training_and_development_rows_apart() {
        let rows = examples(3);
        let digests: BTreeSet<String> = (0..=3).map(|at| digest(&rows[..at], &rows[at..])).collect();
        assert_eq!(digests.len(), 4);
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
