//! Which documents the source contains.

use std::sync::Arc;

use fenliu_connectors::history::{History, PartitionRange};
use fenliu_schemas::Topics;
use indicatif::ProgressBar;
use roaring::RoaringTreemap;

use super::partitions::{ByPartition, Ranges};
use crate::error::Result;
use crate::plan::Plan;

/// The source, with the positions of its documents.
pub(super) struct SourceDocuments(Box<dyn History>);

impl SourceDocuments {
    /// The source of `plan`.
    ///
    /// # Errors
    /// A file cannot be read, librdkafka refuses a property, or the broker is `embedded`.
    pub(super) fn open(plan: &Plan) -> Result<Self> {
        plan.source.history(&plan.kafka, &plan.decoder).map(SourceDocuments)
    }

    /// The offsets that each partition has at present.
    ///
    /// # Errors
    /// A broker does not answer, or a topic does not exist.
    pub(super) fn ranges(&self) -> Result<Ranges> {
        let mut ranges = ByPartition::default();
        for (topic, partition, range) in self.0.ranges()? {
            ranges.insert(&topic, partition, range);
        }
        Ok(ranges)
    }

    /// The topics as the cluster knows them at this moment; empty for files.
    ///
    /// # Errors
    /// A broker does not answer.
    pub(super) fn topics(&self) -> Result<Topics> {
        self.0.topics()
    }

    /// The offsets of all documents in `wanted`, and possibly of others.
    ///
    /// # Errors
    /// A broker does not answer.
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
