//! Holding development rows out of the training rows.

use std::collections::HashMap;

use fenliu_model::Example;
use rand::{SeedableRng, rngs::SmallRng, seq::SliceRandom};

/// Splits `examples` into training and development rows. At most `share` of the rows of each label, rounded
/// down, are development rows.
///
/// Rows of one group stay together, and so do rows without a group that have the same text. Every label keeps
/// at least one training row. The same seed and rows give the same split, and both parts keep the order of
/// the rows.
pub(super) fn hold_out(examples: Vec<Example>, share: f32, seed: u64) -> (Vec<Example>, Vec<Example>) {
    let mut room: HashMap<String, usize> = HashMap::new();
    for example in &examples {
        *room.entry(example.label.clone()).or_default() += 1;
    }
    // Rounded down, and the share is below 1: every label keeps a training row.
    room.values_mut().for_each(|rows| *rows = (*rows as f64 * f64::from(share)) as usize);

    let mut groups = groups(&examples);
    groups.shuffle(&mut SmallRng::seed_from_u64(seed));
    let mut is_held = vec![false; examples.len()];
    for group in groups {
        let mut wanted: HashMap<&str, usize> = HashMap::new();
        for row in &group {
            *wanted.entry(examples[*row].label.as_str()).or_default() += 1;
        }
        // A group may have several labels. It is held out only if all of them have room, since it cannot be
        // divided.
        let has_room = |label: &str, rows: usize| room.get(label).is_some_and(|room| *room >= rows);
        if wanted.iter().all(|(label, rows)| has_room(label, *rows)) {
            for (label, rows) in wanted {
                room.entry(label.to_owned()).and_modify(|room| *room -= rows);
            }
            group.iter().for_each(|row| is_held[*row] = true);
        }
    }
    let (held, kept): (Vec<_>, Vec<_>) = examples.into_iter().zip(is_held).partition(|(_, is_held)| *is_held);
    let rows = |part: Vec<(Example, bool)>| part.into_iter().map(|(example, _)| example).collect();
    (rows(kept), rows(held))
}

/// What rows that must stay together share.
#[derive(PartialEq, Eq, Hash)]
enum Key<'a> {
    Group(&'a str),
    Text(&'a str),
}

/// The row numbers of each group, or of each text without a group, in order of first appearance.
fn groups(examples: &[Example]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut numbers: HashMap<Key, usize> = HashMap::new();
    for (row, example) in examples.iter().enumerate() {
        let key = example.group.as_deref().map_or(Key::Text(&example.text), Key::Group);
        let number = *numbers.entry(key).or_insert(groups.len());
        match groups.get_mut(number) {
            Some(group) => group.push(row),
            None => groups.push(vec![row]),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn example((label, group, text): (u8, Option<u8>, u8)) -> Example {
        let name = |value: u8| value.to_string();
        Example { text: name(text), label: name(label), group: group.map(name) }
    }

    proptest! {
        #[test]
        fn no_row_is_lost_and_groups_and_texts_stay_together(
            rows in prop::collection::vec((0_u8..4, prop::option::of(0_u8..20), any::<u8>()), 0..200),
            share in 0.0_f32..0.9,
            seed: u64,
        ) {
            let examples: Vec<Example> = rows.into_iter().map(example).collect();
            let (kept, held) = hold_out(examples.clone(), share, seed);
            prop_assert_eq!(kept.len() + held.len(), examples.len());
            let groups = |rows: &[Example]| rows.iter().filter_map(|e| e.group.clone()).collect::<HashSet<_>>();
            prop_assert!(groups(&kept).is_disjoint(&groups(&held)));
            let lone = |rows: &[Example]| {
                rows.iter().filter(|e| e.group.is_none()).map(|e| e.text.clone()).collect::<HashSet<_>>()
            };
            prop_assert!(lone(&kept).is_disjoint(&lone(&held)), "no text is on both sides");
            let labels = |rows: &[Example]| rows.iter().map(|e| e.label.clone()).collect::<HashSet<_>>();
            prop_assert_eq!(labels(&kept), labels(&examples), "every label keeps a training row");
            prop_assert_eq!(hold_out(examples, share, seed).1.len(), held.len(), "repeatable");
        }
    }

    #[test]
    fn each_label_has_its_share_of_development_rows() {
        let examples = (0..100).map(|row| example((u8::from(row < 20), None, row))).collect();
        let (_, held) = hold_out(examples, 0.1, 7);
        let count = |label: &str| held.iter().filter(|e| e.label == label).count();
        assert_eq!((count("1"), count("0")), (2, 8));
    }
}
