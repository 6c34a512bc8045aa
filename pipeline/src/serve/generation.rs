//! One version of a model, loaded and ready to label.
//!
//! Contract: what a generation is made of never changes. It goes, and its memory returns, with the last
//! batch that carries it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use fenliu_config::Problems;
use fenliu_model::{
    Bundle, Classifier, Device, DriftMonitor, DriftReference, DriftStatus, Encoder, Encoding, Failure,
    FailureKind, Labels, Probabilities, runtime,
};
use fenliu_operators::CleanConfig;
use fenliu_schemas::{Reject, Stage, Texts};
use parking_lot::Mutex;

use super::bundle::classifier_options;
use crate::config::Config;
use crate::error::{Converted, Error, Result};
use crate::system::GiveBackOnDrop;
use crate::texts::Preprocessing;

/// Characters of an error's message that a dead letter keeps.
const DETAIL_CHARS: usize = 400;

/// Why rows leave the main path, by row.
pub(crate) type Rejects = BTreeMap<usize, Reject>;

/// A loaded model.
#[derive(Debug)]
pub(crate) struct Generation {
    name: String,
    version: String,
    device: Device,
    labels: Labels,
    encoder: Arc<Encoder>,
    classifier: Mutex<Classifier>,
    /// None when the bundle says nothing, or too little, of the documents that it was judged on.
    drift: Option<Mutex<DriftMonitor>>,
    /// Set when it failed on probation: it labels nothing any more.
    withdrawn: AtomicBool,
    /// Set when it has labelled a document: what then fails may be the documents' fault.
    proven: AtomicBool,
    /// The last field: dropped after the classifier.
    _memory: GiveBackOnDrop,
}

/// What a generation says of the rows of a batch that it could classify.
#[derive(Debug)]
pub(crate) struct Classified {
    /// A row each, over the generation's labels.
    pub probabilities: Vec<Probabilities>,
    /// Whether the row's label should not be trusted.
    pub abstained: Vec<bool>,
    /// What it took.
    pub took: Duration,
}

impl Generation {
    /// Opens, checks and warms the bundle at `config.model.bundle`.
    ///
    /// # Errors
    /// A missing library or bundle, files that do not match their digests, a model that was trained on
    /// texts cleaned otherwise than `config.clean` says.
    pub(crate) fn open(config: &Config) -> Result<Self> {
        runtime::load(config.model.onnxruntime.as_deref()).converted()?;
        Self::load(&Bundle::open(&config.model.bundle).converted()?, config)
    }

    /// Checks and warms an opened bundle.
    ///
    /// # Errors
    /// As [`Generation::open`].
    pub(crate) fn load(bundle: &Bundle, config: &Config) -> Result<Self> {
        check_preprocessing(bundle, &config.clean)?;
        let classifier = Classifier::open(bundle, &classifier_options(&config.model)).converted()?;
        let reference = DriftReference::load(bundle.path(), bundle.labels()).converted()?;
        Ok(Generation {
            name: classifier.name().to_string(),
            version: classifier.version().to_string(),
            device: classifier.device(),
            labels: bundle.labels().clone(),
            encoder: classifier.encoder(),
            classifier: Mutex::new(classifier),
            drift: reference.map(|reference| Mutex::new(DriftMonitor::new(reference, config.drift))),
            withdrawn: AtomicBool::new(false),
            proven: AtomicBool::new(false),
            _memory: GiveBackOnDrop,
        })
    }

    /// The model's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// ULID of the version.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Name and version, for people.
    pub(crate) fn title(&self) -> String {
        format!("{} {}", self.name, self.version)
    }

    /// Where it really runs.
    pub(crate) fn device(&self) -> Device {
        self.device
    }

    /// Takes it out of use for good.
    pub(super) fn withdraw(&self) {
        self.withdrawn.store(true, Ordering::Relaxed);
    }

    /// Whether batches that it has encoded are to be labelled by another.
    pub(crate) fn is_withdrawn(&self) -> bool {
        self.withdrawn.load(Ordering::Relaxed)
    }

    /// The label of a logit.
    pub(crate) fn label(&self, index: usize) -> &str {
        self.labels.get(index).map_or("", |label| label.id.as_str())
    }

    /// The token ids of cleaned rows, and the rejects of those that the tokenizer cannot encode, by row.
    ///
    /// # Errors
    /// As [`Generation::classify_each`].
    pub(crate) fn encode_each(&self, rows: &RecordBatch) -> Result<(Vec<Encoding>, Rejects)> {
        let (mut encodings, mut rejects) = (vec![], Rejects::new());
        for (row, encoding) in self.encoder.encode_each(&texts(rows)?).converted()?.into_iter().enumerate() {
            match encoding {
                Ok(encoding) => encodings.push(encoding),
                Err(error) => {
                    let detail = self.detail(&error.to_string());
                    rejects.insert(row, Reject::new(Stage::Tokenize, "tokenize_failed", Some(detail)));
                }
            }
        }
        self.check_share("tokenising", &rejects, encodings.len())?;
        Ok((encodings, rejects))
    }

    /// The token ids of cleaned rows.
    ///
    /// # Errors
    /// When the tokenizer fails on one of them.
    pub(crate) fn encode(&self, rows: &RecordBatch) -> Result<Vec<Encoding>> {
        self.encode_texts(&texts(rows)?)
    }

    /// The token ids of texts, as the model reads them.
    ///
    /// # Errors
    /// As [`Generation::encode`].
    pub(crate) fn encode_texts<T: AsRef<str> + Sync>(&self, texts: &[T]) -> Result<Vec<Encoding>> {
        self.encoder.encode_batch(texts).converted()
    }

    /// What the model says of encoded texts.
    ///
    /// # Errors
    /// When ONNX Runtime fails or a logit is not a finite number.
    pub(crate) fn classify(&self, encodings: &[Encoding]) -> Result<Classified> {
        let mut classifier = self.classifier.lock();
        let start = Instant::now();
        let probabilities = classifier.classify(encodings).converted()?;
        let took = start.elapsed();
        let abstained = probabilities.iter().map(|row| classifier.abstains(row)).collect();
        Ok(Classified { probabilities, abstained, took })
    }

    /// What the model says of encoded texts, and the rejects of those that it cannot classify, by row.
    ///
    /// # Errors
    /// When the failure is the model's or the device's, not the documents': not even the empty text can be
    /// handled, or each of several documents fails and none was ever labelled.
    pub(crate) fn classify_each(&self, encodings: &[Encoding]) -> Result<(Classified, Rejects)> {
        let mut classifier = self.classifier.lock();
        let start = Instant::now();
        let outcomes = classifier.classify_each(encodings).converted()?;
        let took = start.elapsed();
        let (mut probabilities, mut rejects) = (vec![], Rejects::new());
        for (row, outcome) in outcomes.into_iter().enumerate() {
            match outcome {
                Ok(row) => probabilities.push(row),
                Err(failure) => drop(rejects.insert(row, self.reject(&failure))),
            }
        }
        let abstained = probabilities.iter().map(|row| classifier.abstains(row)).collect();
        self.check_share("inference", &rejects, probabilities.len())?;
        if !probabilities.is_empty() {
            self.proven.store(true, Ordering::Relaxed);
        }
        Ok((Classified { probabilities, abstained, took }, rejects))
    }

    /// Whether it can label any of some cleaned rows.
    pub(crate) fn handles_any(&self, rows: &RecordBatch) -> bool {
        let encoded = self.encode_each(rows);
        let outcome = encoded.and_then(|(encodings, _)| self.classify_each(&encodings));
        outcome.is_ok_and(|(classified, _)| !classified.probabilities.is_empty())
    }

    fn reject(&self, failure: &Failure) -> Reject {
        let reason = match failure.kind {
            FailureKind::Inference => "inference_failed",
            FailureKind::NotFinite => "not_finite",
        };
        Reject::new(Stage::Infer, reason, Some(self.detail(&failure.problem)))
    }

    /// Refuses to set whole batches aside for a model that has not labelled a single document.
    fn check_share(&self, action: &'static str, rejects: &Rejects, handled: usize) -> Result<()> {
        match rejects.values().next() {
            Some(first) if handled == 0 && rejects.len() > 1 && !self.proven.load(Ordering::Relaxed) => {
                let first = first.detail.clone().unwrap_or_default();
                let documents = rejects.len();
                let message = format!(
                    "{action} failed on each of {documents} documents, and the model has labelled none so far; the first: {first}"
                );
                let remedy = "try the bundle with `fenliu predict`, or name another in `model.bundle`";
                Err(Error::input(message).remedy(remedy))
            }
            _ => Ok(()),
        }
    }

    /// What went wrong with a document, for its dead letter: the model, and the first words of `problem`.
    fn detail(&self, problem: &str) -> String {
        let words = problem.split_whitespace().collect::<Vec<_>>().join(" ");
        let cut = words.char_indices().nth(DETAIL_CHARS).map_or(words.len(), |(end, _)| end);
        let ellipsis = if cut < words.len() { "…" } else { "" };
        format!("{}: {}{ellipsis}", self.title(), &words[..cut])
    }

    /// Takes labelled documents into account for drift; none without a reference to compare with.
    pub(crate) fn watch_drift(
        &self,
        encodings: &[Encoding],
        probabilities: &[Probabilities],
    ) -> Option<DriftStatus> {
        let mut monitor = self.drift.as_ref()?.lock();
        for change in monitor.observe(encodings, probabilities) {
            let (signal, psi, version) = (change.signal.name(), change.psi, &self.version);
            if change.drifting {
                tracing::warn!(
                    event = "drift_began",
                    signal,
                    psi,
                    version,
                    "documents drift from those the model was judged on"
                );
            } else {
                tracing::info!(event = "drift_ended", signal, psi, version, "drift has ended");
            }
        }
        Some(monitor.status())
    }
}

/// The text of each row as the model reads it.
fn texts(rows: &RecordBatch) -> Result<Vec<Cow<'_, str>>> {
    Ok(Texts::of(rows)?.iter().collect())
}

/// A model sees in serving what it saw in training, or it is refused.
fn check_preprocessing(bundle: &Bundle, clean: &CleanConfig) -> Result<()> {
    let configured = clean.fingerprint();
    match Preprocessing::of_bundle(bundle)? {
        Some(Preprocessing { fingerprint: trained, .. }) if trained != configured => {
            Err(Problems::one(
                "config",
                "clean",
                format!(
                    "differs from the cleaning that the model {} was trained with\n    trained:    {trained}\n    configured: {configured}",
                    bundle.path().display()
                ),
            )
            .into())
        }
        _ => Ok(()),
    }
}
