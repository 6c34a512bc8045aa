//! The training loss: cross-entropy against smoothed targets (Szegedy et al., 2016).

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::{gradient, guarded, values};

/// Mean over rows of `-sum(target * log softmax(logits))`; input `[rows, labels]`, output a scalar.
///
/// The target is `1 - smoothing` at the gold label plus `smoothing / labels` everywhere.
pub(in crate::train) struct CrossEntropy {
    /// The gold label of each row.
    pub(in crate::train) gold: Vec<usize>,
    /// The share of probability spread over all labels.
    pub(in crate::train) smoothing: f32,
}

const NAME: &str = "cross_entropy";

impl CrossEntropy {
    fn target(&self, row: usize, label: usize, labels: usize) -> f32 {
        let spread = self.smoothing / labels as f32;
        if self.gold.get(row) == Some(&label) { 1.0 - self.smoothing + spread } else { spread }
    }
}

/// The logarithm of the sum of exponentials, computed around the largest value.
fn log_sum_exp(row: &[f32]) -> f32 {
    let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    top + row.iter().map(|value| (value - top).exp()).sum::<f32>().ln()
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, labels) = layout.shape().dims2()?;
        if rows != self.gold.len() {
            bail!("{NAME}: {} gold labels for {rows} rows", self.gold.len());
        }
        let mut loss = 0.0_f64;
        for (row, logits) in values(logits, layout, NAME)?.chunks_exact(labels).enumerate() {
            let normaliser = log_sum_exp(logits);
            for (label, logit) in logits.iter().enumerate() {
                loss += f64::from(self.target(row, label, labels) * (normaliser - logit));
            }
        }
        Ok((CpuStorage::F32(vec![(loss / rows as f64) as f32]), Shape::from(())))
    }

    fn bwd(&self, logits: &Tensor, _result: &Tensor, upstream: &Tensor) -> Result<Option<Tensor>> {
        let (guard, layout) = logits.storage_and_layout();
        let mut out = guarded(&guard, layout, NAME)?.to_vec();
        let (rows, labels) = logits.dims2()?;
        let scale = upstream.to_scalar::<f32>()? / rows as f32;
        for (row, logits) in out.chunks_exact_mut(labels).enumerate() {
            let normaliser = log_sum_exp(logits);
            for (label, logit) in logits.iter_mut().enumerate() {
                *logit = scale * ((*logit - normaliser).exp() - self.target(row, label, labels));
            }
        }
        gradient(out, logits)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check_gradients, random};
    use super::CrossEntropy;
    use candle_core::{Device, Tensor};

    #[test]
    fn equal_logits_cost_the_logarithm_of_the_label_count() {
        let logits = Tensor::zeros((3, 8), candle_core::DType::F32, &Device::Cpu).unwrap();
        let op = CrossEntropy { gold: vec![0, 3, 7], smoothing: 0.1 };
        let loss = logits.apply_op1(op).unwrap().to_scalar::<f32>().unwrap();
        assert!((loss - 8.0_f32.ln()).abs() < 1e-6, "{loss}");
    }

    #[test]
    fn backward_agrees_with_finite_differences() {
        check_gradients(&[random(&[3, 4], 1)], |t| {
            t[0].apply_op1(CrossEntropy { gold: vec![2, 0, 3], smoothing: 0.2 })
        });
    }
}
