//! The record of a training run: `eval/report.json` in a bundle, and the input of report pages.

use serde::{Deserialize, Serialize};

use crate::evaluate::Evaluation;

/// The sizes of a training run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSize {
    /// Training rows.
    pub train_rows: usize,
    /// Rows held out for development.
    pub dev_rows: usize,
    /// Tokens of the training rows, after truncation to `max_tokens`.
    pub train_tokens: usize,
    /// Number of labels.
    pub labels: usize,
    /// Entries of the vocabulary.
    pub vocabulary: usize,
    /// Number of weights.
    pub parameters: u64,
    /// Most epochs.
    pub epochs: usize,
}

/// One pass over the training rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochReport {
    /// Counted from 1.
    pub epoch: usize,
    /// Mean loss over the batches, with dropout and label smoothing.
    pub train_loss: f64,
    /// Accuracy on the development rows; `None` without development rows.
    pub dev_accuracy: Option<f64>,
    /// Macro-F1 on the development rows; `None` without development rows.
    pub dev_macro_f1: Option<f64>,
    /// Wall time of the epoch and its evaluation.
    pub seconds: f64,
}

/// One expert of a product, and the reference beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExpertReport {
    /// `linear`, `mean` or `encoder`.
    pub name: String,
    /// The weight of its logits in the sum, after they were divided by `temperature`.
    pub weight: f64,
    /// The temperature that suits the expert alone.
    pub temperature: f64,
    /// Its accuracy alone on the development rows; `None` without development rows.
    pub dev_accuracy: Option<f64>,
}

/// A finished run; `eval/report.json` in the bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainReport {
    /// Sizes.
    pub size: RunSize,
    /// SHA-256 over labels and texts of the training and development rows, in their order.
    pub dataset_sha256: String,
    /// All epochs that were run.
    pub epochs: Vec<EpochReport>,
    /// The epoch whose weights were kept.
    pub best_epoch: usize,
    /// Scores of the kept weights on the development rows; `None` without development rows.
    pub dev: Option<Evaluation>,
    /// The weight of the n-gram side path's logits, fitted to the development rows; `None` if encoder and
    /// side path were trained together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ngram_weight: Option<f32>,
    /// The experts whose logits are summed; empty for a model that is no such sum.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub experts: Vec<ExpertReport>,
    /// Accuracy on the same development rows of a linear support vector machine on tf-idf of n-grams, which anyone trains
    /// in seconds; `None` without development rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline_accuracy: Option<f64>,
    /// Largest difference between a logit of the trained network and of the ONNX graph.
    pub parity_max_abs_diff: f64,
    /// Wall time from texts to graph.
    pub seconds: f64,
}
