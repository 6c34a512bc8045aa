//! How a training run went: what `eval/report.json` in a bundle says, and what pages show.

use serde::{Deserialize, Serialize};

use crate::evaluate::Evaluation;

/// How much there is to learn from, and with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSize {
    /// Rows that are learnt.
    pub train_rows: usize,
    /// Rows held out for development.
    pub dev_rows: usize,
    /// Tokens of the rows that are learnt, after cutting at `max_tokens`.
    pub train_tokens: usize,
    /// Labels.
    pub labels: usize,
    /// Entries of the vocabulary.
    pub vocabulary: usize,
    /// Numbers to train.
    pub parameters: u64,
    /// Passes over the rows, at most.
    pub epochs: usize,
}

/// One pass over the training rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochReport {
    /// Counted from 1.
    pub epoch: usize,
    /// Mean loss over the batches, with dropout and label smoothing.
    pub train_loss: f64,
    /// Share of development rows labelled right; none without development rows.
    pub dev_accuracy: Option<f64>,
    /// Macro-F1 over the development rows; none without development rows.
    pub dev_macro_f1: Option<f64>,
    /// Wall time of the pass and its evaluation.
    pub seconds: f64,
}

/// A finished run; `eval/report.json` in the bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainReport {
    /// Sizes.
    pub size: RunSize,
    /// SHA-256 over labels and texts of the training and development rows, in their order.
    pub dataset_sha256: String,
    /// All passes made.
    pub epochs: Vec<EpochReport>,
    /// The pass whose weights were kept.
    pub best_epoch: usize,
    /// Scores of the kept weights on the development rows; none without such rows.
    pub dev: Option<Evaluation>,
    /// What the n-gram side path counts beside an encoder that it learnt apart from, chosen on the development rows;
    /// none where it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ngram_weight: Option<f32>,
    /// Largest difference between a logit of the trained network and of the ONNX graph.
    pub parity_max_abs_diff: f64,
    /// Wall time from texts to graph.
    pub seconds: f64,
}
