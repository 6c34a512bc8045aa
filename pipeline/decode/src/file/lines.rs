//! A document a line, and files that are one document as a whole.

use std::io::Read;

use fenliu_engine::Result;

use super::kind::FileKind;
use super::row::{Content, FileRows, Rest, Row};
use super::rules::{FileRules, failed};
use super::source::Input;
use super::text::{MAX_ROW_BYTES, Text};
use super::unpack::unpacked;

/// When a last line without a line break is a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FinalLine {
    /// If it is a whole JSON object: no proper beginning of an object is one itself.
    WholeObject,
    /// Never, since whether a text is whole cannot be seen.
    Never,
    /// Always: the file does not grow, or the user says so.
    Always,
}

/// The lines of a text.
pub(super) struct LineRows {
    text: Text,
    next: i64,
    final_line: FinalLine,
    unfinished: usize,
}

impl LineRows {
    /// Lines of plain text.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn open(input: &dyn Input, kind: &FileKind, rules: &FileRules, first: i64) -> Result<Self> {
        let final_line = if rules.takes_final_line { FinalLine::Always } else { FinalLine::Never };
        LineRows::new(Text::open(input, kind)?, final_line, first)
    }

    /// Lines from the line `first` on.
    pub(super) fn new(text: Text, final_line: FinalLine, first: i64) -> Result<Self> {
        let final_line = if text.can_grow { final_line } else { FinalLine::Always };
        let mut rows = LineRows { text, next: 0, final_line, unfinished: 0 };
        while rows.next < first && rows.next_line()?.is_some() {}
        Ok(rows)
    }

    /// The next line that counts.
    fn next_line(&mut self) -> Result<Option<Vec<u8>>> {
        let mut line = vec![];
        let Some(is_terminated) = self.text.read_line(&mut line, self.next)? else { return Ok(None) };
        if !is_terminated && !self.takes(&line) {
            self.unfinished = line.len();
            return Ok(None);
        }
        self.next += 1;
        Ok(Some(line))
    }

    fn takes(&self, last_line: &[u8]) -> bool {
        match self.final_line {
            // The compressed data end in the middle of this line.
            FinalLine::Always => !self.text.is_truncated(),
            FinalLine::Never => false,
            FinalLine::WholeObject => is_whole_object(last_line),
        }
    }
}

fn is_whole_object(line: &[u8]) -> bool {
    line.trim_ascii_start().starts_with(b"{") && serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok()
}

impl FileRows for LineRows {
    fn next_row(&mut self) -> Result<Option<Row>> {
        while let Some(line) = self.next_line()? {
            if !line.trim_ascii().is_empty() {
                return Ok(Some(Row { number: self.next - 1, content: Content::Bytes(line) }));
            }
        }
        Ok(None)
    }

    fn next_number(&self) -> i64 {
        self.next
    }

    fn rest(&self) -> Option<Rest> {
        self.text.rest(self.unfinished)
    }
}

/// A file that is one document.
struct WholeRow {
    content: Option<Vec<u8>>,
}

/// The file as one document, in whatever charset it is.
///
/// # Errors
/// The file cannot be read, or has more than 1 GiB.
pub(super) fn whole(input: &dyn Input, kind: &FileKind, first: i64) -> Result<Box<dyn FileRows>> {
    let read = || {
        let mut content = vec![];
        let (reader, _) = unpacked(kind.packing, input.read_from(0)?)?;
        reader.take(MAX_ROW_BYTES as u64).read_to_end(&mut content)?;
        Ok(content)
    };
    let content = read().map_err(|error: std::io::Error| failed(input, &error))?;
    if content.len() == MAX_ROW_BYTES {
        return Err(failed(input, &format_args!("is longer than {MAX_ROW_BYTES} bytes")));
    }
    Ok(Box::new(WholeRow { content: (first == 0).then_some(content) }))
}

impl FileRows for WholeRow {
    fn next_row(&mut self) -> Result<Option<Row>> {
        Ok(self.content.take().map(|content| Row { number: 0, content: Content::Bytes(content) }))
    }

    fn next_number(&self) -> i64 {
        i64::from(self.content.is_none())
    }
}
