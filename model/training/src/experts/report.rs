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
    let temperature = if gold.is_empty() { temperature } else { best_temperature(gold, logits) };
    report_at(name, (weight, temperature), gold, logits)
}

/// An expert with its weight and temperature as they are.
pub(super) fn report_at(
    name: &str,
    (weight, temperature): (f64, f64),
    gold: &[usize],
    logits: &[Vec<f32>],
) -> ExpertReport {
    let right = gold.iter().zip(logits).filter(|(gold, logits)| largest(logits) == **gold).count();
    ExpertReport {
        name: name.to_owned(),
        weight,
        temperature,
        dev_accuracy: (!gold.is_empty()).then(|| right as f64 / gold.len() as f64),
    }
}

/// The index of the largest value; the last of several.
pub(super) fn largest(values: &[f32]) -> usize {
    let best = values.iter().enumerate().max_by(|(_, left), (_, right)| left.total_cmp(right));
    best.map_or(0, |(index, _)| index)
}
