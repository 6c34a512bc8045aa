//! What the bytes of a message look like, for the detail of a refusal: the format of messages is configured, and whoever
//! reads that one is "not Avro" has to know what it is instead.
//!
//! Contract: this runs only after a message was refused, and decides nothing. Bare Avro has no mark and is not recognised.

use std::fmt;

use prost_reflect::prost::encoding::decode_varint;

use crate::config::PayloadFormat;
use crate::prefix::{self, SchemaId};
use crate::undecoded::Undecoded;

/// The first bytes of Avro's container files.
pub(super) const AVRO_CONTAINER: &[u8] = b"Obj\x01";

/// The first bytes of Avro's single-object encoding, before the fingerprint of the schema.
pub(super) const AVRO_SINGLE_OBJECT: &[u8] = b"\xc3\x01";

/// What bytes look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looks {
    Json,
    /// JSON behind a registry's prefix.
    PrefixedJson(SchemaId),
    Python,
    AvroContainer,
    AvroObject,
    Arrow,
    Protobuf,
    /// Another format behind a registry's prefix.
    Prefixed(SchemaId),
    /// A format or compression that is never read, by its name.
    Other(&'static str),
}

/// First bytes of formats, and how a sentence says what they are.
const MAGICS: [(&[u8], Looks); 11] = [
    (AVRO_CONTAINER, Looks::AvroContainer),
    (AVRO_SINGLE_OBJECT, Looks::AvroObject),
    (b"ARROW1", Looks::Arrow),
    (b"\xff\xff\xff\xff", Looks::Arrow),
    (b"PAR1", Looks::Other("a Parquet file")),
    (b"\x1f\x8b", Looks::Other("compressed with gzip")),
    (b"\x28\xb5\x2f\xfd", Looks::Other("compressed with Zstandard")),
    // The schema's UUID follows both (https://docs.aws.amazon.com/glue/latest/dg/schema-registry.html).
    (b"\x03\x00", Looks::Other("in the format of the AWS Glue schema registry")),
    (b"\x03\x05", Looks::Other("in the format of the AWS Glue schema registry, compressed")),
    (b"PK\x03\x04", Looks::Other("a ZIP archive")),
    (b"<", Looks::Other("XML or HTML")),
];

impl Looks {
    fn of(payload: &[u8]) -> Option<Self> {
        let by_magic = MAGICS.iter().find(|(magic, _)| payload.starts_with(magic));
        by_magic
            .map(|(_, looks)| *looks)
            .or_else(|| as_json(payload))
            .or_else(|| as_prefixed(payload))
            .or_else(|| if is_protobuf(payload) { Some(Looks::Protobuf) } else { as_text(payload) })
    }

    /// The format that reads it, if any does.
    fn format(self) -> Option<PayloadFormat> {
        match self {
            Looks::Json | Looks::PrefixedJson(_) => Some(PayloadFormat::Json),
            Looks::AvroContainer | Looks::AvroObject => Some(PayloadFormat::Avro),
            Looks::Arrow => Some(PayloadFormat::Arrow),
            Looks::Protobuf => Some(PayloadFormat::Protobuf),
            Looks::Python | Looks::Prefixed(_) | Looks::Other(_) => None,
        }
    }
}

impl fmt::Display for Looks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Looks::Json => f.write_str("is JSON"),
            Looks::PrefixedJson(id) => write!(f, "is JSON behind a schema registry's prefix (schema {id})"),
            Looks::Python => f.write_str("is a Python object as Python prints it"),
            Looks::AvroContainer => f.write_str("is an Avro container (`Obj\\x01`)"),
            Looks::AvroObject => f.write_str("is in Avro's single-object encoding (`C3 01`)"),
            Looks::Arrow => f.write_str("begins as Arrow IPC does"),
            Looks::Protobuf => f.write_str("looks like Protobuf"),
            Looks::Prefixed(id) => write!(f, "begins with a schema registry's prefix (schema {id})"),
            Looks::Other(name) => write!(f, "is {name}"),
        }
    }
}

/// The same, with what `payload` looks like in its detail, if `format` does not read such bytes.
pub(super) fn named(why: Undecoded, payload: &[u8], format: PayloadFormat) -> Undecoded {
    let Undecoded::Reject(mut reject) = why else { return why };
    // Other reasons are about a message that was read.
    let is_unread =
        reject.reason.starts_with("invalid_") || matches!(&*reject.reason, "no_schema_id" | "rows");
    if let Some(looks) = Looks::of(payload).filter(|looks| is_unread && looks.format() != Some(format)) {
        let detail = reject.detail.take().unwrap_or_default();
        reject.detail = Some(format!("the message {looks}: {detail}"));
    }
    Undecoded::Reject(reject)
}

fn as_json(payload: &[u8]) -> Option<Looks> {
    let text = payload.strip_prefix(b"\xef\xbb\xbf").unwrap_or(payload).trim_ascii_start();
    let (bracket, inside) = text.split_first()?;
    let next = inside.trim_ascii_start().first();
    match (bracket, next) {
        (b'{', Some(b'"' | b'}')) => Some(Looks::Json),
        (b'{', Some(b'\'')) => Some(Looks::Python),
        (b'[', Some(b'{' | b'[' | b'"' | b']' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n')) => {
            Some(Looks::Json)
        }
        _ => None,
    }
}

fn as_prefixed(payload: &[u8]) -> Option<Looks> {
    let (id, _) = prefix::split(payload)?;
    // Registries number schemas from 1 on, in 31 bits.
    let is_possible = !matches!(id, SchemaId::Number(0 | 0x8000_0000..));
    let looks = if prefix::json_behind(payload).is_some() { Looks::PrefixedJson } else { Looks::Prefixed };
    is_possible.then(|| looks(id))
}

fn as_text(payload: &[u8]) -> Option<Looks> {
    let text = std::str::from_utf8(payload).ok()?;
    let is_plain = |c: char| !c.is_control() || c.is_whitespace();
    (!text.trim().is_empty() && text.chars().all(is_plain)).then_some(Looks::Other("plain text"))
}

/// Whether the bytes are fields of Protobuf's encoding to the last one, with a text among them
/// (<https://protobuf.dev/programming-guides/encoding/>). Groups, which are long deprecated, do not count.
fn is_protobuf(mut bytes: &[u8]) -> bool {
    let mut has_text = false;
    while !bytes.is_empty() {
        let Ok(tag) = decode_varint(&mut bytes) else { return false };
        let is_number_possible = (1..1 << 29).contains(&(tag >> 3));
        let length = match tag & 7 {
            0 => decode_varint(&mut bytes).ok().map(|_| 0),
            1 => Some(8),
            2 => decode_varint(&mut bytes).ok(),
            5 => Some(4),
            _ => None,
        };
        let value = length.and_then(|length| bytes.split_at_checked(usize::try_from(length).ok()?));
        let Some((value, rest)) = value.filter(|_| is_number_possible) else { return false };
        has_text |= tag & 7 == 2 && !value.is_empty() && std::str::from_utf8(value).is_ok();
        bytes = rest;
    }
    has_text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bytes_are_known_by_how_they_begin() {
        for (payload, wanted) in [
            (&b"{\"body\": \"x\"}"[..], "is JSON"),
            (b"\n\t{ }", "is JSON"),
            (b"[1]", "is JSON"),
            (b"[\"a\"", "is JSON"),
            (b"\xef\xbb\xbf{\"a\"", "is JSON"),
            (b"{'body': 'x'}", "is a Python object as Python prints it"),
            (b"\0\0\0\0\x07{\"a\": 1}", "is JSON behind a schema registry's prefix (schema 7)"),
            (b"\0\0\0\0\x07\x02x", "begins with a schema registry's prefix (schema 7)"),
            (
                b"\x01\x89\x79\x17\x62\x23\x36\x41\x86\x96\x74\x29\x9b\x90\xa8\x02\xe2x",
                "begins with a schema registry's prefix (schema 89791762-2336-4186-9674-299b90a802e2)",
            ),
            (b"Obj\x01\x04", "is an Avro container (`Obj\\x01`)"),
            (b"\xc3\x01\x00", "is in Avro's single-object encoding (`C3 01`)"),
            (b"ARROW1\0\0", "begins as Arrow IPC does"),
            (b"\xff\xff\xff\xff\x10\0\0\0", "begins as Arrow IPC does"),
            (b"PAR1", "is a Parquet file"),
            (b"\x1f\x8b\x08", "is compressed with gzip"),
            (b"\x03\x00\x11", "is in the format of the AWS Glue schema registry"),
            (b"<?xml", "is XML or HTML"),
            (b"\x0a\x011\x12\x03abc\x18\x07", "looks like Protobuf"),
            (b"breaking news", "is plain text"),
            ("突发新闻".as_bytes(), "is plain text"),
        ] {
            assert_eq!(
                Looks::of(payload).map(|looks| looks.to_string()).as_deref(),
                Some(wanted),
                "{payload:?}"
            );
        }
    }

    #[test]
    fn other_bytes_are_not_named() {
        for payload in [
            &b""[..],
            b"\0",
            b"\0\0\0\0\0x",
            b"\x01",
            b"\x02x\x04yz",
            b"\xff\xfe",
            b" ",
            b"\x08\x01",
            b"\x0a\x01",
        ] {
            assert_eq!(Looks::of(payload), None, "{payload:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_look_like_something_or_nothing(payload in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Looks::of(&payload).map(|looks| looks.to_string());
        }
    }
}
