//! Measures which of two classifiers is faster, on a machine that other processes use at the same time.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::classifier::Classifier;
use crate::error::{ModelError, Result};

/// Rounds of [`measure_speed`].
const ROUNDS: usize = 5;

/// Documents per second of both models, from text to label.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    /// Documents per second of the champion.
    pub champion: f64,
    /// Documents per second of the challenger.
    pub challenger: f64,
}

/// Classifies `texts` with both models in turn, five times, and takes the fastest round of each: other load
/// on the machine can slow a round down, but never speed it up.
///
/// # Errors
///
/// There are no texts, or a model fails on them.
pub fn measure_speed(
    champion: &mut Classifier,
    challenger: &mut Classifier,
    texts: &[&str],
) -> Result<Speed> {
    if texts.is_empty() {
        return Err(ModelError::Evaluation("there are no texts to measure speed on".to_owned()));
    }
    let mut best = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        // In turn and not one after the other, so that a change of the load in the meantime meets both.
        best.0 = best.0.min(round(champion, texts)?);
        best.1 = best.1.min(round(challenger, texts)?);
    }
    let per_second = |time: Duration| texts.len() as f64 / time.as_secs_f64().max(f64::MIN_POSITIVE);
    Ok(Speed { champion: per_second(best.0), challenger: per_second(best.1) })
}

fn round(classifier: &mut Classifier, texts: &[&str]) -> Result<Duration> {
    let start = Instant::now();
    let encodings = classifier.encoder().encode_batch(texts)?;
    classifier.classify(&encodings)?;
    Ok(start.elapsed())
}
