//! The topic and partition of rows that do not have columns for them.

use std::sync::Arc;

use arrow::datatypes::Schema;
use fenliu_connectors::reader::Place;

use super::partitions::{Ranges, StoredRows};

/// The topic and the partition of the source, each if the source has only one: a row without such a column can then only
/// come from there.
#[derive(Clone, Debug, Default)]
pub(super) struct DefaultPlace {
    topic: Option<Arc<str>>,
    partition: Option<i32>,
}

impl DefaultPlace {
    /// The only topic and the only partition in `partitions`, if there is only one.
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

    /// Why rows with the columns of `schema` cannot be assigned to documents, if they cannot.
    pub(super) fn limit(&self, schema: &Schema) -> Option<String> {
        let needed =
            [("topic", self.topic.is_none()), ("partition", self.partition.is_none()), ("offset", true)];
        let missing = |(name, needed): &(&str, bool)| *needed && schema.field_with_name(name).is_err();
        let missing: Vec<_> =
            needed.into_iter().filter(missing).map(|(name, _)| format!("`{name}`")).collect();
        (!missing.is_empty()).then(|| {
            format!(
                "its rows cannot be compared with documents, because its `columns` leave out {}",
                missing.join(" and ")
            )
        })
    }

    /// Records a row in `found`, by the columns that it has for its position.
    pub(super) fn note(&self, found: &mut StoredRows, place: Place<'_>) {
        let (topic, partition) = (place.topic.or(self.topic.as_deref()), place.partition.or(self.partition));
        match (topic, partition, place.offset) {
            (Some(topic), Some(partition), Some(offset)) => found.add(topic, partition, offset),
            _ => found.foreign_rows += 1,
        }
    }
}
