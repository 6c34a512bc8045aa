//! Which documents a source has, for comparing it with the outputs.

use std::ops::Range;
use std::sync::Arc;

use fenliu_engine::Result;
use fenliu_schemas::Topics;

/// Offsets `start..end` of a partition of a source.
pub type PartitionRange = (Arc<str>, i32, Range<u64>);

/// What is done with the place of each document: topic, partition and offset.
pub type VisitDocument<'a> = dyn FnMut(&Arc<str>, i32, u64) + 'a;

/// The documents of a source, as far back as it keeps them. Nothing is committed by reading them.
pub trait History {
    /// The offsets that each partition has at this moment.
    ///
    /// # Errors
    /// A broker that does not answer, a topic that is not there.
    fn ranges(&self) -> Result<Vec<PartitionRange>>;

    /// The topics as the cluster knows them at this moment; none for sources that are no topics.
    ///
    /// # Errors
    /// A broker that does not answer.
    fn topics(&self) -> Result<Topics> {
        Ok(Topics::new())
    }

    /// Shows `visit` the documents within `wanted`, and perhaps more. Ranges of offsets do not say which offsets have
    /// documents: transaction markers and compaction leave gaps that are no losses.
    ///
    /// # Errors
    /// A broker that does not answer.
    fn documents(&self, wanted: &[PartitionRange], visit: &mut VisitDocument<'_>) -> Result<()>;
}
