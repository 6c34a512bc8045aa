//! Where the rows of a data file come from: topic, partition and offset, and nothing else of them.

use std::fs::File;
use std::io::{BufReader, Seek};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, RecordBatchReader, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema};
use arrow::error::ArrowError;
use arrow::ipc::reader::FileReader;
use arrow::json::ReaderBuilder;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::partitions::{Found, Ranges};
use crate::error::{PipelineError, Result};
use crate::sink::ending;

const BATCH_ROWS: usize = 8192;

/// The columns that tell rows apart.
pub(super) const PLACES: [&str; 3] = ["topic", "partition", "offset"];

/// The topic and the partition of rows that do not say it, where the source has only one.
#[derive(Clone, Debug, Default)]
pub(super) struct Sole {
    topic: Option<Arc<str>>,
    partition: Option<i32>,
}

impl Sole {
    /// What is the only one in `partitions`.
    pub(super) fn of(partitions: &Ranges) -> Self {
        let mut places = partitions.iter();
        let Some((topic, partition, _)) = places.next() else { return Sole::default() };
        let (mut one_topic, mut one_partition) = (true, true);
        for (other_topic, other_partition, _) in places {
            one_topic &= topic == other_topic;
            one_partition &= partition == other_partition;
        }
        Sole { topic: one_topic.then(|| Arc::clone(topic)), partition: one_partition.then_some(partition) }
    }

    /// Why rows with the columns of `schema` cannot be told apart.
    pub(super) fn limit(&self, schema: &Schema) -> Option<String> {
        let needed =
            [("topic", self.topic.is_none()), ("partition", self.partition.is_none()), ("offset", true)];
        let missing = |(name, needed): &(&str, bool)| *needed && schema.field_with_name(name).is_err();
        let missing: Vec<_> =
            needed.into_iter().filter(missing).map(|(name, _)| format!("`{name}`")).collect();
        (!missing.is_empty()).then(|| {
            format!(
                "nothing can be told of its documents: its `columns` leave out {}, so rows cannot be told apart",
                missing.join(" and ")
            )
        })
    }

    /// Notes a row that says so much of its place.
    pub(super) fn note(
        &self,
        found: &mut Found,
        topic: Option<&str>,
        partition: Option<i32>,
        offset: Option<i64>,
    ) {
        match (topic.or(self.topic.as_deref()), partition.or(self.partition), offset) {
            (Some(topic), Some(partition), Some(offset)) => found.add(topic, partition, offset),
            _ => found.strangers += 1,
        }
    }
}

/// Shows `visit` the rows of `file`, from its beginning, in batches, and counts them.
///
/// # Errors
/// A file that cannot be read.
pub(super) fn read(
    mut file: &File,
    path: &Path,
    visit: &mut dyn FnMut(&RecordBatch) -> Result<(), ArrowError>,
) -> Result<u64> {
    file.rewind().map_err(PipelineError::file("read", path))?;
    let mut read = || {
        let mut rows = 0;
        for batch in open(path, file.try_clone()?)? {
            let batch = batch?;
            rows += batch.num_rows() as u64;
            visit(&batch)?;
        }
        Ok(rows)
    };
    read().map_err(|error: ArrowError| PipelineError::Data(format!("{}: {error}", path.display())))
}

fn open(path: &Path, file: File) -> Result<Box<dyn RecordBatchReader>, ArrowError> {
    Ok(match ending(&path.to_string_lossy()) {
        "parquet" => {
            let builder = ParquetRecordBatchReaderBuilder::try_new(file)?.with_batch_size(BATCH_ROWS);
            let mask = ProjectionMask::columns(builder.parquet_schema(), PLACES);
            Box::new(builder.with_projection(mask).build()?)
        }
        "arrow" => Box::new(FileReader::try_new_buffered(file, None)?),
        _ => Box::new(
            ReaderBuilder::new(Arc::new(Schema::new(vec![
                Field::new("topic", DataType::Utf8, true),
                Field::new("partition", DataType::Int32, true),
                Field::new("offset", DataType::Int64, true),
            ])))
            .with_batch_size(BATCH_ROWS)
            .build(BufReader::new(file))?,
        ),
    })
}

/// Notes each row of `batch` in `found`.
///
/// # Errors
/// Columns of types that hold no places.
pub(super) fn note(batch: &RecordBatch, sole: &Sole, found: &mut Found) -> Result<(), ArrowError> {
    let column = |name: &str, data_type: DataType| match batch.column_by_name(name) {
        Some(column) => cast(column, &data_type),
        None => Ok(new_null_array(&data_type, batch.num_rows())),
    };
    let topics = column("topic", DataType::Utf8)?;
    let partitions = column("partition", DataType::Int32)?;
    let offsets = column("offset", DataType::Int64)?;
    let topics = topics.as_string::<i32>();
    let (partitions, offsets) = (partitions.as_primitive::<Int32Type>(), offsets.as_primitive::<Int64Type>());
    for row in 0..batch.num_rows() {
        let topic = topics.is_valid(row).then(|| topics.value(row));
        let partition = partitions.is_valid(row).then(|| partitions.value(row));
        sole.note(found, topic, partition, offsets.is_valid(row).then(|| offsets.value(row)));
    }
    Ok(())
}
