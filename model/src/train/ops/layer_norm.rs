//! Layer normalisation over the last dimension (Ba, Kiros and Hinton, 2016).

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{gradient, guarded, values};

/// `(x - mean) / sqrt(variance + epsilon) * scale + shift`; input `[.., width]`, scale and shift `[width]`.
pub(in crate::train) struct LayerNorm {
    /// Added to the variance.
    pub(in crate::train) epsilon: f32,
}

const NAME: &str = "layer_norm";
const MIN_ROWS: usize = 32;

/// Mean and inverse standard deviation of one row.
fn moments(row: &[f32], epsilon: f32) -> (f32, f32) {
    let width = row.len() as f32;
    let mean = row.iter().sum::<f32>() / width;
    let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / width;
    (mean, 1.0 / (variance + epsilon).sqrt())
}

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        scale: &CpuStorage,
        scale_layout: &Layout,
        shift: &CpuStorage,
        shift_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let epsilon = self.epsilon;
        let mut out = values(x, x_layout, NAME)?.to_vec();
        let scale = values(scale, scale_layout, NAME)?;
        let shift = values(shift, shift_layout, NAME)?;
        out.par_chunks_mut(scale.len()).with_min_len(MIN_ROWS).for_each(|row| {
            let (mean, inverse) = moments(row, epsilon);
            for ((x, scale), shift) in row.iter_mut().zip(scale).zip(shift) {
                *x = (*x - mean) * inverse * scale + shift;
            }
        });
        Ok((CpuStorage::F32(out), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        scale: &Tensor,
        shift: &Tensor,
        _result: &Tensor,
        upstream: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let upstream = upstream.contiguous()?;
        let (x_guard, x_layout) = x.storage_and_layout();
        let (scale_guard, scale_layout) = scale.storage_and_layout();
        let (upstream_guard, upstream_layout) = upstream.storage_and_layout();
        let x_values = guarded(&x_guard, x_layout, NAME)?;
        let scale_values = guarded(&scale_guard, scale_layout, NAME)?;
        let slope = guarded(&upstream_guard, upstream_layout, NAME)?;
        let width = scale_values.len();

        let mut to_x = x_values.to_vec();
        to_x.par_chunks_mut(width)
            .zip(slope.par_chunks(width))
            .with_min_len(MIN_ROWS)
            .for_each(|(row, slope)| row_gradient(row, slope, scale_values, self.epsilon));
        let (mut to_scale, mut to_shift) = (vec![0.0; width], vec![0.0; width]);
        for (row, slope) in x_values.chunks_exact(width).zip(slope.chunks_exact(width)) {
            let (mean, inverse) = moments(row, self.epsilon);
            for index in 0..width {
                to_scale[index] += slope[index] * (row[index] - mean) * inverse;
                to_shift[index] += slope[index];
            }
        }
        Ok((gradient(to_x, x)?, gradient(to_scale, scale)?, gradient(to_shift, shift)?))
    }
}

/// Replaces a row of the input by its gradient:
/// `inverse * (g - mean(g) - normalised * mean(g * normalised))` with `g = slope * scale`.
fn row_gradient(row: &mut [f32], slope: &[f32], scale: &[f32], epsilon: f32) {
    let (mean, inverse) = moments(row, epsilon);
    let width = row.len() as f32;
    let (mut sum, mut projected) = (0.0_f32, 0.0_f32);
    for ((x, slope), scale) in row.iter().zip(slope).zip(scale) {
        sum += slope * scale;
        projected += slope * scale * (x - mean) * inverse;
    }
    for ((x, slope), scale) in row.iter_mut().zip(slope).zip(scale) {
        let normalised = (*x - mean) * inverse;
        *x = inverse * (slope * scale - sum / width - normalised * projected / width);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, check_gradients, random};
    use super::LayerNorm;
    use candle_core::{D, Result, Tensor};

    const OP: LayerNorm = LayerNorm { epsilon: 1e-2 };

    fn plain(x: &Tensor, scale: &Tensor, shift: &Tensor) -> Result<Tensor> {
        let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
        let normalised = centred.broadcast_div(&(variance + f64::from(OP.epsilon))?.sqrt()?)?;
        normalised.broadcast_mul(scale)?.broadcast_add(shift)
    }

    #[test]
    fn agrees_with_plain_operations() {
        let (x, scale, shift) = (random(&[2, 5, 8], 1), random(&[8], 2), random(&[8], 3));
        let got = x.apply_op3(&scale, &shift, OP).unwrap();
        assert_close(&got, &plain(&x, &scale, &shift).unwrap(), 1e-5);
    }

    #[test]
    fn backward_agrees_with_finite_differences() {
        let inputs = [random(&[3, 8], 4), random(&[8], 5), random(&[8], 6)];
        check_gradients(&inputs, |t| t[0].apply_op3(&t[1], &t[2], OP));
    }
}
