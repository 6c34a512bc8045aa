//! The temperature of an expert, and its accuracy alone.

use fenliu_model::best_temperature;
use fenliu_model::training_report::ExpertReport;

/// An expert with its weight, and its temperature: the best one for its `logits`, or the given one without rows.
pub(crate) fn report(
    name: &str,
    (weight, temperature): (f64, f64),
    gold: &[usize],
    logits: &[Vec<f32>],
) -> ExpertReport {
    let right = gold.iter().zip(logits).filter(|(gold, logits)| largest(logits) == **gold).count();
    let is_known = !gold.is_empty();
    ExpertReport {
        name: name.to_owned(),
        weight,
        temperature: if is_known { best_temperature(gold, logits) } else { temperature },
        dev_accuracy: is_known.then(|| right as f64 / gold.len() as f64),
    }
}

/// The index of the largest value; the last of several.
pub(super) fn largest(values: &[f32]) -> usize {
    let best = values.iter().enumerate().max_by(|(_, left), (_, right)| left.total_cmp(right));
    best.map_or(0, |(index, _)| index)
}
