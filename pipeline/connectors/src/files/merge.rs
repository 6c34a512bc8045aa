//! One data file made of several, with the rows of the first, then those of the next, and so on.
//!
//! Files are compared with what their manifests say before their rows are taken: damage is found here and not
//! hidden in a new file with a checksum of its own. Memory holds one batch and what the encoder buffers.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek};
use std::path::{Path, PathBuf};

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchReader};
use arrow::compute::concat_batches;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::reader::FileReader;
use fenliu_schemas::SchemaError;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};

use super::directory::{DirectoryRef, digest};
use super::manifest::DataFile;
use super::staged::{Staged, StagedFile};
use crate::config::FileFormat;
use crate::error::{PipelineError, Result};

/// About how many bytes of rows are decoded at once, and how many rows.
const BATCH_BYTES: usize = 4 << 20;
const BATCH_ROWS: usize = 8192;

/// A merged file, hidden, with what its manifest is to say, and the names of the files that it is made of.
pub(super) struct Merged {
    pub(super) file: Staged,
    pub(super) entry: DataFile,
    pub(super) inputs: Vec<String>,
}

/// Merges files from the start of `files` until about `target` bytes or a file that must stay alone: one without
/// its final name yet, or with other columns. `stem` is the path that the new name begins with. None where that
/// leaves fewer than two.
///
/// # Errors
/// A file that cannot be read or is not what its manifest says.
pub(super) fn merge(
    directory: &DirectoryRef,
    stem: &str,
    files: &[DataFile],
    target: u64,
) -> Result<Option<Merged>> {
    let Some(mut merge) = Merge::begin(directory, stem, files)? else { return Ok(None) };
    for file in files {
        let is_first = merge.inputs.is_empty();
        if (!is_first && merge.file.size()? + file.bytes > target) || !merge.add(directory, file)? {
            break;
        }
    }
    if merge.inputs.len() < 2 { Ok(None) } else { merge.finish().map(Some) }
}

/// The content of a data file, with its path for messages; none where it is not there.
fn read(directory: &DirectoryRef, file: &DataFile) -> Result<Option<(File, PathBuf)>> {
    Ok(directory.read(&file.name)?.map(|content| (content, directory.path(&file.name))))
}

/// What a data file holds.
enum Rows {
    Batches(SchemaRef, Box<dyn RecordBatchReader>),
    Lines(BufReader<File>),
}

impl Rows {
    /// The rows of `file`, from its beginning.
    fn open(mut file: File, path: &Path) -> Result<Self> {
        file.rewind().map_err(PipelineError::file("read", path))?;
        let batches = |reader: Result<Box<dyn RecordBatchReader>, ArrowError>| {
            let reader = reader.map_err(|error| unreadable(path, &error))?;
            Ok(Rows::Batches(reader.schema(), reader))
        };
        match format(path) {
            FileFormat::Parquet => batches(open_parquet(file)),
            FileFormat::Arrow => {
                batches(FileReader::try_new_buffered(file, None).map(|reader| Box::new(reader) as _))
            }
            FileFormat::Jsonl => Ok(Rows::Lines(BufReader::new(file))),
        }
    }

    /// Their columns; lines have none.
    fn schema(&self) -> SchemaRef {
        match self {
            Rows::Batches(schema, _) => SchemaRef::clone(schema),
            Rows::Lines(_) => Schema::empty().into(),
        }
    }
}

fn open_parquet(file: File) -> Result<Box<dyn RecordBatchReader>, ArrowError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
    let rows = batch_rows(builder.metadata());
    Ok(Box::new(builder.with_batch_size(rows).build()?))
}

/// So many rows that about [`BATCH_BYTES`] are decoded, where they are alike: documents may be tens of megabytes.
fn batch_rows(metadata: &ParquetMetaData) -> usize {
    let size = |group: &RowGroupMetaData| {
        usize::try_from(group.total_byte_size() / group.num_rows().max(1)).unwrap_or(0)
    };
    let widest = metadata.row_groups().iter().map(size).max().unwrap_or(0);
    (BATCH_BYTES / widest.max(1)).clamp(1, BATCH_ROWS)
}

/// The format of a file of the sink.
fn format(path: &Path) -> FileFormat {
    let is = |format: &FileFormat| path.extension().is_some_and(|ending| ending == format.extension());
    [FileFormat::Parquet, FileFormat::Arrow].into_iter().find(is).unwrap_or(FileFormat::Jsonl)
}

fn unreadable(path: &Path, error: &ArrowError) -> PipelineError {
    PipelineError::Data(format!("{}: {error}", path.display()))
}

/// A merged file in the making.
struct Merge {
    file: StagedFile,
    schema: SchemaRef,
    inputs: Vec<DataFile>,
    pending: Pending,
}

impl Merge {
    fn begin(directory: &DirectoryRef, stem: &str, files: &[DataFile]) -> Result<Option<Self>> {
        let Some(first) = files.first() else { return Ok(None) };
        let Some((file, path)) = read(directory, first)? else { return Ok(None) };
        let schema = Rows::open(file, &path)?.schema();
        let file = StagedFile::create(directory, stem, format(&path), &schema)?;
        Ok(Some(Merge { file, schema, inputs: vec![], pending: Pending::default() }))
    }

    /// Adds the rows of a file; false when it must stay alone.
    fn add(&mut self, directory: &DirectoryRef, file: &DataFile) -> Result<bool> {
        let Some((content, path)) = read(directory, file)? else { return Ok(false) };
        let digest = digest(&content, &path)?;
        let rows = Rows::open(content, &path)?;
        if rows.schema() != self.schema {
            return Ok(false);
        }
        let changed = |how: &str| {
            let shown = path.display();
            PipelineError::Data(format!("{shown}: {how}; `fenliu verify` says what is missing"))
        };
        if digest != (file.bytes, file.sha256.clone()) {
            return Err(changed("changed since it was committed (SHA-256)"));
        }
        let count = match rows {
            Rows::Batches(_, batches) => self.write_batches(&path, batches)?,
            Rows::Lines(lines) => self.write_lines(&path, lines)?,
        };
        if count != file.rows {
            return Err(changed(&format!("has {count} rows, but its manifest says {}", file.rows)));
        }
        self.inputs.push(file.clone());
        Ok(true)
    }

    fn write_batches(&mut self, path: &Path, batches: Box<dyn RecordBatchReader>) -> Result<u64> {
        let mut count = 0;
        for batch in batches {
            let batch = batch.map_err(|error| unreadable(path, &error))?;
            count += batch.num_rows() as u64;
            if let Some(rows) = self.pending.add(batch, &self.schema)? {
                self.file.write(&rows)?;
            }
        }
        Ok(count)
    }

    fn write_lines(&mut self, path: &Path, mut lines: BufReader<File>) -> Result<u64> {
        let mut count = 0;
        loop {
            let bytes = lines.fill_buf().map_err(PipelineError::file("read", path))?;
            if bytes.is_empty() {
                return Ok(count);
            }
            self.file.write_lines(bytes)?;
            count += bytes.iter().filter(|&&byte| byte == b'\n').count() as u64;
            let length = bytes.len();
            lines.consume(length);
        }
    }

    fn finish(mut self) -> Result<Merged> {
        if let Some(rows) = self.pending.take(&self.schema)? {
            self.file.write(&rows)?;
        }
        let (file, (bytes, sha256)) = self.file.finish()?;
        let mut model_versions = vec![];
        for version in self.inputs.iter().flat_map(|input| &input.model_versions) {
            if !model_versions.contains(version) {
                model_versions.push(version.clone());
            }
        }
        let entry = DataFile {
            name: file.name().to_owned(),
            rows: self.inputs.iter().map(|input| input.rows).sum(),
            bytes,
            sha256,
            model_versions,
            since: self.inputs.iter().filter_map(|input| input.since).min(),
        };
        Ok(Merged { file, entry, inputs: self.inputs.into_iter().map(|input| input.name).collect() })
    }
}

/// Rows of small files, to be written as one batch: an Arrow file would keep each batch apart.
#[derive(Default)]
struct Pending {
    batches: Vec<RecordBatch>,
    rows: usize,
    bytes: usize,
}

impl Pending {
    /// Adds rows; returns all of them once they are many.
    fn add(&mut self, batch: RecordBatch, schema: &SchemaRef) -> Result<Option<RecordBatch>> {
        let bytes = |column: &ArrayRef| column.to_data().get_slice_memory_size();
        let bytes = batch.columns().iter().map(bytes).sum::<Result<usize, _>>().map_err(schema_error)?;
        self.rows += batch.num_rows();
        self.bytes += bytes;
        self.batches.push(batch);
        if self.rows >= BATCH_ROWS || self.bytes >= BATCH_BYTES { self.take(schema) } else { Ok(None) }
    }

    fn take(&mut self, schema: &SchemaRef) -> Result<Option<RecordBatch>> {
        let pending = std::mem::take(self);
        if pending.batches.is_empty() {
            return Ok(None);
        }
        concat_batches(schema, &pending.batches).map(Some).map_err(schema_error)
    }
}

fn schema_error(error: ArrowError) -> PipelineError {
    SchemaError::from(error).into()
}
