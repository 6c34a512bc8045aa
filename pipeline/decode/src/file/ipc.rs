//! Arrow IPC, as files and as streams.

use std::io::{BufReader, Read};
use std::sync::Arc;

use arrow::array::RecordBatchReader;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::ipc::reader::{FileReader, StreamReader};
use fenliu_engine::{Error, Result};

use super::kind::{FileKind, Kind};
use super::row::{Content, FileRows, Row};
use super::rules::{FileRules, failed};
use super::source::{Input, Seekable};
use super::table::{TableRows, wanted_columns, wants_text};
use super::unpack::unpacked;

/// The rows of an Arrow file or stream.
pub(super) struct ArrowRows {
    name: String,
    batches: Box<dyn RecordBatchReader + Send>,
    ready: Option<Arc<TableRows>>,
    taken: usize,
    next: i64,
    first: i64,
}

/// Opens an Arrow file or stream and goes to the row `first`.
///
/// # Errors
/// The file is not valid, or has no column for a text.
pub(super) fn open(
    input: &Arc<dyn Input>,
    kind: &FileKind,
    rules: &FileRules,
    first: i64,
) -> Result<ArrowRows> {
    let batches = match (kind.kind, kind.packing) {
        (Kind::ArrowFile, None) => file(input, rules),
        (Kind::ArrowFile, Some(_)) => {
            let unpack =
                unpacked(kind.packing, input.read_from(0).map_err(|error| failed(&**input, &error))?);
            // A file is read from its end, so that a compressed one has to be unpacked as a whole.
            let (mut reader, _) = unpack.map_err(|error| failed(&**input, &error))?;
            let mut bytes = vec![];
            reader.read_to_end(&mut bytes).map_err(|error| failed(&**input, &error))?;
            of_file(std::io::Cursor::new(bytes), rules)
        }
        _ => {
            let reader = input.read_from(0).and_then(|reader| unpacked(kind.packing, reader));
            let (reader, _) = reader.map_err(|error| failed(&**input, &error))?;
            stream(reader, rules)
        }
    };
    let batches = batches.map_err(|error| failed(&**input, &error))?;
    Ok(ArrowRows { name: input.name().to_owned(), batches, ready: None, taken: 0, next: 0, first })
}

type Batches = Box<dyn RecordBatchReader + Send>;

fn file(input: &Arc<dyn Input>, rules: &FileRules) -> std::result::Result<Batches, ArrowError> {
    of_file(BufReader::with_capacity(1 << 18, Seekable::new(Arc::clone(input))), rules)
}

fn of_file<R: Read + std::io::Seek + Send + 'static>(
    reader: R,
    rules: &FileRules,
) -> std::result::Result<Batches, ArrowError> {
    let mut reader = reader;
    // The columns are known from the footer, and chosen in a second reader.
    let schema = FileReader::try_new(&mut reader, None)?.schema();
    let wanted = chosen(&schema, rules)?;
    Ok(Box::new(FileReader::try_new(reader, Some(wanted))?))
}

fn stream(reader: Box<dyn Read + Send>, rules: &FileRules) -> std::result::Result<Batches, ArrowError> {
    let reader = StreamReader::try_new(BufReader::new(reader), None)?;
    chosen(&reader.schema(), rules)?;
    Ok(Box::new(reader))
}

fn chosen(schema: &Schema, rules: &FileRules) -> std::result::Result<Vec<usize>, ArrowError> {
    let columns: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
    wants_text(&columns, rules).map_err(ArrowError::SchemaError)?;
    Ok(wanted_columns(schema, rules))
}

impl ArrowRows {
    fn read(&mut self) -> Result<bool> {
        let Some(batch) = self.batches.next() else { return Ok(false) };
        let batch = batch.map_err(|error| self.error(&error))?;
        let rows = batch.num_rows() as i64;
        // Whole batches before the first row need not be converted.
        let is_before = self.next + rows <= self.first;
        self.taken = usize::try_from((self.first - self.next).clamp(0, rows)).unwrap_or_default();
        self.next += self.taken as i64;
        self.ready = match is_before {
            true => None,
            false => Some(Arc::new(TableRows::try_new(&batch).map_err(|error| self.error(&error))?)),
        };
        Ok(true)
    }

    fn error(&self, error: &dyn std::fmt::Display) -> Error {
        Error::input(format!("{}: {error}", self.name))
    }
}

impl FileRows for ArrowRows {
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
