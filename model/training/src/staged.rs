//! A trained bundle before it is published.

use std::path::Path;
use std::time::Instant;

use fenliu_model::bundle::{Bundle, BundleWriter, ModelDescription, ProblemType};
use fenliu_model::tokenize::{Encoding, Tokenization};
use fenliu_model::training_report::TrainReport;
use fenliu_model::{Classifier, ClassifierOptions, Labels, ModelError, PAD_ID, Result, Tokenizer};
use serde_json::{Value, json};

use crate::checkpoint::Checkpoints;
use crate::corpus::Corpus;
use crate::data::Dataset;
use crate::experts::{self, LinearMembers, LinearStart, OwnedRows};
use crate::fit::fit;
use crate::hyperparameters::Hyperparameters;
use crate::network::Network;
use crate::observer::Observer;
use crate::publish;
use crate::reads::Reads;

/// A trained bundle in its staging directory. Its owner may evaluate it and add files before publishing it.
/// Dropping it removes the directory.
#[derive(Debug)]
pub struct Staged {
    writer: BundleWriter,
    description: ModelDescription,
    labels: Labels,
    dev: Dataset,
    /// What the linear experts begin with, and all their rows; `None` if there are none.
    linear: Option<(LinearStart, OwnedRows)>,
    report: TrainReport,
}

/// The parts of the manifest that are known before training.
pub(super) struct Provenance {
    pub(super) preset: String,
    /// `None` without a network.
    pub(super) tokenization: Option<Tokenization>,
    pub(super) reads: Reads,
    pub(super) preprocessing: Value,
    /// A JSON object with the options and everything else that is needed to repeat the run.
    pub(super) training: Value,
}

/// Where a new version goes: `<root>/<name>/versions/<ulid>`.
#[derive(Clone, Copy, Debug)]
pub struct Destination<'a> {
    /// Directory of models.
    pub root: &'a Path,
    /// Name of the model.
    pub name: &'a str,
}

/// A network, its training data, and how to train it.
pub(super) struct RunSpec<'a> {
    pub(super) network: Network,
    pub(super) corpus: Corpus,
    pub(super) provenance: Provenance,
    pub(super) hyperparameters: &'a Hyperparameters,
    /// Whether there are linear experts beside the network.
    pub(super) linear: bool,
    /// Where progress is saved; `None` saves none.
    pub(super) checkpoints: Option<Checkpoints>,
}

impl Staged {
    /// Fits a network to the rows of a corpus and stages the result.
    pub(super) fn build(
        destination: Destination<'_>,
        spec: RunSpec<'_>,
        observer: &mut dyn Observer,
    ) -> Result<Self> {
        let RunSpec { network, mut corpus, provenance, hyperparameters, linear, checkpoints } = spec;
        // First, so that a name that is not allowed, or a directory that cannot be written, fails before the
        // training.
        let writer = BundleWriter::create(destination.root, destination.name)?;
        let start = Instant::now();
        let mut fitted = fit(network, &corpus, hyperparameters, checkpoints.as_ref(), observer)?;
        let directory = writer.path();
        let members = linear.then(|| LinearMembers::fit(&corpus)).transpose()?;
        let mut reports = members.as_ref().map_or(Vec::new(), |members| members.reports.clone());
        // A network whose experts are trained further has their scales already.
        if linear && !corpus.linear_start.is_known() {
            reports.extend(experts::scale(&mut fitted.network, &corpus));
        }
        publish::write_network(&fitted.network, directory)?;
        let pad_id = corpus.tokenizer.as_ref().map_or(PAD_ID, Tokenizer::pad_id);
        let parity = publish::check_parity(&fitted.network, directory, corpus.dev_or_train(), pad_id)?;
        let parameters = fitted.network.parameters();
        if let Some(members) = &members {
            members.save(directory, &mut corpus)?;
            fitted.dev = experts::evaluation(Some(&fitted.network), &corpus)?;
        }
        let report = TrainReport {
            size: corpus.size(parameters, hyperparameters.optimisation.epochs),
            dataset_sha256: corpus.sha256.clone(),
            epochs: fitted.epochs,
            best_epoch: fitted.best_epoch,
            dev: fitted.dev,
            ngram_weight: fitted.ngram_weight,
            experts: reports,
            baseline_accuracy: experts::baseline_accuracy(&corpus),
            parity_max_abs_diff: parity,
            seconds: start.elapsed().as_secs_f64(),
        };
        let mut description = provenance.describe(pad_id, parameters, &report);
        description.linear = members.map_or(Vec::new(), |members| members.parts());
        corpus.labels.save(&directory.join("labels.json"))?;
        if let Some(tokenizer) = &corpus.tokenizer {
            tokenizer.save(directory)?;
        }
        write_report(directory, &report)?;
        let linear = linear.then(|| (std::mem::take(&mut corpus.linear_start), OwnedRows::all(&corpus)));
        Ok(Self { writer, description, labels: corpus.labels, dev: corpus.dev, linear, report })
    }

    /// Fits linear experts to the rows of a corpus and stages them as the whole model.
    pub(super) fn linear_alone(
        destination: Destination<'_>,
        mut corpus: Corpus,
        provenance: Provenance,
        observer: &mut dyn Observer,
    ) -> Result<Self> {
        let writer = BundleWriter::create(destination.root, destination.name)?;
        let start = Instant::now();
        observer.start(&corpus.size(0, 0));
        let members = LinearMembers::fit(&corpus)?;
        members.save(writer.path(), &mut corpus)?;
        let parameters = members.parameters();
        let report = TrainReport {
            size: corpus.size(parameters, 0),
            dataset_sha256: corpus.sha256.clone(),
            epochs: Vec::new(),
            best_epoch: 0,
            dev: experts::evaluation(None, &corpus)?,
            ngram_weight: None,
            experts: members.reports.clone(),
            baseline_accuracy: experts::baseline_accuracy(&corpus),
            parity_max_abs_diff: 0.0,
            seconds: start.elapsed().as_secs_f64(),
        };
        let description = provenance.describe(PAD_ID, parameters, &report);
        let description = ModelDescription { linear: members.parts(), ..description };
        corpus.labels.save(&writer.path().join("labels.json"))?;
        write_report(writer.path(), &report)?;
        let linear = Some((std::mem::take(&mut corpus.linear_start), OwnedRows::all(&corpus)));
        Ok(Self { writer, description, labels: corpus.labels, dev: corpus.dev, linear, report })
    }

    /// A bundle whose files but those of the labels and the report are in the directory of `writer`. `linear` are the rows
    /// of the linear experts, if there are some.
    pub(super) fn assemble(
        writer: BundleWriter,
        mut description: ModelDescription,
        mut corpus: Corpus,
        linear: bool,
        report: TrainReport,
    ) -> Result<Self> {
        description.training = with_outcome(description.training, &report);
        corpus.labels.save(&writer.path().join("labels.json"))?;
        if let Some(tokenizer) = &corpus.tokenizer {
            tokenizer.save(writer.path())?;
        }
        write_report(writer.path(), &report)?;
        let linear = linear.then(|| (std::mem::take(&mut corpus.linear_start), OwnedRows::all(&corpus)));
        Ok(Self { writer, description, labels: corpus.labels, dev: corpus.dev, linear, report })
    }

    /// Fits the linear experts again, now to the development rows, too: the temperatures are known, and rows that they do
    /// not see are lost to them.
    ///
    /// # Errors
    ///
    /// As [`OwnedRows::refit`].
    pub(crate) fn refit(&self) -> Result<()> {
        self.linear.as_ref().map_or(Ok(()), |(start, rows)| rows.refit(start, &self.labels, self.path()))
    }

    /// The staging directory; files added here become part of the bundle.
    pub fn path(&self) -> &Path {
        self.writer.path()
    }

    /// Epochs, scores, times.
    pub fn report(&self) -> &TrainReport {
        &self.report
    }

    /// Labels in logit order.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Sets a field of `training` in the manifest.
    pub fn describe(&mut self, field: &str, value: Value) {
        if let Value::Object(training) = &mut self.description.training {
            training.insert(field.to_owned(), value);
        }
    }

    /// The development documents and the index of the label of each; `None` if there are no development rows.
    pub fn dev(&self) -> Option<(&[Encoding], &[usize])> {
        (!self.dev.documents.is_empty()).then_some((&self.dev.documents, &self.dev.labels))
    }

    /// The staged model in ONNX Runtime, as it will run once it is published.
    ///
    /// # Errors
    ///
    /// As [`Classifier::open`].
    pub fn classifier(&self, options: &ClassifierOptions) -> Result<Classifier> {
        Classifier::open(&self.writer.preview(&self.description)?, options)
    }

    /// Publishes the bundle.
    ///
    /// # Errors
    ///
    /// As [`BundleWriter::finish`].
    pub fn publish(self) -> Result<Bundle> {
        self.writer.finish(self.description)
    }
}

fn write_report(directory: &Path, report: &TrainReport) -> Result<()> {
    let path = directory.join("eval/report.json");
    publish::write(&path, &serde_json::to_vec_pretty(report).map_err(ModelError::json(&path))?)
}

impl Provenance {
    /// The maker's part of the manifest of a network that was trained.
    fn describe(self, pad_id: u32, parameters: u64, report: &TrainReport) -> ModelDescription {
        ModelDescription {
            tokenization: self.tokenization,
            max_tokens: self.reads.max_tokens,
            windows: self.reads.windows,
            prefix: String::new(),
            pad_id,
            onnx: self.tokenization.map(|_| publish::ONNX_FILE.to_owned()),
            linear: Vec::new(),
            zero_shot: None,
            problem_type: ProblemType::SingleLabel,
            preset: self.preset,
            parameters,
            preprocessing: self.preprocessing,
            training: with_outcome(self.training, report),
            parity_max_abs_diff: report.parity_max_abs_diff,
            trainable: true,
            head_trained: true,
        }
    }
}

/// Adds the outcome of a run to `training`, so that models can be compared by their manifests.
fn with_outcome(mut training: Value, report: &TrainReport) -> Value {
    let outcome = json!({
        "dataset_sha256": report.dataset_sha256,
        "train_rows": report.size.train_rows,
        "dev_rows": report.size.dev_rows,
        "best_epoch": report.best_epoch,
        "dev_accuracy": report.dev.as_ref().map(|dev| dev.accuracy),
        "ngram_weight": report.ngram_weight,
        "dev_macro_f1": report.dev.as_ref().map(|dev| dev.macro_f1),
        "seconds": report.seconds,
    });
    if let (Value::Object(training), Value::Object(outcome)) = (&mut training, outcome) {
        training.extend(outcome);
    }
    training
}
