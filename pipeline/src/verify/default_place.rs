//! Where rows come from that do not say it themselves.

use std::sync::Arc;

use arrow::datatypes::Schema;
use fenliu_connectors::reader::Place;

use super::partitions::{Ranges, StoredRows};

/// The topic and the partition of rows that do not say it, where the source has only one.
#[derive(Clone, Debug, Default)]
pub(super) struct DefaultPlace {
    topic: Option<Arc<str>>,
    partition: Option<i32>,
}

impl DefaultPlace {
    /// What is the only one in `partitions`.
    pub(super) fn of(partitions: &Ranges) -> Self {
        let mut places = partitions.iter();
        let Some((topic, partition, _)) = places.next() else { return DefaultPlace::default() };
        let (mut one_topic, mut one_partition) = (true, true);
        for (other_topic, other_partition, _) in places {
            one_topic &= topic == other_topic;
            one_partition &= partition == other_partition;
        }
        DefaultPlace {
            topic: one_topic.then(|| Arc::clone(topic)),
            partition: one_partition.then_some(partition),
        }
    }

    /// Why rows with the columns of `schema` cannot be told apart.
    pub(super) fn limit(&self, schema: &Schema) -> Option<String> {
        let needed =
            [("topic", self.topic.is_none()), ("partition", self.partition.is_none()), ("offset", true)];
        let missing = |(name, needed): &(&str, bool)| *needed && schema.field_with_name(name).is_err();
        let missing: Vec<_> =
            needed.into_iter().filter(missing).map(|(name, _)| format!("`{name}`")).collect();
        (!missing.is_empty()).then(|| {
            format!(
                "nothing can be told of its documents: its `columns` leave out {}, so rows cannot be told apart",
                missing.join(" and ")
            )
        })
    }

    /// Notes a row by what it says of its place.
    pub(super) fn note(&self, found: &mut StoredRows, place: Place<'_>) {
        let (topic, partition) = (place.topic.or(self.topic.as_deref()), place.partition.or(self.partition));
        match (topic, partition, place.offset) {
            (Some(topic), Some(partition), Some(offset)) => found.add(topic, partition, offset),
            _ => found.foreign_rows += 1,
        }
    }
}
