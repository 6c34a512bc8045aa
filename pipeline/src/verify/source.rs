//! Which documents the source has.

use std::sync::Arc;

use fenliu_connectors::history::{History, PartitionRange};
use indicatif::ProgressBar;
use roaring::RoaringTreemap;

use super::partitions::{ByPartition, Ranges};
use crate::error::Result;
use crate::plan::Plan;

/// The documents' places.
pub(super) struct Source(Box<dyn History>);

impl Source {
    /// The source of `plan`.
    ///
    /// # Errors
    /// Files that cannot be read, properties that librdkafka refuses, a broker inside another process.
    pub(super) fn open(plan: &Plan) -> Result<Self> {
        plan.source.history(&plan.kafka).map(Source)
    }

    /// The offsets that each partition has at this moment.
    ///
    /// # Errors
    /// A broker that does not answer, a topic that is not there.
    pub(super) fn ranges(&self) -> Result<Ranges> {
        let mut ranges = ByPartition::default();
        for (topic, partition, range) in self.0.ranges()? {
            ranges.insert(&topic, partition, range);
        }
        Ok(ranges)
    }

    /// The offsets of the documents in `wanted`, and perhaps of more.
    ///
    /// # Errors
    /// A broker that does not answer.
    pub(super) fn documents(
        &self,
        wanted: &Ranges,
        progress: &ProgressBar,
    ) -> Result<ByPartition<RoaringTreemap>> {
        let mut documents = ByPartition::default();
        let mut ranges: Vec<PartitionRange> = vec![];
        for (topic, partition, range) in wanted.iter() {
            documents.insert(topic, partition, RoaringTreemap::new());
            ranges.push((Arc::clone(topic), partition, range.clone()));
        }
        self.0.documents(&ranges, &mut |topic, partition, offset| {
            progress.inc(1);
            if let Some(offsets) = documents.get_mut(topic, partition) {
                offsets.insert(offset);
            }
        })?;
        Ok(documents)
    }
}
