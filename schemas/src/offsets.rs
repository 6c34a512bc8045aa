//! Which offsets of the source a batch covers ([`Offsets`]), and up to where a reader has read ([`Positions`]).

use std::collections::BTreeMap;
use std::sync::Arc;

/// A partition of a source: the topic or the path of a file, and the number of the partition (0 for files).
pub type TopicPartition = (Arc<str>, i32);

/// Values by topic and partition. Looking one up allocates nothing.
type ByPartition<T> = BTreeMap<Arc<str>, BTreeMap<i32, T>>;

/// The offsets `first..next` of one partition, which a batch covers.
///
/// Compaction and transaction markers leave gaps between Kafka's offsets, so a range may contain fewer messages than
/// offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetRange {
    /// The first offset covered.
    pub first: i64,
    /// The offset after the last covered one, where reading continues.
    pub next: i64,
}

/// The offset ranges that a batch covers, by topic and partition. Rejected and dropped messages are included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offsets {
    ranges: ByPartition<OffsetRange>,
}

impl Offsets {
    /// Covers the offsets from `first` to that of the message at `offset`. There must be no other message in between.
    pub fn add(&mut self, topic: &Arc<str>, partition: i32, first: i64, offset: i64) {
        self.cover(topic, partition, OffsetRange { first, next: offset + 1 });
    }

    /// Covers everything that `later` covers, too.
    pub fn merge(&mut self, later: &Offsets) {
        later.iter().for_each(|(topic, partition, range)| self.cover(topic, partition, range));
    }

    fn cover(&mut self, topic: &Arc<str>, partition: i32, range: OffsetRange) {
        let widen = |known: &mut OffsetRange| {
            known.first = known.first.min(range.first);
            known.next = known.next.max(range.next);
        };
        // Mostly there already: then the name need not be shared.
        if let Some(known) = self.ranges.get_mut(topic).and_then(|topic| topic.get_mut(&partition)) {
            return widen(known);
        }
        self.ranges.entry(Arc::clone(topic)).or_default().insert(partition, range);
    }

    /// The ranges, ordered by topic and partition.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, i32, OffsetRange)> {
        flatten(&self.ranges)
    }

    /// Whether nothing is covered.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The partitions in which something is covered.
    pub fn partitions(&self) -> Vec<TopicPartition> {
        self.iter().map(|(topic, partition, _)| (Arc::clone(topic), partition)).collect()
    }

    /// The positions of a reader that has read everything that is covered.
    pub fn ends(&self) -> Positions {
        self.iter().map(|(topic, partition, range)| ((Arc::clone(topic), partition), range.next)).collect()
    }
}

/// Up to where a reader has read: the next offset, by topic and partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions {
    next: ByPartition<i64>,
}

impl Positions {
    /// The next offset of one partition; `None` if the reader has read nothing of it.
    pub fn get(&self, topic: &str, partition: i32) -> Option<i64> {
        self.next.get(topic)?.get(&partition).copied()
    }

    /// Sets the next offset of one partition.
    pub fn set(&mut self, topic: &Arc<str>, partition: i32, next: i64) {
        self.next.entry(Arc::clone(topic)).or_default().insert(partition, next);
    }

    /// Forgets one partition.
    pub fn remove(&mut self, topic: &str, partition: i32) {
        if let Some(partitions) = self.next.get_mut(topic) {
            partitions.remove(&partition);
            if partitions.is_empty() {
                self.next.remove(topic);
            }
        }
    }

    /// Replaces the positions of all partitions that are in `other`.
    pub fn update(&mut self, other: &Positions) {
        other.iter().for_each(|(topic, partition, next)| self.set(topic, partition, next));
    }

    /// The positions, ordered by topic and partition.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, i32, i64)> {
        flatten(&self.next)
    }

    /// The partitions that have a position.
    pub fn partitions(&self) -> Vec<TopicPartition> {
        self.iter().map(|(topic, partition, _)| (Arc::clone(topic), partition)).collect()
    }

    /// Whether every partition of `others` has a position here, at the same offset or a later one.
    pub fn reach(&self, others: &Positions) -> bool {
        others
            .iter()
            .all(|(topic, partition, next)| self.get(topic, partition).is_some_and(|has| has >= next))
    }

    /// Whether no partition has a position.
    pub fn is_empty(&self) -> bool {
        self.next.is_empty()
    }
}

fn flatten<T: Copy>(map: &ByPartition<T>) -> impl Iterator<Item = (&Arc<str>, i32, T)> {
    map.iter().flat_map(|(topic, inner)| inner.iter().map(move |(id, value)| (topic, *id, *value)))
}

impl FromIterator<(TopicPartition, i64)> for Positions {
    fn from_iter<I: IntoIterator<Item = (TopicPartition, i64)>>(positions: I) -> Self {
        let mut all = Positions::default();
        positions.into_iter().for_each(|((topic, partition), next)| all.set(&topic, partition, next));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The ranges that are covered do not depend on how messages are divided into batches.
        #[test]
        fn merged_batches_cover_the_same_offsets_as_one_batch(
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
