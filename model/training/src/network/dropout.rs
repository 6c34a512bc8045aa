//! The dropout of one pass.

use crate::ops::Dropout;

/// Dropout of a pass: the rate, and a seed that changes with every use.
#[derive(Clone, Copy)]
pub(crate) struct DropoutSource {
    pub(crate) rate: f32,
    pub(crate) seed: u32,
}

impl DropoutSource {
    /// Drops nothing.
    pub(super) fn none() -> Self {
        Self { rate: 0.0, seed: 0 }
    }

    pub(super) fn next(&mut self) -> Dropout {
        // An odd step of about the golden ratio: the seeds of a pass lie far from each other.
        self.seed = self.seed.wrapping_add(0x9e37_79b9);
        Dropout::new(self.rate, self.seed)
    }
}
