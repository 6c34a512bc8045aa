//! Parquet files, of which only the wanted columns are read.
//!
//! A text column is checked as it is decoded, so that one byte that is not UTF-8 fails the whole batch, and with a
//! dictionary the whole row group. From there on the file's texts are read as bytes, which are decoded one by one.

use std::io::Read;
use std::sync::Arc;

use ::parquet::arrow::ProjectionMask;
use ::parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use ::parquet::basic::{ConvertedType, Type};
use ::parquet::errors::{ParquetError, Result as ParquetResult};
use ::parquet::file::metadata::{FileMetaData, ParquetMetaData};
use ::parquet::file::reader::{ChunkReader, Length};
use ::parquet::schema::types::{SchemaDescriptor, Type as SchemaType, TypePtr};
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use bytes::Bytes;
use fenliu_engine::{Error, Result};

use super::row::{Content, FileRows, Row};
use super::rules::{FileRules, failed};
use super::source::Input;
use super::table::{TableRows, wants_text};

/// How many rows are decoded at once.
const BATCH_ROWS: usize = 1024;

/// The rows of a Parquet file.
pub(super) struct ParquetRows {
    input: Chunks,
    metadata: ArrowReaderMetadata,
    mask: ProjectionMask,
    reader: ParquetRecordBatchReader,
    /// The number of the row that `reader` reads next.
    ahead: i64,
    ready: Option<Arc<TableRows>>,
    /// How many of `ready` were returned.
    taken: usize,
    next: i64,
    /// Whether texts are read as bytes.
    is_lenient: bool,
}

impl ParquetRows {
    /// The rows from `first` on.
    ///
    /// # Errors
    /// The file is not valid, or has no column for a text.
    pub(super) fn open(input: Arc<dyn Input>, rules: &FileRules, first: i64) -> Result<Self> {
        let name = input.name().to_owned();
        ParquetRows::try_open(Chunks(input), rules, first)
            .map_err(|error| Error::input(format!("{name}: {error}")))
    }

    fn try_open(input: Chunks, rules: &FileRules, first: i64) -> ParquetResult<Self> {
        let plain = ArrowReaderMetadata::load(&input, ArrowReaderOptions::new())?;
        let metadata = match hinted(&plain) {
            None => plain,
            Some(schema) => ArrowReaderMetadata::load(&input, ArrowReaderOptions::new().with_schema(schema))?,
        };
        let mask = mask(&metadata, rules)?;
        let reader = reader(&input, &metadata, &mask, first)?;
        let rows = metadata.metadata().file_metadata().num_rows();
        Ok(ParquetRows {
            input,
            metadata,
            mask,
            reader,
            ahead: first,
            ready: None,
            taken: 0,
            next: first.min(rows),
            is_lenient: false,
        })
    }

    /// Reads on; `false` at the end.
    fn read(&mut self) -> Result<bool> {
        let batch = match self.reader.next() {
            None => return Ok(false),
            Some(Ok(batch)) => batch,
            Some(Err(error)) if is_invalid_text(&error) && !self.is_lenient => {
                tracing::warn!(
                    event = "parquet_texts_not_utf8",
                    file = self.input.0.name(),
                    row = self.ahead,
                    "texts of this file are not UTF-8; they are decoded one by one from here on"
                );
                self.read_leniently().map_err(|error| self.error(&error))?;
                return Ok(true);
            }
            Some(Err(error)) => return Err(self.error(&error)),
        };
        self.ahead += batch.num_rows() as i64;
        self.make_ready(&batch)?;
        Ok(true)
    }

    /// Reads on with texts as bytes.
    fn read_leniently(&mut self) -> ParquetResult<()> {
        self.is_lenient = true;
        self.metadata = lenient(&self.metadata)?;
        self.reader = reader(&self.input, &self.metadata, &self.mask, self.ahead)?;
        Ok(())
    }

    fn make_ready(&mut self, batch: &RecordBatch) -> Result<()> {
        self.ready = Some(Arc::new(TableRows::try_new(batch).map_err(|error| self.error(&error))?));
        self.taken = 0;
        Ok(())
    }

    fn error(&self, error: &dyn std::fmt::Display) -> Error {
        failed(&*self.input.0, error)
    }
}

impl FileRows for ParquetRows {
    fn next_row(&mut self) -> Result<Option<Row>> {
        loop {
            if let Some(ready) = self.ready.as_ref().filter(|ready| self.taken < ready.len()) {
                let content = Content::Cells(Arc::clone(ready), self.taken);
                self.taken += 1;
                self.next += 1;
                return Ok(Some(Row { number: self.next - 1, content }));
            }
            if !self.read()? {
                return Ok(None);
            }
        }
    }

    fn next_number(&self) -> i64 {
        self.next
    }
}

/// The rows from `start` on.
fn reader(
    input: &Chunks,
    metadata: &ArrowReaderMetadata,
    mask: &ProjectionMask,
    start: i64,
) -> ParquetResult<ParquetRecordBatchReader> {
    ParquetRecordBatchReaderBuilder::new_with_metadata(input.clone(), metadata.clone())
        .with_projection(mask.clone())
        .with_batch_size(BATCH_ROWS)
        .with_offset(usize::try_from(start).unwrap_or_default())
        .build()
}

/// The columns that are read.
fn mask(metadata: &ArrowReaderMetadata, rules: &FileRules) -> ParquetResult<ProjectionMask> {
    let Some(fields) = &rules.wanted else { return Ok(ProjectionMask::all()) };
    let columns: Vec<String> = metadata.schema().fields().iter().map(|field| field.name().clone()).collect();
    wants_text(&columns, rules).map_err(ParquetError::General)?;
    let leaves = metadata.parquet_schema().columns().iter().enumerate();
    let wanted = leaves.filter(|(_, leaf)| fields.covers(leaf.path().parts())).map(|(index, _)| index);
    Ok(ProjectionMask::leaves(metadata.parquet_schema(), wanted))
}

/// The schema in which times of 96 bits have microseconds; as nanoseconds, those before 1677 and after 2262 would become
/// other times. `None` if there are no such times.
fn hinted(metadata: &ArrowReaderMetadata) -> Option<SchemaRef> {
    let is_wide = |index: usize| {
        let leaves = metadata.parquet_schema().columns().iter().enumerate();
        let mut of_column =
            leaves.filter(|(leaf, _)| metadata.parquet_schema().get_column_root_idx(*leaf) == index);
        of_column.any(|(_, leaf)| leaf.physical_type() == Type::INT96)
    };
    let schema = metadata.schema();
    let mut is_changed = false;
    let mut hint = |(index, field): (usize, &Arc<Field>)| match field.data_type() {
        DataType::Timestamp(TimeUnit::Nanosecond, zone) if is_wide(index) => {
            is_changed = true;
            let micros = DataType::Timestamp(TimeUnit::Microsecond, zone.clone());
            Arc::new(field.as_ref().clone().with_data_type(micros))
        }
        _ => Arc::clone(field),
    };
    let fields: Vec<_> = schema.fields().iter().enumerate().map(&mut hint).collect();
    is_changed.then(|| Arc::new(Schema::new(fields)))
}

/// The metadata of a file whose texts are not marked as texts, so that they are read as bytes.
fn lenient(metadata: &ArrowReaderMetadata) -> ParquetResult<ArrowReaderMetadata> {
    let file = metadata.metadata().file_metadata();
    let schema = SchemaDescriptor::new(unmarked(&file.schema_descr().root_schema_ptr())?);
    // Without the key-value metadata, which may have an Arrow schema that marks texts, too.
    let unmarked = FileMetaData::new(
        file.version(),
        file.num_rows(),
        file.created_by().map(ToOwned::to_owned),
        None,
        Arc::new(schema),
        file.column_orders().cloned(),
    );
    let groups = metadata.metadata().row_groups().to_vec();
    ArrowReaderMetadata::try_new(Arc::new(ParquetMetaData::new(unmarked, groups)), ArrowReaderOptions::new())
}

/// The type without the marks that say that bytes are text.
fn unmarked(kind: &TypePtr) -> ParquetResult<TypePtr> {
    let info = kind.get_basic_info();
    let id = info.has_id().then(|| info.id());
    if kind.is_primitive() {
        if kind.get_physical_type() != Type::BYTE_ARRAY || info.converted_type() == ConvertedType::DECIMAL {
            return Ok(Arc::clone(kind));
        }
        let plain = SchemaType::primitive_type_builder(kind.name(), Type::BYTE_ARRAY);
        return Ok(Arc::new(plain.with_repetition(info.repetition()).with_id(id).build()?));
    }
    let fields = kind.get_fields().iter().map(unmarked).collect::<ParquetResult<_>>()?;
    let mut group = SchemaType::group_type_builder(kind.name())
        .with_converted_type(info.converted_type())
        .with_logical_type(info.logical_type_ref().cloned())
        .with_fields(fields)
        .with_id(id);
    if info.has_repetition() {
        group = group.with_repetition(info.repetition());
    }
    Ok(Arc::new(group.build()?))
}

fn is_invalid_text(error: &ArrowError) -> bool {
    let message = error.to_string().to_ascii_lowercase();
    message.contains("utf-8") || message.contains("utf8")
}

/// An input as Parquet reads it, by chunks.
#[derive(Clone)]
struct Chunks(Arc<dyn Input>);

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.0.length()
    }
}

impl ChunkReader for Chunks {
    type T = Box<dyn Read + Send>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(Box::new(std::io::BufReader::new(self.0.read_from(start)?)))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let mut bytes = Vec::with_capacity(length.min(64 << 20));
        self.0.read_from(start)?.take(length as u64).read_to_end(&mut bytes)?;
        if bytes.len() < length {
            return Err(ParquetError::EOF(format!(
                "{length} bytes at {start} are wanted, and {} are there",
                bytes.len()
            )));
        }
        Ok(bytes.into())
    }
}
