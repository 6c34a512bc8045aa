//! The features that are kept.

use std::cmp::Reverse;
use std::collections::HashMap;

/// The keys that at least `min_documents` of `documents` have, in ascending order. If they are more than
/// `max_features`, those of most documents are kept; of equally frequent ones, the lower keys.
///
/// The keys of a document are distinct.
pub(super) fn frequent_keys<'a>(
    documents: impl Iterator<Item = &'a [u64]>,
    min_documents: usize,
    max_features: usize,
) -> Vec<u64> {
    let mut frequencies: HashMap<u64, usize> = HashMap::new();
    documents.flatten().for_each(|key| *frequencies.entry(*key).or_default() += 1);
    let mut kept: Vec<(Reverse<usize>, u64)> = frequencies
        .into_iter()
        .filter(|(_, frequency)| *frequency >= min_documents)
        .map(|(key, frequency)| (Reverse(frequency), key))
        .collect();
    if kept.len() > max_features {
        kept.select_nth_unstable(max_features);
        kept.truncate(max_features);
    }
    let mut keys: Vec<u64> = kept.into_iter().map(|(_, key)| key).collect();
    keys.sort_unstable();
    keys
}

#[cfg(test)]
mod tests {
    use super::frequent_keys;

    #[test]
    fn frequent_keys_are_kept_in_ascending_order() {
        let documents: [&[u64]; 4] = [&[3, 7, 9], &[3, 9], &[1, 3, 7], &[2]];
        for (min_documents, max_features, expected) in [
            (1, 9, vec![1, 2, 3, 7, 9]),
            (2, 9, vec![3, 7, 9]),
            (2, 2, vec![3, 7]),
            (1, 1, vec![3]),
            (4, 9, vec![]),
        ] {
            assert_eq!(frequent_keys(documents.into_iter(), min_documents, max_features), expected);
        }
    }
}
