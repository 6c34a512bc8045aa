//! Rows to data files: Parquet, with Iceberg's field numbers and the statistics by which readers skip files.

use std::sync::Arc;

use arrow::array::{RecordBatch, new_null_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use fenliu_engine::{Error, Kind, Result};
use iceberg::arrow::{RecordBatchPartitionSplitter, schema_to_arrow_schema};
use iceberg::spec::{DataFile, DataFileFormat, PartitionKey, Struct};
use iceberg::table::Table;
use iceberg::writer::base_writer::data_file_writer::DataFileWriterBuilder;
use iceberg::writer::file_writer::ParquetWriterBuilder;
use iceberg::writer::file_writer::location_generator::{
    DefaultFileNameGenerator, DefaultLocationGenerator, LocationGenerator,
};
use iceberg::writer::file_writer::rolling_writer::RollingFileWriterBuilder;
use iceberg::writer::partitioning::PartitioningWriter;
use iceberg::writer::partitioning::fanout_writer::FanoutWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use ulid::Ulid;

use super::error::failed;

/// Writes `batches` to files of `table`, which are no part of it yet.
///
/// # Errors
/// A store that does not answer; a value that the table's column cannot hold.
pub(super) async fn data_files(table: &Table, batches: &[RecordBatch]) -> Result<Vec<DataFile>> {
    let not_written = failed("write files of", table.identifier());
    let schema = schema_to_arrow_schema(table.metadata().current_schema()).map_err(&not_written)?;
    let schema = SchemaRef::new(schema);
    let batches = batches.iter().map(|batch| conform(batch, &schema));
    let batches = batches
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Error::new(Kind::Refused, format!("cannot encode Iceberg: {error}")))?;
    write(table, batches).await.map_err(not_written)
}

async fn write(table: &Table, batches: Vec<RecordBatch>) -> iceberg::Result<Vec<DataFile>> {
    let metadata = table.metadata();
    let zstd = Compression::ZSTD(ZstdLevel::default());
    let properties = WriterProperties::builder().set_compression(zstd).build();
    let rolling = RollingFileWriterBuilder::new(
        ParquetWriterBuilder::new(properties, Arc::clone(metadata.current_schema())),
        metadata.table_properties()?.write_target_file_size_bytes,
        table.file_io().clone(),
        Locations(DefaultLocationGenerator::new(metadata)?),
        DefaultFileNameGenerator::new(Ulid::generate().to_string(), None, DataFileFormat::Parquet),
    );
    let mut writer = FanoutWriter::new(DataFileWriterBuilder::new(rolling));
    let splitter = Splitter::try_new(table)?;
    for batch in batches {
        for (partition, rows) in splitter.split(batch)? {
            writer.write(partition, rows).await?;
        }
    }
    writer.close().await
}

/// Splits rows by their partitions.
enum Splitter {
    Whole(PartitionKey),
    Parts(Box<RecordBatchPartitionSplitter>),
}

impl Splitter {
    fn try_new(table: &Table) -> iceberg::Result<Self> {
        let (schema, spec) = (table.current_schema_ref(), table.metadata().default_partition_spec());
        if spec.is_unpartitioned() {
            // Also a spec whose fields are all `void` counts as unpartitioned; their values are null.
            let nothing = Struct::from_iter(spec.fields().iter().map(|_| None));
            return Ok(Splitter::Whole(PartitionKey::new(spec.as_ref().clone(), schema, nothing)));
        }
        let splitter = RecordBatchPartitionSplitter::try_new_with_computed_values(schema, Arc::clone(spec))?;
        Ok(Splitter::Parts(Box::new(splitter)))
    }

    fn split(&self, batch: RecordBatch) -> iceberg::Result<Vec<(PartitionKey, RecordBatch)>> {
        match self {
            Splitter::Whole(key) => Ok(vec![(key.clone(), batch)]),
            Splitter::Parts(splitter) => splitter.split(&batch),
        }
    }
}

/// Puts all files into one directory: partition values may hold anything, `/` and `..` included, and Iceberg knows them
/// from its manifests, not from paths.
#[derive(Clone, Debug)]
struct Locations(DefaultLocationGenerator);

impl LocationGenerator for Locations {
    fn generate_location(&self, _: Option<&PartitionKey>, file_name: &str) -> String {
        self.0.generate_location(None, file_name)
    }
}

/// `batch` with the columns of `schema`; those that it lacks are null.
fn conform(batch: &RecordBatch, schema: &Arc<Schema>) -> Result<RecordBatch, ArrowError> {
    // By default, a value that does not fit would silently become null.
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let columns = schema.fields().iter().map(|field| match batch.column_by_name(field.name()) {
        Some(column) => cast_with_options(column, field.data_type(), &strict),
        None => Ok(new_null_array(field.data_type(), batch.num_rows())),
    });
    RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Int64Array;
    use arrow::datatypes::{DataType, Field};

    #[test]
    fn a_number_that_the_column_cannot_hold_is_an_error_and_no_null() {
        let schema = Schema::new(vec![
            Field::new("number", DataType::Int32, true),
            Field::new("missing", DataType::Utf8, true),
        ]);
        let conform = |number: i64| {
            let numbers = Arc::new(Int64Array::from(vec![number])) as _;
            conform(&RecordBatch::try_from_iter([("number", numbers)]).unwrap(), &Arc::new(schema.clone()))
        };
        assert_eq!(conform(5).unwrap().column(1).null_count(), 1);
        assert!(conform(1 << 40).is_err());
    }
}
