//! Training further from a bundle: its tokenizer, its labels and new ones, its weights.

use std::path::Path;

use rand::{SeedableRng, rngs::SmallRng};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::adapt::{Adaptation, adapt};
use super::checkpoint::Checkpoints;
use super::config::{NetworkConfig, NgramShape, Preset};
use super::corpus::{Corpus, kept_labels};
use super::grow::{with_labels, with_side_path};
use super::hyperparameters::Hyperparameters;
use super::network::Network;
use super::report::Observer;
use super::staged::{Provenance, Staged};
use super::{Example, on_threads};
use crate::bundle::Bundle;
use crate::device::Device;
use crate::error::{ModelError, Result};

/// Everything that can be chosen about fine-tuning; [`FineTuneOptions::new`] gives defaults that suit a bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FineTuneOptions {
    /// Which weights change.
    pub adaptation: Adaptation,
    /// The n-gram side path that a base without one gets; a base's own stays as it is.
    pub ngrams: NgramShape,
    /// Seed of everything random: the same seed, base, data and options give the same model.
    pub seed: u64,
    /// Passes over the training rows.
    pub epochs: usize,
    /// Most padded tokens of a batch: longest row x rows.
    pub batch_tokens: usize,
    /// Most rows of a batch.
    pub batch_rows: usize,
    /// Batches whose gradients make one step of the optimiser.
    pub accumulate: usize,
    /// Peak learning rate of the encoder.
    pub learning_rate: f32,
    /// Peak learning rate of the classification head.
    pub head_learning_rate: f32,
    /// Peak learning rate of the n-gram side path.
    pub ngram_learning_rate: f32,
    /// Each layer learns this many times as fast as the layer above it (layer-wise decay); 1 = all alike.
    pub layer_decay: f32,
    /// Share of activations dropped.
    pub dropout: f32,
    /// Share of token embeddings dropped.
    pub token_dropout: f32,
    /// Share of n-gram features dropped.
    pub ngram_dropout: f32,
    /// Probability spread over all labels in the training target.
    pub label_smoothing: f32,
    /// How much the two answers to one document under different dropout must agree (R-Drop, Liang et al., 2021),
    /// in units of the cross-entropy; 0 = each document is learnt once a step, else twice, at twice the time.
    pub consistency: f32,
    /// How far the embeddings of a batch's tokens, all together, are moved up the loss for a second pass over the
    /// batch (adversarial training, Miyato, Dai and Goodfellow, 2017), as a Euclidean norm; 0 = there is none. Where
    /// the embeddings are trained only; it takes the time of the other pass again.
    pub adversarial: f32,
    /// Whether encoder and n-gram side path learn from a loss each, and only what they answer is added up (a
    /// product of experts, Hinton, 2002), with the weight that development rows give the side path, instead of one
    /// loss of the sum: two opinions beside a pretrained encoder, which would leave the side path little to learn or
    /// the other way round.
    pub ngrams_apart: bool,
    /// Decoupled weight decay of the encoder's matrices and embeddings.
    pub weight_decay: f32,
    /// Decoupled weight decay of the n-gram side path.
    pub ngram_weight_decay: f32,
    /// Share of the steps during which the learning rate rises.
    pub warmup_share: f32,
    /// Epochs without a better development macro-F1 after which training stops; 0 = never.
    pub patience: usize,
    /// Whether a rare label's rows count more: by the root of its rarity, 1 on average.
    pub class_weights: bool,
    /// Most memory for hidden states of frozen layers, in bytes; what does not fit is computed again in every
    /// epoch.
    pub cache_bytes: usize,
    /// Seconds between two checkpoints within an epoch; one is also written after every epoch.
    pub checkpoint_seconds: u64,
    /// Threads; 0 = one per core.
    pub threads: usize,
    /// Where passes are computed; the optimiser, the tables and the evaluation stay on the CPU.
    pub device: Device,
    /// On a CUDA device: whether matrices are multiplied in bfloat16; weights and gradients stay `f32`.
    pub mixed_precision: bool,
}

impl FineTuneOptions {
    /// Defaults for `base`: a pretrained encoder wants small steps, a small network that was trained from
    /// scratch larger ones; the fewer weights change, the larger.
    pub fn new(base: &Bundle, adaptation: Adaptation) -> Self {
        let options = Self {
            adaptation,
            ngrams: NgramShape::default(),
            seed: 1,
            epochs: 3,
            batch_tokens: 3072,
            batch_rows: 32,
            accumulate: 1,
            learning_rate: 1e-4,
            head_learning_rate: 1e-3,
            ngram_learning_rate: 0.4,
            layer_decay: 0.9,
            dropout: 0.1,
            token_dropout: 0.0,
            ngram_dropout: 0.5,
            label_smoothing: 0.1,
            consistency: 0.0,
            adversarial: 0.0,
            ngrams_apart: true,
            weight_decay: 0.01,
            ngram_weight_decay: 0.01,
            warmup_share: 0.1,
            patience: 0,
            class_weights: false,
            cache_bytes: 2 << 30,
            checkpoint_seconds: 300,
            threads: 0,
            device: Device::Cpu,
            mixed_precision: false,
        };
        let options = match adaptation {
            Adaptation::Full | Adaptation::TopLayers { .. } => options,
            Adaptation::Lora { .. } => Self { learning_rate: 1e-3, layer_decay: 1.0, ..options },
            Adaptation::Head => Self { epochs: 10, ..options },
        };
        let preset = base.manifest().model.preset.parse::<Preset>();
        match preset {
            // A share of the rate that the preset is trained with: the weights are good already.
            Ok(preset) => Self {
                ngrams: NgramShape::NONE,
                ngrams_apart: false,
                ngram_learning_rate: 0.1,
                learning_rate: 0.25 * preset.learning_rate(),
                head_learning_rate: preset.learning_rate(),
                layer_decay: 1.0,
                batch_rows: 128,
                dropout: 0.2,
                token_dropout: 0.1,
                ..options
            },
            Err(_) => options,
        }
    }

    /// Checks every value against its bounds.
    ///
    /// # Errors
    ///
    /// The first value that is out of bounds.
    pub fn validate(&self) -> Result<()> {
        self.hyperparameters().validate()
    }

    pub(super) fn hyperparameters(&self) -> Hyperparameters {
        Hyperparameters {
            adaptation: self.adaptation,
            seed: self.seed,
            epochs: self.epochs,
            batch_tokens: self.batch_tokens,
            batch_rows: self.batch_rows,
            accumulate: self.accumulate,
            learning_rate: self.learning_rate,
            head_learning_rate: self.head_learning_rate,
            ngram_learning_rate: self.ngram_learning_rate,
            layer_decay: self.layer_decay,
            dropout: self.dropout,
            token_dropout: self.token_dropout,
            ngram_dropout: self.ngram_dropout,
            label_smoothing: self.label_smoothing,
            consistency: self.consistency,
            adversarial: self.adversarial,
            ngrams_apart: self.ngrams_apart,
            weight_decay: self.weight_decay,
            ngram_weight_decay: self.ngram_weight_decay,
            warmup_share: self.warmup_share,
            patience: self.patience,
            class_weights: self.class_weights,
            soft_share: 0.0,
            temperature: 1.0,
            cache_bytes: self.cache_bytes,
            checkpoint_seconds: self.checkpoint_seconds,
            device: self.device,
            mixed_precision: self.mixed_precision,
        }
    }
}

/// Trains a classifier further from the weights of `base`, ready to be published as a new version of
/// `<root>/<name>`.
///
/// The model keeps the base's tokenizer and all its labels in their order, also those without rows; labels
/// that it does not know follow in the order of their ids. A base whose head was never trained has learnt no
/// label. With `work`, an existing directory, progress is
/// saved there, and the same call after a crash goes on from it and ends with the same weights; what another
/// base, other data or other options left there is ignored.
///
/// # Errors
///
/// An option is out of its bounds; there are no training rows; a development label is neither the base's nor
/// has training rows; the base has no weights to train; training diverges; the exported graph does not agree
/// with the network; ONNX Runtime is not there; a file cannot be read or written.
#[expect(clippy::too_many_arguments, reason = "where from, where to, with what, how, and who follows")]
pub fn stage_finetuned(
    base: &Bundle,
    name: &str,
    root: &Path,
    train: Vec<Example>,
    dev: Vec<Example>,
    preprocessing: serde_json::Value,
    options: &FineTuneOptions,
    work: Option<&Path>,
    observer: &mut dyn Observer,
) -> Result<Staged> {
    options.validate()?;
    if !base.manifest().model.trainable {
        let problem =
            "it was imported as a graph and has no weights to train; import the checkpoint it came from";
        return Err(ModelError::bundle(base.path(), problem));
    }
    on_threads(options.threads, || {
        let corpus = Corpus::for_base(base, train, dev)?;
        let mut generator = SmallRng::seed_from_u64(options.seed);
        let network = Network::load(base)?;
        let mut network = with_labels(network, kept_labels(base), corpus.labels.len(), &mut generator)?;
        network = with_side_path(network, &options.ngrams)?;
        adapt(&mut network, options.adaptation, &mut generator);
        let manifest = base.manifest();
        let provenance = Provenance {
            preset: manifest.model.preset.clone(),
            tokenization: manifest.model.tokenization,
            max_tokens: manifest.model.max_tokens,
            preprocessing,
            training: json!({
                "base": { "name": manifest.name, "version": manifest.version },
                "options": options,
            }),
        };
        let hyperparameters = options.hyperparameters();
        let checkpoints = work
            .map(|work| Checkpoints::new(work, run_key(base, &corpus, &network.config, &hyperparameters)));
        Staged::build(
            name,
            root,
            network,
            corpus,
            provenance,
            &hyperparameters,
            checkpoints.as_ref(),
            observer,
        )
    })
}

/// What tells a run from every other: its base, its data, its shape, its options.
fn run_key(base: &Bundle, corpus: &Corpus, shape: &NetworkConfig, options: &Hyperparameters) -> String {
    let manifest = base.manifest();
    json!([manifest.name, manifest.version, corpus.sha256, corpus.labels.ids(), shape, options]).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifier::ClassifierOptions;
    use crate::tokenize::Tokenization;
    use crate::train::tests::{examples, has_runtime, options};
    use crate::train::train;

    /// A trained bundle that knows `land` and `sea`.
    fn base(root: &Path) -> Bundle {
        let options = options(Tokenization::Words);
        train("animals", root, examples(120), None, json!(null), &options, &mut ()).unwrap().bundle
    }

    /// Rows of `examples`, of which those with `camel` have a label that the base does not know.
    fn relabelled(rows: usize) -> Vec<Example> {
        let mut rows = examples(rows);
        for row in rows.iter_mut().filter(|row| row.label == "land") {
            row.label = "desert".to_owned();
        }
        rows
    }

    fn finetune(base: &Bundle, root: &Path, adaptation: Adaptation, train: Vec<Example>) -> Staged {
        let options = FineTuneOptions {
            epochs: 8,
            batch_rows: 16,
            head_learning_rate: 1e-2,
            ..FineTuneOptions::new(base, adaptation)
        };
        let dev = train.iter().take(20).cloned().collect();
        stage_finetuned(base, "animals", root, train, dev, json!(null), &options, None, &mut ()).unwrap()
    }

    fn label(classifier: &mut crate::Classifier, text: &str) -> String {
        let encodings = classifier.encoder().encode_batch(&[text]).unwrap();
        let (number, _) = classifier.classify(&encodings).unwrap()[0].top(1)[0];
        classifier.labels().ids()[number].clone()
    }

    #[test]
    fn labels_are_kept_in_order_and_a_new_one_is_learnt() {
        if !has_runtime() {
            return;
        }
        let root = tempfile::tempdir().unwrap();
        let base = base(root.path());
        let staged = finetune(&base, root.path(), Adaptation::Full, relabelled(120));
        assert_eq!(staged.labels().ids(), ["land", "sea", "desert"]);
        assert_eq!(staged.dev().map(|(documents, labels)| (documents.len(), labels.len())), Some((20, 20)));
        let mut classifier = staged.classifier(&ClassifierOptions::default()).unwrap();
        assert_eq!(label(&mut classifier, "beta camel gamma"), "desert");
        assert_eq!(label(&mut classifier, "beta whale gamma"), "sea");

        let published = staged.publish().unwrap();
        assert_eq!(published.manifest().model.training["base"]["version"], base.manifest().version);
        assert_eq!(published.labels().ids(), ["land", "sea", "desert"]);
    }

    #[test]
    fn only_what_the_adaptation_names_changes() {
        if !has_runtime() {
            return;
        }
        let root = tempfile::tempdir().unwrap();
        let base = base(root.path());
        for (adaptation, changes) in [("head", false), ("top-1", true), ("lora-4", true)] {
            let staged = finetune(&base, root.path(), adaptation.parse().unwrap(), relabelled(120));
            let mut classifier = staged.classifier(&ClassifierOptions::default()).unwrap();
            assert_eq!(label(&mut classifier, "beta camel gamma"), "desert", "{adaptation}");
            let before = Network::load(&base).unwrap();
            let after = Network::load(&staged.publish().unwrap()).unwrap();
            assert_eq!(before.embedding.values(), after.embedding.values(), "{adaptation}");
            let expand =
                |network: &Network| network.dense_values("layer.0.expand.weight").unwrap().1.to_vec();
            assert_eq!(expand(&before) != expand(&after), changes, "{adaptation}");
        }
    }

    #[test]
    fn a_side_path_is_added_where_there_is_none_and_kept_where_there_is_one() {
        if !has_runtime() {
            return;
        }
        let root = tempfile::tempdir().unwrap();
        let mut without = options(Tokenization::Words);
        without.ngrams.enabled = false;
        let plain =
            train("plain", root.path(), examples(120), None, json!(null), &without, &mut ()).unwrap().bundle;
        for (base, had_one) in [(plain, false), (base(root.path()), true)] {
            let ngrams = NgramShape { enabled: true, bigram_buckets: 31, trigram_buckets: 0 };
            let before = Network::load(&base).unwrap();
            let grown = with_side_path(Network::load(&base).unwrap(), &ngrams).unwrap();
            assert_eq!(before.config.ngrams.is_some(), had_one);
            assert_eq!(before.config == grown.config, had_one);

            let chosen = FineTuneOptions { ngrams, ..FineTuneOptions::new(&base, Adaptation::Head) };
            let (rows, dev) = (relabelled(120), examples(20));
            let staged = stage_finetuned(
                &base,
                "animals",
                root.path(),
                rows,
                dev,
                json!(null),
                &chosen,
                None,
                &mut (),
            )
            .unwrap();
            let after = Network::load(&staged.publish().unwrap()).unwrap();
            assert_eq!(after.config.ngrams, grown.config.ngrams);
            let table = after.ngrams.unwrap();
            assert!(table.values().iter().any(|weight| *weight != 0.0));
        }
    }

    /// Panics at a step, as a process that is killed there.
    struct KilledAt(usize);

    impl Observer for KilledAt {
        fn step(&mut self, _step: usize, _steps: usize, _loss: f32) {
            self.0 -= 1;
            assert!(self.0 > 0, "killed");
        }
    }

    #[test]
    fn a_killed_run_goes_on_and_ends_with_the_same_weights() {
        if !has_runtime() {
            return;
        }
        let root = tempfile::tempdir().unwrap();
        let base = base(root.path());
        for adaptation in ["full", "top-1", "lora-4"] {
            let options = FineTuneOptions {
                batch_rows: 8,
                accumulate: 2,
                class_weights: true,
                checkpoint_seconds: 0,
                adversarial: if adaptation == "full" { 0.5 } else { 0.0 },
                ..FineTuneOptions::new(&base, adaptation.parse().unwrap())
            };
            let run = |work: Option<&Path>, observer: &mut dyn Observer| {
                let (train, dev) = (relabelled(60), examples(20));
                let staged = stage_finetuned(
                    &base,
                    "animals",
                    root.path(),
                    train,
                    dev,
                    json!(null),
                    &options,
                    work,
                    observer,
                );
                std::fs::read(staged.unwrap().path().join("weights/model.safetensors")).unwrap()
            };
            let expected = run(None, &mut ());
            let work = tempfile::tempdir().unwrap();
            for killed_at in [3, 9] {
                let attempt = || run(Some(work.path()), &mut KilledAt(killed_at));
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(attempt)).unwrap_err();
            }
            assert!(work.path().join("checkpoint.safetensors").is_file());
            assert!(run(Some(work.path()), &mut ()) == expected, "{adaptation}: after two kills");
            let finished = || run(Some(work.path()), &mut KilledAt(1));
            assert!(finished() == expected, "{adaptation}: no step is made again");
        }
    }

    #[test]
    fn embeddings_that_stay_as_they_are_have_no_adversary() {
        if !has_runtime() {
            return;
        }
        let root = tempfile::tempdir().unwrap();
        let base = base(root.path());
        for (adaptation, allowed) in [("full", true), ("head", false), ("top-1", false), ("lora-4", false)] {
            let options = FineTuneOptions::new(&base, adaptation.parse().unwrap());
            options.validate().unwrap();
            let checked = FineTuneOptions { adversarial: 0.5, ..options }.validate();
            assert_eq!(checked.is_ok(), allowed, "{adaptation}: {checked:?}");
        }
    }

    #[test]
    fn a_stage_that_is_dropped_leaves_nothing() {
        if !has_runtime() {
            return;
        }
        let root = tempfile::tempdir().unwrap();
        let base = base(root.path());
        let staged = finetune(&base, root.path(), Adaptation::Full, examples(40));
        let path = staged.path().to_path_buf();
        assert!(path.is_dir());
        drop(staged);
        assert!(!path.exists());
    }
}
