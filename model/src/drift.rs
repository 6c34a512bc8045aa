//! Drift: whether the documents that a model serves are distributed like those that it was evaluated on.
//!
//! There are four signals, each a histogram over documents: the predicted label, its probability, the number
//! of tokens, and the share of unknown tokens. A [`DriftReference`] holds them for a model's held-out
//! documents and is stored in its bundle. A [`DriftMonitor`] compares a sliding window of served documents
//! with it. The distance is the population stability index,
//!
//! ```text
//! PSI = sum over bins of (q - p) * ln(q / p),   p, q: the bin's share in the reference and the window
//! ```
//!
//! minus the value that two samples of the same distribution have by chance. By convention (Siddiqi, Credit
//! Risk Scorecards, 2006) a value above 0.2 is a shift, and one below 0.1 is not. A reference of fewer than
//! [`MIN_REFERENCE_ROWS`] documents is too uncertain and is not used.
//!
//! Gold labels are not needed. Drift therefore says that the documents changed, not that the model got worse.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{ModelError, Result};
use crate::labels::Labels;
use crate::probabilities::Probabilities;
use crate::tokenize::Encoding;

mod histogram;
mod monitor;

use histogram::Histogram;
pub use monitor::{DriftMonitor, DriftOptions, DriftStatus, SignalDrift};

const FILE: &str = "reference/drift.json";

/// Fewest documents of a reference that is used.
pub const MIN_REFERENCE_ROWS: u64 = 100;

/// A quantity whose distribution is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// The predicted label.
    Label,
    /// The predicted label's probability.
    Confidence,
    /// Tokens of a document, after it was cut off at the model's limit.
    Length,
    /// Share of a document's tokens that are unknown.
    UnknownTokens,
}

impl Signal {
    /// All signals, in the order of every array over them.
    pub const ALL: [Signal; 4] = [Signal::Label, Signal::Confidence, Signal::Length, Signal::UnknownTokens];

    /// The name in JSON and in logs.
    pub fn name(self) -> &'static str {
        match self {
            Signal::Label => "label",
            Signal::Confidence => "confidence",
            Signal::Length => "length",
            Signal::UnknownTokens => "unknown_tokens",
        }
    }
}

/// The distribution of held-out documents; `reference/drift.json` in a bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DriftReference {
    /// Documents measured.
    rows: u64,
    /// Id of the token that stands for unknown ones.
    unk_id: u32,
    /// Documents by predicted label, in logit order.
    label: Vec<u64>,
    confidence: Histogram,
    length: Histogram,
    unknown_tokens: Histogram,
}

impl DriftReference {
    /// Measures documents that the model was not trained on.
    ///
    /// `probabilities` must be computed as in serving, including the calibration. `unk_id` is the tokenizer's
    /// [`unk_id`](crate::Tokenizer::unk_id). The bins of numbers are the deciles of these documents.
    ///
    /// # Errors
    ///
    /// There are no documents; the numbers of documents and of rows of `probabilities` differ; or a row does
    /// not have one probability for each label.
    pub fn measure(
        labels: &Labels,
        encodings: &[Encoding],
        unk_id: u32,
        probabilities: &[Probabilities],
    ) -> Result<Self> {
        let (rows, given) = (encodings.len(), probabilities.len());
        if rows == 0 || rows != given {
            let problem = format!("drift reference of {rows} documents with {given} predictions");
            return Err(ModelError::Evaluation(problem));
        }
        if let Some(row) = probabilities.iter().find(|row| row.as_slice().len() != labels.len()) {
            let (got, expected) = (row.as_slice().len(), labels.len());
            let problem = format!("drift reference: {got} probabilities for {expected} labels");
            return Err(ModelError::Evaluation(problem));
        }
        let mut label = vec![0; labels.len()];
        probabilities.iter().for_each(|row| label[best(row).0] += 1);
        Ok(Self {
            rows: rows as u64,
            unk_id,
            label,
            confidence: Histogram::at_deciles(probabilities.iter().map(|row| best(row).1).collect()),
            length: Histogram::at_deciles(encodings.iter().map(length).collect()),
            unknown_tokens: Histogram::at_deciles(encodings.iter().map(|e| unknown(e, unk_id)).collect()),
        })
    }

    /// Writes `reference/drift.json` under `directory`, a bundle that is being built.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn save(&self, directory: &Path) -> Result<()> {
        let path = directory.join(FILE);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(ModelError::io("create", parent))?;
        }
        let bytes = serde_json::to_vec_pretty(self).map_err(ModelError::json(&path))?;
        std::fs::write(&path, bytes).map_err(ModelError::io("write", &path))
    }

    /// Reads the reference of the bundle in `directory`, whose labels are `labels`. `None` if there is no
    /// reference, or one of fewer than [`MIN_REFERENCE_ROWS`] documents.
    ///
    /// # Errors
    ///
    /// The file cannot be read or does not fit the labels.
    pub fn load(directory: &Path, labels: &Labels) -> Result<Option<Self>> {
        let path = directory.join(FILE);
        if !path.exists() {
            return Ok(None);
        }
        let bytes = std::fs::read(&path).map_err(ModelError::io("read", &path))?;
        let reference: Self = serde_json::from_slice(&bytes).map_err(ModelError::json(&path))?;
        match reference.problem(labels) {
            Some(problem) => Err(ModelError::bundle(directory, format!("{FILE}: {problem}"))),
            None => Ok(Some(reference).filter(|reference| reference.rows >= MIN_REFERENCE_ROWS)),
        }
    }

    /// The reference for a model with more labels, of which no document was given the last ones.
    #[must_use]
    pub fn with_labels(mut self, labels: &Labels) -> Self {
        self.label.resize(labels.len(), 0);
        self
    }

    fn problem(&self, labels: &Labels) -> Option<String> {
        if self.label.len() != labels.len() {
            return Some(format!("it counts {} labels, not {}", self.label.len(), labels.len()));
        }
        let histograms = [&self.confidence, &self.length, &self.unknown_tokens];
        let broken = histograms.iter().any(|histogram| !histogram.is_valid());
        broken.then(|| "a histogram has not one count more than edges, or unsorted edges".to_owned())
    }

    /// Documents measured.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Documents by bin, in the order of [`Signal::ALL`].
    fn counts(&self) -> [&[u64]; 4] {
        [&self.label, &self.confidence.counts, &self.length.counts, &self.unknown_tokens.counts]
    }

    /// The bin of one document in each signal's histogram.
    fn bins(&self, encoding: &Encoding, probabilities: &Probabilities) -> [usize; 4] {
        let (label, confidence) = best(probabilities);
        [
            label.min(self.label.len() - 1),
            self.confidence.bin(confidence),
            self.length.bin(length(encoding)),
            self.unknown_tokens.bin(unknown(encoding, self.unk_id)),
        ]
    }
}

/// The most probable label and its probability.
fn best(probabilities: &Probabilities) -> (usize, f64) {
    let best = probabilities.top(1).first().copied().unwrap_or((0, 0.0));
    (best.0, f64::from(best.1))
}

fn length(encoding: &Encoding) -> f64 {
    encoding.ids.len() as f64
}

fn unknown(encoding: &Encoding, unk_id: u32) -> f64 {
    let unknown = encoding.ids.iter().filter(|id| **id == unk_id).count();
    unknown as f64 / encoding.ids.len().max(1) as f64
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::tokenize::UNK_ID;

    /// A document of `length` tokens, `unknown` of them unknown, that gets `label` with `confidence`.
    pub(crate) fn document(
        length: usize,
        unknown: usize,
        label: usize,
        confidence: f32,
    ) -> (Encoding, Probabilities) {
        let ids = (0..length).map(|position| if position < unknown { UNK_ID } else { 7 }).collect();
        let rest = (1.0 - confidence) / 2.0;
        let logits: Vec<f32> =
            (0..3).map(|index| if index == label { confidence.ln() } else { rest.ln() }).collect();
        (Encoding::new(ids, false), Probabilities::from_logits(&logits))
    }

    /// The reference of documents with every length of 10 to 49, evenly spread labels and confidences,
    /// and an unknown token in every tenth.
    pub(crate) fn reference() -> DriftReference {
        let (encodings, probabilities): (Vec<_>, Vec<_>) = (0..600usize)
            .map(|n| {
                document(10 + n % 40, usize::from(n.is_multiple_of(10)), n % 3, 0.5 + (n % 50) as f32 / 101.0)
            })
            .unzip();
        DriftReference::measure(&labels(), &encodings, UNK_ID, &probabilities).unwrap()
    }

    fn labels() -> Labels {
        Labels::from_ids(["a", "b", "c"]).unwrap()
    }

    #[test]
    fn a_saved_reference_loads_and_must_fit_the_labels() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(DriftReference::load(directory.path(), &labels()).unwrap(), None);
        reference().save(directory.path()).unwrap();
        assert_eq!(DriftReference::load(directory.path(), &labels()).unwrap(), Some(reference()));
        let two = Labels::from_ids(["a", "b"]).unwrap();
        let error = DriftReference::load(directory.path(), &two).unwrap_err().to_string();
        assert!(error.contains("reference/drift.json: it counts 3 labels, not 2"), "{error}");
    }

    #[test]
    fn a_reference_of_few_documents_is_not_used() {
        let directory = tempfile::tempdir().unwrap();
        let (encodings, probabilities): (Vec<_>, Vec<_>) =
            (0..99).map(|n| document(5, 0, n % 3, 0.8)).unzip();
        let few = DriftReference::measure(&labels(), &encodings, UNK_ID, &probabilities).unwrap();
        few.save(directory.path()).unwrap();
        assert_eq!(DriftReference::load(directory.path(), &labels()).unwrap(), None);
    }

    #[test]
    fn a_damaged_histogram_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let mut damaged = reference();
        damaged.length.counts.pop();
        damaged.save(directory.path()).unwrap();
        let error = DriftReference::load(directory.path(), &labels()).unwrap_err().to_string();
        assert!(error.contains("one count more than edges"), "{error}");
    }

    #[test]
    fn invalid_documents_are_refused() {
        let (encoding, probabilities) = document(3, 0, 0, 0.9);
        for (encodings, probabilities, message) in [
            (vec![], vec![], "0 documents with 0"),
            (vec![encoding.clone()], vec![], "1 documents with 0"),
            (vec![encoding], vec![Probabilities::from_logits(&[1.0])], "1 probabilities for 3 labels"),
        ] {
            let error = DriftReference::measure(&labels(), &encodings, UNK_ID, &probabilities);
            let error = error.unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
        assert!(DriftReference::measure(&labels(), &[document(3, 0, 0, 0.9).0], 1, &[probabilities]).is_ok());
    }
}
