//! `y = x W + b` over the last dimension.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::matmul::{Matrix, multiply};
use super::{gradient, guarded, values};

/// A dense layer: input `[.., inputs]`, weight `[inputs, outputs]`, bias `[outputs]`.
pub(in crate::train) struct Linear;

const NAME: &str = "linear";

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (inputs, outputs) = weight_layout.shape().dims2()?;
        let mut dims = x_layout.dims().to_vec();
        let rows = x_layout.shape().elem_count() / inputs.max(1);
        let x = Matrix::new(values(x, x_layout, NAME)?, rows, inputs, inputs);
        let weight = Matrix::new(values(weight, weight_layout, NAME)?, inputs, outputs, outputs);
        let bias = values(bias, bias_layout, NAME)?;
        let mut out = vec![0.0; rows * outputs];
        multiply(&mut out, outputs, x, weight, 1.0, true);
        out.par_chunks_mut(outputs).with_min_len(64).for_each(|row| {
            row.iter_mut().zip(bias).for_each(|(value, bias)| *value += bias);
        });
        if let Some(last) = dims.last_mut() {
            *last = outputs;
        }
        Ok((CpuStorage::F32(out), Shape::from(dims)))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _result: &Tensor,
        upstream: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let upstream = upstream.contiguous()?;
        let (x_guard, x_layout) = x.storage_and_layout();
        let (weight_guard, weight_layout) = weight.storage_and_layout();
        let (upstream_guard, upstream_layout) = upstream.storage_and_layout();
        let (inputs, outputs) = weight.dims2()?;
        let rows = x.elem_count() / inputs.max(1);
        let slope = guarded(&upstream_guard, upstream_layout, NAME)?;
        let slope_matrix = Matrix::new(slope, rows, outputs, outputs);
        let x_matrix = Matrix::new(guarded(&x_guard, x_layout, NAME)?, rows, inputs, inputs);
        let weight_matrix =
            Matrix::new(guarded(&weight_guard, weight_layout, NAME)?, inputs, outputs, outputs);

        let mut to_x = vec![0.0; rows * inputs];
        multiply(&mut to_x, inputs, slope_matrix, weight_matrix.transposed(), 1.0, true);
        let mut to_weight = vec![0.0; inputs * outputs];
        multiply(&mut to_weight, outputs, x_matrix.transposed(), slope_matrix, 1.0, true);
        let mut to_bias = vec![0.0; outputs];
        for row in slope.chunks_exact(outputs) {
            to_bias.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        Ok((gradient(to_x, x)?, gradient(to_weight, weight)?, gradient(to_bias, bias)?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, check_gradients, random};
    use super::Linear;

    #[test]
    fn agrees_with_plain_matmul() {
        let (x, weight, bias) = (random(&[2, 3, 4], 1), random(&[4, 5], 2), random(&[5], 3));
        let got = x.apply_op3(&weight, &bias, Linear).unwrap();
        let expected = x.broadcast_matmul(&weight).unwrap().broadcast_add(&bias).unwrap();
        assert_close(&got, &expected, 1e-5);
    }

    #[test]
    fn backward_agrees_with_finite_differences() {
        let inputs = [random(&[2, 3, 4], 4), random(&[4, 5], 5), random(&[5], 6)];
        check_gradients(&inputs, |t| t[0].apply_op3(&t[1], &t[2], Linear));
    }
}
