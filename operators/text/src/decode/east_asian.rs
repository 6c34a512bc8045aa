//! Whether bytes are clearly Chinese, Japanese or Korean text, whatever their label says.
//!
//! Any bytes are valid in a charset of one byte a character, so such a label proves nothing: GBK pages that
//! declare `iso-8859-1` are common (psf/requests issue 2974). The detector alone is too easily convinced; it takes
//! up to 0.9 % of short European texts for East Asian ones. What it misses is that real text consists of common
//! characters, which these charsets keep apart from the rare ones.

use std::borrow::Cow;

use encoding_rs::{BIG5, EUC_JP, EUC_KR, Encoding, GB18030, GBK, SHIFT_JIS};

use super::detect::guess;

/// Fewer non-ASCII characters than this say too little.
const ENOUGH_CHARACTERS: usize = 4;

/// This share of the non-ASCII characters must be common ones.
const COMMON_PERCENT: usize = 80;

/// The text of `bytes` and its encoding, if they are clearly East Asian text.
pub(super) fn clear_text(bytes: &[u8]) -> Option<(Cow<'_, str>, &'static Encoding)> {
    let encoding = guess(bytes);
    if !is_common_text(encoding, bytes) {
        return None;
    }
    Some((clean_text(encoding, bytes)?, encoding))
}

/// Whether nearly all characters of `bytes` in `encoding` are common ones. `false` for an encoding that is none of
/// the five that the detector knows.
pub(super) fn is_common_text(encoding: &'static Encoding, bytes: &[u8]) -> bool {
    let Some(charset) = Charset::of(encoding) else { return false };
    let (mut common, mut all) = (0, 0);
    let mut rest = bytes;
    while let Some((character, others)) = charset.split(rest) {
        rest = others;
        if let Some(is_common) = charset.is_common(character) {
            all += 1;
            common += usize::from(is_common);
        }
    }
    all >= ENOUGH_CHARACTERS && common * 100 >= all * COMMON_PERCENT
}

/// The text of `bytes`, if all of it is valid but for a last character that was cut in two.
fn clean_text<'a>(encoding: &'static Encoding, bytes: &'a [u8]) -> Option<Cow<'a, str>> {
    let whole = |bytes: &'a [u8]| encoding.decode_without_bom_handling_and_without_replacement(bytes);
    whole(bytes).or_else(|| {
        let (_, before) = bytes.split_last()?;
        // With its replacement character, so that the cut is visible.
        whole(before).is_some().then(|| encoding.decode_without_bom_handling(bytes).0)
    })
}

/// A charset with characters of two bytes, ordered by how common they are.
#[derive(Clone, Copy)]
enum Charset {
    Gb,
    Big5,
    EucKr,
    EucJp,
    ShiftJis,
}

impl Charset {
    fn of(encoding: &'static Encoding) -> Option<Self> {
        match encoding {
            _ if encoding == GBK || encoding == GB18030 => Some(Charset::Gb),
            _ if encoding == BIG5 => Some(Charset::Big5),
            _ if encoding == EUC_KR => Some(Charset::EucKr),
            _ if encoding == EUC_JP => Some(Charset::EucJp),
            _ if encoding == SHIFT_JIS => Some(Charset::ShiftJis),
            _ => None,
        }
    }

    /// The first character of valid `bytes`, and what follows it.
    fn split(self, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
        let length = match (self, bytes.first()?, bytes.get(1)) {
            (_, 0..=0x7F, _) => 1,
            (Charset::ShiftJis, 0xA1..=0xDF, _) => 1,
            (Charset::Gb, _, Some(b'0'..=b'9')) => 4,
            (Charset::EucJp, 0x8F, _) => 3,
            _ => 2,
        };
        Some(bytes.split_at(length.min(bytes.len())))
    }

    /// Whether `character` is in the rows of punctuation, kana or the common characters: level 1 of GB 2312, Big5
    /// and JIS X 0208, the syllables of KS X 1001. `None` for characters that say nothing: those of one byte.
    fn is_common(self, character: &[u8]) -> Option<bool> {
        let [lead, trail, more @ ..] = character else { return None };
        let is_common = match (self, lead, trail) {
            (Charset::Gb, 0xA1..=0xA5 | 0xB0..=0xD7, 0xA1..) => true,
            (Charset::Big5, 0xA1..=0xC6, _) => true,
            (Charset::EucKr, 0xA1..=0xA3 | 0xB0..=0xC8, 0xA1..) => true,
            (Charset::EucJp, 0x8E | 0xA1..=0xA5 | 0xB0..=0xCF, _) => true,
            // Katakana ends at 8396, and level 1 at 9872.
            (Charset::ShiftJis, 0x83, ..=0x96) | (Charset::ShiftJis, 0x98, ..=0x72) => true,
            (Charset::ShiftJis, 0x81 | 0x82 | 0x88..=0x97, _) => true,
            _ => false,
        };
        Some(is_common && more.is_empty())
    }
}
