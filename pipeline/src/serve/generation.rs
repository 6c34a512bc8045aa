//! One version of a model, loaded and ready to label.
//!
//! Contract: the parts of a generation never change. It is dropped, and its memory is returned, when the last batch that
//! was encoded with it has been labelled.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use fenliu_config::Problems;
use fenliu_model::{
    Bundle, Classifier, Device, DriftMonitor, DriftReference, DriftStatus, Encoder, Encoding, Failure,
    FailureKind, Labels, Probabilities, Recheck, TokenCount, runtime,
};
use fenliu_operators::{Agreement, CleanConfig, agreement};
use fenliu_schemas::{Reject, Stage, Texts};
use parking_lot::Mutex;

use super::bundle::classifier_options;
use super::thresholds::SourceTrust;
use crate::config::Config;
use crate::error::{Converted, Error, Result};
use crate::system::GiveBackOnDrop;
use crate::texts::Preprocessing;

/// Most characters of an error message that are kept in a dead letter.
const DETAIL_CHARS: usize = 400;

/// Rejected rows of a batch, by their index, with the reason.
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
    /// `None` if the bundle contains no, or too few, statistics of the documents that it was evaluated on.
    drift: Option<Mutex<DriftMonitor>>,
    /// `None` if there are no thresholds per source.
    trust: Option<SourceTrust>,
    /// Set when the generation was rolled back: it must not label any more batches.
    withdrawn: AtomicBool,
    /// Set when the generation has labelled a document. Before, a failure on every document of a batch means that the
    /// model is broken; afterwards it may be due to the documents.
    proven: AtomicBool,
    /// Must be the last field, because fields are dropped in order and the classifier has to be dropped first.
    _memory: GiveBackOnDrop,
}

/// The results of a generation for the rows of a batch that it could classify.
#[derive(Debug)]
pub(crate) struct Classified {
    /// One entry per row, over the labels of the generation.
    pub probabilities: Vec<Probabilities>,
    /// For each row, whether its label should not be trusted by the threshold of the label.
    pub abstained: Vec<bool>,
    /// How long inference took.
    pub took: Duration,
    /// Tokens that the graph computed.
    pub tokens: TokenCount,
}

impl Generation {
    /// Opens, verifies and warms up the bundle at `config.model.bundle`.
    ///
    /// # Errors
    /// The library or the bundle is missing, a file does not match its digest, the model was trained on texts that were
    /// cleaned differently from what `config.clean` says, or `config.thresholds` asks for what it does not have.
    pub(crate) fn open(config: &Config) -> Result<Self> {
        runtime::load(config.model.onnxruntime.as_deref()).converted()?;
        Self::load(&Bundle::open(&config.model.bundle).converted()?, config)
    }

    /// Verifies and warms up an opened bundle.
    ///
    /// # Errors
    /// As [`Generation::open`].
    pub(crate) fn load(bundle: &Bundle, config: &Config) -> Result<Self> {
        // Before the graph is loaded, which takes much longer than this comparison.
        check_preprocessing(bundle, &config.clean)?;
        let classifier = Classifier::open(bundle, &classifier_options(&config.model)).converted()?;
        let reference = DriftReference::load(bundle.path(), bundle.labels()).converted()?;
        let (name, version) = (classifier.name(), classifier.version());
        let home = bundle.path().parent().filter(|parent| parent.ends_with("versions"));
        let home = home.and_then(Path::parent).map(|model| model.join("thresholds"));
        let trust = SourceTrust::open(config, name, version, classifier.calibration(), home)?;
        Ok(Generation {
            name: classifier.name().to_string(),
            version: classifier.version().to_string(),
            device: classifier.device(),
            labels: bundle.labels().clone(),
            encoder: classifier.encoder(),
            classifier: Mutex::new(classifier),
            drift: reference.map(|reference| Mutex::new(DriftMonitor::new(reference, config.drift))),
            trust,
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

    /// Name and version, for messages.
    pub(crate) fn title(&self) -> String {
        format!("{} {}", self.name, self.version)
    }

    /// The device that it runs on; `auto` has been resolved.
    pub(crate) fn device(&self) -> Device {
        self.device
    }

    /// Marks the generation as rolled back. This cannot be undone.
    pub(super) fn withdraw(&self) {
        self.withdrawn.store(true, Ordering::Relaxed);
    }

    /// Whether the generation was rolled back, so that batches encoded with it must be labelled by another one.
    pub(crate) fn is_withdrawn(&self) -> bool {
        self.withdrawn.load(Ordering::Relaxed)
    }

    /// The labels, in the order of the logits.
    pub(crate) fn labels(&self) -> &Labels {
        &self.labels
    }

    /// The label of the logit `index`.
    pub(crate) fn label(&self, index: usize) -> &str {
        self.labels.get(index).map_or("", |label| label.id.as_str())
    }

    /// The thresholds per source, if there are any.
    pub(crate) fn trust(&self) -> Option<&SourceTrust> {
        self.trust.as_ref()
    }

    /// The token ids of cleaned rows, and the rejected rows, which the tokenizer cannot encode.
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
    /// The tokenizer fails on one of them.
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

    /// Classifies encoded texts.
    ///
    /// # Errors
    /// ONNX Runtime fails, or a logit is not a finite number.
    pub(crate) fn classify(&self, encodings: &[Encoding]) -> Result<Classified> {
        // The lock is held over the inference: a session runs one batch at a time.
        let mut classifier = self.classifier.lock();
        // After the lock is taken: the wait for another thread is no latency of this model.
        let start = Instant::now();
        let probabilities = classifier.classify(encodings).converted()?;
        let (took, tokens) = (start.elapsed(), classifier.take_tokens());
        let abstained = probabilities.iter().map(|row| classifier.abstains(row)).collect();
        Ok(Classified { probabilities, abstained, took, tokens })
    }

    /// Classifies encoded texts one by one where the whole batch fails, and returns the rejected rows beside the results.
    ///
    /// # Errors
    /// The cause is the model or the device and not the documents: even the empty text fails, or several documents all
    /// fail and the generation has never labelled one.
    pub(crate) fn classify_each(&self, encodings: &[Encoding]) -> Result<(Classified, Rejects)> {
        let mut classifier = self.classifier.lock();
        let start = Instant::now();
        let outcomes = classifier.classify_each(encodings).converted()?;
        let (took, tokens) = (start.elapsed(), classifier.take_tokens());
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
        Ok((Classified { probabilities, abstained, took, tokens }, rejects))
    }

    /// Whether the generation can label at least one of these cleaned rows.
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

    /// Fails if all of several documents were rejected by a generation that has not labelled any document yet: the model
    /// is then more likely to be broken than all documents, and must not turn whole batches into dead letters.
    fn check_share(&self, action: &'static str, rejects: &Rejects, handled: usize) -> Result<()> {
        match rejects.values().next() {
            // One document alone may well be bad, so a single failure proves nothing about the model.
            Some(first) if handled == 0 && rejects.len() > 1 && !self.proven.load(Ordering::Relaxed) => {
                let first = first.detail.clone().unwrap_or_default();
                let documents = rejects.len();
                let message = format!(
                    "{action} failed on each of {documents} documents, and the model has labelled none so far; \
                     the first: {first}"
                );
                let remedy = "try the bundle with `fenliu predict`, or name another in `model.bundle`";
                Err(Error::input(message).remedy(remedy))
            }
            _ => Ok(()),
        }
    }

    /// The detail of a dead letter: the model, and the beginning of `problem` on one line.
    fn detail(&self, problem: &str) -> String {
        // A dead letter has the message on one line.
        let words = problem.split_whitespace().collect::<Vec<_>>().join(" ");
        let cut = words.char_indices().nth(DETAIL_CHARS).map_or(words.len(), |(end, _)| end);
        let ellipsis = if cut < words.len() { "…" } else { "" };
        format!("{}: {}{ellipsis}", self.title(), &words[..cut])
    }

    /// Updates the drift statistics with labelled documents. Returns `None` if the bundle has no statistics to compare
    /// with.
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
                    "documents have drifted away from those that the model was evaluated on"
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

/// Warns that a model was trained on texts that earlier versions of `operators` had cleaned, unless it was measured how
/// little that changes.
fn warn_of_versions(bundle: &Bundle, configured: &str, operators: &str) {
    let model = bundle.path().display();
    // A record that cannot be read is as good as none: then there is a warning.
    if let Ok(Some(record)) = Recheck::of(bundle)
        && record.fingerprint == configured
    {
        let (changed, documents) = (record.changed, record.documents);
        tracing::info!(
            event = "cleaning_rechecked",
            changed,
            documents,
            "the labels of {model} were rechecked"
        );
        return;
    }
    tracing::warn!(
        event = "cleaning_changed",
        operators,
        "the model {model} was trained on texts that earlier versions of operators had cleaned ({operators}); its labels can \
         differ for a few texts until it is trained again; `fenliu model recheck` measures how many"
    );
}

/// Refuses a model that was trained on texts that were cleaned differently from those that it would label. If only the
/// versions of operators differ, as after an upgrade, it is served with a warning: most texts are the same.
fn check_preprocessing(bundle: &Bundle, clean: &CleanConfig) -> Result<()> {
    let configured = clean.fingerprint();
    let Some(Preprocessing { fingerprint: trained, .. }) = Preprocessing::of_bundle(bundle)? else {
        return Ok(());
    };
    match agreement(&trained, &configured) {
        Agreement::Same => Ok(()),
        Agreement::Versions(operators) => {
            warn_of_versions(bundle, &configured, &operators.join(", "));
            Ok(())
        }
        Agreement::Different => {
            Err(Problems::one(
                "config",
                "clean",
                format!(
                    "differs from the cleaning that the model {} was trained with\n    trained:    {trained}\n    \
                     configured: {configured}",
                    bundle.path().display()
                ),
            )
            .into())
        }
    }
}
