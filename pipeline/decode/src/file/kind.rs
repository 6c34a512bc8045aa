//! What kind of file it is, by its first bytes; the name decides only between kinds that look alike.

use std::fmt;
use std::io::Read;
use std::sync::atomic::Ordering;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use fenliu_engine::Result;
use serde_json::{Map, Value};

use super::rules::{FileRules, failed};
use super::source::Input;
use super::unpack::{Packing, unpacked};

/// How many bytes are looked at.
const HEAD_BYTES: usize = 64 << 10;

/// The most fields that a message lists.
const MOST_NAMES: usize = 50;

/// What kind of file it is: what is in it, and what is around that.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FileKind {
    /// What is in it.
    pub kind: Kind,
    /// How it is compressed.
    pub packing: Option<Packing>,
    /// The charset of a text.
    pub encoding: &'static Encoding,
}

/// What is in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Apache Parquet.
    Parquet,
    /// Arrow IPC, the format for files, also called Feather.
    ArrowFile,
    /// Arrow IPC, the format for streams, which Hugging Face `datasets` writes to `.arrow` files.
    ArrowStream,
    /// An Avro container.
    Avro,
    /// JSON: an object a line, objects over several lines, an array, or an object with an array in it.
    Json,
    /// Values with a delimiter between them; the first record names the columns.
    Csv {
        /// What is between two values.
        delimiter: u8,
    },
    /// Plain text.
    Lines,
    /// A web archive.
    Warc,
}

/// A file of a kind that cannot be read, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownKind(String);

impl fmt::Display for UnknownKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Parquet => "Parquet",
            Kind::ArrowFile => "Arrow file",
            Kind::ArrowStream => "Arrow stream",
            Kind::Avro => "Avro",
            Kind::Json => "JSON",
            Kind::Csv { delimiter: b'\t' } => "TSV",
            Kind::Csv { .. } => "CSV",
            Kind::Lines => "text",
            Kind::Warc => "WARC",
        })?;
        match self.packing {
            None => Ok(()),
            Some(Packing::Gzip) => f.write_str(", gzip"),
            Some(Packing::Zstd) => f.write_str(", zstd"),
            Some(Packing::Bzip2) => f.write_str(", bzip2"),
            Some(Packing::Xz) => f.write_str(", xz"),
        }
    }
}

/// The kind of `input`, if it is one that can be read.
///
/// # Errors
/// The file cannot be opened.
pub(super) fn of(input: &dyn Input, rules: &FileRules) -> Result<std::result::Result<FileKind, UnknownKind>> {
    let packed = head(input, None)?;
    let packing = Packing::of(&packed);
    let unpacked = packing.map(|packing| head(input, Some(packing))).transpose()?;
    let head = unpacked.as_ref().unwrap_or(&packed);
    Ok(in_head(head, &stem(input.name()), rules).map(|(kind, encoding)| FileKind { kind, packing, encoding }))
}

/// The first bytes, unpacked.
fn head(input: &dyn Input, packing: Option<Packing>) -> Result<Vec<u8>> {
    let read = || {
        let (reader, is_truncated) = unpacked(packing, input.read_from(0)?)?;
        let mut head = vec![];
        reader.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
        is_truncated.store(false, Ordering::Relaxed);
        Ok(head)
    };
    read().map_err(|error: std::io::Error| failed(input, &error))
}

/// The ending of a name, in lower case, without that of a compression.
fn stem(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let plain = [".gz", ".zst", ".bz2", ".xz"].iter().find_map(|packed| lower.strip_suffix(packed));
    let plain = plain.unwrap_or(&lower);
    plain.rsplit_once('.').map_or("", |(_, ending)| ending).to_owned()
}

fn in_head(
    head: &[u8],
    ending: &str,
    rules: &FileRules,
) -> std::result::Result<(Kind, &'static Encoding), UnknownKind> {
    if let Some(kind) = binary(head) {
        return Ok((kind, UTF_8));
    }
    let encoding = charset(head);
    if rules.plain {
        return Ok((Kind::Lines, encoding));
    }
    let (text, _) = encoding.decode_with_bom_removal(head);
    if text.contains('\0') {
        return Err(UnknownKind(what_it_may_be(head)));
    }
    match text.trim_start().chars().next() {
        None | Some('{' | '[') => {
            has_documents(&text, rules)?;
            Ok((Kind::Json, east_asian(head).unwrap_or(encoding)))
        }
        _ => match ending {
            "csv" | "tsv" | "tab" => {
                Ok((Kind::Csv { delimiter: delimiter(&text, ending) }, east_asian(head).unwrap_or(encoding)))
            }
            "jsonl" | "ndjson" | "json" if has_object_lines(&text) => Ok((Kind::Json, encoding)),
            "jsonl" | "ndjson" | "json" => {
                Err(UnknownKind("is not JSON: none of the first lines begins with `{` or `[`".into()))
            }
            _ => Err(UnknownKind(what_it_may_be(head))),
        },
    }
}

fn binary(head: &[u8]) -> Option<Kind> {
    let magics: [(&[u8], Kind); 5] = [
        (b"PAR1", Kind::Parquet),
        (b"ARROW1", Kind::ArrowFile),
        (b"\xff\xff\xff\xff", Kind::ArrowStream),
        (b"Obj\x01", Kind::Avro),
        (b"WARC/", Kind::Warc),
    ];
    magics.into_iter().find_map(|(magic, kind)| head.starts_with(magic).then_some(kind))
}

/// The charset of a text whose first bytes are `head`. Lines in another charset than the first ones are a matter of the
/// decoder, which looks at each document.
fn charset(head: &[u8]) -> &'static Encoding {
    if let Some((encoding, _)) = Encoding::for_bom(head) {
        return encoding;
    }
    let zeros = |parity: usize| head.iter().skip(parity).step_by(2).filter(|byte| **byte == 0).count();
    match (zeros(0), zeros(1)) {
        // The upper halves of ASCII characters, which JSON and CSV have even around Chinese text.
        (0, odd) if odd * 20 >= head.len() && odd > 0 => UTF_16LE,
        (even, 0) if even * 20 >= head.len() && even > 0 => UTF_16BE,
        _ => UTF_8,
    }
}

/// The East Asian charset of a text, of which a single line would be too short to tell. In a file with lines in UTF-8 among
/// others, each line is decoded by itself.
fn east_asian(head: &[u8]) -> Option<&'static Encoding> {
    // The last line may be cut within a character.
    let whole = if head.len() < HEAD_BYTES { head.len() } else { memchr::memrchr(b'\n', head)? };
    let mut lines = head[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_ascii()).peekable();
    lines.peek()?;
    if lines.any(|line| std::str::from_utf8(line).is_ok()) {
        return None;
    }
    let (_, label) = fenliu_text::decode_east_asian(&head[..whole])?;
    Encoding::for_label(label.as_bytes())
}

/// Whether one of the first lines begins as an object or an array.
fn has_object_lines(text: &str) -> bool {
    text.lines().take(20).any(|line| line.trim_start().starts_with(['{', '[']))
}

/// Checks that JSON Lines are documents and not, for example, an index of other files: one of the first objects has a field
/// for a title or a body.
fn has_documents(text: &str, rules: &FileRules) -> std::result::Result<(), UnknownKind> {
    let Some(fields) = &rules.wanted else { return Ok(()) };
    let mut names: Vec<String> = vec![];
    for line in text.lines() {
        let Ok(object) = serde_json::from_str::<Map<String, Value>>(line) else { continue };
        if object.keys().any(|name| fields.is_text(name)) {
            return Ok(());
        }
        // An object with an array in it may be one with documents inside.
        if object.values().any(|value| value.is_array() || value.is_object()) {
            return Ok(());
        }
        names.extend(object.keys().filter(|name| !names.contains(name)).cloned().collect::<Vec<_>>());
    }
    if names.is_empty() {
        return Ok(());
    }
    names.truncate(MOST_NAMES);
    let names = names.join(", ");
    Err(UnknownKind(format!(
        "holds no documents: no field is a title or a body by `documents.fields`; the fields are {names}"
    )))
}

/// What is between the values of the header, which is `text`'s first line.
fn delimiter(text: &str, ending: &str) -> u8 {
    let header = text.lines().next().unwrap_or_default();
    let count = |delimiter: u8| header.bytes().filter(|byte| *byte == delimiter).count();
    let usual = if ending == "csv" { b',' } else { b'\t' };
    // The usual one wins a tie, since it is the last of the maxima.
    [b'|', b';', b'\t', b',', usual].into_iter().max_by_key(|delimiter| count(*delimiter)).unwrap_or(usual)
}

fn what_it_may_be(head: &[u8]) -> String {
    let known: [(&[u8], &str); 8] = [
        (b"PK\x03\x04", "a ZIP archive or an Office document"),
        (b"%PDF", "a PDF document"),
        (b"\xd0\xcf\x11\xe0", "an old Office document"),
        (b"SQLite format 3", "an SQLite database"),
        (b"ORC", "an ORC file"),
        (b"<?xml", "XML"),
        (b"<", "HTML or XML"),
        (b"7z\xbc\xaf", "a 7-Zip archive"),
    ];
    let name = known.iter().find_map(|(magic, name)| head.starts_with(magic).then_some(*name));
    format!("is {}, which is not read", name.unwrap_or("of an unknown kind"))
}
