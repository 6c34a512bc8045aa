//! Files of documents: what kind of file it is, and its rows.
//!
//! The kind follows from the first bytes and not from the name alone, since names are often wrong. Compressed files are
//! unpacked, text in UTF-16 or a Chinese charset is decoded, and then the first bytes are looked at again.
//!
//! Contract: a row has a number, from 0, that never changes as long as the file is the same or has grown, however often and
//! from wherever it is read: the number of the line, of the record of a CSV file (without the header), of the element of an
//! array, of the row of a table. A last line whose line break is missing may still be in the writing; it is a row only if
//! it is whole, and whatever is left out so is named in [`FileRows::rest`].

mod avro;
mod csv;
mod ipc;
mod json;
mod kind;
mod lines;
mod parquet;
mod row;
mod rules;
mod source;
mod table;
mod text;
mod unpack;
mod warc;

use std::sync::Arc;

use fenliu_engine::Result;

pub use kind::{FileKind, Kind, UnknownKind};
pub use row::{Content, FileRows, Rest, Row};
pub use rules::FileRules;
use rules::failed;
pub use source::{Input, LocalFile};
pub use table::TableRows;
pub use unpack::Packing;

/// What kind of file `input` is.
///
/// # Errors
/// A file that cannot be read, or is of an unknown kind.
pub fn kind_of(input: &dyn Input, rules: &FileRules) -> Result<FileKind> {
    kind::of(input, rules)?.map_err(|unknown| failed(input, &unknown))
}

/// Opens a file and goes to the row `first`; those before it are skipped as cheaply as its kind allows.
///
/// # Errors
/// A file that cannot be read, is of an unknown kind, or has no column for a text.
pub fn open(input: Arc<dyn Input>, rules: &FileRules, first: i64) -> Result<Box<dyn FileRows>> {
    let kind = kind_of(&*input, rules)?;
    if rules.whole {
        return lines::whole(&*input, &kind, first);
    }
    Ok(match kind.kind {
        Kind::Parquet => Box::new(parquet::ParquetRows::open(input, rules, first)?),
        Kind::ArrowFile | Kind::ArrowStream => Box::new(ipc::open(&input, &kind, rules, first)?),
        Kind::Avro => Box::new(avro::AvroRows::open(&*input, &kind, first)?),
        Kind::Json => json::open(&*input, &kind, rules, first)?,
        Kind::Csv { delimiter } => Box::new(csv::CsvRows::open(&*input, &kind, delimiter, rules, first)?),
        Kind::Lines => Box::new(lines::LineRows::open(&*input, &kind, rules, first)?),
        Kind::Warc => Box::new(warc::WarcRows::open(&*input, &kind, first)?),
    })
}

#[cfg(test)]
mod tests;
