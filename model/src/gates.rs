//! Gates: the conditions that a challenger must meet before it may replace the champion.
//!
//! A gate compares one number with one bound and describes the comparison in words. All gates are always
//! checked, so that a report shows every failure. This module does not measure anything: its inputs are
//! results of evaluations.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::compare::chance::at_least;
use crate::compare::{Comparison, Slice, Speed};
use crate::correctors::{Corrector, Correctors};
use crate::evaluate::{Evaluation, ReliabilityBin};

/// Bounds of the gates.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GateLimits {
    /// The lower end of the 95 % interval of the macro-F1 difference must be at least minus this. Default:
    /// 0.005.
    pub macro_f1_loss: f64,
    /// Largest accepted loss of accuracy on a slice, unless `chance` explains a larger one. Default: 0.02.
    pub slice_loss: f64,
    /// Slices with fewer rows are not checked. Default: 50.
    pub slice_rows: usize,
    /// Largest accepted loss of recall of a label, unless `chance` explains a larger one. Default: 0.05.
    pub class_loss: f64,
    /// Largest accepted loss of accuracy on the far rows, unless `chance` explains a larger one. Default: 0.005.
    pub far_loss: f64,
    /// A loss is explained by chance if models that are equally good show one as large with a higher probability (exact
    /// one-sided sign test). It is divided by the number of labels or slices, which are tested together. Default: 0.05.
    pub chance: f64,
    /// Largest accepted share of implausible corrections of one person ([`crate::correctors`]), unless a higher one is
    /// less rare than one in a thousand; 1 = any. Default: 0.4.
    pub implausible: f64,
    /// An expected calibration error up to this is always accepted. Default: 0.05.
    pub ece: f64,
    /// A higher expected calibration error may exceed the champion's by at most this. Default: 0.01.
    pub ece_rise: f64,
    /// Largest expected calibration error of a challenger that is less confident than it is right. Default: 0.15.
    pub ece_unsure: f64,
    /// Largest accepted difference of a logit between the trained network and the ONNX graph. Default: 1e-4.
    pub parity: f64,
    /// Lowest accepted ratio of the documents per second of challenger and champion. Default: 0.9.
    pub speed_share: f64,
    /// Fewest training rows of each label. With 0 a label may have no rows, and the model then forgets it.
    /// Default: 10.
    pub class_rows: usize,
}

impl Default for GateLimits {
    fn default() -> Self {
        Self {
            macro_f1_loss: 0.005,
            slice_loss: 0.02,
            slice_rows: 50,
            class_loss: 0.05,
            far_loss: 0.005,
            chance: 0.05,
            implausible: 0.4,
            ece: 0.05,
            ece_rise: 0.01,
            ece_unsure: 0.15,
            parity: 1e-4,
            speed_share: 0.9,
            class_rows: 10,
        }
    }
}

/// The inputs of the gates. Both models must have been evaluated on the same rows.
#[derive(Clone, Copy, Debug)]
pub struct GateInputs<'a> {
    /// The challenger on the test rows.
    pub challenger: &'a Evaluation,
    /// The champion on the test rows, and the comparison of both; `None` if there is no champion yet.
    pub champion: Option<(&'a Evaluation, &'a Comparison)>,
    /// Accuracy by slice of the test rows.
    pub slices: &'a [Slice],
    /// Recall of both by label of the test rows: slices that are named by a label.
    pub classes: &'a [Slice],
    /// Accuracy of both on labelled rows of another source; `None` if there are none, or no champion.
    pub far: Option<&'a Slice>,
    /// The corrections of each person beside the errors of the champion.
    pub correctors: &'a Correctors,
    /// Training rows of each label of the challenger, including labels without rows, which fine-tuning makes
    /// it forget.
    pub class_rows: &'a BTreeMap<String, usize>,
    /// Largest difference of a logit between the trained network and the ONNX graph.
    pub parity: f64,
    /// Documents per second of both; `None` if there is no champion yet.
    pub speed: Option<Speed>,
}

/// One comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// What is compared: `macro_f1`, `slice language=zh`.
    pub name: String,
    /// Whether the challenger meets the condition.
    pub passed: bool,
    /// The challenger's number.
    pub value: f64,
    /// The bound that it was compared with.
    pub bound: f64,
    /// The comparison in words.
    pub detail: String,
}

impl Gate {
    fn at_least(name: impl Into<String>, value: f64, bound: f64, detail: String) -> Self {
        Self { name: name.into(), passed: value >= bound - ROUNDING, value, bound, detail }
    }

    fn at_most(name: impl Into<String>, value: f64, bound: f64, detail: String) -> Self {
        Self { name: name.into(), passed: value <= bound + ROUNDING, value, bound, detail }
    }
}

/// Tolerance of comparisons, so that a value of exactly the bound passes although binary numbers are inexact.
const ROUNDING: f64 = 1e-9;

/// Whether every gate was passed.
pub fn passed(gates: &[Gate]) -> bool {
    gates.iter().all(|gate| gate.passed)
}

/// Checks all gates; those that need a champion are left out if there is none.
pub fn check(inputs: &GateInputs<'_>, limits: &GateLimits) -> Vec<Gate> {
    let mut gates = vec![majority(inputs.challenger)];
    gates.extend(inputs.champion.map(|(_, comparison)| macro_f1(comparison, limits)));
    gates.extend(inputs.champion.zip(inputs.far).and_then(|((_, near), far)| far_gate(near, far, limits)));
    gates.extend(class_gate(inputs.classes, limits));
    gates.extend(slice_gates(inputs.slices, limits));
    gates.extend(corrector_gate(inputs.correctors, limits));
    gates.push(calibration(inputs, limits));
    gates.extend(class_rows(inputs.class_rows, limits));
    gates.push(Gate::at_most(
        "parity",
        inputs.parity,
        limits.parity,
        format!("a logit of the ONNX graph differs by {:.1e} at most", inputs.parity),
    ));
    gates.extend(inputs.speed.map(|speed| speed_gate(speed, limits)));
    gates
}

/// The accuracy minus this many standard deviations must exceed that of always predicting the most frequent
/// label. One model in two thousand passes by chance.
const MAJORITY_DEVIATIONS: f64 = 3.29;

/// Refuses a model that has learnt nothing: its accuracy is at most the share of the most frequent label.
fn majority(challenger: &Evaluation) -> Gate {
    // By the labels of the test rows: a constant answer is right as often as its label occurs there.
    let most = challenger.per_class.iter().max_by_key(|class| class.support);
    let (label, support) = most.map_or(("", 0), |class| (class.label.as_str(), class.support));
    let share = support as f64 / challenger.rows.max(1) as f64;
    let low = wilson_low(challenger.accuracy, challenger.rows, MAJORITY_DEVIATIONS);
    Gate {
        name: "majority".to_owned(),
        passed: low > share,
        value: low,
        bound: share,
        detail: format!(
            "accuracy {:.4} on {} rows is surely above {low:.4}; always answering `{label}` gives {share:.4}",
            challenger.accuracy, challenger.rows
        ),
    }
}

/// Lower end of the score interval of a share (Wilson 1927).
fn wilson_low(share: f64, rows: usize, deviations: f64) -> f64 {
    let rows = rows.max(1) as f64;
    let square = deviations * deviations;
    let spread = (share * (1.0 - share) / rows + square / (4.0 * rows * rows)).sqrt();
    (share + square / (2.0 * rows) - deviations * spread) / (1.0 + square / rows)
}

fn macro_f1(comparison: &Comparison, limits: &GateLimits) -> Gate {
    let score = comparison.macro_f1;
    let detail = format!(
        "macro-F1 {:.4} against {:.4}: {:+.4}, 95 % interval {:+.4} to {:+.4}",
        score.challenger, score.champion, score.difference, score.low, score.high
    );
    Gate::at_least("macro_f1", score.low, -limits.macro_f1_loss, detail)
}

/// Compares both models on some rows. A loss above `bound` is refused if chance explains it with at most the
/// probability `chance`; `None` without a champion.
fn loss_gate(name: String, slice: &Slice, bound: f64, chance: f64) -> Option<Gate> {
    let champion = slice.champion?;
    let by_chance = slice.chance();
    let detail = format!(
        "accuracy {:.4} against {champion:.4} on {} rows ({} lost, {} gained: chance {by_chance:.1e})",
        slice.challenger, slice.rows, slice.lost, slice.gained
    );
    let gate = Gate::at_least(name, slice.challenger - champion, -bound, detail);
    Some(Gate { passed: gate.passed || by_chance > chance, ..gate })
}

fn slice_gates(slices: &[Slice], limits: &GateLimits) -> Vec<Gate> {
    let checked: Vec<&Slice> = slices.iter().filter(|slice| slice.rows >= limits.slice_rows).collect();
    let chance = limits.chance / checked.len().max(1) as f64;
    let gate = |slice: &&Slice| loss_gate(format!("slice {}", slice.name), slice, limits.slice_loss, chance);
    checked.iter().filter_map(gate).collect()
}

/// The label whose recall suffered most surely, first one that is refused.
fn class_gate(classes: &[Slice], limits: &GateLimits) -> Option<Gate> {
    let chance = limits.chance / classes.len().max(1) as f64;
    let gate = |class: &Slice| {
        let gate = loss_gate("class_recall".to_owned(), class, limits.class_loss, chance)?;
        let detail = format!("label `{}`: {}", class.name, gate.detail);
        Some((Gate { detail, ..gate }, class.chance()))
    };
    let gates = classes.iter().filter_map(gate);
    let order = |(gate, chance): &(Gate, f64), (other, of_other): &(Gate, f64)| {
        gate.passed.cmp(&other.passed).then(chance.total_cmp(of_other))
    };
    gates.min_by(order).map(|(gate, _)| gate)
}

/// A challenger may have learnt what holds only for text like the test rows.
fn far_gate(near: &Comparison, far: &Slice, limits: &GateLimits) -> Option<Gate> {
    let gate = loss_gate("far".to_owned(), far, limits.far_loss, limits.chance)?;
    let near = near.accuracy;
    let detail =
        format!("far {}; near accuracy {:.4} against {:.4}", gate.detail, near.challenger, near.champion);
    Some(Gate { detail, ..gate })
}

/// A person's share of implausible corrections above the accepted one counts if it is as rare as this.
const IMPLAUSIBLE_CHANCE: f64 = 0.001;

/// The corrector with the least probable number of implausible corrections; `None` if nothing is known of any.
fn corrector_gate(correctors: &Correctors, limits: &GateLimits) -> Option<Gate> {
    let accepted = limits.implausible.clamp(0.0, 1.0);
    let chance = |corrector: &Corrector| match accepted < 1.0 {
        true => at_least(corrector.implausible, corrector.corrections, accepted),
        false => 1.0,
    };
    let all = correctors.correctors.iter().map(|corrector| (corrector, chance(corrector)));
    let (worst, chance) = all.min_by(|(_, chance), (_, other)| chance.total_cmp(other))?;
    let by = worst.by.as_ref().map_or("of unnamed people".to_owned(), |by| format!("by `{by}`"));
    let detail = format!(
        "{} of {} corrections {by} have labels as improbable as those of a quarter of the champion's {} errors: chance \
         {chance:.1e}",
        worst.implausible, worst.corrections, correctors.errors
    );
    Some(Gate {
        name: "corrector".to_owned(),
        passed: chance > IMPLAUSIBLE_CHANCE / correctors.correctors.len() as f64,
        value: worst.implausible as f64 / worst.corrections.max(1) as f64,
        bound: accepted,
        detail,
    })
}

/// A label that is trusted and wrong costs more than one that is right and not trusted: so the error in bins whose
/// confidence exceeds their accuracy decides, and that of the other bins has a bound of its own, [`GateLimits::ece_unsure`].
fn calibration(inputs: &GateInputs<'_>, limits: &GateLimits) -> Gate {
    let ece = inputs.challenger.ece;
    let over = overconfidence(&inputs.challenger.reliability);
    let champion = inputs.champion.map(|(champion, _)| champion.ece);
    // A badly calibrated champion must not block its successor, and a very well calibrated one must not set a bound
    // that chance misses.
    let bound = champion.map_or(limits.ece, |champion| limits.ece.max(champion + limits.ece_rise));
    let against = champion.map_or(String::new(), |champion| format!(" against {champion:.4}"));
    let detail =
        format!("expected calibration error {ece:.4}{against}, of which {over:.4} is too much confidence");
    if over <= bound + ROUNDING && ece > bound {
        return Gate::at_most("calibration", ece, limits.ece_unsure.max(bound), detail);
    }
    Gate::at_most("calibration", ece, bound, detail)
}

/// The part of the expected calibration error that comes from bins whose confidence exceeds their accuracy.
fn overconfidence(bins: &[ReliabilityBin]) -> f64 {
    let rows: usize = bins.iter().map(|bin| bin.rows).sum();
    let excess = |bin: &ReliabilityBin| (bin.confidence - bin.accuracy).max(0.0) * bin.rows as f64;
    bins.iter().map(excess).sum::<f64>() / rows.max(1) as f64
}

fn class_rows(class_rows: &BTreeMap<String, usize>, limits: &GateLimits) -> Option<Gate> {
    let (label, rows) = class_rows.iter().min_by_key(|(_, rows)| **rows)?;
    let detail = match rows {
        0 => format!("the label `{label}` has no training rows: it would be forgotten"),
        rows => format!("the rarest label, `{label}`, has {rows} training rows"),
    };
    Some(Gate::at_least("class_rows", *rows as f64, limits.class_rows as f64, detail))
}

fn speed_gate(speed: Speed, limits: &GateLimits) -> Gate {
    let share = speed.challenger / speed.champion;
    let detail = format!("{:.0} documents a second against {:.0}", speed.challenger, speed.champion);
    Gate::at_least("speed", share, limits.speed_share, detail)
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::SmallRng};

    use super::*;
    use crate::compare::{paired_bootstrap, slices};
    use crate::evaluate::evaluate;
    use crate::probabilities::Probabilities;

    const LABELS: usize = 4;

    fn labels() -> Vec<String> {
        (0..LABELS).map(|label| format!("label-{label}")).collect()
    }

    /// A model that is correct in `share` of the rows and predicts a random label otherwise, with calibrated
    /// confidence.
    fn model(gold: &[usize], share: f64, generator: &mut SmallRng) -> Vec<Probabilities> {
        let confidence = (share + (1.0 - share) / LABELS as f64) as f32;
        let rest = (1.0 - confidence) / (LABELS - 1) as f32;
        gold.iter()
            .map(|gold| {
                let is_right = generator.random::<f64>() < share;
                let class = if is_right { *gold } else { generator.random_range(0..LABELS) };
                let logit = |label| if label == class { confidence.ln() } else { rest.ln() };
                Probabilities::from_logits(&(0..LABELS).map(logit).collect::<Vec<_>>())
            })
            .collect()
    }

    fn by_label(gold: &[usize]) -> Vec<Vec<String>> {
        gold.iter().map(|label| vec![format!("label-{label}")]).collect()
    }

    fn verdict(
        gold: &[usize],
        champion: Option<&[Probabilities]>,
        challenger: &[Probabilities],
    ) -> Vec<Gate> {
        let labels = labels();
        let evaluation = evaluate(&labels, gold, challenger).unwrap();
        let champion_evaluation = champion.map(|champion| evaluate(&labels, gold, champion).unwrap());
        let comparison =
            champion.map(|champion| paired_bootstrap(&labels, gold, champion, challenger, 200, 1).unwrap());
        let names: Vec<_> = (0..gold.len()).map(|row| vec![format!("half={}", row % 2)]).collect();
        let inputs = GateInputs {
            challenger: &evaluation,
            champion: champion_evaluation.as_ref().zip(comparison.as_ref()),
            slices: &slices(&names, gold, champion, challenger),
            classes: &slices(&by_label(gold), gold, champion, challenger),
            far: None,
            correctors: &Correctors::default(),
            class_rows: &labels.into_iter().map(|label| (label, 20)).collect(),
            parity: 1e-6,
            speed: Some(Speed { champion: 100.0, challenger: 95.0 }),
        };
        check(&inputs, &GateLimits::default())
    }

    fn failed(gates: &[Gate]) -> Vec<&str> {
        gates.iter().filter(|gate| !gate.passed).map(|gate| gate.name.as_str()).collect()
    }

    #[test]
    fn a_better_challenger_passes_and_a_worse_one_does_not() {
        let mut generator = SmallRng::seed_from_u64(1);
        let gold: Vec<usize> = (0..1000).map(|row| row % LABELS).collect();
        let champion = model(&gold, 0.8, &mut generator);
        let better = model(&gold, 0.95, &mut generator);
        let gates = verdict(&gold, Some(&champion), &better);
        assert!(passed(&gates), "{gates:?}");
        assert!(passed(&verdict(&gold, Some(&champion), &champion)), "an equal challenger passes");
        assert!(passed(&verdict(&gold, None, &better)), "the first one needs no champion");
        let gates = verdict(&gold, Some(&better), &champion);
        assert_eq!(failed(&gates), ["macro_f1", "class_recall", "slice half=0", "slice half=1"]);
    }

    /// Predictions of a model trained on shuffled labels are independent of the gold labels. It must fail
    /// whatever the distribution of the labels, with or without a champion.
    #[test]
    fn a_model_of_shuffled_labels_never_passes() {
        let mut generator = SmallRng::seed_from_u64(2);
        for (name, rows, classes) in
            [("balanced", 200, &[0, 1, 2, 3][..]), ("skewed", 300, &[0, 0, 0, 0, 0, 0, 0, 1, 2, 3])]
        {
            let gold: Vec<usize> = classes.iter().copied().cycle().take(rows).collect();
            let champion = model(&gold, 0.7, &mut generator);
            for _ in 0..200 {
                let mut shuffled = gold.clone();
                rand::seq::SliceRandom::shuffle(&mut shuffled[..], &mut generator);
                let challenger = model(&shuffled, 1.0 - f64::EPSILON, &mut generator);
                for champion in [Some(&champion[..]), None] {
                    let gates = verdict(&gold, champion, &challenger);
                    assert!(failed(&gates).contains(&"majority"), "{name}: {gates:?}");
                }
            }
            let constant = vec![Probabilities::from_logits(&[2.0, 0.0, 0.0, 0.0]); rows];
            assert!(failed(&verdict(&gold, None, &constant)).contains(&"majority"), "{name}");
        }
    }

    #[test]
    fn every_bound_refuses_values_beyond_it() {
        let gold: Vec<usize> = (0..100).map(|row| row % LABELS).collect();
        let right = model(&gold, 1.0 - 1e-6, &mut SmallRng::seed_from_u64(3));
        let evaluation = evaluate(&labels(), &gold, &right).unwrap();
        let comparison = paired_bootstrap(&labels(), &gold, &right, &right, 20, 1).unwrap();
        let slice = |rows: usize, challenger: f64| {
            [Slice { name: "s".to_owned(), rows, champion: Some(0.9), challenger, gained: 0, lost: 99 }]
        };
        let all = |slices: &[Slice], ece: f64, champion_ece: f64, rows: usize, parity: f64, speed: f64| {
            let with_ece = |ece: f64| Evaluation { ece, ..evaluation.clone() };
            let inputs = GateInputs {
                challenger: &with_ece(ece),
                champion: Some((&with_ece(champion_ece), &comparison)),
                slices,
                classes: &[],
                far: None,
                correctors: &Correctors::default(),
                class_rows: &BTreeMap::from([("a".to_owned(), rows), ("b".to_owned(), 99)]),
                parity,
                speed: Some(Speed { champion: 10.0, challenger: speed }),
            };
            let gates = check(&inputs, &GateLimits::default());
            failed(&gates).iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()
        };
        let fine = slice(50, 0.88);
        assert!(all(&fine, 0.05, 0.0, 10, 1e-4, 9.0).is_empty(), "each exactly at its bound");
        assert!(all(&fine, 0.09, 0.08, 10, 1e-4, 9.0).is_empty(), "the champion's calibration is no better");
        assert!(all(&slice(49, 0.5), 0.0, 0.0, 10, 0.0, 9.0).is_empty(), "too few rows to check");
        assert_eq!(all(&slice(50, 0.879), 0.0, 0.0, 10, 0.0, 9.0), ["slice s"]);
        assert_eq!(all(&fine, 0.0, 0.0, 9, 0.0, 9.0), ["class_rows"]);
        assert_eq!(all(&fine, 0.0, 0.0, 10, 1.1e-4, 9.0), ["parity"]);
        assert_eq!(all(&fine, 0.0, 0.0, 10, f64::NAN, 9.0), ["parity"]);
        assert_eq!(all(&fine, 0.0, 0.0, 10, 0.0, 8.9), ["speed"]);
    }

    /// Whether the calibration gate passes a challenger whose rows have this confidence and accuracy in one bin.
    fn calibrated(confidence: f64, accuracy: f64, champion_ece: f64) -> bool {
        let gold: Vec<usize> = (0..100).map(|row| row % LABELS).collect();
        let right = model(&gold, 1.0 - 1e-6, &mut SmallRng::seed_from_u64(3));
        let evaluation = evaluate(&labels(), &gold, &right).unwrap();
        let comparison = paired_bootstrap(&labels(), &gold, &right, &right, 20, 1).unwrap();
        let bin = ReliabilityBin { upper: 1.0, rows: 100, confidence, accuracy };
        let ece = (confidence - accuracy).abs();
        let champion = Evaluation { ece: champion_ece, ..evaluation.clone() };
        let inputs = GateInputs {
            challenger: &Evaluation { ece, reliability: vec![bin], ..evaluation },
            champion: Some((&champion, &comparison)),
            slices: &[],
            classes: &[],
            far: None,
            correctors: &Correctors::default(),
            class_rows: &BTreeMap::new(),
            parity: 0.0,
            speed: None,
        };
        calibration(&inputs, &GateLimits::default()).passed
    }

    #[test]
    fn too_much_confidence_is_refused_earlier_than_too_little() {
        assert!(calibrated(0.85, 0.80, 0.0), "at the bound that is always accepted");
        assert!(!calibrated(0.8501, 0.80, 0.0));
        assert!(calibrated(0.90, 0.80, 0.09), "at the champion's and the accepted rise");
        assert!(!calibrated(0.9001, 0.80, 0.09));
        assert!(calibrated(0.65, 0.80, 0.0), "at the bound of those that are not sure enough");
        assert!(!calibrated(0.6499, 0.80, 0.0));
        assert!(calibrated(0.50, 0.80, 0.30), "no worse than the champion");
    }

    fn rows(name: &str, rows: usize, champion: f64, gained: usize, lost: usize) -> Slice {
        let challenger = champion + (gained as f64 - lost as f64) / rows as f64;
        Slice { name: name.to_owned(), rows, champion: Some(champion), challenger, gained, lost }
    }

    #[test]
    fn a_loss_far_is_refused_with_both_figures_unless_chance_explains_it() {
        let gold: Vec<usize> = (0..100).map(|row| row % LABELS).collect();
        let right = model(&gold, 1.0 - 1e-6, &mut SmallRng::seed_from_u64(3));
        let near = paired_bootstrap(&labels(), &gold, &right, &right, 20, 1).unwrap();
        let gate = |far: Slice| far_gate(&near, &far, &GateLimits::default()).unwrap();
        let worse = gate(rows("far", 1000, 0.6, 10, 40));
        assert!(!worse.passed);
        let expected = "far accuracy 0.5700 against 0.6000 on 1000 rows (40 lost, 10 gained: chance 1.2e-5); near accuracy \
                        1.0000 against 1.0000";
        assert_eq!(worse.detail, expected);
        // P(at least 22 of 32) is 0.0251, P(at least 21 of 32) 0.0551.
        assert!(!gate(rows("far", 1000, 0.6, 10, 22)).passed);
        assert!(gate(rows("far", 1000, 0.6, 11, 21)).passed, "chance explains it");
        assert!(gate(rows("far", 2000, 0.6, 0, 10)).passed, "at the bound");
        assert!(!gate(rows("far", 2000, 0.6, 0, 11)).passed);
    }

    #[test]
    fn one_label_that_suffers_is_named() {
        let of = |a: Slice, b: Slice| class_gate(&[a, b], &GateLimits::default()).unwrap();
        let fine = || rows("a", 400, 0.8, 20, 2);
        // Two labels: the bound of chance is 0.025. P(at least 21 of 30) is 0.0214, P(at least 20 of 30) 0.0494.
        let gate = of(fine(), rows("b", 200, 0.8, 9, 21));
        assert!(
            !gate.passed && gate.detail.starts_with("label `b`: accuracy 0.7400 against 0.8000"),
            "{gate:?}"
        );
        assert!(of(fine(), rows("b", 200, 0.8, 10, 20)).passed);
        assert!(of(fine(), rows("b", 400, 0.8, 0, 20)).passed, "at the bound of the loss");
        assert!(!of(fine(), rows("b", 400, 0.8, 0, 21)).passed);
        let gate = of(rows("a", 4000, 0.8, 0, 40), rows("b", 400, 0.8, 0, 21));
        assert!(!gate.passed && gate.detail.contains("`b`"), "the surer loss of `a` is small: {gate:?}");
        assert_eq!(class_gate(&[], &GateLimits::default()), None);
    }

    #[test]
    fn a_slice_may_lose_what_chance_explains() {
        let gate = |slice: Slice| slice_gates(&[slice], &GateLimits::default()).remove(0);
        assert!(gate(rows("s", 100, 0.8, 3, 7)).passed, "chance 0.17");
        assert!(!gate(rows("s", 100, 0.8, 2, 9)).passed, "chance 0.033");
    }

    #[test]
    fn a_corrector_whose_labels_are_improbable_is_named() {
        let corrector = |by: &str, corrections, implausible| Corrector {
            by: Some(by.to_owned()).filter(|by| !by.is_empty()),
            corrections,
            implausible,
        };
        let gate = |correctors: Vec<Corrector>, limits: &GateLimits| {
            corrector_gate(&Correctors { errors: 99, plausible_from: 0.1, correctors }, limits)
        };
        let limits = GateLimits::default();
        // P(at least 16 of 20 with 0.4) is 0.00032, P(at least 15) 0.0016.
        let doubted = gate(vec![corrector("a", 60, 20), corrector("b", 20, 16)], &limits).unwrap();
        assert!(
            !doubted.passed && doubted.detail.starts_with("16 of 20 corrections by `b` have"),
            "{doubted:?}"
        );
        assert!(gate(vec![corrector("a", 60, 20), corrector("b", 20, 15)], &limits).unwrap().passed);
        // Alone the bound is 0.001, of four it is 0.00025.
        let four = ["b", "c", "d", ""].map(|by| corrector(by, 20, if by == "b" { 16 } else { 0 }));
        assert!(gate(four.to_vec(), &limits).unwrap().passed);
        let unnamed = gate(vec![corrector("", 20, 20)], &limits).unwrap();
        assert!(!unnamed.passed && unnamed.detail.contains("of unnamed people"), "{unnamed:?}");
        let any = GateLimits { implausible: 1.0, ..limits };
        assert!(gate(vec![corrector("b", 20, 20)], &any).unwrap().passed);
        assert_eq!(gate(vec![], &limits), None);
    }

    #[test]
    fn the_interval_is_wilsons() {
        // statsmodels: proportion_confint(80, 100, method="wilson") = (0.711170, 0.866633)
        assert!((wilson_low(0.8, 100, 1.959_964) - 0.711_170).abs() < 1e-5);
        assert!(wilson_low(0.0, 10, 1.96).abs() < 1e-12);
        assert!(wilson_low(1.0, 10, 1.96) < 0.75);
    }
}
