//! From the key of a feature to its row.
//!
//! Keys are hashes, so their leading bits are spread evenly: they choose a bucket, which has about one key.
//! Sorted keys that are not hashes would only make the search in a bucket longer, by a logarithm.

use super::MAX_FEATURES;

/// Sorted keys and where each bucket of them begins.
#[derive(Debug)]
pub(super) struct Table {
    keys: Vec<u64>,
    /// Place of the first key of each bucket, and the number of keys at the end.
    starts: Vec<u32>,
    /// A key shifted to the right by this is its bucket.
    shift: u32,
}

impl Table {
    /// A table of keys that [`check`] accepts.
    pub(super) fn new(keys: Vec<u64>) -> Self {
        let buckets = keys.len().next_power_of_two().max(2);
        let shift = u64::BITS - buckets.ilog2();
        let mut starts = vec![0_u32; buckets + 1];
        // Counts, each one place further, and then their sums.
        keys.iter().for_each(|key| starts[(key >> shift) as usize + 1] += 1);
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        Self { keys, starts, shift }
    }

    /// All keys, ascending.
    pub(super) fn keys(&self) -> &[u64] {
        &self.keys
    }

    /// The row of a key, if it is known.
    pub(super) fn row(&self, key: u64) -> Option<u32> {
        let bucket = (key >> self.shift) as usize;
        let (start, end) = (self.starts[bucket], self.starts[bucket + 1]);
        let place = self.keys[start as usize..end as usize].binary_search(&key).ok()?;
        Some(start + place as u32)
    }
}

/// Says what makes keys unusable for a table, if anything does.
pub(super) fn check(keys: &[u64]) -> Result<(), String> {
    if keys.len() > MAX_FEATURES {
        return Err(format!(
            "tensor `keys` has {} values but at most {MAX_FEATURES} are allowed",
            keys.len()
        ));
    }
    let Some(place) = keys.windows(2).position(|pair| pair[0] >= pair[1]) else { return Ok(()) };
    let next = place + 1;
    Err(format!(
        "tensor `keys`: value {next} is {} but must be above the one before, {}",
        keys[next], keys[place]
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn known_keys_have_their_place_and_others_none(
            keys in prop::collection::btree_set(prop_oneof![0..9_u64, any::<u64>(), Just(u64::MAX)], 0..300),
            other in any::<u64>(),
        ) {
            let is_known = keys.contains(&other);
            let keys: Vec<u64> = keys.into_iter().collect();
            let table = Table::new(keys.clone());
            for (row, key) in keys.iter().enumerate() {
                prop_assert_eq!(table.row(*key), Some(row as u32));
            }
            prop_assert_eq!(table.row(other).is_some(), is_known);
        }
    }

    #[test]
    fn unsorted_repeated_and_too_many_keys_are_refused() {
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(check(&[1, 2]), Ok(()));
        let message = "tensor `keys`: value 2 is 5 but must be above the one before, 5";
        assert_eq!(check(&[1, 5, 5]).unwrap_err(), message);
        let many: Vec<u64> = (0..=MAX_FEATURES as u64).collect();
        assert!(check(&many).unwrap_err().contains("has 1048577 values but at most 1048576"));
    }
}
