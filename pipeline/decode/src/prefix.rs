//! What a schema registry's client puts in front of a message: the name of the schema that it was written with.
//!
//! Confluent's wire format
//! (<https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format>) is a
//! zero byte and the schema's id in four bytes, big-endian, or a byte 1 and the schema's GUID in 16 bytes. The same bytes
//! in a header of the message (`__value_schema_id`) are not read here.

use std::fmt;

use fenliu_schemas::Reject;

use crate::undecoded::reject;

/// The name of a schema in a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum SchemaId {
    /// The number that one registry gave it.
    Number(u32),
    /// The name that is the same in all registries.
    Guid([u8; 16]),
}

impl fmt::Display for SchemaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SchemaId::Number(number) => write!(f, "{number}"),
            SchemaId::Guid(bytes) => {
                for (place, byte) in bytes.iter().enumerate() {
                    // The groups of RFC 9562.
                    let dash = if matches!(place, 4 | 6 | 8 | 10) { "-" } else { "" };
                    write!(f, "{dash}{byte:02x}")?;
                }
                Ok(())
            }
        }
    }
}

/// The schema that `payload` names, and what was written with it; `None` if it names none.
pub(super) fn split(payload: &[u8]) -> Option<(SchemaId, &[u8])> {
    match payload {
        [0, a, b, c, d, rest @ ..] => Some((SchemaId::Number(u32::from_be_bytes([*a, *b, *c, *d])), rest)),
        [1, rest @ ..] => {
            let (guid, rest) = rest.split_first_chunk()?;
            Some((SchemaId::Guid(*guid), rest))
        }
        _ => None,
    }
}

/// As [`split`], for messages that have to name a schema.
///
/// # Errors
/// Rejects with `no_schema_id`.
pub(super) fn split_or_reject(payload: &[u8]) -> Result<(SchemaId, &[u8]), Reject> {
    let named = split(payload).filter(|(id, _)| *id != SchemaId::Number(0));
    named.ok_or_else(|| {
        let detail = match payload {
            [] => "the message is empty".into(),
            [0, 0, 0, 0, 0, ..] => {
                "its schema would be number 0, which no registry gives; ids of 8 bytes, as Apicurio's clients can write \
                 them, are not read"
                    .into()
            }
            [0, ..] => format!("only {} bytes, at least 5 are needed", payload.len()),
            [1, ..] => format!("only {} bytes, at least 17 are needed", payload.len()),
            [first, ..] => format!(
                "the first byte is {first:#04x}, not 0 or 1: not written for a schema registry, or with the schema's id \
                 in a header, which is not read"
            ),
        };
        reject("no_schema_id", detail)
    })
}

/// The JSON behind a prefix, if there is such.
pub(super) fn json_behind(payload: &[u8]) -> Option<&[u8]> {
    let (_, rest) = split(payload)?;
    match rest.trim_ascii_start() {
        // In UTF-16, a zero byte follows each bracket, and what looks like a prefix are characters.
        [b'{' | b'[', 0, ..] => None,
        [b'{' | b'[', ..] => Some(rest),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_names_a_schema_by_number_or_guid() {
        let guid = *b"\x89\x79\x17\x62\x23\x36\x41\x86\x96\x74\x29\x9b\x90\xa8\x02\xe2";
        let with_guid = [&[1][..], &guid, b"rest"].concat();
        for (payload, wanted) in [
            (&b"\0\0\0\x01\x02rest"[..], Some(("258", &b"rest"[..]))),
            (b"\0\0\0\0\x07", Some(("7", b""))),
            (b"\0\xff\xff\xff\xff", Some(("4294967295", b""))),
            (&with_guid, Some(("89791762-2336-4186-9674-299b90a802e2", b"rest"))),
            (&with_guid[..17], Some(("89791762-2336-4186-9674-299b90a802e2", b""))),
            (&with_guid[..16], None),
            (b"\0\0\0\0", None),
            (b"\x02\0\0\0\0\0", None),
            (b"{}", None),
            (b"", None),
        ] {
            let found = split(payload).map(|(id, rest)| (id.to_string(), rest));
            assert_eq!(found, wanted.map(|(id, rest)| (id.to_owned(), rest)), "{payload:?}");
        }
    }

    #[test]
    fn json_is_known_by_its_bracket() {
        let utf_16: Vec<u8> = "[\n{\"a\": 1}]".encode_utf16().flat_map(u16::to_be_bytes).collect();
        for (payload, wanted) in [
            (&b"\0\0\0\0\x07{}"[..], Some(&b"{}"[..])),
            (b"\0\0\0\0\x07[{}]", Some(b"[{}]")),
            (b"\0\0\0\0\x07 {}", Some(b" {}")),
            (b"\x010123456789abcdef{\"a\": 1}", Some(b"{\"a\": 1}")),
            (b"\0\0\0\0\x07\"{}\"", None),
            (b"\0\0\0\0\x07\x02x", None),
            (b"\0\0\0\0\x07", None),
            (b"{}", None),
            (&utf_16, None),
        ] {
            assert_eq!(json_behind(payload), wanted, "{payload:?}");
        }
    }
}
