//! Web archives (<https://iipc.github.io/warc-specifications/>), as Common Crawl's news crawl has them.
//!
//! A row is a record of the type `response` with a page in HTML that was found (status 200); the others count, so that the
//! number of a row is that of its record. A row is a JSON object with what the record and the page say: `id`, `url`,
//! `source` (the host), `title`, `body` (the main text), `lang`, `published_at`.

mod page;

use std::io::{BufRead, BufReader, Read};

use fenliu_engine::Result;

use super::kind::FileKind;
use super::row::{Content, FileRows, Rest, Row};
use super::rules::failed;
use super::source::Input;
use super::text::MAX_ROW_BYTES;
use super::unpack::unpacked;

/// The longest line of a header.
const MAX_HEADER_BYTES: u64 = 64 << 10;

/// The records of a web archive.
pub(super) struct WarcRows {
    name: String,
    reader: BufReader<Box<dyn Read + Send>>,
    is_truncated: std::sync::Arc<std::sync::atomic::AtomicBool>,
    next: i64,
    is_cut: bool,
}

/// A record: what its header says, and its block.
#[derive(Debug, Default)]
struct Record {
    kind: String,
    id: String,
    uri: String,
    block: Vec<u8>,
}

impl WarcRows {
    /// The records from `first` on.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn open(input: &dyn Input, kind: &FileKind, first: i64) -> Result<Self> {
        let reader = input.read_from(0).and_then(|reader| unpacked(kind.packing, reader));
        let (reader, is_truncated) = reader.map_err(|error| failed(input, &error))?;
        let reader = BufReader::with_capacity(1 << 18, reader);
        let mut rows =
            WarcRows { name: input.name().to_owned(), reader, is_truncated, next: 0, is_cut: false };
        while rows.next < first && rows.next_record()?.is_some() {}
        Ok(rows)
    }

    /// The next record; what lies between records, or is none, is skipped.
    fn next_record(&mut self) -> Result<Option<Record>> {
        loop {
            let Some(line) = self.line()? else { return Ok(None) };
            if line.starts_with("WARC/") {
                break;
            }
        }
        let mut record = Record::default();
        let mut length = 0;
        while let Some(line) = self.line()?.filter(|line| !line.is_empty()) {
            let Some((name, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            match name.trim().to_ascii_lowercase().as_str() {
                "warc-type" => record.kind = value.to_ascii_lowercase(),
                "warc-record-id" => record.id = value.trim_matches(['<', '>']).to_owned(),
                "warc-target-uri" => record.uri = value.trim_matches(['<', '>']).to_owned(),
                "content-length" => length = value.parse().unwrap_or(0),
                _ => {}
            }
        }
        if !self.read_block(&mut record, length)? {
            self.is_cut = true;
            return Ok(None);
        }
        self.next += 1;
        Ok(Some(record))
    }

    /// Reads the block of a record, of which only responses are kept; `false` if the file ends before it does.
    fn read_block(&mut self, record: &mut Record, length: u64) -> Result<bool> {
        let mut block = (&mut self.reader).take(length);
        let read = if record.kind == "response" && length < MAX_ROW_BYTES as u64 {
            block.read_to_end(&mut record.block).map(|read| read as u64)
        } else {
            std::io::copy(&mut block, &mut std::io::sink())
        };
        match read {
            Ok(read) => Ok(read == length),
            Err(error) => Err(fenliu_engine::Error::input(format!("{}: {error}", self.name))),
        }
    }

    /// The next line without its end; `None` at the end of the file.
    fn line(&mut self) -> Result<Option<String>> {
        let mut line = vec![];
        let read = (&mut self.reader).take(MAX_HEADER_BYTES).read_until(b'\n', &mut line);
        let read = read.map_err(|error| fenliu_engine::Error::input(format!("{}: {error}", self.name)))?;
        Ok((read > 0).then(|| String::from_utf8_lossy(&line).trim_end().to_owned()))
    }
}

impl FileRows for WarcRows {
    fn next_row(&mut self) -> Result<Option<Row>> {
        while let Some(record) = self.next_record()? {
            let number = self.next - 1;
            if record.kind != "response" {
                continue;
            }
            if let Some(content) = page::content(&record) {
                return Ok(Some(Row { number, content }));
            }
        }
        Ok(None)
    }

    fn next_number(&self) -> i64 {
        self.next
    }

    fn rest(&self) -> Option<Rest> {
        let is_cut = self.is_cut || self.is_truncated.load(std::sync::atomic::Ordering::Relaxed);
        is_cut.then_some(Rest::Truncated)
    }
}
