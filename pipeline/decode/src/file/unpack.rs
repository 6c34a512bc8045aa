//! Compressed files.

use std::io::{self, BufReader, ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use liblzma::bufread::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// gzip, of one or several members.
    Gzip,
    /// Zstandard.
    Zstd,
    /// bzip2.
    Bzip2,
    /// xz.
    Xz,
}

impl Packing {
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        [
            (&b"\x1f\x8b"[..], Packing::Gzip),
            (b"\x28\xb5\x2f\xfd", Packing::Zstd),
            (b"BZh", Packing::Bzip2),
            (b"\xfd7zXZ\0", Packing::Xz),
        ]
        .into_iter()
        .find_map(|(magic, packing)| head.starts_with(magic).then_some(packing))
    }
}

/// How much is read of a file at once.
const BUFFER_BYTES: usize = 1 << 18;

/// What the decoder of xz may allocate. The strongest preset, `-9`, needs 65 MiB.
const XZ_MEMORY_BYTES: u64 = 256 << 20;

/// The unpacked bytes of `reader`, and whether they turned out to end too early, which is known when all are read.
pub(super) fn unpacked(
    packing: Option<Packing>,
    reader: Box<dyn Read + Send>,
) -> io::Result<(Box<dyn Read + Send>, Arc<AtomicBool>)> {
    let is_truncated = Arc::new(AtomicBool::new(false));
    let buffered = BufReader::with_capacity(BUFFER_BYTES, reader);
    let unpacked: Box<dyn Read + Send> = match packing {
        None => return Ok((Box::new(buffered), is_truncated)),
        // A file of several members is one text: tools append to compressed logs so.
        Some(Packing::Gzip) => Box::new(flate2::bufread::MultiGzDecoder::new(buffered)),
        Some(Packing::Zstd) => Box::new(zstd::Decoder::with_buffer(buffered)?),
        Some(Packing::Bzip2) => Box::new(bzip2::bufread::MultiBzDecoder::new(buffered)),
        Some(Packing::Xz) => {
            let stream = Stream::new_stream_decoder(XZ_MEMORY_BYTES, CONCATENATED)?;
            Box::new(XzDecoder::new_stream(buffered, stream))
        }
    };
    let whole = UntilCut { reader: unpacked, is_truncated: Arc::clone(&is_truncated) };
    Ok((Box::new(whole), is_truncated))
}

/// Ends where compressed data end too early, instead of failing there: what came before is whole.
struct UntilCut {
    reader: Box<dyn Read + Send>,
    is_truncated: Arc<AtomicBool>,
}

impl Read for UntilCut {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.reader.read(buffer) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                self.is_truncated.store(true, Ordering::Relaxed);
                Ok(0)
            }
            outcome => outcome,
        }
    }
}
