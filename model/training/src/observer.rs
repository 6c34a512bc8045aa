//! How a caller follows a run while it goes on.

use fenliu_model::training_report::{EpochReport, RunSize};

/// Follows a run, for a progress bar or a log. Every method may be left out.
pub trait Observer: Send {
    /// The texts are encoded; training begins.
    fn start(&mut self, _run: &RunSize) {}

    /// A batch was learnt: `step` of `steps` in this epoch, both counted from 1.
    fn step(&mut self, _step: usize, _steps: usize, _loss: f32) {}

    /// A pass over the training rows ended.
    fn epoch(&mut self, _epoch: &EpochReport) {}
}

/// Follows nothing.
impl Observer for () {}
