//! The differentiable operations of the encoder: candle custom ops with a forward and a backward pass.
//!
//! candle keeps the tape; the arithmetic is here, because candle's own CPU layer normalisation and
//! softmax have no backward pass (and say nothing about it), and because its element-wise operations
//! run on one thread. Every op takes contiguous `f32` tensors on the CPU and splits its work over the
//! current rayon pool in a way that does not change the order of any sum: a run is repeatable whatever
//! the number of threads.
//!
//! Not here: parameters, optimisation, and anything about tokens.

mod attention;
mod cross_entropy;
mod dropout;
mod exp;
mod gather;
mod gelu;
mod layer_norm;
mod linear;
mod matmul;
mod pool;

use candle_core::{CpuStorage, Layout, Result, Storage, Tensor, bail};

pub(super) use attention::Attention;
pub(super) use cross_entropy::CrossEntropy;
pub(super) use dropout::Dropout;
pub(super) use gather::{GatherSum, RowIndex};
pub(super) use gelu::Gelu;
pub(super) use layer_norm::LayerNorm;
pub(super) use linear::Linear;
pub(super) use pool::WeightedSum;

/// The values of a contiguous `f32` tensor in CPU storage.
fn values<'a>(storage: &'a CpuStorage, layout: &Layout, op: &str) -> Result<&'a [f32]> {
    let CpuStorage::F32(all) = storage else {
        bail!("{op}: wants f32 values");
    };
    match layout.contiguous_offsets().and_then(|(start, end)| all.get(start..end)) {
        Some(values) => Ok(values),
        None => bail!(
            "{op}: wants a contiguous tensor, got {:?} with strides {:?}",
            layout.shape(),
            layout.stride()
        ),
    }
}

/// As [`values`], of the storage that a tensor's guard gives in a backward pass.
fn guarded<'a>(storage: &'a Storage, layout: &Layout, op: &str) -> Result<&'a [f32]> {
    match storage {
        Storage::Cpu(storage) => values(storage, layout, op),
        _ => bail!("{op}: runs on the CPU only"),
    }
}

/// A gradient tensor of the shape of `like`.
fn gradient(values: Vec<f32>, like: &Tensor) -> Result<Option<Tensor>> {
    Tensor::from_vec(values, like.shape(), like.device()).map(Some)
}

#[cfg(test)]
mod testing {
    //! Backward passes against central finite differences.

    use candle_core::{Device, Result, Tensor, Var};
    use rand::{Rng, SeedableRng, rngs::SmallRng};

    /// A tensor of values in [-1, 1), the same for the same seed.
    pub(super) fn random(shape: &[usize], seed: u64) -> Tensor {
        let mut generator = SmallRng::seed_from_u64(seed);
        let values: Vec<f32> =
            (0..shape.iter().product()).map(|_| generator.random_range(-1.0..1.0)).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    /// Asserts that the gradients of `sum(weights * f(inputs))` agree with central differences.
    pub(super) fn check_gradients(inputs: &[Tensor], f: impl Fn(&[Tensor]) -> Result<Tensor>) {
        let variables: Vec<Var> = inputs.iter().map(|t| Var::from_tensor(t).unwrap()).collect();
        let tensors: Vec<Tensor> = variables.iter().map(|v| v.as_tensor().clone()).collect();
        let output = f(&tensors).unwrap();
        let weights = random(output.dims(), 99);
        let objective = |inputs: &[Tensor]| -> f64 {
            let weighted = (f(inputs).unwrap() * &weights).unwrap();
            weighted.flatten_all().unwrap().to_vec1::<f32>().unwrap().iter().map(|v| f64::from(*v)).sum()
        };
        let gradients = (output * &weights).unwrap().sum_all().unwrap().backward().unwrap();
        for (index, variable) in variables.iter().enumerate() {
            let gradient = gradients.get(variable.as_tensor()).expect("a gradient for every input");
            let gradient = gradient.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let values = inputs[index].flatten_all().unwrap().to_vec1::<f32>().unwrap();
            for position in 0..values.len() {
                let shifted = |delta: f32| {
                    let mut moved = values.clone();
                    moved[position] += delta;
                    let mut inputs = inputs.to_vec();
                    inputs[index] = Tensor::from_vec(moved, inputs[index].dims(), &Device::Cpu).unwrap();
                    objective(&inputs)
                };
                let step = 1e-2_f32;
                let expected = (shifted(step) - shifted(-step)) / (2.0 * f64::from(step));
                let got = f64::from(gradient[position]);
                assert!(
                    (expected - got).abs() <= 2e-3 * (1.0 + expected.abs()),
                    "input {index}, value {position}: finite difference {expected}, backward {got}"
                );
            }
        }
    }

    /// Asserts that two tensors have one shape and agree to `tolerance`.
    pub(super) fn assert_close(left: &Tensor, right: &Tensor, tolerance: f32) {
        assert_eq!(left.dims(), right.dims());
        let left = left.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let right = right.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for (position, (a, b)) in left.iter().zip(&right).enumerate() {
            assert!((a - b).abs() <= tolerance, "value {position}: {a} and {b}");
        }
    }
}
