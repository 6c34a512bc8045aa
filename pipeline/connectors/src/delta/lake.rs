//! One table and its log: what sink, verification and compaction do with it.

use std::error::Error as StdError;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use delta_kernel::Error as KernelError;
use deltalake::datafusion::prelude::SessionContext;
use deltalake::delta_datafusion::create_session;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties, TransactionError};
use deltalake::kernel::{Action, Transaction, Version};
use deltalake::logstore::{LogStoreRef, commit_uri_from_version};
use deltalake::operations::create::CreateBuilder;
use deltalake::protocol::{DeltaOperation, SaveMode, checkpoints};
use deltalake::table::builder::DeltaTableConfig;
use deltalake::table::config::TablePropertiesExt;
use deltalake::{DeltaResult, DeltaTable, DeltaTableError};
use fenliu_engine::{Error, Kind, Result};
use fenliu_schemas::{Positions, TopicPartition};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::config::DeltaSinkConfig;
use super::features::Use;
use super::{columns, location, rules};
use crate::runtime;

/// How long a first check of a table may take before its store counts as not answering.
const GLANCE: Duration = Duration::from_secs(10);

/// A table's log, and the runtime that the library's calls need.
pub(crate) struct Lake {
    runtime: Handle,
    log: LogStoreRef,
    /// Where it is a directory.
    directory: Option<PathBuf>,
    name: String,
}

impl Lake {
    /// The table of `config`, whose directory is made if need be.
    ///
    /// # Errors
    /// An invalid location.
    pub(super) fn make(config: &DeltaSinkConfig) -> Result<Self> {
        Self::try_new(config, true)
    }

    /// The table of `config`, where it lies in a bucket or its directory is there.
    ///
    /// # Errors
    /// An invalid location.
    pub(crate) fn existing(config: &DeltaSinkConfig) -> Result<Option<Self>> {
        // Only a directory can be seen to be missing without asking a store.
        let absent = !config.path.contains("://") && !Path::new(&config.path).is_dir();
        if absent { Ok(None) } else { Self::try_new(config, false).map(Some) }
    }

    fn try_new(config: &DeltaSinkConfig, make: bool) -> Result<Self> {
        let name = config.path.clone();
        let log = location::log_store(config, make).map_err(failed("use", &name))?;
        let directory = log.config().location().to_file_path().ok();
        Ok(Lake { runtime: runtime::handle()?, log, directory, name })
    }

    /// The configured location.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Runs a call of the library to its end.
    pub(super) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// A `map_err` adapter for calls of the library on this table.
    pub(super) fn failed(&self, action: &'static str) -> impl FnOnce(DeltaTableError) -> Error {
        failed(action, &self.name)
    }

    /// The newest version for reading, without the list of its files, which may be long; `None` if there is no table.
    ///
    /// # Errors
    /// A store that does not answer, a log that cannot be read, a protocol that forbids it.
    pub(crate) fn open(&self) -> Result<Option<DeltaTable>> {
        let table = self.newest()?;
        table.iter().try_for_each(|table| self.allow(table, &[Use::Read]))?;
        Ok(table)
    }

    /// The newest version without the list of its files, whatever its protocol allows; `None` if there is no table.
    ///
    /// # Errors
    /// A store that does not answer, a log that cannot be read.
    pub(super) fn newest(&self) -> Result<Option<DeltaTable>> {
        self.block_on(self.load(false)).map_err(self.failed("open"))
    }

    /// As [`newest`](Self::newest), but it takes seconds at most.
    ///
    /// # Errors
    /// A store that does not answer soon, a log that cannot be read.
    pub(super) fn glance(&self) -> Result<Option<DeltaTable>> {
        let loaded = self.block_on(async { timeout(GLANCE, self.load(false)).await });
        let silent = |_| DeltaTableError::generic(format!("the store did not answer within {GLANCE:?}"));
        loaded.map_err(silent).flatten().map_err(self.failed("open"))
    }

    /// The newest version with the list of its files; `None` if there is no table.
    ///
    /// # Errors
    /// A store that does not answer, a log that cannot be read, a protocol that forbids one of `uses`.
    pub(super) fn open_with_files(&self, uses: &[Use]) -> Result<Option<DeltaTable>> {
        // The protocol is checked before the files are listed: for a table that it cannot read, the library fails while
        // it lists, with an error that says less.
        let Some(table) = self.newest()? else { return Ok(None) };
        self.allow(&table, uses)?;
        // This load may find a newer version, so its protocol is checked, too.
        let table = self.block_on(self.load(true)).map_err(self.failed("open"))?;
        table.iter().try_for_each(|table| self.allow(table, uses))?;
        Ok(table)
    }

    async fn load(&self, require_files: bool) -> DeltaResult<Option<DeltaTable>> {
        let config = DeltaTableConfig { require_files, ..DeltaTableConfig::default() };
        let mut table = DeltaTable::new(LogStoreRef::clone(&self.log), config);
        // Asked first: `load` fails where there is no table, which is no error here.
        if !self.log.is_delta_table_location().await? {
            return Ok(None);
        }
        table.load().await?;
        Ok(Some(table))
    }

    /// Whether the protocol of `table` allows all of `uses`.
    fn allow(&self, table: &DeltaTable, uses: &[Use]) -> Result<()> {
        uses.iter().try_for_each(|wanted| rules::allow(table, *wanted).map_err(|why| self.refused(why)))
    }

    /// Adds the name of this table to an error of [`rules`].
    pub(super) fn refused(&self, why: Error) -> Error {
        why.with("table", &self.name)
    }

    /// The newest version.
    ///
    /// # Errors
    /// A store that does not answer, a log that cannot be read.
    pub(super) fn update(&self, mut table: DeltaTable) -> Result<DeltaTable> {
        self.block_on(table.update_state()).map_err(self.failed("read the log of"))?;
        Ok(table)
    }

    /// Makes the table, unless another process has done so meanwhile.
    ///
    /// # Errors
    /// Columns that Delta does not have, a store that does not answer.
    pub(super) fn create(&self, schema: &SchemaRef, partition_by: &[String]) -> Result<DeltaTable> {
        let columns = columns::of(schema).map_err(|why| self.refused(Error::new(Kind::Refused, why)))?;
        let create = CreateBuilder::new()
            .with_log_store(LogStoreRef::clone(&self.log))
            .with_columns(columns)
            .with_partition_columns(partition_by)
            .with_commit_properties(CommitProperties::default().with_max_retries(0));
        let created = self.block_on(create.into_future());
        // Whatever became of the creation: if there is a table now, another process may have made it. The caller checks
        // whether rows fit into it.
        match (self.newest()?, created) {
            (Some(table), _) => Ok(table),
            (None, Err(error)) => Err(self.failed("create")(error)),
            (None, Ok(_)) => Err(self.failed("create")(DeltaTableError::NotInitialized)),
        }
    }

    /// The next offset that `pipeline` wants of a partition.
    ///
    /// # Errors
    /// A log that cannot be read.
    pub(super) fn position(
        &self,
        table: &DeltaTable,
        pipeline: &str,
        topic: &str,
        partition: i32,
    ) -> Result<Option<i64>> {
        self.transaction(table, position_id(pipeline, topic, partition))
    }

    /// The version of the newest transaction of the application `id`.
    ///
    /// # Errors
    /// A log that cannot be read.
    pub(super) fn transaction(&self, table: &DeltaTable, id: String) -> Result<Option<i64>> {
        let state = table.snapshot().map_err(self.failed("read"))?;
        let version = self.block_on(state.transaction_version(self.log.as_ref(), id));
        version.map_err(self.failed("read the positions of"))
    }

    /// The first and the present positions of `pipeline` in `partitions`.
    ///
    /// # Errors
    /// A log that cannot be read.
    pub(crate) fn positions(
        &self,
        table: &DeltaTable,
        pipeline: &str,
        partitions: &[TopicPartition],
    ) -> Result<(Positions, Positions)> {
        let (mut beginnings, mut positions) = (Positions::default(), Positions::default());
        for (topic, partition) in partitions {
            if let Some(first) = self.transaction(table, beginning_id(pipeline, topic, *partition))? {
                beginnings.set(topic, *partition, first);
            }
            if let Some(next) = self.position(table, pipeline, topic, *partition)? {
                positions.set(topic, *partition, next);
            }
        }
        Ok((beginnings, positions))
    }

    /// Makes the version after that of `table`, and brings it to disk; `None` when another process has made that
    /// version.
    ///
    /// # Errors
    /// The commit may have taken effect or not.
    pub(super) fn commit(
        &self,
        table: &DeltaTable,
        actions: Vec<Action>,
        transactions: Vec<Transaction>,
        partition_by: &[String],
    ) -> Result<Option<Version>> {
        // Without retries: the library would put the commit on top of a newer version, whose positions were not
        // compared. Checkpoints are made in `tidy`: here they would need the list of files.
        let properties = CommitProperties::default()
            .with_application_transactions(transactions)
            .with_max_retries(0)
            .with_create_checkpoint(false)
            .with_cleanup_expired_logs(Some(false));
        let partition_by = (!partition_by.is_empty()).then(|| partition_by.to_vec());
        let operation = DeltaOperation::Write { mode: SaveMode::Append, partition_by, predicate: None };
        let state = table.snapshot().map_err(self.failed("read"))?;
        let commit = CommitBuilder::from(properties).with_actions(actions).build(
            Some(state),
            LogStoreRef::clone(&self.log),
            operation,
        );
        match self.block_on(commit.into_future()) {
            Ok(commit) => {
                // Readers see the version by now. If the sync fails, the caller reads the positions again and finds
                // that they have moved.
                self.sync(commit_uri_from_version(Some(commit.version())).as_ref())?;
                Ok(Some(commit.version()))
            }
            Err(error) if is_lost_race(&error) => Ok(None),
            Err(error) => Err(self.failed("commit to")(error)),
        }
    }

    /// Writes a checkpoint, so that opening stays fast, when `version` is due for one, and drops log entries that
    /// the table no longer keeps. What fails is only logged: the rows are there.
    pub(super) fn tidy(&self, table: &DeltaTable, version: Version) {
        let tidied: DeltaResult<()> = self.block_on(async {
            let properties = table.snapshot()?.table_config();
            // Counted as the library's own hook after a commit counts.
            if !(version + 1).is_multiple_of(properties.checkpoint_interval().get()) {
                return Ok(());
            }
            checkpoints::create_checkpoint(table, None).await?;
            if properties.enable_expired_log_cleanup() {
                checkpoints::cleanup_metadata(table, None).await?;
            }
            Ok(())
        });
        if let Err(error) = tidied {
            tracing::warn!(event = "checkpoint_failed", table = self.name, %error, "no checkpoint: the next one is tried in its turn");
        }
    }

    /// Brings a file that the library wrote in the table's directory to disk.
    ///
    /// # Errors
    /// When the system cannot sync it.
    pub(super) fn sync(&self, path: &str) -> Result<()> {
        let Some(directory) = &self.directory else { return Ok(()) };
        let file = directory.join(path);
        // The file, its name in its directory, and the names of directories above it, which may be new.
        for path in file.ancestors().take_while(|path| path.starts_with(directory)) {
            File::open(path).and_then(|file| file.sync_all()).map_err(Error::file("sync", path))?;
        }
        Ok(())
    }

    /// Shows `visit` the rows of `table`, those of `wanted` of its columns that there are.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub(crate) fn read(
        &self,
        table: &DeltaTable,
        wanted: &[&str],
        visit: &mut dyn FnMut(&RecordBatch) -> Result<(), ArrowError>,
    ) -> Result<()> {
        let schema = table.snapshot().map_err(self.failed("read"))?.schema();
        let columns: Vec<_> = wanted.iter().copied().filter(|name| schema.field(name).is_some()).collect();
        let session = session();
        let read = self.block_on(async {
            table.update_datafusion_session(&session.state())?;
            let provider = table.table_provider().await?;
            let failed = DeltaTableError::generic;
            let frame = session.read_table(provider).and_then(|rows| rows.select_columns(&columns));
            let mut rows = frame.map_err(failed)?.execute_stream().await.map_err(failed)?;
            while let Some(batch) = std::future::poll_fn(|context| rows.as_mut().poll_next(context)).await {
                let batch = batch.map_err(failed)?;
                visit(&batch)?;
            }
            DeltaResult::Ok(())
        });
        read.map_err(self.failed("read"))
    }
}

/// What queries on tables run in.
pub(super) fn session() -> SessionContext {
    let mut state = create_session().state();
    // With view types, the library gives a field within a column the type of a partition column of the same name: the
    // `label` within `top_k` would get the type of the column `label`.
    state.config_mut().options_mut().execution.parquet.schema_force_view_types = false;
    SessionContext::new_with_state(state)
}

/// The application whose transactions are the position of a partition.
pub(super) fn position_id(pipeline: &str, topic: &str, partition: i32) -> String {
    format!("fenliu/{pipeline}/{topic}/{partition}")
}

/// The application whose one transaction says where a pipeline began with a partition.
pub(super) fn beginning_id(pipeline: &str, topic: &str, partition: i32) -> String {
    format!("fenliu-beginning/{pipeline}/{topic}/{partition}")
}

/// Whether the commit lost the race for its version, so that nothing was committed. Without retries the library reports
/// that as `MaxCommitAttempts`, too.
fn is_lost_race(error: &DeltaTableError) -> bool {
    matches!(
        error,
        DeltaTableError::VersionAlreadyExists(_)
            | DeltaTableError::Transaction {
                source: TransactionError::MaxCommitAttempts(_) | TransactionError::VersionAlreadyExists(_)
            }
    )
}

/// A `map_err` adapter. Errors about rows, columns or the protocol of the table are permanent; all others may be
/// temporary.
fn failed(action: &'static str, table: &str) -> impl FnOnce(DeltaTableError) -> Error {
    let table = table.to_owned();
    move |error| {
        // Where backtraces are on, the library adds one to its message.
        let text = error.to_string();
        let message = text.lines().next().unwrap_or_default();
        match error {
            DeltaTableError::KernelError(error) if is_managed(&error) => Error::new(
                Kind::Refused,
                format!(
                    "{table}: cannot {action} the table, because it has the feature `catalogManaged` or \
                     `catalogOwned-preview` (commits have to go through the catalog)"
                ),
            )
            .remedy("drop the feature with the engine that set it, or name another table in `path`"),
            DeltaTableError::Arrow { .. }
            | DeltaTableError::Parquet { .. }
            | DeltaTableError::SchemaMismatch { .. }
            | DeltaTableError::InvalidData { .. }
            | DeltaTableError::InvalidTableLocation(_)
            | DeltaTableError::Transaction {
                source:
                    TransactionError::UnsupportedTableFeatures(_) | TransactionError::TableFeaturesRequired(_),
            } => Error::new(Kind::Refused, format!("{table}: cannot {action} the table: {message}")),
            DeltaTableError::KernelError(error) if is_malformed(&error) => {
                Error::new(Kind::Refused, format!("{table}: cannot {action} the table: {message}"))
                    .remedy("mend the table with the engine that wrote it, or name another one in `path`")
            }
            _ if is_name_refused(&error) => Error::new(
                Kind::Refused,
                format!(
                    "{table}: cannot {action} the table: a name is too long for the file system, as values of `partition_by` can make it: {message}"
                ),
            ),
            _ => Error::unavailable(format!("{table}: cannot {action} the table: {message}")),
        }
    }
}

/// Whether the log cannot be understood: its protocol, columns or properties make no sense, an action cannot be
/// decoded, or it is of a release of Delta Lake that the library does not know. Errors of reading alone do not count.
fn is_malformed(error: &KernelError) -> bool {
    match error {
        KernelError::Backtraced { source, .. } => is_malformed(source),
        KernelError::InvalidProtocol(_)
        | KernelError::MissingProtocol
        | KernelError::MissingMetadata
        | KernelError::MissingMetadataAndProtocol
        | KernelError::MissingData(_)
        | KernelError::MalformedJson(_)
        | KernelError::InvalidColumnMappingMode(_)
        | KernelError::InvalidDecimal(_)
        | KernelError::Schema(_)
        | KernelError::Unsupported(_) => true,
        // Actions of the log that lack a field, or have one of another type.
        KernelError::Arrow(error) => !matches!(error, ArrowError::IoError(..) | ArrowError::ExternalError(_)),
        _ => false,
    }
}

/// Whether the kernel refuses the table because its commits go through a catalog. Only the message of the error says
/// so.
fn is_managed(error: &KernelError) -> bool {
    match error {
        KernelError::Backtraced { source, .. } => is_managed(source),
        KernelError::Generic(message) => message.contains("Catalog-managed table"),
        _ => false,
    }
}

/// Whether the file system refuses a file name, which no retry can change. Values of `partition_by` become part of
/// names.
fn is_name_refused(error: &DeltaTableError) -> bool {
    std::iter::successors(Some(error as &(dyn StdError + 'static)), |&error| error.source())
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::InvalidFilename)
}

/// How data files are written.
pub(super) fn properties() -> WriterProperties {
    WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build()
}
