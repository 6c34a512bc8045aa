//! Sinks: where rows go.
//!
//! The contract: [`Sink::flush`] returns when every row written before is *durable* — it survives the
//! death of this process and, as far as the destination promises, of the machine. Offsets are committed
//! only after every sink, dead letters included, has flushed. A crash before that means that the rows
//! are read and written again: at least once. Readers tell copies by `(topic, partition, offset)`.
//!
//! To add a sink: a variant of [`SinkConfig`], a file here, an arm in `open`.

mod files;
mod json;
mod kafka;
mod stdout;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use fenliu_operators::Projection;
use fenliu_schemas::dead_letter_schema;

use crate::config::{DeadLetterConfig, FilesSinkConfig, Problems, SinkConfig, ValidatedConfig};
use crate::error::{PipelineError, Result};

pub use json::json_lines;

/// A destination of rows of one schema.
pub trait Sink: Send {
    /// Takes rows in; they may be buffered.
    ///
    /// # Errors
    /// What makes going on impossible; the sink has retried what can be retried.
    fn write(&mut self, rows: &RecordBatch) -> Result<()>;

    /// Makes all rows taken in so far durable.
    ///
    /// # Errors
    /// As [`write`](Self::write). The caller must not commit then.
    fn flush(&mut self) -> Result<()>;
}

/// A sink behind its own columns and predicate.
struct Output {
    projection: Projection,
    sink: Box<dyn Sink>,
}

impl Output {
    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let rows = self.projection.apply(rows)?;
        if rows.num_rows() == 0 { Ok(()) } else { self.sink.write(&rows) }
    }
}

/// All sinks of a pipeline, the dead letters' included.
pub struct Outputs {
    labelled: Vec<Output>,
    dead_letters: Output,
}

impl Outputs {
    /// Opens the configured sinks for labelled rows of `schema`.
    ///
    /// # Errors
    /// Directories that cannot be made, Kafka properties that librdkafka refuses.
    pub fn open(config: &ValidatedConfig, schema: &SchemaRef) -> Result<Self> {
        let labelled = config.sinks.iter().enumerate().map(|(index, sink)| {
            let key = format!("sinks[{index}]");
            let projection = projection(&key, schema, sink.columns(), sink.filter())?;
            let sink = open(config, sink, projection.schema())?;
            Ok(Output { projection, sink })
        });
        Ok(Outputs { labelled: labelled.collect::<Result<_>>()?, dead_letters: open_dead_letters(config)? })
    }

    /// Writes labelled rows to every sink.
    ///
    /// # Errors
    /// The first sink's that fails.
    pub fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        self.labelled.iter_mut().try_for_each(|output| output.write(rows))
    }

    /// Writes dead letters.
    ///
    /// # Errors
    /// As [`Sink::write`].
    pub fn write_dead_letters(&mut self, rows: &RecordBatch) -> Result<()> {
        self.dead_letters.write(rows)
    }

    /// Makes everything durable, dead letters first: a rejected document must not be the one lost.
    ///
    /// # Errors
    /// The first sink's that fails.
    pub fn flush(&mut self) -> Result<()> {
        self.dead_letters.sink.flush()?;
        self.labelled.iter_mut().try_for_each(|output| output.sink.flush())
    }
}

fn open(config: &ValidatedConfig, sink: &SinkConfig, schema: &SchemaRef) -> Result<Box<dyn Sink>> {
    Ok(match sink {
        SinkConfig::Files(files) => Box::new(files::FilesSink::try_new(files, "labelled", schema)?),
        SinkConfig::Kafka(kafka) => Box::new(kafka::KafkaSink::try_new(config, kafka, kafka::send_labelled)?),
        SinkConfig::Stdout(_) => Box::new(stdout::StdoutSink),
    })
}

/// Opens files for rows that are neither labelled rows nor dead letters; names begin with `prefix`.
///
/// # Errors
/// When the directory cannot be made.
pub(crate) fn open_files(
    config: &FilesSinkConfig,
    prefix: &'static str,
    schema: &SchemaRef,
) -> Result<Box<dyn Sink>> {
    Ok(Box::new(files::FilesSink::try_new(config, prefix, schema)?))
}

fn open_dead_letters(config: &ValidatedConfig) -> Result<Output> {
    let columns = match &config.dead_letters {
        DeadLetterConfig::Files(files) => files.columns.as_slice(),
        DeadLetterConfig::Kafka(_) => &[],
    };
    let projection = projection("dead_letters", &dead_letter_schema(), columns, None)?;
    let sink: Box<dyn Sink> = match &config.dead_letters {
        DeadLetterConfig::Files(files) => {
            Box::new(files::FilesSink::try_new(files, "dead-letters", projection.schema())?)
        }
        DeadLetterConfig::Kafka(kafka) => {
            Box::new(kafka::KafkaSink::try_new(config, kafka, kafka::send_dead_letters)?)
        }
    };
    Ok(Output { projection, sink })
}

fn projection(key: &str, schema: &SchemaRef, columns: &[String], filter: Option<&str>) -> Result<Projection> {
    Projection::try_new(schema, columns, filter).map_err(|errors| {
        let mut problems = Problems::new("config");
        errors.iter().for_each(|error| problems.add(key, error.to_string()));
        PipelineError::Config(problems)
    })
}
