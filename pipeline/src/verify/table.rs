//! A Delta Lake table: its rows and its positions are of one version.

use deltalake::DeltaTable;
use fenliu_schemas::Positions;
use indicatif::ProgressBar;

use super::partitions::Found;
use super::rows::{self, Sole};
use crate::config::DeltaSinkConfig;
use crate::error::Result;
use crate::sink::{Lake, Partitions};

/// One version of a table, which need not exist.
pub(super) struct Table {
    open: Option<(Lake, DeltaTable)>,
    /// Where the pipeline began with each partition.
    pub(super) beginnings: Positions,
    /// Where it stands.
    pub(super) positions: Positions,
}

impl Table {
    /// The newest version, with what it says of `pipeline` and `partitions`.
    ///
    /// # Errors
    /// A store that does not answer, a log that cannot be read.
    pub(super) fn open(config: &DeltaSinkConfig, pipeline: &str, partitions: &Partitions) -> Result<Self> {
        let open = match Lake::existing(config)? {
            Some(lake) => lake.open()?.map(|table| (lake, table)),
            None => None,
        };
        let (beginnings, positions) = match &open {
            Some((lake, table)) => lake.positions(table, pipeline, partitions)?,
            None => Default::default(),
        };
        Ok(Table { open, beginnings, positions })
    }

    /// Notes the rows of all files in `found`, or that they cannot be read.
    pub(super) fn read(&self, sole: &Sole, found: &mut Found, progress: &ProgressBar) {
        let Some((lake, table)) = &self.open else { return };
        let read = lake.read(table, &rows::PLACES, &mut |batch| {
            progress.inc(batch.num_rows() as u64);
            rows::note(batch, sole, found)
        });
        if let Err(error) = read {
            found.problems.push(error.to_string());
        }
    }
}
