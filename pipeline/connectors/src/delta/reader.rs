//! Reads a Delta Lake table back: rows and positions of the same version.

use std::collections::BTreeSet;
use std::sync::Arc;

use deltalake::DeltaTable;
use fenliu_engine::Result;
use fenliu_schemas::{Positions, TopicPartition, Topics};

use super::config::DeltaSinkConfig;
use super::lake::Lake;
use super::topic;
use crate::reader::{Beginning, Findings, PLACES, Reader, VisitPlace, visit_places};

/// One version of a table, which need not exist.
pub(super) struct TableReader {
    open: Option<(Lake, DeltaTable)>,
    /// Where the pipeline began with each partition.
    beginnings: Positions,
    /// The position of the pipeline in each partition.
    positions: Positions,
    /// The stored identities of its topics.
    topics: Topics,
}

impl TableReader {
    /// The newest version, with the positions and topics of `pipeline` in `partitions`.
    ///
    /// # Errors
    /// A store that does not answer, a log that cannot be read.
    pub(super) fn open(
        config: &DeltaSinkConfig,
        pipeline: &str,
        partitions: &[TopicPartition],
    ) -> Result<Self> {
        let open = match Lake::existing(config)? {
            Some(lake) => lake.open()?.map(|table| (lake, table)),
            None => None,
        };
        let (beginnings, positions) = match &open {
            Some((lake, table)) => lake.positions(table, pipeline, partitions)?,
            None => Default::default(),
        };
        let mut topics = Topics::new();
        if let Some((lake, table)) = &open {
            let names: BTreeSet<&Arc<str>> = partitions.iter().map(|(topic, _)| topic).collect();
            for name in names {
                let identity = topic::read(lake, table, pipeline, name)?;
                topics.extend(identity.map(|identity| (Arc::clone(name), identity)));
            }
        }
        Ok(TableReader { open, beginnings, positions, topics })
    }
}

impl Reader for TableReader {
    fn beginning(&self) -> Beginning {
        Beginning::Recorded(self.beginnings.clone())
    }

    fn positions(&self) -> Option<Positions> {
        Some(self.positions.clone())
    }

    fn topics(&self) -> Topics {
        self.topics.clone()
    }

    fn places(&self, visit: Option<&mut VisitPlace<'_>>) -> Result<Findings> {
        let mut findings = Findings::default();
        if let (Some((lake, table)), Some(visit)) = (&self.open, visit)
            && let Err(error) = lake.read(table, &PLACES, &mut |batch| visit_places(batch, visit))
        {
            findings.problems.push(error.to_string());
        }
        Ok(findings)
    }
}
