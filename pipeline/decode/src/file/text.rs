//! The text of a file: unpacked, and in UTF-8 if its charset is known as a whole.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use encoding_rs::{Encoding, UTF_8};
use encoding_rs_io::DecodeReaderBytesBuilder;
use fenliu_engine::{Error, Result};

use super::kind::FileKind;
use super::row::Rest;
use super::rules::failed;
use super::source::Input;
use super::unpack::unpacked;

/// The byte order mark in UTF-8.
const UTF_8_MARK: &[u8] = b"\xef\xbb\xbf";

/// How much text is read at once.
const BUFFER_BYTES: usize = 1 << 18;

/// A longer line is not a document but a file of another kind.
pub(super) const MAX_ROW_BYTES: usize = 1 << 30;

/// The text of `reader` without a byte order mark. What should be UTF-8 is passed on as it is: bytes that are none are a
/// matter of the row that they are in.
fn decoded(
    reader: Box<dyn Read + Send>,
    encoding: &'static Encoding,
) -> io::Result<BufReader<Box<dyn Read + Send>>> {
    if encoding != UTF_8 {
        let decoded = DecodeReaderBytesBuilder::new().encoding(Some(encoding)).strip_bom(true).build(reader);
        return Ok(BufReader::with_capacity(BUFFER_BYTES, Box::new(decoded)));
    }
    let mut text = BufReader::with_capacity(BUFFER_BYTES, reader);
    if text.fill_buf()?.starts_with(UTF_8_MARK) {
        text.consume(UTF_8_MARK.len());
    }
    Ok(text)
}

/// The text of a file.
pub(super) struct Text {
    name: String,
    reader: BufReader<Box<dyn Read + Send>>,
    is_truncated: Arc<AtomicBool>,
    /// Whether the file can still grow. Compressed files cannot: they are written at once.
    pub(super) can_grow: bool,
}

impl Text {
    /// # Errors
    /// The file cannot be read.
    pub(super) fn open(input: &dyn Input, kind: &FileKind) -> Result<Self> {
        let open = || unpacked(kind.packing, input.read_from(0)?);
        let (reader, is_truncated) = open().map_err(|error: io::Error| failed(input, &error))?;
        let text = decoded(reader, kind.encoding).map_err(|error| failed(input, &error))?;
        Ok(Text {
            name: input.name().to_owned(),
            reader: text,
            is_truncated,
            can_grow: kind.packing.is_none(),
        })
    }

    /// Whether the compressed data ended too early. Known when all was read.
    pub(super) fn is_truncated(&self) -> bool {
        self.is_truncated.load(Ordering::Relaxed)
    }

    /// Reads up to the next line break, which is not part of `line`. `None` at the end of the file, else whether there
    /// was a line break.
    ///
    /// # Errors
    /// The file cannot be read, or the line, which begins `row`, is longer than 1 GiB.
    pub(super) fn read_line(&mut self, line: &mut Vec<u8>, row: i64) -> Result<Option<bool>> {
        line.clear();
        let is_terminated = self.read_to_break(line, row)?;
        let read = line.len();
        while line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
            line.pop();
        }
        Ok((read > 0).then_some(is_terminated))
    }

    /// Adds what comes up to the next line break, and the break; whether there was one.
    fn read_to_break(&mut self, line: &mut Vec<u8>, row: i64) -> Result<bool> {
        loop {
            let part = match self.reader.fill_buf() {
                Ok(part) => part,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.error(&error)),
            };
            let end = memchr::memchr(b'\n', part).map(|at| at + 1);
            let taken = end.unwrap_or(part.len());
            line.extend_from_slice(&part[..taken]);
            self.reader.consume(taken);
            if line.len() >= MAX_ROW_BYTES {
                return Err(self.error(&format_args!("row {row} is longer than {MAX_ROW_BYTES} bytes")));
            }
            if end.is_some() || taken == 0 {
                return Ok(end.is_some());
            }
        }
    }

    /// Adds the next part of the text to `buffer`; `false` at the end of the file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn read_more(&mut self, buffer: &mut Vec<u8>) -> Result<bool> {
        let part = self.reader.fill_buf().map_err(|error| Error::input(format!("{}: {error}", self.name)))?;
        let read = part.len();
        buffer.extend_from_slice(part);
        self.reader.consume(read);
        Ok(read > 0)
    }

    /// The reader itself, for a format that reads on its own.
    pub(super) fn into_reader(self) -> (BufReader<Box<dyn Read + Send>>, Arc<AtomicBool>) {
        (self.reader, self.is_truncated)
    }

    pub(super) fn error(&self, error: &dyn std::fmt::Display) -> Error {
        Error::input(format!("{}: {error}", self.name))
    }

    /// What was left of a text at whose end `unfinished` bytes were not read.
    pub(super) fn rest(&self, unfinished: usize) -> Option<Rest> {
        if self.is_truncated() {
            return Some(Rest::Truncated);
        }
        (unfinished > 0).then_some(Rest::Unfinished { bytes: unfinished })
    }
}
