//! How a caller follows a run while it is in progress.

use fenliu_model::training_report::{EpochReport, RunSize};

/// What a pretrained encoder has to read.
#[derive(Clone, Copy, Debug)]
pub struct EmbeddingWork {
    /// All texts, including those whose vectors are known from an earlier run.
    pub texts: usize,
    /// The texts that it has to read.
    pub missing: usize,
    /// Their tokens, with padding.
    pub tokens: usize,
    /// About how many seconds it will take, by a first batch.
    pub seconds: f64,
    /// About how much memory the process needs.
    pub memory_bytes: u64,
}

/// Is called back during a run, for a progress bar or a log. Every method has a default that does nothing.
pub trait Observer: Send {
    /// Training starts; the texts have been encoded.
    fn start(&mut self, _run: &RunSize) {}

    /// A batch was processed: `step` of `steps` in this epoch, both counted from 1.
    fn step(&mut self, _step: usize, _steps: usize, _loss: f32) {}

    /// A pretrained encoder is about to read texts.
    fn embedding(&mut self, _work: &EmbeddingWork) {}

    /// It has read `done` of `missing` texts.
    fn embedded(&mut self, _done: usize, _missing: usize) {}

    /// A pass over the training rows ended.
    fn epoch(&mut self, _epoch: &EpochReport) {}
}

/// Ignores all events.
impl Observer for () {}
