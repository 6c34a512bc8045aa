//! Means over the tokens of each document.

use rayon::prelude::*;

use super::residual::add;

/// Writes the mean of the rows `starts[i]..starts[i + 1]` of `x` to row `i` of `out`.
pub(crate) fn mean_rows(x: &[f32], starts: &[usize], width: usize, out: &mut [f32]) {
    out.par_chunks_mut(width).zip(starts.par_windows(2)).for_each(|(out, bounds)| {
        let rows = &x[bounds[0] * width..bounds[1] * width];
        out.fill(0.0);
        rows.chunks_exact(width).for_each(|row| add(out, row));
        let share = 1.0 / (bounds[1] - bounds[0]) as f32;
        out.iter_mut().for_each(|value| *value *= share);
    });
}

/// Adds the gradient of `x` to `out`; `gradient` is that of the means.
pub(crate) fn mean_rows_backward(gradient: &[f32], starts: &[usize], width: usize, out: &mut [f32]) {
    for (gradient, bounds) in gradient.chunks_exact(width).zip(starts.windows(2)) {
        let share = 1.0 / (bounds[1] - bounds[0]) as f32;
        for row in out[bounds[0] * width..bounds[1] * width].chunks_exact_mut(width) {
            row.iter_mut().zip(gradient).for_each(|(sum, gradient)| *sum += share * gradient);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{check_gradient, random, weighted};
    use super::*;

    #[test]
    fn gradients_agree_with_finite_differences() {
        let (starts, width) = ([0, 3, 4], 2);
        let forward = |x: &[f32]| {
            let mut out = vec![f32::NAN; 2 * width];
            mean_rows(x, &starts, width, &mut out);
            out
        };
        assert_eq!(forward(&[1.0, 2.0, 3.0, 4.0, 5.0, 9.0, 7.0, 8.0]), [3.0, 5.0, 7.0, 8.0]);
        let (x, gradient) = (random(4 * width, 1), random(2 * width, 2));
        let mut by_input = vec![0.0; x.len()];
        mean_rows_backward(&gradient, &starts, width, &mut by_input);
        check_gradient(&x, &by_input, |x| weighted(&forward(x), &gradient));
    }
}
