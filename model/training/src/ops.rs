//! The arithmetic of the network: each operation with its forward and its backward pass, on plain slices.
//!
//! Contract: rows are contiguous, without padding. A forward pass overwrites its output. A backward pass
//! turns the gradient of the output into that of the input, in place where the shapes are equal, and *adds*
//! to the gradients of parameters, so that one step can sum over several batches. "The gradient of x" always
//! means that of the loss with respect to x. Work is divided among the threads of the current rayon pool
//! without changing the order of any sum, so that the result does not depend on their number. Callers
//! guarantee the shapes; a wrong shape is a mistake in the program and panics.
//!
//! Not here: parameters, optimisation, and anything about tokens.

mod activation;
mod attention;
mod cross_entropy;
mod exp;
mod gather;
mod linear;
mod matmul;
mod norm;
mod pool;
mod residual;
mod vector;

pub(super) use activation::{activate, activate_backward};
pub(super) use attention::{attention, attention_backward};
pub(super) use cross_entropy::{Loss, Target};
pub(super) use gather::{RowIndex, sum_rows};
pub(super) use linear::{add_product, add_weight_gradient, column_sums, input_gradient, product};
pub(super) use matmul::Write;
pub(super) use norm::{normalise, normalise_backward};
pub(super) use pool::{mean_rows, mean_rows_backward};
pub(super) use residual::{Dropout, add, add_branch};
pub(super) use vector::{squares, vectorised};

#[cfg(test)]
pub(super) use testing::{assert_close, check_gradient, random, weighted};

#[cfg(test)]
mod testing {
    //! Backward passes against central finite differences.

    use rand::{Rng, SeedableRng, rngs::SmallRng};

    /// Values in [-1, 1), the same for the same seed.
    pub(crate) fn random(count: usize, seed: u64) -> Vec<f32> {
        let mut generator = SmallRng::seed_from_u64(seed);
        (0..count).map(|_| generator.random_range(-1.0..1.0)).collect()
    }

    /// Asserts that `gradient` is that of `objective` at `values`, by central differences.
    pub(crate) fn check_gradient(values: &[f32], gradient: &[f32], objective: impl Fn(&[f32]) -> f64) {
        assert_eq!(values.len(), gradient.len());
        for (position, got) in gradient.iter().enumerate() {
            let shifted = |delta: f32| {
                let mut moved = values.to_vec();
                moved[position] += delta;
                objective(&moved)
            };
            let step = 1e-2_f32;
            let expected = (shifted(step) - shifted(-step)) / (2.0 * f64::from(step));
            assert!(
                (expected - f64::from(*got)).abs() <= 2e-3 * (1.0 + expected.abs()),
                "value {position}: finite difference {expected}, backward {got}"
            );
        }
    }

    /// `sum(weights * values)`: an objective whose gradient is `weights`.
    pub(crate) fn weighted(values: &[f32], weights: &[f32]) -> f64 {
        assert_eq!(values.len(), weights.len());
        values.iter().zip(weights).map(|(v, w)| f64::from(*v) * f64::from(*w)).sum()
    }

    /// Asserts that two slices agree to `tolerance`.
    pub(crate) fn assert_close(left: &[f32], right: &[f32], tolerance: f32) {
        assert_eq!(left.len(), right.len());
        for (position, (a, b)) in left.iter().zip(right).enumerate() {
            assert!((a - b).abs() <= tolerance, "value {position}: {a} and {b}");
        }
    }
}
