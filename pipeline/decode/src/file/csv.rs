//! CSV and TSV files with a header. A row is a record, whose values may have line breaks, and not a line.

use std::io::{BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use csv::{ByteRecord, Reader, ReaderBuilder};
use fenliu_engine::{Error, Result};
use serde::ser::{SerializeMap, Serializer as _};

use super::kind::FileKind;
use super::row::{Content, FileRows, Rest, Row};
use super::rules::{FileRules, failed};
use super::source::Input;
use super::table::wants_text;
use super::text::Text;

/// The records of a CSV file, as JSON objects of texts.
pub(super) struct CsvRows {
    name: String,
    reader: Reader<LastByte>,
    header: Vec<String>,
    /// The record that comes next. One is read ahead, since the last one may be unfinished.
    ahead: Option<ByteRecord>,
    next: i64,
    end: End,
    unfinished: usize,
}

/// What decides whether the last record is whole.
struct End {
    last_byte: Arc<AtomicU8>,
    is_truncated: Arc<AtomicBool>,
    /// Whether a record without a line break is taken.
    takes_final: bool,
}

impl CsvRows {
    /// The records from `first` on.
    ///
    /// # Errors
    /// The file cannot be read, or its header has no column for a text.
    pub(super) fn open(
        input: &dyn Input,
        kind: &FileKind,
        delimiter: u8,
        rules: &FileRules,
        first: i64,
    ) -> Result<Self> {
        let text = Text::open(input, kind)?;
        let takes_final = rules.takes_final_line || !text.can_grow;
        let (reader, is_truncated) = text.into_reader();
        let last_byte = Arc::new(AtomicU8::new(b'\n'));
        let reader = LastByte { reader, last: Arc::clone(&last_byte) };
        let mut reader = ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(reader);
        let header = reader.byte_headers().map_err(|error| failed(input, &error))?;
        let header: Vec<String> = header.iter().map(|name| decoded(name.trim_ascii())).collect();
        wants_text(&header, rules).map_err(|error| failed(input, &error))?;
        let end = End { last_byte, is_truncated, takes_final };
        let name = input.name().to_owned();
        let mut rows = CsvRows { name, reader, header, ahead: None, next: 0, end, unfinished: 0 };
        rows.ahead = rows.read()?;
        while rows.next < first && rows.next_record()?.is_some() {}
        Ok(rows)
    }

    fn read(&mut self) -> Result<Option<ByteRecord>> {
        let mut record = ByteRecord::new();
        match self.reader.read_byte_record(&mut record) {
            Ok(is_record) => Ok(is_record.then_some(record)),
            Err(error) => Err(Error::input(format!("{}: row {}: {error}", self.name, self.next))),
        }
    }

    fn next_record(&mut self) -> Result<Option<ByteRecord>> {
        let Some(record) = self.ahead.take() else { return Ok(None) };
        self.ahead = self.read()?;
        if self.ahead.is_none() && !self.end.is_whole() {
            self.unfinished = record.as_slice().len();
            return Ok(None);
        }
        self.next += 1;
        Ok(Some(record))
    }

    /// The record as a JSON object.
    fn object(&self, record: &ByteRecord) -> serde_json::Result<Vec<u8>> {
        let mut json = serde_json::Serializer::new(vec![]);
        let mut object = json.serialize_map(None)?;
        for (name, value) in self.header.iter().zip(record) {
            object.serialize_entry(name, &decoded(value))?;
        }
        object.end()?;
        Ok(json.into_inner())
    }
}

impl End {
    /// Whether the record at the end of the file is whole.
    fn is_whole(&self) -> bool {
        if self.is_truncated.load(Ordering::Relaxed) {
            return false;
        }
        self.takes_final || matches!(self.last_byte.load(Ordering::Relaxed), b'\n' | b'\r')
    }
}

impl FileRows for CsvRows {
    fn next_row(&mut self) -> Result<Option<Row>> {
        let Some(record) = self.next_record()? else { return Ok(None) };
        let object = self.object(&record).map_err(|error| Error::input(format!("{}: {error}", self.name)))?;
        Ok(Some(Row { number: self.next - 1, content: Content::Bytes(object) }))
    }

    fn next_number(&self) -> i64 {
        self.next
    }

    fn rest(&self) -> Option<Rest> {
        if self.end.is_truncated.load(Ordering::Relaxed) {
            return Some(Rest::Truncated);
        }
        (self.unfinished > 0).then_some(Rest::Unfinished { bytes: self.unfinished })
    }
}

/// A value as text, in whatever charset it is.
fn decoded(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) => text.to_owned(),
        Err(_) => fenliu_text::decode(value, None).into_owned(),
    }
}

/// A reader that remembers the last byte that it read.
struct LastByte {
    reader: BufReader<Box<dyn Read + Send>>,
    last: Arc<AtomicU8>,
}

impl Read for LastByte {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.reader.read(buffer)?;
        if let Some(last) = buffer[..read].last() {
            self.last.store(*last, Ordering::Relaxed);
        }
        Ok(read)
    }
}
