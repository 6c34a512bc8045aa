//! Dense layers and normalisations, with their own passes.

use rand::{Rng, rngs::SmallRng};
use rayon::prelude::*;

use crate::ops::{
    Write, add, add_product, add_weight_gradient, column_sums, input_gradient, normalise, normalise_backward,
    product,
};
use crate::parameter::Parameter;

/// A dense layer, `y = x W + b`, with `W` as `[inputs, outputs]`; a low-rank product may be added to `W`.
pub(crate) struct Linear {
    pub(crate) weight: Parameter,
    pub(crate) bias: Parameter,
    pub(crate) low_rank: Option<LowRank>,
}

/// A product of two thin matrices that is trained in place of a full one (Hu et al., 2021).
pub(crate) struct LowRank {
    /// `[inputs, rank]`
    pub(crate) left: Parameter,
    /// `[rank, outputs]`
    pub(crate) right: Parameter,
    pub(crate) scale: f32,
    /// `W + scale * left * right`, computed once a step, so that passes are as fast as without the product.
    sum: Vec<f32>,
}

impl Linear {
    pub(crate) fn parameters(&self) -> Vec<&Parameter> {
        let low_rank = self.low_rank.iter().flat_map(|low_rank| [&low_rank.left, &low_rank.right]);
        [&self.weight, &self.bias].into_iter().chain(low_rank).collect()
    }

    pub(crate) fn parameters_mut(&mut self) -> Vec<&mut Parameter> {
        let low_rank =
            self.low_rank.iter_mut().flat_map(|low_rank| [&mut low_rank.left, &mut low_rank.right]);
        [&mut self.weight, &mut self.bias].into_iter().chain(low_rank).collect()
    }

    pub(crate) fn inputs(&self) -> usize {
        self.weight.shape[0]
    }

    pub(crate) fn outputs(&self) -> usize {
        self.weight.shape[1]
    }

    fn matrix(&self) -> &[f32] {
        self.low_rank.as_ref().map_or(&self.weight.values, |low_rank| &low_rank.sum)
    }

    /// `x W`. Callers add the bias in the same loop as their next operation.
    pub(crate) fn product(&self, x: &[f32], out: &mut [f32]) {
        product(x, self.matrix(), self.inputs(), self.outputs(), out);
    }

    /// `x W + b`.
    pub(crate) fn forward(&self, x: &[f32], out: &mut [f32]) {
        self.product(x, out);
        add_to_rows(out, &self.bias.values);
    }

    /// Adds to the gradients of the trained parameters, given the gradient of the output; and writes the
    /// gradient of `x` to `by_input`, if given.
    pub(crate) fn backward(&mut self, x: &[f32], gradient: &[f32], by_input: Option<(&mut [f32], Write)>) {
        let (inputs, outputs) = (self.inputs(), self.outputs());
        if self.weight.is_trained() {
            add_weight_gradient(x, gradient, inputs, outputs, 1.0, &mut self.weight.gradient);
        }
        if self.bias.is_trained() {
            column_sums(gradient, &mut self.bias.gradient);
        }
        if let Some(low_rank) = &mut self.low_rank {
            low_rank.backward(x, gradient, inputs, outputs);
        }
        if let Some((out, write)) = by_input {
            input_gradient(gradient, self.matrix(), inputs, outputs, out, write);
        }
    }

    /// Adds a trained low-rank product, which is zero at first.
    pub(crate) fn add_low_rank(&mut self, rank: usize, scale: f32, generator: &mut SmallRng) {
        let (inputs, outputs) = (self.inputs(), self.outputs());
        let name = self.weight.name.trim_end_matches(".weight");
        // As the reference implementation of LoRA starts: `kaiming_uniform_` with `a = sqrt(5)`, whose bound is the
        // inverse root of the number of inputs. The right matrix is zero, so training starts from the unchanged
        // layer.
        let range = 1.0 / (inputs as f32).sqrt();
        let values = (0..inputs * rank).map(|_| generator.random_range(-range..range)).collect();
        let mut left = Parameter::new(format!("{name}.low_rank_left"), vec![inputs, rank], values);
        let zeros = vec![0.0; rank * outputs];
        let mut right = Parameter::new(format!("{name}.low_rank_right"), vec![rank, outputs], zeros);
        left.set_trained(true);
        right.set_trained(true);
        self.low_rank = Some(LowRank { left, right, scale, sum: self.weight.values.clone() });
    }

    /// Computes the sum with the low-rank product again.
    pub(crate) fn refresh(&mut self) {
        if let Some(low_rank) = &mut self.low_rank {
            let LowRank { left, right, scale, sum } = low_rank;
            sum.copy_from_slice(&self.weight.values);
            add_product(&left.values, &right.values, right.shape[0], right.shape[1], *scale, sum);
        }
    }

    /// Replaces the matrix by its sum with the low-rank product.
    pub(crate) fn merge(&mut self) {
        self.refresh();
        if let Some(low_rank) = self.low_rank.take() {
            self.weight.values = low_rank.sum;
        }
    }
}

impl LowRank {
    fn backward(&mut self, x: &[f32], gradient: &[f32], inputs: usize, outputs: usize) {
        let rank = self.right.shape[0];
        // With `y = s x A B`: `dA = s x^T (dy B^T)` and `dB = s (x A)^T dy`. Products with the rank as inner size
        // are cheap; the gradient of the full matrix is never computed.
        let mut thin = vec![0.0; x.len() / inputs * rank];
        input_gradient(gradient, &self.right.values, rank, outputs, &mut thin, Write::Set);
        add_weight_gradient(x, &thin, inputs, rank, self.scale, &mut self.left.gradient);
        product(x, &self.left.values, inputs, rank, &mut thin);
        add_weight_gradient(&thin, gradient, rank, outputs, self.scale, &mut self.right.gradient);
    }
}

/// Adds `values` to every row of `rows`.
pub(crate) fn add_to_rows(rows: &mut [f32], values: &[f32]) {
    rows.par_chunks_mut(values.len()).with_min_len(64).for_each(|row| add(row, values));
}

/// Layer normalisation with a scale (`weight`) and a shift (`bias`).
pub(crate) struct Norm {
    pub(crate) weight: Parameter,
    pub(crate) bias: Parameter,
    pub(crate) epsilon: f32,
}

impl Norm {
    pub(crate) fn parameters(&self) -> [&Parameter; 2] {
        [&self.weight, &self.bias]
    }

    pub(crate) fn parameters_mut(&mut self) -> [&mut Parameter; 2] {
        [&mut self.weight, &mut self.bias]
    }

    /// Writes the normalised rows of `x` to `out`.
    pub(crate) fn forward(&self, x: &[f32], out: &mut [f32]) {
        normalise(x, &self.weight.values, &self.bias.values, self.epsilon, out);
    }

    /// Turns `gradient`, that of the output, into the gradient of `x`, in place; adds to the gradients of scale and
    /// shift if these are trained.
    pub(crate) fn backward(&mut self, x: &[f32], gradient: &mut [f32]) {
        let gradients =
            self.weight.is_trained().then_some((&mut self.weight.gradient[..], &mut self.bias.gradient[..]));
        normalise_backward(x, &self.weight.values, self.epsilon, gradient, gradients);
    }
}
