//! A table as it is at one moment, for looking at what is in it.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use fenliu_schemas::Positions;
use futures::TryStreamExt;
use iceberg::table::Table;
use tokio::runtime::Runtime;

use super::{catalog, failed, position, runtime};
use crate::config::IcebergSinkConfig;
use crate::error::{PipelineError, Result};

/// The newest version that a table had when it was opened.
pub(crate) struct IcebergReader {
    runtime: Runtime,
    /// None where nothing was ever written.
    table: Option<Table>,
    /// Where the pipeline stands.
    pub(crate) positions: Positions,
    /// Where it began with each partition.
    pub(crate) beginnings: Positions,
}

impl IcebergReader {
    /// The configured table; it need not exist.
    ///
    /// # Errors
    /// A catalog that does not answer.
    pub(crate) fn open(config: &IcebergSinkConfig, pipeline: &str) -> Result<Self> {
        let runtime = runtime()?;
        let table = runtime.block_on(load(config))?;
        let of = |read: fn(&Table, &str) -> Result<Positions>| {
            table.as_ref().map_or_else(|| Ok(Positions::default()), |table| read(table, pipeline))
        };
        let (positions, beginnings) = (of(position::positions)?, of(position::beginnings)?);
        Ok(IcebergReader { runtime, table, positions, beginnings })
    }

    /// Shows `visit` all rows, in batches: those of `columns` that the table has.
    ///
    /// # Errors
    /// Files that cannot be read.
    pub(crate) fn read(
        &self,
        columns: &[&str],
        visit: &mut dyn FnMut(&RecordBatch) -> Result<(), ArrowError>,
    ) -> Result<()> {
        let Some(table) = &self.table else { return Ok(()) };
        let unread = failed("read", table.identifier());
        let schema = table.metadata().current_schema();
        let columns = columns.iter().filter(|name| schema.field_by_name(name).is_some());
        self.runtime.block_on(async {
            let scan = table.scan().select(columns).build().map_err(&unread)?;
            let mut batches = scan.to_arrow().await.map_err(&unread)?;
            while let Some(batch) = batches.try_next().await.map_err(&unread)? {
                visit(&batch).map_err(|error| PipelineError::Data(error.to_string()))?;
            }
            Ok(())
        })
    }
}

async fn load(config: &IcebergSinkConfig) -> Result<Option<Table>> {
    let ident = catalog::ident(config).map_err(|error| PipelineError::Data(error.to_string()))?;
    let failed = failed("load", &ident);
    let catalog = catalog::open(config).await.map_err(&failed)?;
    if !catalog.table_exists(&ident).await.map_err(&failed)? {
        return Ok(None);
    }
    catalog.load_table(&ident).await.map(Some).map_err(&failed)
}
