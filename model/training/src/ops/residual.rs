//! Residual sums: a layer's input plus its branches, with dropout of the branches.

use rayon::prelude::*;

use super::vector::vectorised;

/// Rows that one task works on.
const ROWS: usize = 32;
/// Values that one task works on where values have no rows.
const CHUNK: usize = 8192;

/// Inverted dropout (Srivastava et al., 2014): sets a share of the values to zero and scales the others up,
/// so that the expected value stays the same.
///
/// A hash of seed and position decides whether a value is dropped, so that the backward pass needs no stored
/// mask and the result does not depend on the number of threads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dropout {
    seed: u32,
    /// Values whose hash is below this are dropped.
    threshold: u32,
    /// The factor of the values that are not dropped.
    scale: f32,
}

impl Dropout {
    /// Drops nothing.
    pub(crate) const NONE: Self = Self { seed: 0, threshold: 0, scale: 1.0 };

    /// Drops the share `rate`, in [0, 1), of the values. Every use needs another `seed`.
    pub(crate) fn new(rate: f32, seed: u32) -> Self {
        if rate <= 0.0 {
            return Self::NONE;
        }
        Self { seed, threshold: (f64::from(rate) * 2.0_f64.powi(32)) as u32, scale: 1.0 / (1.0 - rate) }
    }

    /// Whether it changes nothing.
    pub(crate) fn is_none(&self) -> bool {
        self.threshold == 0
    }

    /// The factor of the value at `position`. The hash is C. Wellons' `lowbias32`.
    #[inline(always)]
    fn factor(&self, position: u32) -> f32 {
        // Consecutive positions are spread over all bits before the seed is mixed in. Otherwise two seeds that
        // differ in one low bit would only swap the decisions of neighbours.
        let mut hash = position.wrapping_mul(0x9e37_79b9) ^ self.seed;
        hash = (hash ^ (hash >> 16)).wrapping_mul(0x7feb_352d);
        hash = (hash ^ (hash >> 15)).wrapping_mul(0x846c_a68b);
        hash ^= hash >> 16;
        if hash < self.threshold { 0.0 } else { self.scale }
    }

    /// Applies dropout to `values`, activations in the forward pass and gradients in the backward pass;
    /// writes to `out`.
    pub(crate) fn apply(self, values: &[f32], out: &mut [f32]) {
        let chunks = values.par_chunks(CHUNK).zip(out.par_chunks_mut(CHUNK)).enumerate();
        chunks.for_each(|(chunk, (values, out))| {
            let start = (chunk * CHUNK) as u32;
            vectorised(|| {
                for ((offset, value), out) in (0..).zip(values).zip(out) {
                    *out = value * self.factor(start.wrapping_add(offset));
                }
            });
        });
    }
}

/// `branch = x + dropout(branch + bias)`, row by row.
pub(crate) fn add_branch(branch: &mut [f32], bias: &[f32], x: &[f32], dropout: Dropout) {
    let width = bias.len();
    let tasks = branch.par_chunks_mut(ROWS * width).zip(x.par_chunks(ROWS * width)).enumerate();
    tasks.for_each(|(task, (branch, x))| {
        let rows = branch.chunks_exact_mut(width).zip(x.chunks_exact(width)).enumerate();
        for (row, (branch, x)) in rows {
            // The position in the whole array, as `apply` counts it: the backward pass drops the same values with
            // `apply`.
            let start = ((task * ROWS + row) * width) as u32;
            vectorised(|| {
                for (((offset, branch), bias), x) in (0..).zip(branch).zip(bias).zip(x) {
                    *branch = x + (*branch + bias) * dropout.factor(start.wrapping_add(offset));
                }
            });
        }
    });
}

/// `sums += values`, element by element.
pub(crate) fn add(sums: &mut [f32], values: &[f32]) {
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropout_drops_its_share_and_keeps_the_mean() {
        let values = vec![1.0; 100_000];
        let mut out = vec![f32::NAN; values.len()];
        Dropout::new(0.2, 7).apply(&values, &mut out);
        let dropped = out.iter().filter(|value| **value == 0.0).count();
        assert!((19_000..21_000).contains(&dropped), "{dropped}");
        assert!(out.iter().all(|value| *value == 0.0 || (*value - 1.25).abs() < 1e-6));
        let mut other = vec![f32::NAN; values.len()];
        Dropout::new(0.2, 8).apply(&values, &mut other);
        let both = out.iter().zip(&other).filter(|(a, b)| **a == 0.0 && **b == 0.0).count();
        assert!((3_500..4_500).contains(&both), "seeds are independent: {both}");
    }

    #[test]
    fn forward_and_backward_pass_drop_the_same_values() {
        let (width, rows) = (6, 70);
        let dropout = Dropout::new(0.5, 3);
        let mut branch = vec![1.0; width * rows];
        add_branch(&mut branch, &vec![1.0; width], &vec![10.0; width * rows], dropout);
        let mut gradient = vec![f32::NAN; width * rows];
        dropout.apply(&vec![1.0; width * rows], &mut gradient);
        for (sum, gradient) in branch.iter().zip(&gradient) {
            assert_eq!(*sum, 10.0 + 2.0 * gradient);
        }
        assert!(Dropout::new(0.0, 1).is_none());
    }
}
