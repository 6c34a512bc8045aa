//! AdamW with decoupled weight decay (Loshchilov and Hutter, 2019), and gradient clipping.

use fenliu_model::Result;
use rayon::prelude::*;

use crate::ops::vectorised;
use crate::parameter::Parameter;
use crate::tensors::{Tensors, Vector};

/// The constants of the update rule.
#[derive(Clone, Copy, Debug)]
pub(super) struct AdamW {
    /// Decay of the running mean of gradients.
    pub(super) beta1: f32,
    /// Decay of the running mean of squared gradients.
    pub(super) beta2: f32,
    /// Added to the square root of the second moment, so that the division is defined.
    pub(super) epsilon: f32,
    /// Each step multiplies a value by one minus the learning rate times this.
    pub(super) weight_decay: f32,
}

/// Values to be updated, with their gradient and moments: four slices of one length.
pub(super) struct Moving<'a> {
    pub(super) values: &'a mut [f32],
    pub(super) gradient: &'a [f32],
    /// Running mean of the gradients.
    pub(super) first: &'a mut [f32],
    /// Running mean of the squared gradients.
    pub(super) second: &'a mut [f32],
}

/// The size of one update.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Factor of the gradient, for clipping and for the mean over the batches of a step.
    pub(super) scale: f32,
    /// Number of updates of these values so far, this one included.
    pub(super) updates: u32,
    /// The learning rate.
    pub(super) rate: f32,
}

impl AdamW {
    /// One update in place.
    pub(super) fn update(&self, moving: Moving<'_>, pace: Pace) {
        let Moving { values, gradient, first, second } = moving;
        let Pace { scale, updates, rate } = pace;
        let updates = updates.min(i32::MAX as u32) as i32;
        // The moments start at zero and are too small at first; this corrects them (Kingma and Ba, 2015, section
        // 3).
        let correct_first = 1.0 / (1.0 - self.beta1.powi(updates));
        let correct_second = 1.0 / (1.0 - self.beta2.powi(updates));
        // Decoupled: the decay is not part of the gradient, so the moments neither contain nor rescale it.
        let keep = 1.0 - rate * self.weight_decay;
        vectorised(|| {
            for (((value, gradient), first), second) in values.iter_mut().zip(gradient).zip(first).zip(second)
            {
                let gradient = gradient * scale;
                *first = self.beta1 * *first + (1.0 - self.beta1) * gradient;
                *second = self.beta2 * *second + (1.0 - self.beta2) * gradient * gradient;
                let step = *first * correct_first / ((*second * correct_second).sqrt() + self.epsilon);
                *value = *value * keep - rate * step;
            }
        });
    }
}

/// The optimiser's state for the dense parameters that are trained, in their order.
pub(super) struct DenseState {
    moments: Vec<Moments>,
    updates: u32,
}

/// Running means of one parameter's gradient and of its square.
struct Moments {
    first: Vec<f32>,
    second: Vec<f32>,
}

/// The part of a parameter that one task updates.
struct Share<'a> {
    values: &'a mut [f32],
    gradient: &'a mut [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
    rate: f32,
    optimizer: AdamW,
}

/// Values that one task updates.
const SHARE: usize = 16_384;

impl DenseState {
    /// Zero moments for every trained parameter.
    pub(super) fn new(parameters: &[&Parameter]) -> Self {
        let zeros = |parameter: &&&Parameter| {
            let count = parameter.values.len();
            Moments { first: vec![0.0; count], second: vec![0.0; count] }
        };
        let moments = parameters.iter().filter(|parameter| parameter.is_trained());
        Self { moments: moments.map(|parameter| zeros(&parameter)).collect(), updates: 0 }
    }

    /// Number of updates so far.
    pub(super) fn updates(&self) -> u32 {
        self.updates
    }

    /// Adds the moments of `parameters`, as `first/NAME` and `second/NAME`, and the number of updates.
    pub(super) fn save(&self, parameters: &[&Parameter], tensors: &mut Tensors) {
        let trained = parameters.iter().filter(|parameter| parameter.is_trained());
        for (parameter, moments) in trained.zip(&self.moments) {
            tensors.insert(&format!("first/{}", parameter.name), Vector::Floats(moments.first.clone()));
            tensors.insert(&format!("second/{}", parameter.name), Vector::Floats(moments.second.clone()));
        }
        tensors.insert("updates", Vector::Integers(vec![self.updates]));
    }

    /// Restores what [`DenseState::save`] saved.
    ///
    /// # Errors
    ///
    /// A part is missing or has another size.
    pub(super) fn restore(&mut self, parameters: &[&Parameter], tensors: &mut Tensors) -> Result<()> {
        let trained = parameters.iter().filter(|parameter| parameter.is_trained());
        for (parameter, moments) in trained.zip(&mut self.moments) {
            let count = parameter.values.len();
            moments.first = tensors.floats(&format!("first/{}", parameter.name), count)?;
            moments.second = tensors.floats(&format!("second/{}", parameter.name), count)?;
        }
        self.updates = tensors.integers("updates")?.first().copied().unwrap_or(0);
        Ok(())
    }

    /// Updates every trained parameter with its gradient times `scale` and the learning rate that `rate`
    /// returns for its name, then sets the gradient to zero. Weight decay does not apply to vectors (biases
    /// and norms).
    pub(super) fn update(
        &mut self,
        parameters: Vec<&mut Parameter>,
        scale: f32,
        optimizer: &AdamW,
        rate: impl Fn(&str) -> f32,
    ) {
        self.updates += 1;
        let updates = self.updates;
        let trained = parameters.into_iter().filter(|parameter| parameter.is_trained());
        let mut shares = Vec::new();
        for (parameter, moments) in trained.zip(&mut self.moments) {
            let rate = rate(&parameter.name);
            // Decay pulls values towards zero, which for the scale of a normalisation would be wrong: its neutral
            // value is 1.
            let weight_decay = if parameter.shape.len() > 1 { optimizer.weight_decay } else { 0.0 };
            let optimizer = AdamW { weight_decay, ..*optimizer };
            // Equal shares instead of whole parameters: one large matrix would otherwise keep a single thread busy.
            let slices = parameter.values.chunks_mut(SHARE).zip(parameter.gradient.chunks_mut(SHARE));
            let moments = moments.first.chunks_mut(SHARE).zip(moments.second.chunks_mut(SHARE));
            shares.extend(slices.zip(moments).map(|((values, gradient), (first, second))| Share {
                values,
                gradient,
                first,
                second,
                rate,
                optimizer,
            }));
        }
        shares.into_par_iter().for_each(|share| {
            let Share { values, gradient, first, second, rate, optimizer } = share;
            optimizer.update(Moving { values, gradient, first, second }, Pace { scale, updates, rate });
            // Passes add to gradients, so each step must begin with zeros.
            gradient.fill(0.0);
        });
    }
}

/// The factor that reduces a joint norm to `limit`; 1 if it is not larger (Pascanu et al., 2013).
pub(super) fn clip_scale(norm: f32, limit: f32) -> f32 {
    if norm > limit { limit / norm } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: AdamW = AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0 };
    const FIRST: Pace = Pace { scale: 1.0, updates: 1, rate: 0.1 };

    #[test]
    fn the_first_step_has_the_size_of_the_rate() {
        let (mut values, mut first, mut second) = ([1.0, 1.0], [0.0; 2], [0.0; 2]);
        let moving =
            Moving { values: &mut values, gradient: &[5.0, -0.01], first: &mut first, second: &mut second };
        PLAIN.update(moving, FIRST);
        assert!((values[0] - 0.9).abs() < 1e-4 && (values[1] - 1.1).abs() < 1e-4, "{values:?}");
    }

    #[test]
    fn decay_is_decoupled_from_the_gradient() {
        let decaying = AdamW { weight_decay: 0.5, ..PLAIN };
        let (mut values, mut first, mut second) = ([2.0], [0.0], [0.0]);
        let moving = Moving { values: &mut values, gradient: &[0.0], first: &mut first, second: &mut second };
        decaying.update(moving, FIRST);
        assert!((values[0] - 1.9).abs() < 1e-6, "{values:?}");
    }

    #[test]
    fn clipping_reduces_the_norm_to_the_limit() {
        assert_eq!((clip_scale(5.0, 1.0), clip_scale(5.0, 10.0)), (0.2, 1.0));
    }

    #[test]
    fn trained_parameters_are_updated_and_their_gradients_reset() {
        let parameter = |name: &str| Parameter::new(name.to_owned(), vec![2], vec![1.0; 2]);
        let (mut frozen, mut trained, mut slow) = (parameter("a"), parameter("b"), parameter("c"));
        for parameter in [&mut trained, &mut slow] {
            parameter.set_trained(true);
            parameter.gradient.fill(3.0);
        }
        let mut state = DenseState::new(&[&frozen, &trained, &slow]);
        let rate = |name: &str| if name == "c" { 0.01 } else { 0.1 };
        state.update(vec![&mut frozen, &mut trained, &mut slow], 1.0, &PLAIN, rate);
        assert_eq!(frozen.values, [1.0; 2]);
        assert!((trained.values[0] - 0.9).abs() < 1e-4 && (slow.values[1] - 0.99).abs() < 1e-4);
        assert_eq!(trained.gradient, [0.0; 2]);
    }
}
