//! The learning rate over a run: linear warm-up, then a cosine to zero (one cycle; Smith, 2018).

/// A schedule of `steps` steps, the first `warmup` of them rising.
#[derive(Clone, Copy, Debug)]
pub(super) struct OneCycle {
    steps: usize,
    warmup: usize,
}

impl OneCycle {
    /// `warmup_share` of the steps rise; at least one does.
    pub(super) fn new(steps: usize, warmup_share: f32) -> Self {
        let warmup = (steps as f32 * warmup_share).round() as usize;
        Self { steps: steps.max(1), warmup: warmup.clamp(1, steps.max(1)) }
    }

    /// The factor of the peak rate at `step`, counted from 0; never 0 inside the run.
    pub(super) fn factor(&self, step: usize) -> f32 {
        if step < self.warmup {
            return (step + 1) as f32 / self.warmup as f32;
        }
        let progress = (step - self.warmup) as f32 / (self.steps - self.warmup).max(1) as f32;
        0.5 * (1.0 + (std::f32::consts::PI * progress.min(1.0)).cos())
    }
}

#[cfg(test)]
mod tests {
    use super::OneCycle;

    #[test]
    fn rises_to_the_peak_and_falls_to_almost_nothing() {
        let schedule = OneCycle::new(100, 0.1);
        let factors: Vec<f32> = (0..100).map(|step| schedule.factor(step)).collect();
        assert!((factors[0] - 0.1).abs() < 1e-6 && (factors[9] - 1.0).abs() < 1e-6);
        assert!(factors[..10].windows(2).all(|pair| pair[0] < pair[1]));
        assert!(factors[10..].windows(2).all(|pair| pair[0] > pair[1]));
        assert!(factors[99] > 0.0 && factors[99] < 0.01);
    }

    #[test]
    fn a_run_of_one_step_uses_the_peak() {
        assert_eq!(OneCycle::new(1, 0.1).factor(0), 1.0);
    }
}
