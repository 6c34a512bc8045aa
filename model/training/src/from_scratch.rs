//! Training a classifier from scratch.

use fenliu_model::report::ModelCard;
use fenliu_model::training_report::TrainReport;
use fenliu_model::{Bundle, Calibration, ClassifierOptions, Example, Result};
use rand::{SeedableRng, rngs::SmallRng};
use serde_json::json;

use crate::corpus::Corpus;
use crate::network::Network;
use crate::observer::Observer;
use crate::options::{Preset, TrainOptions};
use crate::publish;
use crate::split;
use crate::staged::{Destination, Provenance, RunSpec, Staged};
use crate::threads::on_threads;

/// Training from scratch: the data, the options, and the destination of the result.
#[derive(Clone, Debug)]
pub struct TrainRequest<'a> {
    /// Where the new version goes.
    pub destination: Destination<'a>,
    /// Rows to learn.
    pub train: Vec<Example>,
    /// Rows that choose the epoch whose weights are kept, and calibrate; `None` holds
    /// [`TrainOptions::dev_share`] of the training rows out.
    pub dev: Option<Vec<Example>>,
    /// The caller's description of how texts were cleaned; it goes into the manifest as it is.
    pub preprocessing: serde_json::Value,
    /// How to train.
    pub options: &'a TrainOptions,
}

/// A published model and how its training went.
#[derive(Debug)]
pub struct Trained {
    /// The bundle, opened.
    pub bundle: Bundle,
    /// Epochs, scores, times.
    pub report: TrainReport,
}

/// Trains a classifier, calibrates it on the development rows, and publishes it with a model card.
///
/// # Errors
///
/// As [`stage`], [`Staged::calibrate`] and [`Staged::publish`]. Nothing is published then.
pub fn train(request: TrainRequest<'_>, observer: &mut dyn Observer) -> Result<Trained> {
    let (name, options) = (request.destination.name, request.options);
    finish(stage(request, observer)?, name, options)
}

/// Calibrates, describes and publishes what was trained from scratch.
pub(crate) fn finish(staged: Staged, name: &str, options: &TrainOptions) -> Result<Trained> {
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
        ("most tokens of a text", options.max_tokens.to_string()),
        ("training documents", size.train_rows.to_string()),
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

/// Trains a classifier from scratch, ready to be published.
///
/// # Errors
///
/// An option is out of its bounds; there are no training rows, fewer than two labels, or a development
/// label without training rows; training diverges; the exported graph does not agree with the network;
/// ONNX Runtime is not there; a file cannot be written.
pub fn stage(request: TrainRequest<'_>, observer: &mut dyn Observer) -> Result<Staged> {
    let TrainRequest { destination, train, dev, preprocessing, options } = request;
    options.validate()?;
    on_threads(options.threads, || {
        let (train, dev) = with_dev(train, dev, options);
        let corpus = Corpus::from_scratch(train, dev, options)?;
        let provenance = Provenance::from_scratch(options, preprocessing, json!({ "options": options }));
        if options.preset == Preset::Linear {
            return Staged::linear_alone(destination, corpus, provenance, observer);
        }
        let spec = RunSpec {
            network: random_network(&corpus, options)?,
            corpus,
            provenance,
            hyperparameters: &options.hyperparameters(),
            linear: options.linear,
            checkpoints: None,
        };
        Staged::build(destination, spec, observer)
    })
}

/// The most training rows that are held out. They suffice for temperatures, and rows that are held out are lost to the
/// network.
const MOST_HELD_OUT: f32 = 1500.0;

/// Training and development rows. If no development rows are given, some training rows are held out.
pub(crate) fn with_dev(
    train: Vec<Example>,
    dev: Option<Vec<Example>>,
    options: &TrainOptions,
) -> (Vec<Example>, Vec<Example>) {
    match dev {
        Some(dev) => (train, dev),
        None => hold_out(train, options.dev_share, options.optimisation.seed),
    }
}

/// Holds a share of the training rows out, but not more than suffice.
pub(crate) fn hold_out(train: Vec<Example>, share: f32, seed: u64) -> (Vec<Example>, Vec<Example>) {
    let share = share.min(MOST_HELD_OUT / train.len().max(1) as f32);
    split::hold_out(train, share, seed)
}

/// The network of `options` for the vocabulary and labels of `corpus`, with random weights.
pub(crate) fn random_network(corpus: &Corpus, options: &TrainOptions) -> Result<Network> {
    let config = options.network(corpus.vocabulary(), corpus.labels.len());
    Network::new(config, &mut SmallRng::seed_from_u64(options.optimisation.seed))
}

impl Provenance {
    /// The description of a network that is trained with `options`; `training` is what is needed to repeat
    /// the run.
    pub(crate) fn from_scratch(
        options: &TrainOptions,
        preprocessing: serde_json::Value,
        training: serde_json::Value,
    ) -> Self {
        Self {
            preset: options.preset.name().to_owned(),
            tokenization: (options.preset != Preset::Linear).then_some(options.tokenization),
            reads: options.reads(),
            preprocessing,
            training,
        }
    }
}

#[cfg(test)]
mod tests {
    use fenliu_model::Classifier;
    use fenliu_model::tokenize::Tokenization;

    use super::*;
    use crate::network::CONFIG_FILE;
    use crate::optimisation::Optimisation;
    use crate::publish::check_parity;
    use crate::shape::{EncoderShape, NgramShape};
    use crate::testing::{examples, has_runtime, options, run};
    use crate::weights::WEIGHTS_FILE;

    fn with_epochs(epochs: usize) -> TrainOptions {
        let options = options(Tokenization::Words);
        TrainOptions { optimisation: Optimisation { epochs, ..options.optimisation }, ..options }
    }

    #[test]
    fn a_trained_bundle_distinguishes_the_labels() {
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
    fn the_experts_of_a_product_are_reported_and_its_linear_ones_read_the_whole_text() {
        if !has_runtime() {
            return;
        }
        let root = tempfile::tempdir().unwrap();
        let mut options = options(Tokenization::Words);
        options.max_tokens = 4;
        let trained = run(examples(200), &options, root.path()).unwrap();
        let names: Vec<&str> = trained.report.experts.iter().map(|expert| expert.name.as_str()).collect();
        assert_eq!(names, ["linear stripped", "linear plain", "mean", "encoder"]);
        assert_eq!(trained.report.baseline_accuracy, Some(1.0));
        let model = &trained.bundle.manifest().model;
        assert_eq!((model.linear.len(), model.windows), (2, 2));
        let mut classifier = Classifier::open(&trained.bundle, &ClassifierOptions::default()).unwrap();
        let filler = "alpha beta gamma delta epsilon zeta eta alpha";
        let encodings =
            classifier.encoder().encode_batch(&[format!("{filler} whale"), format!("{filler} camel")]);
        let encodings = encodings.unwrap();
        assert!(encodings.iter().all(|encoding| encoding.truncated), "the encoder does not see the keyword");
        let best =
            classifier.classify(&encodings).unwrap().iter().map(|row| row.top(1)[0].0).collect::<Vec<_>>();
        assert_eq!(best, [1, 0]);
    }

    #[test]
    fn linear_experts_alone_need_no_graph_and_no_tokenizer() {
        let root = tempfile::tempdir().unwrap();
        let options = TrainOptions::new(Preset::Linear, Tokenization::Words);
        let trained = run(examples(200), &options, root.path()).unwrap();
        assert_eq!(trained.report.dev.as_ref().map(|dev| dev.accuracy), Some(1.0));
        let bundle = Bundle::open(&root.path().join("animals")).unwrap();
        assert!(bundle.onnx_path().is_none() && bundle.tokenizer().is_err());
        assert!(Calibration::load(bundle.path()).unwrap().is_some());
        let mut classifier = Classifier::open(&bundle, &ClassifierOptions::default()).unwrap();
        let encodings = classifier.encoder().encode_batch(&["beta whale", "a camel", ""]).unwrap();
        let rows = classifier.classify(&encodings).unwrap();
        assert_eq!([rows[0].top(1)[0].0, rows[1].top(1)[0].0], [1, 0]);
        assert!(rows[2].as_slice().iter().all(|share| share.is_finite()));
    }

    #[test]
    fn every_shape_trains_and_exports_without_development_rows() {
        if !has_runtime() {
            return;
        }
        let plain = TrainOptions { dev_share: 0.0, ..with_epochs(2) };
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
    fn a_network_loaded_from_its_bundle_is_the_one_that_was_trained() {
        if !has_runtime() {
            return;
        }
        for enabled in [true, false] {
            let root = tempfile::tempdir().unwrap();
            let mut options = with_epochs(1);
            options.ngrams.enabled = enabled;
            let bundle = run(examples(60), &options, root.path()).unwrap().bundle;
            let network = Network::load(&bundle).unwrap();
            let saved = std::fs::read(bundle.path().join(WEIGHTS_FILE)).unwrap();
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
        let options = with_epochs(1);
        let bundle = run(examples(60), &options, root.path()).unwrap().bundle;
        let path = bundle.path().join(CONFIG_FILE);
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
            assert!(error.contains(message) && error.contains(WEIGHTS_FILE), "{error}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_weights() {
        if !has_runtime() {
            return;
        }
        let weights = |seed: u64, threads: usize| {
            let root = tempfile::tempdir().unwrap();
            let mut options = TrainOptions { threads, ..options(Tokenization::Words) };
            options.optimisation.seed = seed;
            let trained = run(examples(60), &options, root.path()).unwrap();
            std::fs::read(trained.bundle.path().join("weights/model.safetensors")).unwrap()
        };
        assert!(weights(5, 1) == weights(5, 2), "also on another number of threads");
        assert!(weights(5, 1) != weights(6, 1));
    }

    #[test]
    fn invalid_requests_are_refused_and_nothing_is_published() {
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
                TrainOptions {
                    optimisation: Optimisation { dropout: 1.0, ..words.optimisation.clone() },
                    ..words
                },
                "`dropout` is 1 but must be at least 0 and below 1",
            ),
        ];
        for (rows, dev, options, message) in cases {
            let root = tempfile::tempdir().unwrap();
            let request = TrainRequest {
                destination: Destination { root: root.path(), name: "animals" },
                train: rows,
                dev,
                preprocessing: json!(null),
                options: &options,
            };
            let error = train(request, &mut ()).unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
            let versions = root.path().join("animals/versions");
            let published = std::fs::read_dir(versions).map_or(0, |entries| entries.count());
            assert_eq!(published, 0);
        }
    }

    #[test]
    fn a_diverging_run_names_the_step() {
        let mut options = options(Tokenization::Words);
        options.optimisation.ngram_learning_rate = f32::MAX;
        let root = tempfile::tempdir().unwrap();
        let error = run(examples(60), &options, root.path()).unwrap_err().to_string();
        assert!(error.contains("at step"), "{error}");
    }
}
