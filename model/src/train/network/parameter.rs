//! The parameters of dense layers, and the layers' own passes.

use rayon::prelude::*;

use crate::train::ops::{
    Write, add, column_sums, normalise, normalise_backward, product, slope_by_input, slope_by_weight,
};

/// A named vector or matrix, with its gradient while it is trained.
#[derive(Clone, Debug)]
pub(in crate::train) struct Parameter {
    pub(in crate::train) name: String,
    pub(in crate::train) shape: Vec<usize>,
    pub(in crate::train) values: Vec<f32>,
    /// As many as values, summed up since the last step; empty while the parameter is frozen.
    pub(in crate::train) gradient: Vec<f32>,
}

impl Parameter {
    /// A frozen parameter; `values` are as many as `shape` says.
    pub(in crate::train) fn new(name: String, shape: Vec<usize>, values: Vec<f32>) -> Self {
        debug_assert_eq!(shape.iter().product::<usize>(), values.len(), "{name}");
        Self { name, shape, values, gradient: Vec::new() }
    }

    /// Whether steps change it.
    pub(in crate::train) fn is_trained(&self) -> bool {
        !self.gradient.is_empty()
    }

    /// Lets steps change it, or not.
    pub(in crate::train) fn set_trained(&mut self, is_trained: bool) {
        self.gradient = if is_trained { vec![0.0; self.values.len()] } else { Vec::new() };
    }
}

/// A dense layer, `y = x W + b`, with `W` as `[inputs, outputs]`.
pub(in crate::train) struct Linear {
    pub(super) weight: Parameter,
    pub(super) bias: Parameter,
}

impl Linear {
    pub(super) fn parameters(&self) -> [&Parameter; 2] {
        [&self.weight, &self.bias]
    }

    pub(super) fn parameters_mut(&mut self) -> [&mut Parameter; 2] {
        [&mut self.weight, &mut self.bias]
    }

    pub(super) fn inputs(&self) -> usize {
        self.weight.shape[0]
    }

    pub(super) fn outputs(&self) -> usize {
        self.weight.shape[1]
    }

    /// `x W`, without the bias, which callers add together with what they do next.
    pub(super) fn product(&self, x: &[f32], out: &mut [f32]) {
        product(x, &self.weight.values, self.inputs(), self.outputs(), out);
    }

    /// `x W + b`.
    pub(super) fn forward(&self, x: &[f32], out: &mut [f32]) {
        self.product(x, out);
        add_to_rows(out, &self.bias.values);
    }

    /// Adds to the gradients of what is trained, and writes the slope by `x` where it is wanted.
    pub(super) fn backward(&mut self, x: &[f32], slope: &[f32], by_input: Option<(&mut [f32], Write)>) {
        let (inputs, outputs) = (self.inputs(), self.outputs());
        if self.weight.is_trained() {
            slope_by_weight(x, slope, inputs, outputs, 1.0, &mut self.weight.gradient);
        }
        if self.bias.is_trained() {
            column_sums(slope, &mut self.bias.gradient);
        }
        if let Some((out, write)) = by_input {
            slope_by_input(slope, &self.weight.values, inputs, outputs, out, write);
        }
    }
}

/// Adds `values` to every row of `rows`.
pub(super) fn add_to_rows(rows: &mut [f32], values: &[f32]) {
    rows.par_chunks_mut(values.len()).with_min_len(64).for_each(|row| add(row, values));
}

/// Layer normalisation with a scale (`weight`) and a shift (`bias`).
pub(in crate::train) struct Norm {
    pub(super) weight: Parameter,
    pub(super) bias: Parameter,
    pub(super) epsilon: f32,
}

impl Norm {
    pub(super) fn parameters(&self) -> [&Parameter; 2] {
        [&self.weight, &self.bias]
    }

    pub(super) fn parameters_mut(&mut self) -> [&mut Parameter; 2] {
        [&mut self.weight, &mut self.bias]
    }

    /// Writes the normalised rows of `x` to `out`.
    pub(super) fn forward(&self, x: &[f32], out: &mut [f32]) {
        normalise(x, &self.weight.values, &self.bias.values, self.epsilon, out);
    }

    /// Replaces `slope`, by the output, by that by `x`, and adds to the gradients if they are trained.
    pub(super) fn backward(&mut self, x: &[f32], slope: &mut [f32]) {
        let gradients =
            self.weight.is_trained().then_some((&mut self.weight.gradient[..], &mut self.bias.gradient[..]));
        normalise_backward(x, &self.weight.values, self.epsilon, slope, gradients);
    }
}
