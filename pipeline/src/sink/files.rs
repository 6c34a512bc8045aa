//! Parquet, Arrow IPC or JSON Lines files in a directory.
//!
//! One file an epoch. It is written under a hidden name and gets its final name only when it is
//! complete and on disk, so a reader of the directory never sees part of a file. A crash leaves at most
//! one hidden file behind, which no reader takes for data.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::writer::FileWriter;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use ulid::Ulid;

use super::{Sink, json_lines};
use crate::config::{FileFormat, FilesSinkConfig};
use crate::error::{PipelineError, Result};

/// Bytes of encoded rows after which a Parquet row group is written out: bounds the writer's memory.
const ROW_GROUP_BYTES: usize = 32 << 20;

/// Writes rows to files in one directory.
pub(super) struct FilesSink {
    directory: PathBuf,
    prefix: &'static str,
    format: FileFormat,
    schema: SchemaRef,
    open: Option<OpenFile>,
}

struct OpenFile {
    hidden: PathBuf,
    path: PathBuf,
    encoder: Encoder,
}

impl FilesSink {
    /// Makes the directory if need be. File names begin with `prefix`.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub(super) fn try_new(
        config: &FilesSinkConfig,
        prefix: &'static str,
        schema: &SchemaRef,
    ) -> Result<Self> {
        std::fs::create_dir_all(&config.path)
            .map_err(PipelineError::file("create directory", &config.path))?;
        Ok(FilesSink {
            directory: config.path.clone(),
            prefix,
            format: config.format,
            schema: SchemaRef::clone(schema),
            open: None,
        })
    }

    fn create(&self) -> Result<OpenFile> {
        let name = format!("{}-{}.{}", self.prefix, Ulid::generate(), self.format.extension());
        let hidden = self.directory.join(format!(".{name}.inprogress"));
        let file = File::create_new(&hidden).map_err(PipelineError::file("create", &hidden))?;
        let encoder = Encoder::try_new(self.format, file, &self.schema)?;
        Ok(OpenFile { hidden, path: self.directory.join(name), encoder })
    }
}

impl Sink for FilesSink {
    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let open = match self.open.take() {
            Some(open) => open,
            None => self.create()?,
        };
        self.open.insert(open).encoder.write(rows)
    }

    fn flush(&mut self) -> Result<()> {
        let Some(OpenFile { hidden, path, encoder }) = self.open.take() else { return Ok(()) };
        let file = encoder.finish()?;
        file.sync_all().map_err(PipelineError::file("sync", &hidden))?;
        std::fs::rename(&hidden, &path).map_err(PipelineError::file("rename", &hidden))?;
        sync_directory(&self.directory)
    }
}

/// A rename is durable once its directory is.
fn sync_directory(directory: &Path) -> Result<()> {
    File::open(directory).and_then(|file| file.sync_all()).map_err(PipelineError::file("sync", directory))
}

enum Encoder {
    Parquet(Box<ArrowWriter<File>>),
    Arrow(Box<FileWriter<BufWriter<File>>>),
    Jsonl(BufWriter<File>),
}

impl Encoder {
    fn try_new(format: FileFormat, file: File, schema: &SchemaRef) -> Result<Self> {
        Ok(match format {
            FileFormat::Parquet => {
                let zstd = Compression::ZSTD(ZstdLevel::default());
                let properties = WriterProperties::builder().set_compression(zstd).build();
                let writer = ArrowWriter::try_new(file, SchemaRef::clone(schema), Some(properties));
                Encoder::Parquet(Box::new(writer.map_err(|error| encode_error("Parquet", &error))?))
            }
            FileFormat::Arrow => Encoder::Arrow(Box::new(
                FileWriter::try_new_buffered(file, schema)
                    .map_err(|error| encode_error("Arrow IPC", &error))?,
            )),
            FileFormat::Jsonl => Encoder::Jsonl(BufWriter::new(file)),
        })
    }

    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        match self {
            Encoder::Parquet(writer) => {
                writer.write(rows).map_err(|error| encode_error("Parquet", &error))?;
                if writer.in_progress_size() >= ROW_GROUP_BYTES {
                    writer.flush().map_err(|error| encode_error("Parquet", &error))?;
                }
                Ok(())
            }
            Encoder::Arrow(writer) => writer.write(rows).map_err(|error| encode_error("Arrow IPC", &error)),
            Encoder::Jsonl(file) => {
                file.write_all(&json_lines(rows)?).map_err(|error| encode_error("JSON Lines", &error))
            }
        }
    }

    /// Completes the file and hands it back for syncing.
    fn finish(self) -> Result<File> {
        match self {
            Encoder::Parquet(writer) => writer.into_inner().map_err(|error| encode_error("Parquet", &error)),
            Encoder::Arrow(mut writer) => writer
                .finish()
                .and_then(|()| writer.into_inner())
                .and_then(|file| {
                    file.into_inner()
                        .map_err(|error| ArrowError::IoError(error.to_string(), error.into_error()))
                })
                .map_err(|error| encode_error("Arrow IPC", &error)),
            Encoder::Jsonl(file) => file.into_inner().map_err(|error| encode_error("JSON Lines", &error)),
        }
    }
}

fn encode_error(format: &'static str, error: &dyn std::error::Error) -> PipelineError {
    PipelineError::Encode { format, message: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int32Array, RecordBatchReader};
    use arrow::ipc::reader::FileReader;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use std::sync::Arc;

    fn rows(values: Vec<i32>) -> RecordBatch {
        RecordBatch::try_from_iter([("n", Arc::new(Int32Array::from(values)) as _)]).unwrap()
    }

    fn read(path: &Path, format: FileFormat) -> usize {
        let file = File::open(path).unwrap();
        let count = |reader: &mut dyn RecordBatchReader| reader.map(|batch| batch.unwrap().num_rows()).sum();
        match format {
            FileFormat::Parquet => {
                count(&mut ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap())
            }
            FileFormat::Arrow => count(&mut FileReader::try_new(file, None).unwrap()),
            FileFormat::Jsonl => std::fs::read_to_string(path).unwrap().lines().count(),
        }
    }

    #[test]
    fn a_file_appears_only_when_it_is_whole() {
        for format in [FileFormat::Parquet, FileFormat::Arrow, FileFormat::Jsonl] {
            let dir = tempfile::tempdir().unwrap();
            let visible = || {
                let names = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
                names
                    .filter(|p| !p.file_name().unwrap().to_string_lossy().starts_with('.'))
                    .collect::<Vec<_>>()
            };
            let config = FilesSinkConfig { path: dir.path().into(), format, ..FilesSinkConfig::default() };
            let mut sink = FilesSink::try_new(&config, "labelled", &rows(vec![]).schema()).unwrap();
            sink.write(&rows(vec![1, 2])).unwrap();
            sink.write(&rows(vec![3])).unwrap();
            assert!(visible().is_empty());
            sink.flush().unwrap();
            sink.flush().unwrap();
            let files = visible();
            assert_eq!(files.len(), 1, "{format:?}");
            assert_eq!(read(&files[0], format), 3, "{format:?}");
        }
    }
}
