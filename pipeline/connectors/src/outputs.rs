//! Sinks: where rows go.
//!
//! The contract: a sink keeps its own position and moves it in the *same* atomic commit that adds the
//! rows ([`position`](crate::position) has the rule). [`Sink::commit`] returning means that both are
//! durable: they survive the death of this process and, as far as the destination promises, of the
//! machine. An `Err` may mean either; [`Sink::positions`] then tells. Dead letters are rows of a sink
//! like any other, with a position of its own.
//!
//! Standard output can keep no position. It is written before rows go to any sink that does, so that a
//! crash repeats lines and loses none.
//!
//! To add a sink: a variant of [`SinkConfig`], a file here, an arm in `open`.

mod compact;
mod contents;
#[cfg(feature = "delta")]
mod delta;
mod directory;
mod encode;
mod files;
#[cfg(feature = "iceberg")]
mod iceberg;
mod json;
mod kafka;
mod manifest;
mod merge;
mod messages;
mod partition;
mod selection;
mod settle;
mod staged;
mod stdout;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use fenliu_schemas::{Positions, dead_letter_schema};

use crate::config::{Config, DeadLetterConfig, EpochConfig, SinkConfig, ValidatedConfig};
use crate::error::{PipelineError, Result};
use crate::kafka::KafkaConsumer;
use crate::position::Moves;

pub use compact::{Compacted, compact_dead_letters, compact_files};
pub(crate) use contents::Contents;
#[cfg(feature = "delta")]
pub(crate) use delta::Lake;
#[cfg(feature = "delta")]
pub use delta::compact as compact_table;
pub(crate) use directory::{Directory, DirectoryRef, data_files, digest, ending, open as open_directory};
pub use files::FileAppender;
#[cfg(feature = "iceberg")]
pub(crate) use iceberg::{IcebergReader, check_columns as check_iceberg_columns};
pub use json::json_lines;
pub(crate) use manifest::DataFile;
pub(crate) use partition::{Partitioning, fill_in};
pub use selection::{Rows, Selection};
pub(crate) use staged::hidden;
pub use stdout::StdoutSink;

/// The partitions of the source that something is about.
pub type Partitions = [(Arc<str>, i32)];

/// A destination that keeps its own position.
pub trait Sink: Send {
    /// Where the sink stands in `partitions`: what is durable, read anew. A partition that was never
    /// written is missing. What an interrupted commit of this or an earlier process left half-done is
    /// completed before.
    ///
    /// # Errors
    /// [`SinkError::Retry`] while the destination does not answer.
    fn positions(&mut self, partitions: &Partitions) -> Result<Positions, SinkError>;

    /// Adds what [`Selection::select`] takes of `epoch` and makes `moves`, both or neither.
    ///
    /// # Errors
    /// Anything may have happened, or nothing: the caller reads the positions again.
    fn commit(&mut self, epoch: &[Arc<Rows>], moves: &Moves) -> Result<(), SinkError>;
}

/// Why a commit did not go through.
#[derive(Debug)]
pub enum SinkError {
    /// The positions are not where the moves begin: another process committed meanwhile.
    Moved,
    /// Something that may pass: a full disk, a broker that is away, rights that were withdrawn.
    Retry(PipelineError),
    /// Something that stays.
    Stop(PipelineError),
}

impl From<PipelineError> for SinkError {
    /// What has to do with the outside may pass; what has to do with the rows or the configuration stays.
    fn from(error: PipelineError) -> Self {
        match error {
            PipelineError::Delivery { too_large, .. } if too_large => SinkError::Stop(error),
            PipelineError::Iceberg { may_pass: true, .. } => SinkError::Retry(error),
            PipelineError::File { .. }
            | PipelineError::Kafka { .. }
            | PipelineError::Delivery { .. }
            | PipelineError::Table { .. } => SinkError::Retry(error),
            _ => SinkError::Stop(error),
        }
    }
}

/// A sink that its worker and the source share: the one commits, the other asks where to begin.
#[derive(Clone)]
pub struct SharedSink {
    /// For messages: the configuration's key and the destination.
    pub name: Arc<str>,
    max_age: Option<Duration>,
    sink: Arc<Mutex<Box<dyn Sink>>>,
}

impl SharedSink {
    /// `max_age` is the sink's own bound, in place of the general one.
    fn new(name: String, max_age: Option<Duration>, sink: Box<dyn Sink>) -> Self {
        SharedSink { name: name.into(), max_age, sink: Arc::new(Mutex::new(sink)) }
    }

    /// When an epoch of this sink closes.
    pub fn bounds(&self, epoch: &EpochConfig) -> EpochConfig {
        EpochConfig { max_age: self.max_age.unwrap_or(epoch.max_age), ..epoch.clone() }
    }

    /// The sink, for as long as the guard lives.
    pub fn lock(&self) -> MutexGuard<'_, Box<dyn Sink>> {
        self.sink.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens the configured sinks for labelled rows of `schema`, and that of the dead letters.
///
/// All Kafka outputs on the source's cluster are one sink, so that one transaction has their rows and
/// the group's offsets; `consumer` is the source's where it is Kafka.
///
/// # Errors
/// Directories that cannot be made, Kafka properties that librdkafka refuses.
pub fn open(
    config: &ValidatedConfig,
    schema: &SchemaRef,
    consumer: Option<&Arc<KafkaConsumer>>,
) -> Result<Vec<SharedSink>> {
    let mut sinks = vec![];
    let mut topics = vec![];
    for (index, sink) in config.sinks.iter().enumerate() {
        let key = format!("sinks[{index}]");
        let selection = Selection::labelled(&key, schema, sink.columns(), sink.filter())?;
        match sink {
            SinkConfig::Files(files) => {
                let name = format!("{key} ({})", files.path.display());
                let sink = files::FilesSink::try_new(files, &key, files::LABELLED, &config.name, selection)?;
                sinks.push(SharedSink::new(name, files.max_age, Box::new(sink)));
            }
            #[cfg(feature = "delta")]
            SinkConfig::Delta(table) => {
                let name = format!("{key} ({})", table.path);
                let sink = delta::DeltaSink::try_new(table, &config.name, selection)?;
                sinks.push(SharedSink::new(name, table.max_age, Box::new(sink)));
            }
            // Validation has refused it.
            #[cfg(not(feature = "delta"))]
            SinkConfig::Delta(_) => {}
            #[cfg(feature = "iceberg")]
            SinkConfig::Iceberg(table) => {
                let name = format!("{key} ({}.{})", table.namespace, table.table);
                let sink = iceberg::IcebergSink::try_new(&key, table, &config.name, selection)?;
                sinks.push(SharedSink::new(name, table.max_age, Box::new(sink)));
            }
            // Validation has refused it.
            #[cfg(not(feature = "iceberg"))]
            SinkConfig::Iceberg(_) => {}
            SinkConfig::Kafka(kafka) => {
                topics.push(kafka::Topic::new(kafka, selection, messages::send_labelled));
            }
            SinkConfig::Stdout(_) => {}
        }
    }
    match &config.dead_letters {
        DeadLetterConfig::Files(files) => {
            let selection = Selection::dead_letters(&dead_letter_schema(), &files.columns)?;
            let name = format!("dead_letters ({})", files.path.display());
            let key = "dead_letters";
            let sink = files::FilesSink::try_new(files, key, files::DEAD_LETTERS, &config.name, selection)?;
            sinks.push(SharedSink::new(name, files.max_age, Box::new(sink)));
        }
        DeadLetterConfig::Kafka(kafka) => {
            let selection = Selection::dead_letters(&dead_letter_schema(), &[])?;
            topics.push(kafka::Topic::new(kafka, selection, messages::send_dead_letters));
        }
    }
    sinks.extend(kafka::open(config, topics, consumer)?);
    Ok(sinks)
}

/// Whether a sink of `config` moves the group's offsets itself, in its transactions.
pub fn moves_group_offsets(config: &Config) -> bool {
    kafka::is_transactional(config)
}
