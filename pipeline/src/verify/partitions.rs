//! What is known by topic and partition, and which offsets an output holds of each.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use roaring::RoaringTreemap;

/// Values by topic and partition.
#[derive(Clone, Debug)]
pub(super) struct ByPartition<T> {
    topics: BTreeMap<Arc<str>, BTreeMap<i32, T>>,
}

impl<T> Default for ByPartition<T> {
    fn default() -> Self {
        ByPartition { topics: BTreeMap::new() }
    }
}

impl<T> ByPartition<T> {
    pub(super) fn get(&self, topic: &str, partition: i32) -> Option<&T> {
        self.topics.get(topic)?.get(&partition)
    }

    pub(super) fn get_mut(&mut self, topic: &str, partition: i32) -> Option<&mut T> {
        self.topics.get_mut(topic)?.get_mut(&partition)
    }

    pub(super) fn insert(&mut self, topic: &Arc<str>, partition: i32, value: T) {
        self.topics.entry(Arc::clone(topic)).or_default().insert(partition, value);
    }

    /// In the order of topic and partition.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, i32, &T)> {
        self.topics.iter().flat_map(|(topic, partitions)| {
            partitions.iter().map(move |(partition, value)| (topic, *partition, value))
        })
    }
}

/// Offsets `start..end` of each partition.
pub(super) type Ranges = ByPartition<Range<u64>>;

/// The offsets of one partition that an output holds.
#[derive(Clone, Debug, Default)]
pub(super) struct StoredOffsets {
    /// Each offset that is there.
    pub(super) once: RoaringTreemap,
    /// Those that are there more than once.
    pub(super) again: RoaringTreemap,
    /// All rows, repeated ones included.
    pub(super) rows: u64,
}

impl StoredOffsets {
    pub(super) fn add(&mut self, offset: u64) {
        self.rows += 1;
        if !self.once.insert(offset) {
            self.again.insert(offset);
        }
    }
}

/// What was found in one output.
#[derive(Clone, Debug)]
pub(super) struct StoredRows {
    /// The rows of the source's partitions.
    pub(super) rows: ByPartition<StoredOffsets>,
    /// Rows of other topics or partitions, and messages that are no rows.
    pub(super) foreign_rows: u64,
    /// What is wrong with the output itself.
    pub(super) problems: Vec<String>,
    /// What a reader of the counts must know.
    pub(super) notes: Vec<String>,
}

impl StoredRows {
    /// Nothing yet, of the partitions of `ranges`.
    pub(super) fn new(ranges: &Ranges) -> Self {
        let mut rows = ByPartition::default();
        ranges
            .iter()
            .for_each(|(topic, partition, _)| rows.insert(topic, partition, StoredOffsets::default()));
        StoredRows { rows, foreign_rows: 0, problems: vec![], notes: vec![] }
    }

    /// Notes the row of one place.
    pub(super) fn add(&mut self, topic: &str, partition: i32, offset: i64) {
        match (self.rows.get_mut(topic, partition), u64::try_from(offset)) {
            (Some(held), Ok(offset)) => held.add(offset),
            _ => self.foreign_rows += 1,
        }
    }
}
