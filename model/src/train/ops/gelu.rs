//! The exact Gaussian error linear unit, `x * Phi(x)` (Hendrycks and Gimpel, 2016).

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::exp::exp;
use super::{gradient, guarded, values};

/// Element-wise GELU with the exact error function, as ONNX's `Erf` computes it.
pub(in crate::train) struct Gelu;

const NAME: &str = "gelu";
const CHUNK: usize = 4096;

/// The error function to about 1e-7: the rational approximation of Numerical Recipes (`erfcc`, §6.2)
/// has a relative error below 1.2e-7, that is `f32` precision.
#[inline]
fn erf(x: f32) -> f32 {
    let z = x.abs();
    let t = 1.0 / (1.0 + 0.5 * z);
    let polynomial = [
        0.170_872_77,
        -0.822_152_23,
        1.488_515_9,
        -1.135_204,
        0.278_868_07,
        -0.186_288_06,
        0.096_784_18,
        0.374_091_96,
        1.000_023_7,
        -1.265_512_2,
    ]
    .iter()
    .fold(0.0_f32, |sum, coefficient| sum * t + coefficient);
    let complement = t * exp(-z * z + polynomial);
    (1.0 - complement).copysign(x)
}

#[inline]
fn normal_cdf(x: f32) -> f32 {
    0.5 * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

#[inline]
fn normal_density(x: f32) -> f32 {
    const INVERSE_SQRT_TWO_PI: f32 = 0.398_942_3;
    INVERSE_SQRT_TWO_PI * exp(-0.5 * x * x)
}

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut out = values(x, layout, NAME)?.to_vec();
        out.par_chunks_mut(CHUNK).for_each(|chunk| chunk.iter_mut().for_each(|x| *x *= normal_cdf(*x)));
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _result: &Tensor, upstream: &Tensor) -> Result<Option<Tensor>> {
        let upstream = upstream.contiguous()?;
        let (x_guard, x_layout) = x.storage_and_layout();
        let (upstream_guard, upstream_layout) = upstream.storage_and_layout();
        let mut out = guarded(&x_guard, x_layout, NAME)?.to_vec();
        let slope = guarded(&upstream_guard, upstream_layout, NAME)?;
        out.par_chunks_mut(CHUNK).zip(slope.par_chunks(CHUNK)).for_each(|(chunk, slope)| {
            for (x, slope) in chunk.iter_mut().zip(slope) {
                *x = slope * (normal_cdf(*x) + *x * normal_density(*x));
            }
        });
        gradient(out, x)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, check_gradients, random};
    use super::Gelu;

    #[test]
    fn agrees_with_plain_gelu() {
        let x = (random(&[7, 300], 1) * 4.0).unwrap();
        assert_close(&x.apply_op1(Gelu).unwrap(), &x.gelu_erf().unwrap(), 2e-6);
    }

    #[test]
    fn backward_agrees_with_finite_differences() {
        check_gradients(&[(random(&[3, 7], 2) * 3.0).unwrap()], |t| t[0].apply_op1(Gelu));
    }
}
