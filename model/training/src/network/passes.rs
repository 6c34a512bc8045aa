//! The interface of passes that a device computes instead of the network itself.

use fenliu_model::Result;

use super::{Buffers, DropoutSource, Network, Step, StepInput};
use crate::data::Batch;
use crate::ops::Loss;

/// Computes the passes of a network on a device. The results are those of [`Network::step`] and
/// [`Network::logits`], up to rounding.
pub(crate) trait Passes: Send {
    /// As [`Network::step`]; states that the batch brings are not used.
    ///
    /// # Errors
    ///
    /// The device fails, for example because its memory is full.
    fn step(
        &self,
        network: &mut Network,
        step_input: StepInput<'_>,
        dropout: DropoutSource,
        loss: &Loss,
        buffers: &mut Buffers,
    ) -> Result<Step>;

    /// As [`Network::logits`].
    ///
    /// # Errors
    ///
    /// As [`Passes::step`].
    fn logits(&self, network: &Network, batch: &Batch<'_>, buffers: &mut Buffers) -> Result<Vec<f32>>;
}
