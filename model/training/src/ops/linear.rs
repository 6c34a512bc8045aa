//! Products of a dense layer: `y = x W`, the gradients of `x` and of `W`, and column sums for the bias.

use rayon::prelude::*;

use super::matmul::{Matrix, Threads, Write, multiply};

/// Rows whose columns are summed up by one task.
const ROWS: usize = 128;

/// `out = x W`: `x` is `[rows, inputs]`, `weight` `[inputs, outputs]`, `out` `[rows, outputs]`.
pub(crate) fn product(x: &[f32], weight: &[f32], inputs: usize, outputs: usize, out: &mut [f32]) {
    let rows = x.len() / inputs;
    let x = Matrix::new(x, rows, inputs, inputs);
    let weight = Matrix::new(weight, inputs, outputs, outputs);
    multiply(out, outputs, x, weight, 1.0, Write::Set, Threads::All);
}

/// `out += scale * left * right`: `left` is `[rows, inner]`, `right` `[inner, outputs]`, `out` `[rows,
/// outputs]`.
pub(crate) fn add_product(
    left: &[f32],
    right: &[f32],
    inner: usize,
    outputs: usize,
    scale: f32,
    out: &mut [f32],
) {
    let left = Matrix::new(left, left.len() / inner, inner, inner);
    let right = Matrix::new(right, inner, outputs, outputs);
    multiply(out, outputs, left, right, scale, Write::Add, Threads::All);
}

/// Writes the gradient of `x` in `y = x W` to `out`, `[rows, inputs]`; `gradient` is that of `y`, `[rows,
/// outputs]`.
pub(crate) fn input_gradient(
    gradient: &[f32],
    weight: &[f32],
    inputs: usize,
    outputs: usize,
    out: &mut [f32],
    write: Write,
) {
    let gradient = Matrix::new(gradient, gradient.len() / outputs, outputs, outputs);
    let weight = Matrix::new(weight, inputs, outputs, outputs);
    multiply(out, inputs, gradient, weight.transposed(), 1.0, write, Threads::All);
}

/// Adds `scale` times the gradient of `W` in `y = x W` to `out`, `[inputs, outputs]`; `gradient` is that of
/// `y`.
pub(crate) fn add_weight_gradient(
    x: &[f32],
    gradient: &[f32],
    inputs: usize,
    outputs: usize,
    scale: f32,
    out: &mut [f32],
) {
    let rows = x.len() / inputs;
    let x = Matrix::new(x, rows, inputs, inputs);
    let gradient = Matrix::new(gradient, rows, outputs, outputs);
    multiply(out, outputs, x.transposed(), gradient, scale, Write::Add, Threads::All);
}

/// Adds the sum of the rows of `values` to `sums`.
pub(crate) fn column_sums(values: &[f32], sums: &mut [f32]) {
    let width = sums.len();
    let parts: Vec<Vec<f32>> = values
        .par_chunks(ROWS * width)
        .map(|rows| {
            let mut sums = vec![0.0; width];
            rows.chunks_exact(width).for_each(|row| super::add(&mut sums, row));
            sums
        })
        .collect();
    // In the order of the rows, so that the sum does not depend on the number of threads.
    parts.iter().for_each(|part| super::add(sums, part));
}

#[cfg(test)]
mod tests {
    use super::super::{assert_close, check_gradient, random, weighted};
    use super::*;

    const INPUTS: usize = 4;
    const OUTPUTS: usize = 5;

    fn forward(x: &[f32], weight: &[f32]) -> Vec<f32> {
        let mut out = vec![f32::NAN; x.len() / INPUTS * OUTPUTS];
        product(x, weight, INPUTS, OUTPUTS, &mut out);
        out
    }

    #[test]
    fn agrees_with_a_plain_product() {
        let (x, weight) = (random(3 * INPUTS, 1), random(INPUTS * OUTPUTS, 2));
        let expected: Vec<f32> = (0..3 * OUTPUTS)
            .map(|at| {
                (0..INPUTS).map(|k| x[at / OUTPUTS * INPUTS + k] * weight[k * OUTPUTS + at % OUTPUTS]).sum()
            })
            .collect();
        assert_close(&forward(&x, &weight), &expected, 1e-6);
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        let (x, weight, gradient) =
            (random(3 * INPUTS, 1), random(INPUTS * OUTPUTS, 2), random(3 * OUTPUTS, 3));
        let mut by_input = vec![f32::NAN; x.len()];
        input_gradient(&gradient, &weight, INPUTS, OUTPUTS, &mut by_input, Write::Set);
        check_gradient(&x, &by_input, |x| weighted(&forward(x, &weight), &gradient));
        let mut by_weight = vec![0.0; weight.len()];
        add_weight_gradient(&x, &gradient, INPUTS, OUTPUTS, 1.0, &mut by_weight);
        check_gradient(&weight, &by_weight, |weight| weighted(&forward(&x, weight), &gradient));
    }

    #[test]
    fn column_sums_are_added() {
        let values: Vec<f32> = (0..1000).map(|value| (value % 10) as f32).collect();
        let mut sums = vec![1.0; 10];
        column_sums(&values, &mut sums);
        let expected: Vec<f32> = (0..10).map(|column| 1.0 + 100.0 * column as f32).collect();
        assert_eq!(sums, expected);
    }
}
