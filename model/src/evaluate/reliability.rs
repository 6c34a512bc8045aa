//! Reliability: the accuracy of predictions against their confidence.

use serde::{Deserialize, Serialize};

/// Number of equally wide confidence bins of the expected calibration error.
const BINS: usize = 15;

/// The prediction of one row: its highest probability, and whether that label is the gold label.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Prediction {
    pub(crate) confidence: f32,
    pub(crate) is_correct: bool,
}

/// The rows whose confidence lies in one interval, open below and closed above.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Upper end of the interval.
    pub upper: f64,
    /// Rows in the interval.
    pub rows: usize,
    /// Mean confidence of these rows; 0 without rows.
    pub confidence: f64,
    /// Share of these rows whose prediction is correct; 0 without rows.
    pub accuracy: f64,
}

/// Outcomes sorted into 15 equally wide bins, the lowest confidence first.
pub(crate) fn reliability(predictions: &[Prediction]) -> Vec<ReliabilityBin> {
    let upper = |bin: usize| (bin + 1) as f64 / BINS as f64;
    let mut bins: Vec<ReliabilityBin> =
        (0..BINS).map(|bin| ReliabilityBin { upper: upper(bin), ..ReliabilityBin::default() }).collect();
    for Prediction { confidence, is_correct } in predictions {
        let confidence = f64::from(*confidence);
        // `ceil`, since a bin contains its upper end; confidence 0 would be number 0 and goes to the first bin.
        let number = (confidence * BINS as f64).ceil() as usize;
        if let Some(bin) = bins.get_mut(number.clamp(1, BINS) - 1) {
            bin.rows += 1;
            bin.confidence += confidence;
            bin.accuracy += f64::from(u8::from(*is_correct));
        }
    }
    for bin in &mut bins {
        let rows = bin.rows.max(1) as f64;
        bin.confidence /= rows;
        bin.accuracy /= rows;
    }
    bins
}

/// Expected calibration error (Guo et al. 2017): the mean of |accuracy - confidence| over the bins, weighted by
/// their rows.
pub(crate) fn expected_error(bins: &[ReliabilityBin]) -> f64 {
    let rows: usize = bins.iter().map(|bin| bin.rows).sum();
    let weighted = |bin: &ReliabilityBin| (bin.accuracy - bin.confidence).abs() * bin.rows as f64;
    bins.iter().map(weighted).sum::<f64>() / rows.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calibration_error_is_taken_per_bin() {
        // Correct at 0.6 and wrong at 1.0: calibrated on average, but not within the bins.
        let predictions = [(0.6, true), (1.0, false), (0.0, false)]
            .map(|(confidence, is_correct)| Prediction { confidence, is_correct });
        let bins = reliability(&predictions);
        assert_eq!(bins.iter().map(|bin| bin.rows).sum::<usize>(), 3);
        assert_eq!((bins[0].rows, bins[14].rows, bins[14].upper), (1, 1, 1.0));
        assert!((expected_error(&bins) - 1.4 / 3.0).abs() < 1e-6);
        assert_eq!(expected_error(&reliability(&[])), 0.0);
    }
}
