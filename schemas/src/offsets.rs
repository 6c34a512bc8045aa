//! Which source positions a batch covers, and where a reader stands.

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
    /// Covers everything from `first` to the message at `offset`: what lies between is no message.
    pub fn add(&mut self, topic: &Arc<str>, partition: i32, first: i64, offset: i64) {
        self.cover(topic, partition, OffsetRange { first, next: offset + 1 });
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

    /// Where a reader stands that has all of this.
    pub fn ends(&self) -> Positions {
        self.iter().map(|(topic, partition, range)| ((Arc::clone(topic), partition), range.next)).collect()
    }
}

/// Where a reader stands: the next offset it wants, by `(topic, partition)`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions {
    next: BTreeMap<(Arc<str>, i32), i64>,
}

impl Positions {
    /// The next offset of one partition; none where the reader has never been.
    pub fn get(&self, topic: &Arc<str>, partition: i32) -> Option<i64> {
        self.next.get(&(Arc::clone(topic), partition)).copied()
    }

    /// Puts the reader at `next` of one partition.
    pub fn set(&mut self, topic: &Arc<str>, partition: i32, next: i64) {
        self.next.insert((Arc::clone(topic), partition), next);
    }

    /// Takes over all that `other` says.
    pub fn update(&mut self, other: &Positions) {
        self.next.extend(other.next.iter().map(|(key, next)| (key.clone(), *next)));
    }

    /// Positions in the order of topic and partition.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, i32, i64)> {
        self.next.iter().map(|((topic, partition), next)| (topic, *partition, *next))
    }

    /// Whether no partition is known.
    pub fn is_empty(&self) -> bool {
        self.next.is_empty()
    }
}

impl FromIterator<((Arc<str>, i32), i64)> for Positions {
    fn from_iter<I: IntoIterator<Item = ((Arc<str>, i32), i64)>>(positions: I) -> Self {
        Positions { next: positions.into_iter().collect() }
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
                part.iter().for_each(|&(partition, offset)| offsets.add(&topic, partition, offset, offset));
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
