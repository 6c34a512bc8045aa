//! Training further from a bundle: its tokenizer, its labels and new ones, its weights.

use std::path::Path;

use fenliu_model::{Bundle, Example, ModelError, Result};
use rand::{SeedableRng, rngs::SmallRng};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::adapt::adapt;
use crate::adaptation::Adaptation;
use crate::checkpoint::Checkpoints;
use crate::corpus::{Corpus, kept_labels};
use crate::experts::LinearStart;
use crate::grow::{with_labels, with_side_path};
use crate::hyperparameters::Hyperparameters;
use crate::import::is_served_only;
use crate::network::Network;
use crate::observer::Observer;
use crate::optimisation::{Optimisation, Transfer};
use crate::options::Preset;
use crate::reads::Reads;
use crate::shape::{NetworkConfig, NgramShape};
use crate::staged::{Destination, Provenance, RunSpec, Staged};
use crate::threads::on_threads;

/// Everything that can be chosen about fine-tuning; [`FineTuneOptions::new`] gives defaults that suit a
/// bundle.
///
/// In JSON and on command lines the fields of [`Optimisation`] and [`Transfer`] stand beside the others,
/// without a prefix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FineTuneOptions {
    /// Which weights change.
    pub adaptation: Adaptation,
    /// The n-gram side path that a base without one gets; a base's own stays as it is.
    pub ngrams: NgramShape,
    /// Threads; 0 = one per core.
    pub threads: usize,
    /// How the weights are optimised.
    #[serde(flatten)]
    pub optimisation: Optimisation,
    /// Options that only fine-tuning has.
    #[serde(flatten)]
    pub transfer: Transfer,
}

impl FineTuneOptions {
    /// Defaults for `base`. A pretrained encoder needs a small learning rate, a small network that was
    /// trained from scratch a larger one; and the fewer weights change, the larger it is.
    pub fn new(base: &Bundle, adaptation: Adaptation) -> Self {
        let preset = base.manifest().model.preset.parse::<Preset>().ok();
        let mut options = Self { adaptation, ..preset.map_or_else(Self::for_pretrained, Self::for_preset) };
        match adaptation {
            Adaptation::Full | Adaptation::TopLayers { .. } => {}
            Adaptation::Head => options.optimisation.epochs = 10,
            Adaptation::Lora { .. } => {
                options.transfer.layer_decay = 1.0;
                // The rate of a preset suits low-rank products as it is.
                if preset.is_none() {
                    options.optimisation.learning_rate = 1e-3;
                }
            }
        }
        options
    }

    /// For an imported encoder, which gets an n-gram side path.
    fn for_pretrained() -> Self {
        Self {
            adaptation: Adaptation::Full,
            ngrams: NgramShape::default(),
            threads: 0,
            optimisation: Optimisation {
                epochs: 3,
                batch_rows: 32,
                learning_rate: 1e-4,
                dropout: 0.1,
                token_dropout: 0.0,
                ..Optimisation::default()
            },
            transfer: Transfer::default(),
        }
    }

    /// For a network of ours. A part of the rate that its preset is trained with suffices, since the weights
    /// are good already.
    fn for_preset(preset: Preset) -> Self {
        let rate = preset.learning_rate();
        Self {
            ngrams: NgramShape::NONE,
            optimisation: Optimisation {
                epochs: 3,
                learning_rate: 0.25 * rate,
                ngram_learning_rate: 0.1,
                ..Optimisation::default()
            },
            transfer: Transfer {
                head_learning_rate: rate,
                layer_decay: 1.0,
                ngrams_apart: false,
                ..Transfer::default()
            },
            ..Self::for_pretrained()
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

    fn hyperparameters(&self) -> Hyperparameters {
        Hyperparameters::new(self.adaptation, self.optimisation.clone(), self.transfer.clone())
    }
}

/// Fine-tuning: the base, the data, the options, and the destination of the result.
#[derive(Clone, Debug)]
pub struct FineTuneRequest<'a> {
    /// The bundle whose tokenizer, labels and weights training starts from.
    pub base: &'a Bundle,
    /// Where the new version goes.
    pub destination: Destination<'a>,
    /// Rows to learn.
    pub train: Vec<Example>,
    /// Whether `train` is without the rows that the base was trained on. Linear experts, which are otherwise fitted to
    /// `train` alone, are then trained further from the base's, and temperatures stay.
    pub further: bool,
    /// Rows that choose the epoch whose weights are kept, and calibrate; may be empty.
    pub dev: Vec<Example>,
    /// The caller's description of how texts were cleaned; it goes into the manifest as it is.
    pub preprocessing: serde_json::Value,
    /// How to train.
    pub options: &'a FineTuneOptions,
    /// An existing directory in which progress is saved; `None` saves none.
    ///
    /// The same request after a crash continues from there and ends with the same weights. A checkpoint of
    /// another base, other data or other options is ignored.
    pub work: Option<&'a Path>,
}

/// Why a base that is served only cannot be trained.
fn untrainable(preset: &str) -> String {
    if is_served_only(preset) {
        return format!("its encoder is of the family {preset}, which can be served but not trained here");
    }
    "it has no weights to train: it was imported as a graph, or its encoder is frozen; import the checkpoint it came from, or \
     train it again with `fenliu train --encoder`"
        .to_owned()
}

/// Trains a classifier further, ready to be published.
///
/// The model keeps the base's tokenizer and all its labels in their order, including labels without rows; new
/// labels follow in the order of their ids. The labels of a base whose head was never trained are not kept.
///
/// # Errors
///
/// An option is out of its bounds; there are no training rows; a development label is neither the base's nor
/// has training rows; the base has no weights to train; training diverges; the exported graph does not agree
/// with the network; ONNX Runtime is not there; a file cannot be read or written.
pub fn stage_finetuned(request: FineTuneRequest<'_>, observer: &mut dyn Observer) -> Result<Staged> {
    let FineTuneRequest { base, destination, train, further, dev, preprocessing, options, work } = request;
    options.validate()?;
    if !base.manifest().model.trainable {
        return Err(ModelError::bundle(base.path(), untrainable(&base.manifest().model.preset)));
    }
    on_threads(options.threads, || {
        let mut corpus = Corpus::for_base(base, train, dev)?;
        if further {
            corpus.linear_start = LinearStart::of(base)?;
        }
        let provenance = Provenance::of_finetuned(base, options, preprocessing);
        if base.manifest().model.onnx.is_none() {
            return Staged::linear_alone(destination, corpus, provenance, observer);
        }
        let network = adapted_network(base, &corpus, options)?;
        let hyperparameters = options.hyperparameters();
        let key = run_key(base, &corpus, &network.config, &hyperparameters);
        let spec = RunSpec {
            network,
            corpus,
            provenance,
            hyperparameters: &hyperparameters,
            linear: !base.manifest().model.linear.is_empty(),
            checkpoints: work.map(|work| Checkpoints::new(work, key)),
        };
        Staged::build(destination, spec, observer)
    })
}

/// The network of `base` with room for the labels of `corpus`, a side path if it gets one, and the parameters
/// that the adaptation trains.
fn adapted_network(base: &Bundle, corpus: &Corpus, options: &FineTuneOptions) -> Result<Network> {
    let mut generator = SmallRng::seed_from_u64(options.optimisation.seed);
    // Labels and side path first: `adapt` marks the parameters that exist then as trained.
    let network = Network::load(base)?;
    let network = with_labels(network, kept_labels(base), corpus.labels.len(), &mut generator)?;
    let mut network = with_side_path(network, &options.ngrams)?;
    adapt(&mut network, options.adaptation, &mut generator);
    Ok(network)
}

impl Provenance {
    /// What the manifest says of a network that was trained further.
    fn of_finetuned(base: &Bundle, options: &FineTuneOptions, preprocessing: serde_json::Value) -> Self {
        let manifest = base.manifest();
        Self {
            preset: manifest.model.preset.clone(),
            tokenization: manifest.model.tokenization,
            reads: Reads::of(base),
            preprocessing,
            training: json!({
                "base": { "name": manifest.name, "version": manifest.version },
                "options": options,
            }),
        }
    }
}

/// The key that identifies a run: its base, data, shape and options.
fn run_key(base: &Bundle, corpus: &Corpus, shape: &NetworkConfig, options: &Hyperparameters) -> String {
    let manifest = base.manifest();
    json!([manifest.name, manifest.version, corpus.sha256, corpus.labels.ids(), shape, options]).to_string()
}

#[cfg(test)]
mod tests {
    use fenliu_model::tokenize::Tokenization;
    use fenliu_model::{Classifier, ClassifierOptions};
    use fenliu_skip::{Part, found};
    use rand::seq::SliceRandom;

    use super::*;
    use crate::options::TrainOptions;
    use crate::testing::{base, examples, has_runtime, options, run};

    /// A request for a new version of `<root>/animals` that saves no progress.
    fn request<'a>(
        base: &'a Bundle,
        root: &'a Path,
        train: Vec<Example>,
        dev: Vec<Example>,
        options: &'a FineTuneOptions,
    ) -> FineTuneRequest<'a> {
        let destination = Destination { root, name: "animals" };
        let preprocessing = json!(null);
        FineTuneRequest { base, destination, train, further: false, dev, preprocessing, options, work: None }
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
        let mut options = FineTuneOptions::new(base, adaptation);
        options.optimisation.epochs = 8;
        options.optimisation.batch_rows = 16;
        options.transfer.head_learning_rate = 1e-2;
        let dev = train.iter().take(20).cloned().collect();
        stage_finetuned(request(base, root, train, dev, &options), &mut ()).unwrap()
    }

    fn label(classifier: &mut Classifier, text: &str) -> String {
        let encodings = classifier.encoder().encode_batch(&[text]).unwrap();
        let (number, _) = classifier.classify(&encodings).unwrap()[0].top(1)[0];
        classifier.labels().ids()[number].clone()
    }

    #[test]
    fn linear_experts_alone_learn_a_new_label() {
        let root = tempfile::tempdir().unwrap();
        let options = TrainOptions::new(Preset::Linear, Tokenization::Words);
        let base = run(examples(120), &options, root.path()).unwrap().bundle;
        let staged = finetune(&base, root.path(), Adaptation::Full, relabelled(120));
        let mut classifier = staged.classifier(&ClassifierOptions::default()).unwrap();
        assert_eq!(classifier.labels().ids(), ["land", "sea", "desert"]);
        assert_eq!(label(&mut classifier, "gamma camel"), "desert");
    }

    /// Headlines of THUCNews: 3,000 for a base, 300 corrections of its errors among others, and 1,500 that are neither.
    fn headlines() -> Option<[Vec<Example>; 3]> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/headlines_zh_thucnews.jsonl");
        let text = found(Part::Data, std::fs::read_to_string(path))?;
        let rows = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let string = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let example = |row: serde_json::Value| Example {
            text: string(&row["text"]),
            label: string(&row["label"]),
            group: None,
        };
        let mut rows: Vec<Example> = rows.filter(|row| row["split"] == "train").map(example).collect();
        rows.shuffle(&mut SmallRng::seed_from_u64(8));
        rows.truncate(9000);
        let rest = rows.split_off(3000);
        let (test, others) = rest.split_at(1500);
        Some([rows, others.to_vec(), test.to_vec()])
    }

    /// The share of rows that a model labels right.
    fn accuracy(classifier: &mut Classifier, rows: &[Example]) -> f64 {
        let right = right(classifier, rows).into_iter().filter(|is_right| *is_right).count();
        right as f64 / rows.len() as f64
    }

    fn right(classifier: &mut Classifier, rows: &[Example]) -> Vec<bool> {
        let texts: Vec<&str> = rows.iter().map(|row| row.text.as_str()).collect();
        let encodings = classifier.encoder().encode_batch(&texts).unwrap();
        let labels = classifier.labels().ids();
        let predictions = classifier.classify(&encodings).unwrap();
        let is_right = |(row, prediction): (&Example, &fenliu_model::Probabilities)| {
            prediction.top(1).first().is_some_and(|(label, _)| labels[*label] == row.label)
        };
        rows.iter().zip(&predictions).map(is_right).collect()
    }

    #[test]
    fn corrections_alone_take_effect_and_the_old_rows_are_remembered() {
        let Some([rows, others, test]) = headlines() else { return };
        let root = tempfile::tempdir().unwrap();
        let options = TrainOptions::new(Preset::Linear, Tokenization::Words);
        let base = run(rows, &options, root.path()).unwrap().bundle;
        let mut before = Classifier::open(&base, &ClassifierOptions::default()).unwrap();
        let known = right(&mut before, &others);
        let wrong = others.into_iter().zip(known).filter_map(|(row, is_right)| (!is_right).then_some(row));
        let corrections: Vec<Example> = wrong.take(300).collect();
        let options = FineTuneOptions::new(&base, Adaptation::Full);
        let tune = |further: bool| {
            let request = request(&base, root.path(), corrections.clone(), Vec::new(), &options);
            let staged = stage_finetuned(FineTuneRequest { further, ..request }, &mut ()).unwrap();
            if further {
                assert!(staged.keep_calibration(&base).unwrap());
            }
            staged.classifier(&ClassifierOptions::default()).unwrap()
        };
        let (mut after, mut afresh) = (tune(true), tune(false));
        assert_eq!(after.calibration(), before.calibration());
        let [old, new] = [&mut before, &mut after].map(|model| accuracy(model, &test));
        assert!(new >= old - 0.005, "{new} after {old}");
        assert!(accuracy(&mut afresh, &test) < old - 0.1, "without the base's weights much is forgotten");
        let learnt = accuracy(&mut after, &corrections);
        assert!(learnt > 0.8, "{learnt} of the corrections are learnt");
    }

    #[test]
    fn labels_keep_their_order_and_a_new_one_is_learnt() {
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
    fn an_adaptation_changes_only_the_weights_that_it_names() {
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
        let plain = run(examples(120), &without, root.path()).unwrap().bundle;
        for (base, had_one) in [(plain, false), (base(root.path()), true)] {
            let ngrams = NgramShape { enabled: true, bigram_buckets: 31, trigram_buckets: 0 };
            let before = Network::load(&base).unwrap();
            let grown = with_side_path(Network::load(&base).unwrap(), &ngrams).unwrap();
            assert_eq!(before.config.ngrams.is_some(), had_one);
            assert_eq!(before.config == grown.config, had_one);

            let chosen = FineTuneOptions { ngrams, ..FineTuneOptions::new(&base, Adaptation::Head) };
            let (rows, dev) = (relabelled(120), examples(20));
            let staged = stage_finetuned(request(&base, root.path(), rows, dev, &chosen), &mut ()).unwrap();
            let after = Network::load(&staged.publish().unwrap()).unwrap();
            assert_eq!(after.config.ngrams, grown.config.ngrams);
            let table = after.ngrams.unwrap();
            assert!(table.values().iter().any(|weight| *weight != 0.0));
        }
    }

    /// Panics at a step, like a process that is killed there.
    struct KilledAt(usize);

    impl Observer for KilledAt {
        fn step(&mut self, _step: usize, _steps: usize, _loss: f32) {
            self.0 -= 1;
            assert!(self.0 > 0, "killed");
        }
    }

    #[test]
    fn a_killed_run_resumes_and_ends_with_the_same_weights() {
        if !has_runtime() {
            return;
        }
        let root = tempfile::tempdir().unwrap();
        let base = base(root.path());
        for adaptation in ["full", "top-1", "lora-4"] {
            let mut options = FineTuneOptions::new(&base, adaptation.parse().unwrap());
            options.optimisation.batch_rows = 8;
            options.transfer = Transfer {
                accumulate: 2,
                class_weights: true,
                checkpoint_seconds: 0,
                adversarial: if adaptation == "full" { 0.5 } else { 0.0 },
                ..options.transfer
            };
            let run = |work: Option<&Path>, observer: &mut dyn Observer| {
                let request = request(&base, root.path(), relabelled(60), examples(20), &options);
                let staged = stage_finetuned(FineTuneRequest { work, ..request }, observer);
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
            assert!(finished() == expected, "{adaptation}: no step is repeated");
        }
    }

    #[test]
    fn adversarial_training_needs_trained_embeddings() {
        if !has_runtime() {
            return;
        }
        let root = tempfile::tempdir().unwrap();
        let base = base(root.path());
        for (adaptation, allowed) in [("full", true), ("head", false), ("top-1", false), ("lora-4", false)] {
            let mut options = FineTuneOptions::new(&base, adaptation.parse().unwrap());
            options.validate().unwrap();
            options.transfer.adversarial = 0.5;
            let checked = options.validate();
            assert_eq!(checked.is_ok(), allowed, "{adaptation}: {checked:?}");
        }
    }

    #[test]
    fn dropping_a_staged_bundle_removes_its_directory() {
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
