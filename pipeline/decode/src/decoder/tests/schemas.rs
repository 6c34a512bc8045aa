//! The ways in which messages are tied to their schemas, and what is said of bytes that are something else.

use std::io::Write as _;

use super::*;

mod avro;
mod other;
mod protobuf;

/// A GUID as a prefix.
const GUID: &[u8] = b"\x01\x89\x79\x17\x62\x23\x36\x41\x86\x96\x74\x29\x9b\x90\xa8\x02\xe2";

/// A schema with one field, as it is written in Parsing Canonical Form.
const CANONICAL: &str = r#"{"name":"news.R","type":"record","fields":[{"name":"body","type":"string"}]}"#;

/// The same schema with all that the canonical form leaves out.
const SPACIOUS: &str = r#"{"type": "record", "namespace": "news", "name": "R", "doc": "A story.", "fields": [
    {"name": "body", "doc": "Its text.", "type": {"type": "string"}, "default": ""}]}"#;

/// The text "text", by that schema.
const DATUM: &[u8] = b"\x08text";

/// What stands in front of messages.
pub(super) fn prefixes() -> Vec<Vec<u8>> {
    let container = container(AVRO, "null", &[(1, b"")]);
    vec![
        b"\0\0\0\0\x07".to_vec(),
        b"\0\0\0\0\x07{".to_vec(),
        b"\0\0\0\0\x07\0".to_vec(),
        GUID.to_vec(),
        b"\xc3\x01".to_vec(),
        single_object(AVRO, b""),
        b"Obj\x01".to_vec(),
        container[..container.len() - 18].to_vec(),
    ]
}

/// A decoder with a registry at `url`, which is asked when a message needs it.
pub(super) fn with_registry(format: PayloadFormat, url: &str) -> Decoder {
    let registry = RegistryConfig { url: url.into(), ..RegistryConfig::default() };
    Decoder::try_new(&DocumentsConfig { format, registry, ..DocumentsConfig::default() }).unwrap()
}

fn with_proto(text: &str, message: &str, fields: FieldNames) -> Decoder {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("story.proto");
    std::fs::write(&path, text).unwrap();
    let config = config(PayloadFormat::Protobuf, Some(path), Some(message));
    Decoder::try_new(&DocumentsConfig { fields, ..config }).unwrap()
}

/// A number in zigzag encoding.
fn long(number: i64) -> Vec<u8> {
    let mut zigzag = ((number << 1) ^ (number >> 63)).cast_unsigned();
    let mut bytes = vec![];
    while zigzag >= 0x80 {
        bytes.push(u8::try_from(zigzag & 0x7f).unwrap() | 0x80);
        zigzag >>= 7;
    }
    bytes.push(u8::try_from(zigzag).unwrap());
    bytes
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    [&long(bytes.len().try_into().unwrap()), bytes].concat()
}

/// A container of blocks, each with its number of records and its bytes before they are packed.
fn container(schema: &str, codec: &str, blocks: &[(i64, &[u8])]) -> Vec<u8> {
    let marker = [0x5a; 16];
    let entries =
        [&b"avro.schema"[..], schema.as_bytes(), b"avro.codec", codec.as_bytes(), b"made.by", b"hand"];
    let mut bytes = [b"Obj\x01".to_vec(), long(3)].concat();
    bytes.extend(entries.iter().flat_map(|entry| sized(entry)));
    bytes.push(0);
    bytes.extend(marker);
    for (count, block) in blocks {
        bytes.extend(long(*count));
        bytes.extend(sized(&packed(codec, block)));
        bytes.extend(marker);
    }
    bytes
}

fn packed(codec: &str, block: &[u8]) -> Vec<u8> {
    let write = |writer: &mut dyn std::io::Write| writer.write_all(block).unwrap();
    match codec {
        "deflate" => {
            let mut writer = flate2::write::DeflateEncoder::new(vec![], flate2::Compression::default());
            write(&mut writer);
            writer.finish().unwrap()
        }
        "zstandard" => zstd::encode_all(block, 3).unwrap(),
        "bzip2" => {
            let mut writer = bzip2::write::BzEncoder::new(vec![], bzip2::Compression::default());
            write(&mut writer);
            writer.finish().unwrap()
        }
        "xz" => {
            let mut writer = liblzma::write::XzEncoder::new(vec![], 9);
            write(&mut writer);
            writer.finish().unwrap()
        }
        "snappy" => {
            let mut bytes = snap::raw::Encoder::new().compress_vec(block).unwrap();
            let mut sum = flate2::Crc::new();
            sum.update(block);
            bytes.write_all(&sum.sum().to_be_bytes()).unwrap();
            bytes
        }
        _ => block.to_vec(),
    }
}

/// CRC-64-AVRO, bit by bit after the specification.
fn rabin(text: &str) -> u64 {
    const EMPTY: u64 = 0xc15d_213a_a4d7_a795;
    text.bytes().fold(EMPTY, |hash, byte| {
        let mut low = (hash ^ u64::from(byte)) & 0xff;
        for _ in 0..8 {
            low = (low >> 1) ^ (EMPTY & (low & 1).wrapping_neg());
        }
        (hash >> 8) ^ low
    })
}

/// `datum` behind the fingerprint of a schema whose text is `schema`, in canonical form.
fn single_object(schema: &str, datum: &[u8]) -> Vec<u8> {
    [b"\xc3\x01", &rabin(schema).to_le_bytes()[..], datum].concat()
}
