//! AdamW with decoupled weight decay (Loshchilov and Hutter, 2019), and gradient clipping.

use candle_core::{Result, Tensor, Var};

/// The constants of the update rule.
#[derive(Clone, Copy, Debug)]
pub(super) struct AdamW {
    /// Decay of the running mean of gradients.
    pub(super) beta1: f32,
    /// Decay of the running mean of squared gradients.
    pub(super) beta2: f32,
    /// Added to the root of the second moment.
    pub(super) epsilon: f32,
    /// Share of a value taken off per step, times the learning rate.
    pub(super) weight_decay: f32,
}

impl AdamW {
    /// One update of `values` in place.
    ///
    /// `updates` counts this one; `scale` multiplies the gradient first.
    #[expect(clippy::too_many_arguments, reason = "the state of one parameter, which two owners keep apart")]
    pub(super) fn update(
        &self,
        values: &mut [f32],
        gradient: &[f32],
        scale: f32,
        first: &mut [f32],
        second: &mut [f32],
        updates: u32,
        rate: f32,
    ) {
        let updates = updates.min(i32::MAX as u32) as i32;
        let correct_first = 1.0 / (1.0 - self.beta1.powi(updates));
        let correct_second = 1.0 / (1.0 - self.beta2.powi(updates));
        let keep = 1.0 - rate * self.weight_decay;
        for (((value, gradient), first), second) in values.iter_mut().zip(gradient).zip(first).zip(second) {
            let gradient = gradient * scale;
            *first = self.beta1 * *first + (1.0 - self.beta1) * gradient;
            *second = self.beta2 * *second + (1.0 - self.beta2) * gradient * gradient;
            let step = *first * correct_first / ((*second * correct_second).sqrt() + self.epsilon);
            *value = *value * keep - rate * step;
        }
    }
}

/// The optimiser's state for the dense parameters, in their order.
pub(super) struct DenseState {
    moments: Vec<(Vec<f32>, Vec<f32>)>,
    updates: u32,
}

impl DenseState {
    /// Zero moments for every parameter.
    pub(super) fn new(parameters: &[(String, Var)]) -> Self {
        let zeros = |var: &Var| vec![0.0; var.elem_count()];
        Self { moments: parameters.iter().map(|(_, var)| (zeros(var), zeros(var))).collect(), updates: 0 }
    }

    /// Moves every parameter against its gradient. Vectors (biases, norms) are not decayed.
    pub(super) fn update(
        &mut self,
        parameters: &[(String, Var)],
        gradients: &[Vec<f32>],
        scale: f32,
        optimizer: &AdamW,
        rate: f32,
    ) -> Result<()> {
        self.updates += 1;
        let undecayed = AdamW { weight_decay: 0.0, ..*optimizer };
        for (((_, var), gradient), (first, second)) in parameters.iter().zip(gradients).zip(&mut self.moments)
        {
            let optimizer = if var.dims().len() > 1 { optimizer } else { &undecayed };
            let mut values = var.flatten_all()?.to_vec1::<f32>()?;
            optimizer.update(&mut values, gradient, scale, first, second, self.updates, rate);
            var.set(&Tensor::from_vec(values, var.shape(), var.device())?)?;
        }
        Ok(())
    }
}

/// The factor that brings the joint norm of `gradients` down to `limit` (Pascanu et al., 2013).
pub(super) fn clip_scale<'a>(gradients: impl Iterator<Item = &'a [f32]>, limit: f32) -> f32 {
    let squares: f64 =
        gradients.map(|values| values.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>()).sum();
    let norm = squares.sqrt() as f32;
    if norm > limit { limit / norm } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::{AdamW, clip_scale};

    const PLAIN: AdamW = AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0 };

    #[test]
    fn the_first_step_has_the_size_of_the_rate() {
        let (mut values, mut first, mut second) = ([1.0, 1.0], [0.0; 2], [0.0; 2]);
        PLAIN.update(&mut values, &[5.0, -0.01], 1.0, &mut first, &mut second, 1, 0.1);
        assert!((values[0] - 0.9).abs() < 1e-4 && (values[1] - 1.1).abs() < 1e-4, "{values:?}");
    }

    #[test]
    fn decay_is_decoupled_from_the_gradient() {
        let decaying = AdamW { weight_decay: 0.5, ..PLAIN };
        let (mut values, mut first, mut second) = ([2.0], [0.0], [0.0]);
        decaying.update(&mut values, &[0.0], 1.0, &mut first, &mut second, 1, 0.1);
        assert!((values[0] - 1.9).abs() < 1e-6, "{values:?}");
    }

    #[test]
    fn clipping_brings_the_joint_norm_to_the_limit() {
        let (left, right) = ([3.0_f32], [4.0_f32]);
        let scale = clip_scale([&left[..], &right[..]].into_iter(), 1.0);
        assert!((scale - 0.2).abs() < 1e-6, "{scale}");
        assert_eq!(clip_scale([&left[..]].into_iter(), 10.0), 1.0);
    }
}
