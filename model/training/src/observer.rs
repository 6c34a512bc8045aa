//! How a caller follows a run while it is in progress.

use fenliu_model::training_report::{EpochReport, RunSize};

/// Is called back during a run, for a progress bar or a log. Every method has a default that does nothing.
pub trait Observer: Send {
    /// Training starts; the texts have been encoded.
    fn start(&mut self, _run: &RunSize) {}

    /// A batch was processed: `step` of `steps` in this epoch, both counted from 1.
    fn step(&mut self, _step: usize, _steps: usize, _loss: f32) {}

    /// A pass over the training rows ended.
    fn epoch(&mut self, _epoch: &EpochReport) {}
}

/// Ignores all events.
impl Observer for () {}
