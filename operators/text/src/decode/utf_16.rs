//! UTF-16 without a byte-order mark.
//!
//! Where there are ASCII characters, every second byte of them is zero, which no other encoding of text has.
//! Chinese text without any has no zeros; there, the common characters decide.

use std::sync::LazyLock;

use encoding_rs::{BIG5, Encoding, GBK, UTF_16BE, UTF_16LE};
use memchr::memchr;

/// How many bytes are looked at for the zeros.
const ZEROS_SAMPLE: usize = 64;

/// How many bytes are looked at for common characters.
const HAN_SAMPLE: usize = 2048;

/// This share of the characters must be common Han characters, their punctuation, or ASCII.
const EXPECTED_PERCENT: usize = 80;

/// Fewer Han characters than this say too little.
const ENOUGH_HAN: usize = 8;

/// UTF-16 if at least `percent` of the bytes at one parity are zero, and none at the other.
pub(super) fn by_zeros(bytes: &[u8], percent: usize) -> Option<&'static Encoding> {
    let sample = &bytes[..bytes.len().min(ZEROS_SAMPLE)];
    // Nearly all texts end here.
    memchr(0, sample)?;
    // One zero may be anything.
    let enough = |count: usize| count > 1 && count * 200 >= sample.len() * percent;
    match zeros(sample) {
        (0, odd) if enough(odd) => Some(UTF_16LE),
        (even, 0) if enough(even) => Some(UTF_16BE),
        _ => None,
    }
}

/// The byte order of `bytes` that are labelled UTF-16: the label is believed, but not the order that it names.
/// `None` if nothing in the bytes speaks for UTF-16.
pub(super) fn labelled(bytes: &[u8]) -> Option<&'static Encoding> {
    // Before the zeros, of which Chinese text has some at the wrong parity: 一 is U+4E00.
    by_han(bytes).or_else(|| match zeros(&bytes[..bytes.len().min(HAN_SAMPLE)]) {
        (even, odd) if even < odd => Some(UTF_16LE),
        (even, odd) if even > odd => Some(UTF_16BE),
        _ => None,
    })
}

/// UTF-16 if nearly all characters are what Chinese text consists of.
///
/// Bytes of another encoding may well look like Han characters, as two Latin letters do, and a third of those are
/// common ones. But text in Latin letters consists of printable ASCII bytes nearly throughout, and these are only half of
/// the bytes of Han characters.
pub(super) fn by_han(bytes: &[u8]) -> Option<&'static Encoding> {
    let sample = &bytes[..bytes.len().min(HAN_SAMPLE) & !1];
    let printable = sample.iter().filter(|byte| matches!(byte, b' '..=b'~')).count();
    if printable * 4 > sample.len() * 3 {
        return None;
    }
    [UTF_16LE, UTF_16BE].into_iter().find(|encoding| is_chinese(encoding, sample))
}

fn is_chinese(encoding: &'static Encoding, sample: &[u8]) -> bool {
    let (text, _) = encoding.decode_without_bom_handling(sample);
    let (mut han, mut others, mut unexpected) = (0, 0, 0);
    for character in text.chars() {
        match character {
            '\u{4E00}'..='\u{9FFF}' if COMMON_HAN[han_index(character)] => han += 1,
            ' '..='~' | '\r' | '\n' | '\t' | '\u{3000}'..='\u{303F}' | '\u{FF01}'..='\u{FF5E}' => others += 1,
            '“' | '”' | '‘' | '’' | '…' | '—' | '·' => others += 1,
            _ => unexpected += 1,
        }
    }
    han >= ENOUGH_HAN && (han + others) * 100 >= (han + others + unexpected) * EXPECTED_PERCENT
}

/// The number of zeros at even and at odd places.
fn zeros(bytes: &[u8]) -> (usize, usize) {
    let at = |parity: usize| bytes.iter().skip(parity).step_by(2).filter(|byte| **byte == 0).count();
    (at(0), at(1))
}

/// For each character from U+4E00 to U+9FFF, whether it is in level 1 of GB 2312 or of Big5.
static COMMON_HAN: LazyLock<Vec<bool>> = LazyLock::new(|| {
    let mut common = vec![false; han_index('\u{9FFF}') + 1];
    let pairs = |leads: std::ops::RangeInclusive<u8>| {
        leads.flat_map(|lead| (0xA1..=0xFE).flat_map(move |trail| [lead, trail])).collect::<Vec<u8>>()
    };
    let low_trails: Vec<u8> =
        (0xA4..=0xC6).flat_map(|lead| (0x40..=0x7E).flat_map(move |trail| [lead, trail])).collect();
    for (encoding, bytes) in [(GBK, pairs(0xB0..=0xD7)), (BIG5, pairs(0xA4..=0xC5)), (BIG5, low_trails)] {
        for character in encoding.decode_without_bom_handling(&bytes).0.chars() {
            if let Some(slot) = common.get_mut(han_index(character)) {
                *slot = true;
            }
        }
    }
    common
});

/// The index of a character in [`COMMON_HAN`]; far beyond its end for a character before U+4E00.
fn han_index(character: char) -> usize {
    (u32::from(character) as usize).wrapping_sub(0x4E00)
}
