//! Rows to the bytes of a Parquet, Arrow IPC or JSON Lines file.

use std::error::Error as StdError;
use std::fs::File;
use std::io::{BufWriter, Write};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::writer::FileWriter;
use fenliu_engine::{Error, Kind, Result};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use super::config::FileFormat;
use crate::json::json_lines;

/// Bytes of encoded rows after which a Parquet row group is written out: bounds the writer's memory.
const ROW_GROUP_BYTES: usize = 32 << 20;

/// Columns that hardly ever repeat a value. The writer would build a dictionary for each, only to abandon it when it
/// grows too large.
const WITHOUT_DICTIONARY: &[&str] = &["id", "title", "url", "body"];

/// A file that rows are being written to.
pub(super) enum Encoder {
    Parquet(Box<ArrowWriter<File>>),
    Arrow(Box<FileWriter<BufWriter<File>>>),
    Jsonl(BufWriter<File>),
}

impl Encoder {
    /// Begins a file of `format`.
    pub(super) fn try_new(format: FileFormat, file: File, schema: &SchemaRef) -> Result<Self> {
        Ok(match format {
            FileFormat::Parquet => {
                let writer = ArrowWriter::try_new(file, SchemaRef::clone(schema), Some(parquet_properties()));
                Encoder::Parquet(Box::new(writer.map_err(|error| encode_error("Parquet", &error))?))
            }
            FileFormat::Arrow => Encoder::Arrow(Box::new(
                FileWriter::try_new_buffered(file, schema)
                    .map_err(|error| encode_error("Arrow IPC", &error))?,
            )),
            FileFormat::Jsonl => Encoder::Jsonl(BufWriter::new(file)),
        })
    }

    /// Adds rows; they may be buffered.
    pub(super) fn write(&mut self, rows: &RecordBatch) -> Result<()> {
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
    pub(super) fn finish(self) -> Result<File> {
        match self {
            // `into_inner` alone would hide the error of the system, and a full disk would look like a permanent
            // failure.
            Encoder::Parquet(mut writer) => {
                writer.finish().map_err(|error| encode_error("Parquet", &error))?;
                writer.inner().try_clone().map_err(|error| encode_error("Parquet", &error))
            }
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

fn parquet_properties() -> WriterProperties {
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default()));
    let columns = WITHOUT_DICTIONARY.iter().map(|name| ColumnPath::from(*name));
    columns.fold(properties, |p, column| p.set_column_dictionary_enabled(column, false)).build()
}

/// An error of the system may pass, such as a full disk. Rows that cannot be encoded stay so.
fn encode_error(format: &'static str, error: &(dyn StdError + 'static)) -> Error {
    let mut causes = std::iter::successors(Some(error), |&error| error.source());
    match causes.find_map(|cause| cause.downcast_ref::<std::io::Error>()) {
        Some(cause) => {
            let cause = std::io::Error::new(cause.kind(), cause.to_string());
            Error::file("write", format!("a file of {format}"))(cause)
        }
        None => Error::new(Kind::Refused, format!("cannot encode {format}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::errors::ParquetError;

    #[test]
    fn a_full_disk_is_no_matter_of_encoding() {
        let full = || std::io::Error::from(std::io::ErrorKind::StorageFull);
        let errors: [(Box<dyn StdError>, bool); 4] = [
            (Box::new(ParquetError::External(Box::new(full()))), true),
            (Box::new(ArrowError::IoError("write".into(), full())), true),
            (Box::new(full()), true),
            (Box::new(ParquetError::General("no such type".into())), false),
        ];
        for (error, may_pass) in errors {
            let error = encode_error("Parquet", error.as_ref());
            assert_eq!(error.is_retryable(), may_pass, "{error}");
        }
    }
}
