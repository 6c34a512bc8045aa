//! Layer normalisation over the last dimension (Ba, Kiros and Hinton, 2016): `(x - mean) / sqrt(variance +
//! epsilon) * scale + shift`.

use rayon::prelude::*;

use super::vector::{sum, sum_of, vectorised};

/// Rows that one task works on.
const ROWS: usize = 32;

/// Mean and inverse standard deviation of one row.
#[inline(always)]
fn moments(row: &[f32], epsilon: f32) -> (f32, f32) {
    let width = row.len() as f32;
    let mean = sum(row) / width;
    // From the differences to the mean: `E[x^2] - E[x]^2` would cancel where the mean is large.
    let variance = sum_of(row, row, |x, _| (x - mean) * (x - mean)) / width;
    (mean, 1.0 / (variance + epsilon).sqrt())
}

/// Writes each row of `x`, normalised, to `out`.
pub(crate) fn normalise(x: &[f32], scale: &[f32], shift: &[f32], epsilon: f32, out: &mut [f32]) {
    let width = scale.len();
    x.par_chunks(ROWS * width).zip(out.par_chunks_mut(ROWS * width)).for_each(|(x, out)| {
        vectorised(|| {
            for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
                let (mean, inverse) = moments(x, epsilon);
                for (((x, out), scale), shift) in x.iter().zip(out).zip(scale).zip(shift) {
                    *out = (x - mean) * inverse * scale + shift;
                }
            }
        });
    });
}

/// Replaces the gradient of the normalised rows by that of `x`; with `gradients`, adds to those of scale and
/// shift.
pub(crate) fn normalise_backward(
    x: &[f32],
    scale: &[f32],
    epsilon: f32,
    gradient: &mut [f32],
    gradients: Option<(&mut [f32], &mut [f32])>,
) {
    let width = scale.len();
    let is_trained = gradients.is_some();
    let tasks = x.par_chunks(ROWS * width).zip(gradient.par_chunks_mut(ROWS * width));
    let parts: Vec<(Vec<f32>, Vec<f32>)> = tasks
        .map(|(x, gradient)| {
            // For frozen parameters the sums are empty, so that `zip` ends before the first value.
            let size = if is_trained { width } else { 0 };
            let (mut to_scale, mut to_shift) = (vec![0.0; size], vec![0.0; size]);
            vectorised(|| {
                for (x, gradient) in x.chunks_exact(width).zip(gradient.chunks_exact_mut(width)) {
                    let (mean, inverse) = moments(x, epsilon);
                    for (((x, gradient), sum), shift_sum) in
                        x.iter().zip(gradient.iter()).zip(&mut to_scale).zip(&mut to_shift)
                    {
                        *sum += gradient * (x - mean) * inverse;
                        *shift_sum += gradient;
                    }
                    // Last: it overwrites the gradient that the sums above read.
                    row_backward(x, scale, gradient, mean, inverse);
                }
            });
            (to_scale, to_shift)
        })
        .collect();
    // Task by task in a fixed order, so that the sums do not depend on the number of threads.
    if let Some((scale_gradient, shift_gradient)) = gradients {
        for (to_scale, to_shift) in &parts {
            super::add(scale_gradient, to_scale);
            super::add(shift_gradient, to_shift);
        }
    }
}

/// `inverse * (g - mean(g) - normalised * mean(g * normalised))` with `g = gradient * scale`, in place of
/// `gradient`.
#[inline(always)]
fn row_backward(x: &[f32], scale: &[f32], gradient: &mut [f32], mean: f32, inverse: f32) {
    let width = x.len() as f32;
    gradient.iter_mut().zip(scale).for_each(|(gradient, scale)| *gradient *= scale);
    let average = sum(gradient) / width;
    let projected = sum_of(gradient, x, |gradient, x| gradient * (x - mean)) * inverse / width;
    for (x, gradient) in x.iter().zip(gradient) {
        *gradient = inverse * (*gradient - average - (x - mean) * inverse * projected);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{assert_close, check_gradient, random, weighted};
    use super::*;

    const EPSILON: f32 = 1e-5;
    const WIDTH: usize = 20;

    fn forward(x: &[f32], scale: &[f32], shift: &[f32]) -> Vec<f32> {
        let mut out = vec![f32::NAN; x.len()];
        normalise(x, scale, shift, EPSILON, &mut out);
        out
    }

    #[test]
    fn rows_get_mean_zero_and_variance_one() {
        let x = random(3 * WIDTH, 1);
        let out = forward(&x, &[1.0; WIDTH], &[0.0; WIDTH]);
        for row in out.chunks(WIDTH) {
            assert_close(&[row.iter().sum::<f32>()], &[0.0], 1e-5);
            assert_close(&[row.iter().map(|v| v * v).sum::<f32>() / WIDTH as f32], &[1.0], 1e-3);
        }
        let shifted = forward(&x, &[2.0; WIDTH], &[3.0; WIDTH]);
        let expected: Vec<f32> = out.iter().map(|v| 2.0 * v + 3.0).collect();
        assert_close(&shifted, &expected, 1e-5);
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        let (x, scale, shift) = (random(3 * WIDTH, 1), random(WIDTH, 2), random(WIDTH, 3));
        let weights = random(3 * WIDTH, 4);
        let (mut by_scale, mut by_shift) = (vec![0.0; WIDTH], vec![0.0; WIDTH]);
        let mut gradient = weights.clone();
        normalise_backward(&x, &scale, EPSILON, &mut gradient, Some((&mut by_scale, &mut by_shift)));
        check_gradient(&x, &gradient, |x| weighted(&forward(x, &scale, &shift), &weights));
        check_gradient(&scale, &by_scale, |scale| weighted(&forward(&x, scale, &shift), &weights));
        check_gradient(&shift, &by_shift, |shift| weighted(&forward(&x, &scale, shift), &weights));
        let mut frozen = weights.clone();
        normalise_backward(&x, &scale, EPSILON, &mut frozen, None);
        assert_eq!(
            frozen, gradient,
            "the gradient of the input does not depend on whether the parameters are trained"
        );
    }
}
