//! Which source positions a batch covers.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Offsets of one partition that a batch covers: `first..next`.
///
/// Kafka's offsets can have holes (compaction, transaction markers), so the range may hold fewer
/// messages than it is long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetRange {
    /// The first offset covered.
    pub first: i64,
    /// The offset to read next: one past the last covered.
    pub next: i64,
}

/// Offset ranges by `(topic, partition)`, dropped and rejected rows included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offsets {
    ranges: BTreeMap<(Arc<str>, i32), OffsetRange>,
}

impl Offsets {
    /// Covers one more message.
    pub fn add(&mut self, topic: &Arc<str>, partition: i32, offset: i64) {
        self.cover(topic, partition, OffsetRange { first: offset, next: offset + 1 });
    }

    /// Covers all that `later` covers too.
    pub fn merge(&mut self, later: &Offsets) {
        for ((topic, partition), range) in &later.ranges {
            self.cover(topic, *partition, *range);
        }
    }

    fn cover(&mut self, topic: &Arc<str>, partition: i32, range: OffsetRange) {
        self.ranges
            .entry((Arc::clone(topic), partition))
            .and_modify(|known| {
                known.first = known.first.min(range.first);
                known.next = known.next.max(range.next);
            })
            .or_insert(range);
    }

    /// Ranges in the order of topic and partition.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, i32, OffsetRange)> {
        self.ranges.iter().map(|((topic, partition), range)| (topic, *partition, *range))
    }

    /// Whether nothing is covered.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// However messages are cut into batches, the union covers the same ranges.
        #[test]
        fn merging_does_not_depend_on_the_cut(
            messages in prop::collection::vec((0..3i32, 0..100i64), 1..60),
            cut in 0..60usize,
        ) {
            let topic: Arc<str> = "news".into();
            let cover = |part: &[(i32, i64)]| {
                let mut offsets = Offsets::default();
                part.iter().for_each(|&(partition, offset)| offsets.add(&topic, partition, offset));
                offsets
            };
            let (head, tail) = messages.split_at(cut.min(messages.len()));
            let mut merged = cover(head);
            merged.merge(&cover(tail));
            prop_assert_eq!(&merged, &cover(&messages));
            for (_, partition, range) in merged.iter() {
                let highest = messages.iter().filter(|m| m.0 == partition).map(|m| m.1).max();
                prop_assert_eq!(Some(range.next - 1), highest);
            }
        }
    }
}
