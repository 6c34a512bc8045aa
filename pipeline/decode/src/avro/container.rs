//! Object container files as messages (<https://avro.apache.org/docs/1.12.0/specification/#object-container-files>): the
//! schema in the header, then records in blocks that may be compressed.
//!
//! A document is identified by the offset of its message, so a container must hold exactly one record.

use std::borrow::Cow;
use std::io::{self, Read};

use fenliu_schemas::Reject;
use prost_reflect::prost::encoding::decode_varint;

use crate::looks::AVRO_CONTAINER;
use crate::undecoded::reject;

/// The largest window of Zstandard that is allocated, as a power of two: 8 MiB, which every decoder should support
/// (RFC 8878, section 3.1.1.1.2).
const ZSTD_WINDOW_LOG: u32 = 23;

/// What the decoder of xz may allocate: the strongest preset needs 65 MiB.
const XZ_MEMORY_BYTES: u64 = 66 << 20;

/// A container with one record.
#[derive(Debug)]
pub(super) struct Container<'a> {
    /// The schema that the record was written with.
    pub(super) schema: &'a str,
    codec: &'a str,
    /// The block with the record, compressed by the codec.
    block: &'a [u8],
}

impl<'a> Container<'a> {
    /// The container in `payload`.
    ///
    /// # Errors
    /// Rejects with `invalid_avro`, or with `rows` if there is not exactly one record.
    pub(super) fn open(payload: &'a [u8]) -> Result<Self, Reject> {
        let mut rest = Rest(payload.strip_prefix(AVRO_CONTAINER).unwrap_or_default());
        let (schema, codec) = rest.metadata().ok_or_else(|| broken("its header"))?;
        let schema = schema.ok_or_else(|| broken("the schema in its header"))?;
        let marker = rest.take(16).ok_or_else(|| broken("its header"))?;
        let block = rest.only_block(marker)?;
        Ok(Container { schema, codec, block })
    }

    /// The bytes of the record.
    ///
    /// # Errors
    /// Rejects with `too_large` if they are more than `max_bytes`, and with `invalid_avro` if they cannot be unpacked.
    pub(super) fn datum(&self, max_bytes: u64) -> Result<Cow<'a, [u8]>, Reject> {
        let unpacked = match self.codec {
            "null" => return Ok(Cow::Borrowed(self.block)),
            "deflate" => all(flate2::read::DeflateDecoder::new(self.block), max_bytes),
            "zstandard" => zstd(self.block).and_then(|reader| all(reader, max_bytes)),
            "bzip2" => all(bzip2::read::BzDecoder::new(self.block), max_bytes),
            "xz" => xz(self.block).and_then(|reader| all(reader, max_bytes)),
            "snappy" => snappy(self.block, max_bytes),
            other => {
                return Err(reject("invalid_avro", format!("the container's codec {other:?} is not known")));
            }
        };
        let unpacked =
            unpacked.map_err(|why| reject("invalid_avro", format!("codec {}: {why}", self.codec)))?;
        unpacked.map(Cow::Owned).ok_or_else(|| {
            reject("too_large", format!("unpacked over {max_bytes} bytes, which is `documents.max_bytes`"))
        })
    }
}

/// What of the container is not read yet. All methods give `None` where it ends too early.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    /// A number in zigzag encoding.
    fn long(&mut self) -> Option<i64> {
        let number = decode_varint(&mut self.0).ok()?;
        Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// Bytes after their number.
    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.long()?;
        self.take(usize::try_from(length).ok()?)
    }

    /// The schema and the codec of the header.
    fn metadata(&mut self) -> Option<(Option<&'a str>, &'a str)> {
        let (mut schema, mut codec) = (None, "null");
        loop {
            let count = self.long()?;
            if count == 0 {
                return Some((schema, codec));
            }
            // A negative number of entries is followed by their size in bytes.
            if count < 0 {
                self.long()?;
            }
            for _ in 0..count.unsigned_abs() {
                match (self.bytes()?, self.bytes()?) {
                    (b"avro.schema", text) => schema = std::str::from_utf8(text).ok(),
                    (b"avro.codec", name) => codec = std::str::from_utf8(name).ok()?,
                    _ => {}
                }
            }
        }
    }

    /// The block that holds the only record.
    fn only_block(&mut self, marker: &[u8]) -> Result<&'a [u8], Reject> {
        let mut only = None;
        let mut records = 0_i64;
        while !self.0.is_empty() {
            let (count, block) = self.block(marker).ok_or_else(|| broken("a block"))?;
            records = records.saturating_add(count);
            if count > 0 {
                only = Some(block);
            }
            if records > 1 {
                let detail =
                    format!("an Avro container of at least {records} records, but a message must hold one");
                return Err(reject("rows", detail));
            }
        }
        only.ok_or_else(|| reject("rows", "an Avro container without a record".into()))
    }

    /// The number of a block's records, and its bytes.
    fn block(&mut self, marker: &[u8]) -> Option<(i64, &'a [u8])> {
        let count = self.long().filter(|count| *count >= 0)?;
        let bytes = self.bytes()?;
        (self.take(16)? == marker).then_some((count, bytes))
    }
}

fn broken(what: &str) -> Reject {
    reject("invalid_avro", format!("the message is an Avro container, but {what} is broken or cut off"))
}

/// All bytes of `reader`; `None` if there are more than `max_bytes`.
fn all(reader: impl Read, max_bytes: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = vec![];
    reader.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(Some(bytes).filter(|bytes| bytes.len() as u64 <= max_bytes))
}

fn zstd(block: &[u8]) -> io::Result<impl Read> {
    let mut reader = zstd::Decoder::new(block)?;
    reader.window_log_max(ZSTD_WINDOW_LOG)?;
    Ok(reader)
}

fn xz(block: &[u8]) -> io::Result<impl Read> {
    let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY_BYTES, 0)?;
    Ok(liblzma::bufread::XzDecoder::new_stream(block, stream))
}

/// Snappy, which the checksum of the unpacked bytes follows.
fn snappy(block: &[u8], max_bytes: u64) -> io::Result<Option<Vec<u8>>> {
    let cut_off = || io::Error::other("the checksum is missing");
    let (packed, checksum) = block.split_last_chunk().ok_or_else(cut_off)?;
    if snap::raw::decompress_len(packed)? as u64 > max_bytes {
        return Ok(None);
    }
    let bytes = snap::raw::Decoder::new().decompress_vec(packed)?;
    let mut sum = flate2::Crc::new();
    sum.update(&bytes);
    if sum.sum() != u32::from_be_bytes(*checksum) {
        return Err(io::Error::other("the checksum differs"));
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_in_zigzag_encoding() {
        let largest = b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01";
        for (bytes, number) in [
            (&b"\0"[..], Some(0)),
            (b"\x01", Some(-1)),
            (b"\x02", Some(1)),
            (b"\x7f", Some(-64)),
            (b"\x80\x01", Some(64)),
            (largest, Some(i64::MAX)),
            (b"\x80", None),
            (b"", None),
        ] {
            assert_eq!(Rest(bytes).long(), number, "{bytes:?}");
        }
    }

    #[test]
    fn a_header_can_be_in_blocks_with_sizes_and_without_a_codec() {
        let marker = [7; 16];
        let header = b"Obj\x01\x01\x1e\x16avro.schema\x04{}\x02\x02k\x02v\0";
        let message = [&header[..], &marker, b"\x02\x06abc", &marker].concat();
        let container = Container::open(&message).unwrap();
        assert_eq!((container.schema, container.codec), ("{}", "null"));
        assert_eq!(&*container.datum(3).unwrap(), b"abc");
    }

    #[test]
    fn numbers_that_are_claimed_cost_nothing() {
        let huge = b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01";
        let header = [&b"Obj\x01\x02\x16avro.schema\x04{}\0"[..], &[7; 16]].concat();
        for message in [
            // Of entries, of bytes of an entry, and of records, of whose bytes there are none.
            [b"Obj\x01", &huge[..]].concat(),
            [b"Obj\x01\x02", &huge[..]].concat(),
            [&header, &huge[..], b"\0", &[7; 16]].concat(),
            [&header, &b"\x02"[..], huge, &[7; 16]].concat(),
        ] {
            assert!(Container::open(&message).is_err(), "{message:?}");
        }
    }
}
