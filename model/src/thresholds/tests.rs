//! The rule as a whole: on synthetic sources, over many orders and cuts, and with other instances.

use proptest::prelude::*;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::goal::{SourceGoals, goal};
use super::*;
use crate::evaluate::reliability::Prediction;

const RULE: Rule = Rule { goal: 0.92, default_threshold: 0.77, window: 200 };

fn identity() -> Identity {
    Identity { pipeline: "news".into(), model: "headlines".into(), version: "v1".into() }
}

fn thresholds(rule: Rule) -> SourceThresholds {
    SourceThresholds::new(identity(), rule, Newest::default())
}

/// Rows whose confidence is the probability that they are right; the larger `skill`, the surer they are.
fn calibrated(rows: usize, skill: f64, seed: u64) -> Vec<Prediction> {
    let mut generator = SmallRng::seed_from_u64(seed);
    let row = |_| {
        let confidence = generator.random::<f64>().powf(1.0 / skill).max(0.1);
        Prediction { confidence: confidence as f32, is_correct: generator.random::<f64>() < confidence }
    };
    (0..rows).map(row).collect()
}

/// Share of the trusted rows, and share of them that is right.
fn trusted(rows: &[Prediction], threshold: f32) -> (f64, f64) {
    let trusted: Vec<_> = rows.iter().filter(|row| row.confidence >= threshold).collect();
    let right = trusted.iter().filter(|row| row.is_correct).count();
    (trusted.len() as f64 / rows.len() as f64, right as f64 / trusted.len().max(1) as f64)
}

#[test]
fn a_calibrated_source_is_trusted_as_precisely_as_the_goal_says() {
    for (skill, seed) in [(1.0, 1), (3.0, 2), (8.0, 3)] {
        let rows = calibrated(20_000, skill, seed);
        let mut thresholds = thresholds(RULE);
        rows.iter().for_each(|row| thresholds.observe("s", row.confidence));
        thresholds.publish();
        let all = Snapshot::fit(identity(), RULE, rows.iter().map(|row| ("s", row.confidence)));
        let unseen = calibrated(200_000, skill, seed + 100);
        let (share, precision) = trusted(&unseen, all.threshold("s"));
        assert!(precision >= 0.91, "skill {skill}: {precision} of {share}");
        assert!(share > 0.1, "skill {skill}: {share}");
        // A window of 200 to 400 documents is less certain.
        let (_, precision) = trusted(&unseen, thresholds.current().threshold("s"));
        assert!(precision >= 0.9, "skill {skill}: {precision}");
    }
}

#[test]
fn windows_of_two_hundred_documents_keep_the_goal_on_average() {
    let unseen = calibrated(100_000, 2.0, 5);
    let precision = |seed| {
        let mut thresholds = thresholds(RULE);
        calibrated(200, 2.0, seed).iter().for_each(|row| thresholds.observe("s", row.confidence));
        thresholds.publish();
        trusted(&unseen, thresholds.current().threshold("s")).1
    };
    let mean = (10..60).map(precision).sum::<f64>() / 50.0;
    assert!((0.91..0.94).contains(&mean), "{mean}");
}

#[test]
fn the_default_threshold_holds_until_the_first_block_is_full() {
    let mut thresholds = thresholds(RULE);
    for row in 0..199 {
        thresholds.observe("s", 0.95);
        assert_eq!(thresholds.publish(), row == 0, "a new source, and then nothing new");
        assert_eq!(thresholds.current().threshold("s"), 0.77);
    }
    let before = thresholds.current();
    thresholds.observe("s", 0.95);
    assert_eq!(thresholds.current().threshold("s"), 0.77, "it changes between batches only");
    assert!(thresholds.publish());
    let after = thresholds.current();
    assert!((after.threshold("s") - 0.95).abs() < 1e-3, "{}", after.threshold("s"));
    assert_eq!((after.number, before.threshold("s")), (before.number + 1, 0.77));
}

#[test]
fn a_restart_continues_and_other_instances_help_until_there_are_enough_documents() {
    let root = tempfile::tempdir().unwrap();
    let store = |instance| Store::new(root.path(), identity(), instance);
    let open = |instance| SourceThresholds::new(identity(), RULE, store(instance).newest().unwrap());
    let mut first = open("a");
    (0..150).for_each(|_| first.observe("s", 0.95));
    first.publish();
    store("a").save(&first.state().unwrap()).unwrap();

    let mut second = open("b");
    assert_eq!(second.current().threshold("s"), 0.77, "150 documents are too few");
    (0..150).for_each(|_| second.observe("s", 0.98));
    second.publish();
    store("b").save(&second.state().unwrap()).unwrap();

    // 300 documents of both.
    let again = open("a");
    assert!((again.current().threshold("s") - 0.95).abs() < 1e-3);
    assert!(again.current().number > first.current().number);
    assert_eq!(again.state().unwrap().histograms, first.state().unwrap().histograms, "none is counted twice");

    let mut third = open("c");
    assert!((third.current().threshold("s") - 0.95).abs() < 1e-3);
    (0..200).for_each(|_| third.observe("s", 0.98));
    third.publish();
    assert!((third.current().threshold("s") - 0.98).abs() < 1e-3, "its own are enough now");
}

#[test]
fn pinned_thresholds_stay() {
    let sample = Snapshot::fit(identity(), RULE, (0..300).map(|_| ("s", 0.95)));
    let mut pinned = SourceThresholds::pinned(sample);
    let before = pinned.current();
    (0..5000).for_each(|_| pinned.observe("s", 0.99));
    assert!(!pinned.publish() && pinned.state().is_none());
    assert_eq!(pinned.current(), before);
}

#[test]
fn a_goal_reaches_its_precision_on_the_calibration_rows() {
    let rows = calibrated(5000, 4.0, 9);
    let goals = SourceGoals::fit(&rows).unwrap();
    assert!(goals.problem().is_none() && goals.goals.len() >= 15, "{goals:?}");
    for wanted in &goals.goals {
        let mut histogram = Histogram::default();
        rows.iter().for_each(|row| histogram.observe(row.confidence));
        let (share, precision) = trusted(&rows, histogram.threshold(wanted.mean_confidence));
        assert!(precision >= wanted.precision, "{wanted:?}: {precision}");
        assert!(wanted.trusted == 1.0 || (share - wanted.trusted).abs() < 1e-9, "{wanted:?}: {share}");
        // These confidences mean what they say, so the goal is about the precision.
        assert!((f64::from(wanted.mean_confidence) - wanted.precision).abs() < 0.02, "{wanted:?}");
    }
    assert_eq!(goals.goal(None).unwrap().precision, 0.94);
    assert_eq!(goals.goal(Some(0.9)).unwrap().precision, 0.9);
    let error = goals.goal(Some(0.5)).unwrap_err().to_string();
    assert!(error.contains("`target` is 0.5") && error.contains("0.94"), "{error}");
}

#[test]
fn a_model_that_is_better_than_wanted_has_a_goal_below_its_mean() {
    // All at 0.96, of which 97 % are right.
    let rows: Vec<Prediction> =
        (0..1000).map(|row| Prediction { confidence: 0.96, is_correct: row % 100 >= 3 }).collect();
    let wanted = goal(&rows, 0.94).unwrap();
    assert!((wanted.mean_confidence - 0.93).abs() < 1e-6 && wanted.trusted == 1.0, "{wanted:?}");
    assert_eq!(goal(&rows, 0.98), None);
    assert_eq!(goal(&rows[..99], 0.9), None, "too few rows");
    assert!(SourceGoals::fit(&[]).is_none());
}

proptest! {
    #[test]
    fn a_higher_target_never_has_a_lower_goal(
        rows in prop::collection::vec((0.0_f32..=1.0, prop::bool::weighted(0.8)), 100..400),
        targets in (0.5_f64..1.0, 0.5_f64..1.0),
    ) {
        let rows: Vec<Prediction> =
            rows.into_iter().map(|(confidence, is_correct)| Prediction { confidence, is_correct }).collect();
        let (low, high) = (targets.0.min(targets.1), targets.0.max(targets.1));
        match (goal(&rows, low), goal(&rows, high)) {
            (Some(low), Some(high)) => {
                prop_assert!(low.mean_confidence <= high.mean_confidence, "{:?} {:?}", low, high);
                prop_assert!(low.default_threshold <= high.default_threshold);
            }
            (None, higher) => prop_assert!(higher.is_none()),
            (Some(_), None) => {}
        }
    }

    #[test]
    fn a_threshold_is_a_share_and_rises_with_the_goal(
        confidences in prop::collection::vec(0.0_f32..=1.0, 0..300),
        goals in (0.0_f32..=1.0, 0.0_f32..=1.0),
    ) {
        let mut histogram = Histogram::default();
        confidences.iter().for_each(|confidence| histogram.observe(*confidence));
        let (low, high) = (goals.0.min(goals.1), goals.0.max(goals.1));
        let threshold = histogram.threshold(high);
        prop_assert!((0.0..=1.0).contains(&threshold));
        prop_assert!(histogram.threshold(low) <= threshold);
        // Those that reach it have the mean that was asked for.
        let reaching = confidences.iter().filter(|confidence| **confidence >= threshold);
        let (sum, rows) = reaching.fold((0.0, 0), |(sum, rows), c| (sum + f64::from(*c), rows + 1));
        prop_assert!(threshold == 1.0 || sum / f64::from(rows) >= f64::from(high) - 1e-6);
    }

    #[test]
    fn order_and_grouping_change_nothing_within_a_block(
        rows in prop::collection::vec((0_usize..5, 0.0_f32..=1.0, 0_usize..3), 1..200),
        seed: u64,
    ) {
        let observe = |rows: &[(usize, f32, usize)]| {
            let mut sources = Sources::default();
            for (source, confidence, _) in rows {
                sources.observe(&format!("s{source}"), *confidence, 1000);
            }
            sources
        };
        let mut shuffled = rows.clone();
        let mut generator = SmallRng::seed_from_u64(seed);
        (1..shuffled.len()).for_each(|row| shuffled.swap(row, generator.random_range(0..=row)));
        prop_assert_eq!(observe(&rows), observe(&shuffled));

        let parts: Vec<Sources> = (0..3)
            .map(|part| observe(&rows.iter().copied().filter(|row| row.2 == part).collect::<Vec<_>>()))
            .collect();
        let merged = |left: &Sources, right: &Sources| {
            let mut merged = left.clone();
            merged.merge(right);
            merged
        };
        let all = merged(&merged(&parts[0], &parts[1]), &parts[2]);
        prop_assert_eq!(&all, &observe(&rows));
        prop_assert_eq!(&all, &merged(&parts[0], &merged(&parts[1], &parts[2])));
        prop_assert_eq!(&all, &merged(&parts[2], &merged(&parts[1], &parts[0])));
        let json = serde_json::to_string(&all).unwrap();
        prop_assert_eq!(serde_json::from_str::<Sources>(&json).unwrap(), all);
    }
}
