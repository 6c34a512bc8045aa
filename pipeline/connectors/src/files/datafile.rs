//! Opening a Parquet, Arrow IPC or JSON Lines file as batches of rows: the one place that knows how each is read.

use std::fs::File;
use std::io::BufReader;

use arrow::array::RecordBatchReader;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::FileReader;
use arrow::json::ReaderBuilder;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::config::FileFormat;
use super::names::ending;

/// Batches of rows.
pub(super) type Batches = Box<dyn RecordBatchReader + Send>;

/// Which part of a file is read, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    /// Columns to read of a Parquet file, which stores them separately; `None`: all. Files of other formats are read
    /// whole.
    pub(super) columns: Option<&'a [&'a str]>,
    /// Most rows of a batch; an Arrow file keeps its own batches.
    pub(super) batch_rows: usize,
    /// The columns of a JSON Lines file, which does not say its types.
    pub(super) json: &'a SchemaRef,
}

impl FileFormat {
    /// The format of a file, by the ending of its name.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        match ending(name) {
            "parquet" => Some(FileFormat::Parquet),
            "arrow" => Some(FileFormat::Arrow),
            "jsonl" => Some(FileFormat::Jsonl),
            _ => None,
        }
    }
}

/// Opens `file`, and reads from its present offset.
///
/// # Errors
/// A file that is not of this format.
pub(super) fn open(file: File, format: FileFormat, wanted: Wanted<'_>) -> Result<Batches, ArrowError> {
    Ok(match format {
        FileFormat::Parquet => {
            let mut builder =
                ParquetRecordBatchReaderBuilder::try_new(file)?.with_batch_size(wanted.batch_rows);
            if let Some(columns) = wanted.columns {
                let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
                builder = builder.with_projection(mask);
            }
            Box::new(builder.build()?)
        }
        FileFormat::Arrow => Box::new(FileReader::try_new_buffered(file, None)?),
        FileFormat::Jsonl => Box::new(
            ReaderBuilder::new(SchemaRef::clone(wanted.json))
                .with_batch_size(wanted.batch_rows)
                .build(BufReader::new(file))?,
        ),
    })
}
