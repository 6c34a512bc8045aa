//! The guess of `chardetng`, the detector of Firefox.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::Encoding;

/// The detector reads this many bytes from the first non-ASCII byte on, and as many at the end.
const SAMPLE_BYTES: usize = 32 << 10;

/// The most likely encoding of bytes that are not UTF-8.
pub(super) fn guess(bytes: &[u8]) -> &'static Encoding {
    // chardetng's documentation says to deny ISO-2022-JP for content of the Web.
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    let (head, tail) = samples(bytes);
    detector.feed(head, tail.is_empty());
    if !tail.is_empty() {
        detector.feed(tail, true);
    }
    // UTF-8 was tried before, and is out of the question here. `None`: nothing is known of the top-level domain.
    detector.guess(None, Utf8Detection::Deny)
}

/// The parts of `bytes` that the detector reads, the second of which may be empty.
///
/// A page may start with kilobytes of ASCII tags, so reading only the first bytes would miss all of its text.
/// Both parts are cut at bytes that cannot belong to a multi-byte character; half a character would look like
/// an error to the detector and exclude the true encoding.
fn samples(bytes: &[u8]) -> (&[u8], &[u8]) {
    let text = &bytes[Encoding::ascii_valid_up_to(bytes)..];
    if text.len() <= 2 * SAMPLE_BYTES {
        return (text, &[]);
    }
    // In East Asian encodings, the second, third and fourth bytes of a character are '0' or above.
    let is_boundary = |byte: &u8| *byte < b'0';
    let (head, rest) = text.split_at(SAMPLE_BYTES);
    let tail = &rest[rest.len() - SAMPLE_BYTES..];
    match (head.iter().rposition(is_boundary), tail.iter().position(is_boundary)) {
        (Some(head_end), Some(tail_start)) => (&head[..=head_end], &tail[tail_start..]),
        // Without a place to cut at, the whole text is read, which is slower but not wrong.
        _ => (text, &[]),
    }
}
