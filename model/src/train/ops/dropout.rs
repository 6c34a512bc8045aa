//! Inverted dropout (Srivastava et al., 2014).

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{gradient, guarded, values};

/// Sets a share of the values to zero and scales the rest up, so that the expected value stays.
///
/// Which values: a hash of the seed and the position decides, so the backward pass needs no stored mask
/// and the result does not depend on the number of threads.
pub(in crate::train) struct Dropout {
    /// The share of values to drop, in [0, 1).
    pub(in crate::train) rate: f32,
    /// A new one for every use.
    pub(in crate::train) seed: u64,
}

const NAME: &str = "dropout";
const CHUNK: usize = 4096;

/// The finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

impl Dropout {
    fn apply(&self, values: &[f32]) -> Vec<f32> {
        let threshold = (f64::from(self.rate) * 2.0_f64.powi(32)) as u64;
        let scale = 1.0 / (1.0 - self.rate);
        let seed = mix(self.seed);
        let mut out = values.to_vec();
        out.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, values)| {
            for (offset, value) in values.iter_mut().enumerate() {
                let position = (chunk * CHUNK + offset) as u64;
                let draw = mix(seed.wrapping_add(position.wrapping_mul(0x9e37_79b9_7f4a_7c15))) >> 32;
                *value = if draw < threshold { 0.0 } else { *value * scale };
            }
        });
        out
    }
}

impl CustomOp1 for Dropout {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let out = self.apply(values(x, layout, NAME)?);
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _result: &Tensor, upstream: &Tensor) -> Result<Option<Tensor>> {
        let upstream = upstream.contiguous()?;
        let (guard, layout) = upstream.storage_and_layout();
        gradient(self.apply(guarded(&guard, layout, NAME)?), x)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check_gradients, random};
    use super::Dropout;
    use candle_core::{Device, Tensor};

    #[test]
    fn drops_the_asked_share_and_keeps_the_mean() {
        let x = Tensor::ones(100_000, candle_core::DType::F32, &Device::Cpu).unwrap();
        let out = x.apply_op1(Dropout { rate: 0.3, seed: 7 }).unwrap().to_vec1::<f32>().unwrap();
        let dropped = out.iter().filter(|value| **value == 0.0).count() as f32 / 100_000.0;
        assert!((dropped - 0.3).abs() < 0.01, "dropped {dropped}");
        let mean = out.iter().sum::<f32>() / 100_000.0;
        assert!((mean - 1.0).abs() < 0.01, "mean {mean}");
    }

    #[test]
    fn backward_uses_the_mask_of_the_forward_pass() {
        check_gradients(&[random(&[5, 6], 1)], |t| t[0].apply_op1(Dropout { rate: 0.4, seed: 3 }));
    }
}
