//! An Apache Iceberg table.
//!
//! A commit is: data files, at least one Parquet file for each partition value; then one transaction that adds them and
//! moves the positions, which are properties of the table (`position`). The catalog replaces the table's newest version
//! by the new one only if it is still the version that the transaction was made from. Otherwise Iceberg's library would
//! load the table again and add the files to what it finds, which may include the same rows from another process:
//! `fence` compares the positions at each such load. Every commit makes a snapshot, even without rows, because the
//! catalog compares snapshots and would not see a commit of properties alone.
//!
//! Properties outlive snapshots: the positions survive expiry, compaction and rewriting by other engines. Files of a
//! commit that did not take effect stay in the warehouse until an engine removes orphans. Compaction and expiry are not
//! done here.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use fenliu_config::Problems;
use fenliu_engine::position::{Moves, Stored};
use fenliu_engine::{Error, Result, Rows, Sink};
use fenliu_schemas::TopicPartition;
use iceberg::table::Table;
use iceberg::transaction::{ApplyTransactionAction, Transaction};
use iceberg::{Catalog, TableIdent};
use tokio::runtime::Handle;

use super::config::IcebergSinkConfig;
use super::error::failed;
use super::fence::FencedCatalog;
use super::table::Shape;
use super::{catalog, position, table, write};
use crate::fault;
use crate::runtime;
use crate::selection::Selection;

/// The configured table, with the columns and partitions that a new one gets.
#[derive(Clone, Debug)]
pub(super) struct CompiledTable {
    config: IcebergSinkConfig,
    ident: TableIdent,
    shape: Shape,
}

impl CompiledTable {
    /// A table for rows of `schema`; `key` is the configuration's.
    ///
    /// # Errors
    /// Columns that Iceberg has no type for, partitions by something that is not a column.
    pub(super) fn try_new(
        config: &IcebergSinkConfig,
        key: &str,
        schema: &SchemaRef,
    ) -> Result<Self, Problems> {
        let of_config = |error: iceberg::Error| Problems::one("config", key, error.message());
        let shape = Shape::try_new(schema, &config.partition_by).map_err(of_config)?;
        let ident = catalog::ident(config).map_err(of_config)?;
        Ok(CompiledTable { config: config.clone(), ident, shape })
    }
}

/// Appends rows to a table.
pub(super) struct IcebergSink {
    runtime: Handle,
    selection: Arc<Selection>,
    target: Target,
}

impl IcebergSink {
    /// A sink that connects when it is first used. `pipeline` tells the positions of several pipelines apart.
    ///
    /// # Errors
    /// When the system gives no runtime.
    pub(super) fn try_new(table: CompiledTable, pipeline: &str, selection: Arc<Selection>) -> Result<Self> {
        let CompiledTable { config, ident, shape } = table;
        let target = Target { config, ident, pipeline: pipeline.to_owned(), shape, catalog: None };
        Ok(IcebergSink { runtime: runtime::handle()?, selection, target })
    }
}

impl Sink for IcebergSink {
    fn positions(&mut self, _: &[TopicPartition]) -> Result<Stored> {
        let table = self.target.ident.to_string();
        self.runtime.block_on(in_time("read positions of", table, self.target.stored()))
    }

    fn commit(&mut self, epoch: &[Arc<Rows>], moves: &Moves) -> Result<()> {
        let batches = epoch.iter().map(|rows| self.selection.select(rows, moves));
        let batches = batches.collect::<Result<Vec<_>>>()?.concat();
        let table = self.target.ident.to_string();
        self.runtime.block_on(in_time("commit to", table, self.target.commit(&batches, moves)))
    }
}

/// How long a catalog and a store may take over an epoch. Their clients have no time-out of their own, and one that
/// hangs would stop the sink without a word.
const PATIENCE: Duration = Duration::from_secs(300);

/// The result of `work`, or an error after [`PATIENCE`]. A commit that is given up may still take effect; the positions
/// tell that later.
async fn in_time<T>(action: &'static str, table: String, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| {
        let seconds = PATIENCE.as_secs();
        Err(Error::unavailable(format!("iceberg: cannot {action} {table}: no answer in {seconds} s")))
    })
}

/// The table that rows go to.
struct Target {
    config: IcebergSinkConfig,
    ident: TableIdent,
    pipeline: String,
    shape: Shape,
    catalog: Option<Arc<dyn Catalog>>,
}

impl Target {
    async fn stored(&mut self) -> Result<Stored> {
        let (_, table) = self.load().await?;
        let positions = position::positions(&table, &self.pipeline)?;
        Ok(Stored { positions, topics: position::topics(&table, &self.pipeline)? })
    }

    async fn commit(&mut self, batches: &[RecordBatch], moves: &Moves) -> Result<()> {
        let (catalog, table) = self.load().await?;
        // Before any file is written. The fence compares again at each load of the transaction.
        if !moves.start_at(&position::positions(&table, &self.pipeline)?) {
            return Err(moved());
        }
        // Files first: until the transaction names them no reader sees them, and a crash in between leaves only
        // orphans.
        let files = write::data_files(&table, batches).await?;
        fault::point("iceberg-staged")?;

        let properties = position::properties(&self.pipeline, moves)?;
        let transaction = Transaction::new(&table);
        // The library would read every manifest of the table to look for duplicates. The names of these files hold a
        // new ULID, so there are none.
        let append = transaction
            .fast_append()
            .with_check_duplicate(false)
            .add_data_files(files)
            .set_snapshot_properties(properties.clone());
        let transaction = append.apply(transaction).map_err(self.failed("append to"))?;
        // The properties of the table are the position. Those of the snapshot say in its history which offsets it
        // covers; they go with it when it expires.
        let mut update = transaction.update_table_properties();
        for (key, value) in properties {
            update = update.set(key, value);
        }
        let transaction = update.apply(transaction).map_err(self.failed("append to"))?;

        let fence = FencedCatalog::new(catalog.as_ref(), &self.pipeline, moves);
        match transaction.commit(&fence).await {
            Ok(_) => Ok(()),
            // Asked of the fence, since the error of the library does not tell its refusal from a failure. The commit
            // that moved the positions may be an earlier attempt of the library itself, whose answer was lost: reading
            // the positions again tells that, too.
            Err(_) if fence.has_moved() => Err(moved()),
            Err(error) => Err(self.failed("commit to")(error)),
        }
    }

    /// The table as it is now, made if need be.
    async fn load(&mut self) -> Result<(Arc<dyn Catalog>, Table)> {
        let catalog = match &self.catalog {
            Some(catalog) => Arc::clone(catalog),
            None => catalog::open(&self.config).await.map_err(self.failed("open the catalog of"))?,
        };
        let table = table::load_or_create(catalog.as_ref(), &self.ident, &self.shape).await;
        let table = table.map_err(self.failed("load"))?;
        self.shape.check(&table)?;
        // Kept only once the table could be loaded through it: after a failure, the next attempt opens the catalog
        // again.
        self.catalog = Some(Arc::clone(&catalog));
        Ok((catalog, table))
    }

    /// A `map_err` adapter that names the table.
    fn failed(&self, action: &'static str) -> impl Fn(iceberg::Error) -> Error + use<> {
        failed(action, &self.ident)
    }
}

/// Another process committed meanwhile.
fn moved() -> Error {
    Error::conflict("another process has moved the positions of the table")
}

#[cfg(test)]
mod tests;
