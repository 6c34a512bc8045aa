//! Weighted sums over the tokens of each row.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::{gradient, guarded, values};

/// `out[row] = sum over tokens of weights[row, token] * x[row, token]`; input `[rows, tokens, width]`.
///
/// The weights are constants; padding has weight zero.
pub(in crate::train) struct WeightedSum {
    /// `rows * tokens` weights, row by row.
    pub(in crate::train) weights: Vec<f32>,
}

const NAME: &str = "weighted_sum";

impl CustomOp1 for WeightedSum {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, tokens, width) = layout.shape().dims3()?;
        if self.weights.len() != rows * tokens {
            bail!("{NAME}: {} weights for {rows} rows of {tokens} tokens", self.weights.len());
        }
        let x = values(x, layout, NAME)?;
        let mut out = vec![0.0; rows * width];
        out.par_chunks_mut(width)
            .zip(x.par_chunks(tokens * width))
            .zip(self.weights.par_chunks(tokens))
            .for_each(|((out, x), weights)| {
                for (x, weight) in x.chunks_exact(width).zip(weights) {
                    out.iter_mut().zip(x).for_each(|(sum, value)| *sum += weight * value);
                }
            });
        Ok((CpuStorage::F32(out), Shape::from((rows, width))))
    }

    fn bwd(&self, x: &Tensor, _result: &Tensor, upstream: &Tensor) -> Result<Option<Tensor>> {
        let upstream = upstream.contiguous()?;
        let (guard, layout) = upstream.storage_and_layout();
        let slope = guarded(&guard, layout, NAME)?;
        let (rows, tokens, width) = x.dims3()?;
        let mut out = vec![0.0; rows * tokens * width];
        out.par_chunks_mut(tokens * width)
            .zip(slope.par_chunks(width))
            .zip(self.weights.par_chunks(tokens))
            .for_each(|((out, slope), weights)| {
                for (out, weight) in out.chunks_exact_mut(width).zip(weights) {
                    out.iter_mut().zip(slope).for_each(|(value, slope)| *value = weight * slope);
                }
            });
        gradient(out, x)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, check_gradients, random};
    use super::WeightedSum;
    use candle_core::{Device, Tensor};

    fn op() -> WeightedSum {
        WeightedSum { weights: vec![0.5, 0.25, 0.0, 1.0, 2.0, -1.0] }
    }

    #[test]
    fn agrees_with_plain_operations() {
        let x = random(&[2, 3, 4], 1);
        let weights = Tensor::from_vec(op().weights, (2, 3, 1), &Device::Cpu).unwrap();
        let expected = x.broadcast_mul(&weights).unwrap().sum(1).unwrap();
        assert_close(&x.apply_op1(op()).unwrap(), &expected, 1e-6);
    }

    #[test]
    fn backward_agrees_with_finite_differences() {
        check_gradients(&[random(&[2, 3, 4], 2)], |t| t[0].apply_op1(op()));
    }
}
