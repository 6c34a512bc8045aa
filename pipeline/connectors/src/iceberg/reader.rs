//! Reads an Iceberg table back, as it is when it is opened.

use fenliu_engine::{Error, Kind, Result};
use fenliu_schemas::{Positions, Topics};
use futures::TryStreamExt;
use iceberg::table::Table;
use tokio::runtime::Handle;

use super::config::IcebergSinkConfig;
use super::error::failed;
use super::{catalog, position};
use crate::reader::{Beginning, Findings, PLACES, Reader, VisitPlace, visit_places};
use crate::runtime;

/// The newest version that a table had when it was opened.
pub(super) struct IcebergReader {
    runtime: Handle,
    /// `None` if nothing was ever written.
    table: Option<Table>,
    /// The position of the pipeline in each partition.
    positions: Positions,
    /// Where it began with each partition.
    beginnings: Positions,
    /// The stored identities of its topics.
    topics: Topics,
}

impl IcebergReader {
    /// The configured table; it need not exist.
    ///
    /// # Errors
    /// A catalog that does not answer.
    pub(super) fn open(config: &IcebergSinkConfig, pipeline: &str) -> Result<Self> {
        let runtime = runtime::handle()?;
        let table = runtime.block_on(load(config))?;
        let of = |read: fn(&Table, &str) -> Result<Positions>| {
            table.as_ref().map_or_else(|| Ok(Positions::default()), |table| read(table, pipeline))
        };
        let (positions, beginnings) = (of(position::positions)?, of(position::beginnings)?);
        let topics =
            table.as_ref().map_or_else(|| Ok(Topics::new()), |table| position::topics(table, pipeline))?;
        Ok(IcebergReader { runtime, table, positions, beginnings, topics })
    }
}

impl Reader for IcebergReader {
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
        let (Some(table), Some(visit)) = (&self.table, visit) else { return Ok(Findings::default()) };
        let unread = failed("read", table.identifier());
        let schema = table.metadata().current_schema();
        let columns = PLACES.iter().filter(|name| schema.field_by_name(name).is_some());
        self.runtime.block_on(async {
            let scan = table.scan().select(columns).build().map_err(&unread)?;
            let mut batches = scan.to_arrow().await.map_err(&unread)?;
            while let Some(batch) = batches.try_next().await.map_err(&unread)? {
                visit_places(&batch, visit).map_err(|error| Error::input(error.to_string()))?;
            }
            Ok(Findings::default())
        })
    }
}

async fn load(config: &IcebergSinkConfig) -> Result<Option<Table>> {
    let ident = catalog::ident(config).map_err(|error| Error::new(Kind::Usage, error.to_string()))?;
    let failed = failed("load", &ident);
    let catalog = catalog::open(config).await.map_err(&failed)?;
    if !catalog.table_exists(&ident).await.map_err(&failed)? {
        return Ok(None);
    }
    catalog.load_table(&ident).await.map(Some).map_err(&failed)
}
