//! The learning rate over a run: linear warm-up, then a cosine to zero (one cycle; Smith, 2018).
//!
//! The rate is a function of the completed share of the run, not of a number of steps, because epochs may
//! have different numbers of batches.

/// The completed share of a run in the middle of a step, in (0, 1): `batch` of `batches` in `epoch` of
/// `epochs`, both counted from 0.
pub(super) fn progress(epoch: usize, epochs: usize, batch: usize, batches: usize) -> f32 {
    // The middle of the step: at its beginning the first rate of the warm-up would be 0, at its end the last of all.
    ((epoch as f64 + (batch as f64 + 0.5) / batches as f64) / epochs as f64) as f32
}

/// The factor of the peak rate at `progress`; it rises during the first `warmup_share` of the run.
///
/// Never 0 inside the run.
pub(super) fn one_cycle(progress: f32, warmup_share: f32) -> f32 {
    if progress < warmup_share {
        return progress / warmup_share;
    }
    // `warmup_share` is below 1 (checked with the options), so this does not divide by zero.
    let descent = (progress - warmup_share) / (1.0 - warmup_share);
    0.5 * (1.0 + (std::f32::consts::PI * descent).cos())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_rate_rises_to_the_peak_and_falls_to_almost_zero() {
        let factors: Vec<f32> = (0..100).map(|batch| one_cycle(progress(0, 1, batch, 100), 0.1)).collect();
        assert!((factors[0] - 0.05).abs() < 1e-6 && (factors[9] - 0.95).abs() < 1e-6);
        assert!(factors[..10].windows(2).all(|pair| pair[0] < pair[1]));
        assert!(factors[10..].windows(2).all(|pair| pair[0] > pair[1]));
        assert!(factors[99] > 0.0 && factors[99] < 0.01);
    }

    proptest! {
        #[test]
        fn progress_is_steady_and_ends_with_the_run_if_epochs_differ_in_length(
            lengths in prop::collection::vec(50_usize..80, 1..8),
            warmup_share in 0.1_f32..0.9,
        ) {
            let epochs = lengths.len();
            let steps = |(epoch, batches): (usize, &usize)| {
                let batches = *batches;
                (0..batches).map(move |batch| progress(epoch, epochs, batch, batches)).collect::<Vec<_>>()
            };
            let run: Vec<f32> = lengths.iter().enumerate().flat_map(steps).collect();
            prop_assert!(run.iter().all(|progress| (0.0..1.0).contains(progress)));
            prop_assert!(run.windows(2).all(|pair| pair[0] < pair[1]));
            let factors: Vec<f32> = run.iter().map(|progress| one_cycle(*progress, warmup_share)).collect();
            prop_assert!(factors.iter().all(|factor| *factor > 0.0 && *factor <= 1.0));
            prop_assert!(factors.windows(2).all(|pair| (pair[0] - pair[1]).abs() < 0.5));
        }
    }
}
