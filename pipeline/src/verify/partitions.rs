//! Values by topic and partition, and the offsets that an output contains of each partition.

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

    /// The values, ordered by topic and partition.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, i32, &T)> {
        self.topics.iter().flat_map(|(topic, partitions)| {
            partitions.iter().map(move |(partition, value)| (topic, *partition, value))
        })
    }
}

/// A range of offsets for each partition.
pub(super) type Ranges = ByPartition<Range<u64>>;

/// The offsets of one partition for which an output contains rows.
#[derive(Clone, Debug, Default)]
pub(super) struct StoredOffsets {
    /// Offsets with at least one row.
    pub(super) once: RoaringTreemap,
    /// Offsets with more than one row.
    pub(super) again: RoaringTreemap,
    /// Number of rows, including repeated ones.
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

/// The rows that were found in one output.
#[derive(Clone, Debug)]
pub(super) struct StoredRows {
    /// The rows of the source's partitions.
    pub(super) rows: ByPartition<StoredOffsets>,
    /// Number of rows that belong to no partition of the source, such as messages of other producers.
    pub(super) foreign_rows: u64,
    /// Problems of the output itself.
    pub(super) problems: Vec<String>,
    /// What has to be known to interpret the counts.
    pub(super) notes: Vec<String>,
}

impl StoredRows {
    /// No rows yet; those of the partitions in `ranges` will be recorded.
    pub(super) fn new(ranges: &Ranges) -> Self {
        let mut rows = ByPartition::default();
        ranges
            .iter()
            .for_each(|(topic, partition, _)| rows.insert(topic, partition, StoredOffsets::default()));
        StoredRows { rows, foreign_rows: 0, problems: vec![], notes: vec![] }
    }

    /// Records a row of the document at this position.
    pub(super) fn add(&mut self, topic: &str, partition: i32, offset: i64) {
        match (self.rows.get_mut(topic, partition), u64::try_from(offset)) {
            (Some(held), Ok(offset)) => held.add(offset),
            _ => self.foreign_rows += 1,
        }
    }
}
