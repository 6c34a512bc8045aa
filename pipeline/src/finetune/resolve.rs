//! Settles contradictions between corrections: the latest one is used, and the others are skipped with a reason.

use std::collections::HashMap;
use std::hash::Hash;

use super::feedback::{Correction, FeedbackPosition, Skipped};

/// Of several corrections with the same `key`, keeps the latest one.
///
/// The latest is decided by `at`, and if that is equal or missing, by topic, partition and offset. The others are added to
/// `skipped` as `superseded`, or as `repeated` if they have the same label. Corrections without a key are all kept.
/// Returns the kept corrections in their order, each with its index in `corrections`.
pub(super) fn keep_latest<K: Eq + Hash>(
    corrections: Vec<Correction>,
    key: impl Fn(usize, &Correction) -> Option<K>,
    skipped: &mut Vec<Skipped>,
) -> Vec<(usize, Correction)> {
    let keys: Vec<Option<K>> = corrections.iter().enumerate().map(|(row, c)| key(row, c)).collect();
    let mut latest: HashMap<&K, usize> = HashMap::new();
    for (row, key) in keys.iter().enumerate() {
        let Some(key) = key else { continue };
        let winner = latest.entry(key).or_insert(row);
        // A correction without a time ranks below all with one: `None < Some`.
        if rank(&corrections[row]) > rank(&corrections[*winner]) {
            *winner = row;
        }
    }
    let winners: Vec<Option<usize>> = keys.iter().map(|key| latest.get(key.as_ref()?).copied()).collect();
    // Copied first: the loop below moves the corrections, winners included, in their order.
    let said: Vec<(String, String)> =
        corrections.iter().map(|c| (c.feedback.label.clone(), name(c))).collect();
    let mut kept = Vec::with_capacity(latest.len());
    for ((row, correction), winner) in corrections.into_iter().enumerate().zip(winners) {
        match winner.filter(|winner| *winner != row) {
            None => kept.push((row, correction)),
            Some(winner) => {
                let (label, place) = &said[winner];
                let reason = if correction.feedback.label == *label { "repeated" } else { "superseded" };
                skipped.push(correction.skip(reason, Some(format!("`{label}` at {place}"))));
            }
        }
    }
    kept
}

fn rank(correction: &Correction) -> (Option<i64>, &FeedbackPosition) {
    (correction.feedback.at, &correction.place)
}

fn name(correction: &Correction) -> String {
    let place = &correction.place;
    format!("{}/{}@{}", place.topic, place.partition, place.offset)
}

#[cfg(test)]
mod tests {
    use fenliu_schemas::Feedback;
    use proptest::prelude::*;

    use super::*;
    fn correction(id: u8, label: u8, at: Option<i64>, offset: i64) -> Correction {
        let place = FeedbackPosition { topic: "feedback".into(), partition: 0, offset };
        let feedback =
            Feedback { id: Some(id.to_string()), label: label.to_string(), at, ..Feedback::default() };
        Correction { feedback, place }
    }

    fn resolve(corrections: Vec<Correction>) -> (Vec<Correction>, Vec<Skipped>) {
        let mut skipped = vec![];
        let kept = keep_latest(corrections, |_, c| c.feedback.id.clone(), &mut skipped);
        (kept.into_iter().map(|(_, correction)| correction).collect(), skipped)
    }

    #[test]
    fn the_latest_is_kept_and_the_others_name_the_one_that_superseded_them() {
        let (early, late) = (Some(1), Some(2));
        let corrections = vec![
            correction(1, 5, late, 0),
            correction(1, 6, early, 1),
            correction(2, 5, None, 2),
            correction(2, 7, None, 3),
            correction(3, 5, early, 4),
            correction(3, 5, late, 5),
        ];
        let (kept, skipped) = resolve(corrections);
        let labels: Vec<_> = kept.iter().map(|c| (c.place.offset, c.feedback.label.as_str())).collect();
        assert_eq!(labels, [(0, "5"), (3, "7"), (5, "5")]);
        let reasons: Vec<_> = skipped.iter().map(|s| (s.place.offset, s.reason.as_str())).collect();
        assert_eq!(reasons, [(1, "superseded"), (2, "superseded"), (4, "repeated")]);
        assert_eq!(skipped[0].detail.as_deref(), Some("`5` at feedback/0@0"));
    }

    proptest! {
        #[test]
        fn no_correction_is_lost_and_the_order_of_reading_does_not_matter(
            rows in prop::collection::vec((0..6u8, 0..3u8, prop::option::of(0..4i64)), 0..40),
            seed in any::<prop::sample::Index>(),
        ) {
            let corrections: Vec<_> =
                (0..).zip(&rows).map(|(n, &(id, label, at))| correction(id, label, at, n)).collect();
            let mut rotated = corrections.clone();
            if !rotated.is_empty() {
                rotated.rotate_left(seed.index(rows.len()));
            }
            let (mut kept, skipped) = resolve(corrections);
            let (mut again, _) = resolve(rotated);
            prop_assert_eq!(kept.len() + skipped.len(), rows.len());
            kept.sort_by_key(|c| c.place.offset);
            again.sort_by_key(|c| c.place.offset);
            prop_assert_eq!(kept, again);
        }
    }
}
