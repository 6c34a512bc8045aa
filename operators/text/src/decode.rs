//! `decode`: bytes of unknown encoding to text.
//!
//! The first of these that applies decides on the encoding:
//! 1. a byte-order mark, or the zeros that UTF-16 without a mark has in ASCII characters;
//! 2. ASCII bytes that are declared to be ISO-2022-JP or HZ, and are valid in it;
//! 3. UTF-8, if the bytes are valid, or damaged in few places (a message may be cut within a character);
//! 4. the charset that the caller declares, then the one that the document declares in its first 1,024 bytes.
//!    Declared charsets are often wrong, so the bytes have to agree:
//!    - A charset of several bytes a character must fit (nearly) all bytes, and must not give rare characters
//!      where the detector finds another one that gives common characters.
//!    - Any bytes fit a charset of one byte a character, so it is passed over if the bytes are clearly Chinese,
//!      Japanese or Korean ([`east_asian`]). Otherwise it is believed: the detector takes 15 % of Spanish
//!      sentences for another code page;
//! 5. the guess of `chardetng`, the detector of Firefox.
//!
//! Labels are those of the WHATWG Encoding Standard, in which `gb2312` and `gbk` mean GB 18030. Decoding
//! never fails: bytes that are invalid in the chosen encoding become U+FFFD, the replacement character.

mod declared;
mod detect;
mod east_asian;
mod seven_bit;
mod utf_16;

use std::borrow::Cow;

use encoding_rs::{
    BIG5, EUC_JP, EUC_KR, Encoding, GB18030, GBK, SHIFT_JIS, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_874,
};
use memchr::memchr;

use declared::Labels;
pub use declared::unsupported_charset;
use detect::guess;

/// Text counts as valid in an encoding with at most one invalid place per this many valid characters.
const CHARACTERS_PER_ERROR: usize = 10;

/// The share of zeros among every second byte of UTF-16, in percent: in text of any kind, and in JSON, which has ASCII
/// characters even around Chinese text.
const ZEROS_IN_TEXT: usize = 40;
const ZEROS_IN_JSON: usize = 20;

/// What [`decode_explained`] made of some bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// The text.
    pub text: Cow<'a, str>,
    /// The encoding that was used, by its name in the Encoding Standard: `UTF-8`, `gb18030`, `Big5`.
    pub charset: &'static str,
    /// The declared charset, if it is one that cannot be read, such as `euc-tw`. The text is then a guess, and
    /// seldom right.
    pub unsupported: Option<&'static str>,
}

/// Decodes `bytes` of unknown encoding to text.
///
/// `charset` is the label that the source declares, such as `gb2312`; an unknown label counts as none. The
/// result borrows from `bytes` if they are valid UTF-8.
pub fn decode<'a>(bytes: &'a [u8], charset: Option<&str>) -> Cow<'a, str> {
    decode_explained(bytes, charset).text
}

/// Decodes `bytes` as [`decode`] does, and tells how.
pub fn decode_explained<'a>(bytes: &'a [u8], charset: Option<&str>) -> Decoded<'a> {
    if let Some((encoding, mark_bytes)) = Encoding::for_bom(bytes) {
        return Decoded::of(encoding.decode_without_bom_handling(&bytes[mark_bytes..]).0, encoding);
    }
    if let Some(encoding) = utf_16::by_zeros(bytes, ZEROS_IN_TEXT).or_else(|| labelled_utf_16(bytes, charset))
    {
        return Decoded::of(encoding.decode_without_bom_handling(bytes).0, encoding);
    }
    if Encoding::ascii_valid_up_to(bytes) == bytes.len() {
        return decode_ascii(bytes, charset);
    }
    match decode_as(UTF_8, bytes) {
        Some(text) => Decoded::of(text, UTF_8),
        None => decode_legacy(bytes, charset),
    }
}

impl<'a> Decoded<'a> {
    fn of(text: Cow<'a, str>, encoding: &'static Encoding) -> Self {
        // GB 18030 is a superset of GBK, and both are decoded alike.
        let encoding = if encoding == GBK { GB18030 } else { encoding };
        Decoded { text, charset: encoding.name(), unsupported: None }
    }
}

/// UTF-16, if the caller declares it and the bytes have zeros, which text in UTF-8 has not. Cyrillic letters are ASCII bytes
/// in UTF-16, so this comes before UTF-8.
fn labelled_utf_16(bytes: &[u8], charset: Option<&str>) -> Option<&'static Encoding> {
    let encoding = Encoding::for_label(charset?.as_bytes())?;
    let is_utf_16 = encoding == UTF_16LE || encoding == UTF_16BE;
    (is_utf_16 && memchr(0, bytes).is_some()).then(|| utf_16::labelled(bytes))?
}

/// Decodes ASCII bytes, which a label may give another meaning.
fn decode_ascii<'a>(bytes: &'a [u8], charset: Option<&str>) -> Decoded<'a> {
    match seven_bit::decode_declared(bytes, charset) {
        Some((text, encoding)) => Decoded::of(text.into(), encoding),
        None => {
            let unsupported = charset.and_then(unsupported_charset);
            Decoded { unsupported, ..Decoded::of(UTF_8.decode_without_bom_handling(bytes).0, UTF_8) }
        }
    }
}

/// Decodes bytes that are neither Unicode nor ASCII.
fn decode_legacy<'a>(bytes: &'a [u8], charset: Option<&str>) -> Decoded<'a> {
    let labels = Labels::of(bytes, charset);
    let decoded = labels.encodings().find_map(|encoding| decode_labelled(encoding, bytes));
    let decoded = decoded.unwrap_or_else(|| decode_unlabelled(bytes));
    Decoded { unsupported: labels.unsupported(), ..decoded }
}

/// Decodes bytes that are declared to be in `encoding`; `None` if they are not.
fn decode_labelled<'a>(encoding: &'static Encoding, bytes: &'a [u8]) -> Option<Decoded<'a>> {
    if encoding == UTF_16LE || encoding == UTF_16BE {
        let encoding = utf_16::labelled(bytes)?;
        return Some(Decoded::of(encoding.decode_without_bom_handling(bytes).0, encoding));
    }
    let by_label = || decode_as(encoding, bytes).map(|text| Decoded::of(text, encoding));
    if is_believed(encoding, bytes) { by_label() } else { decode_east_asian_text(bytes).or_else(by_label) }
}

/// Whether a label is believed even where the detector finds clear East Asian text in another encoding.
fn is_believed(encoding: &'static Encoding, bytes: &[u8]) -> bool {
    // Thai has neither spaces nor ASCII letters, so its bytes form pairs as those of GBK do.
    encoding == WINDOWS_874 || east_asian::is_common_text(encoding, bytes)
}

/// Decodes bytes without a label that fits them.
fn decode_unlabelled(bytes: &[u8]) -> Decoded<'_> {
    decode_east_asian_text(bytes).unwrap_or_else(|| {
        let encoding = guess(bytes);
        Decoded::of(encoding.decode_without_bom_handling(bytes).0, encoding)
    })
}

/// Decodes bytes that are clearly Chinese, Japanese or Korean text.
fn decode_east_asian_text(bytes: &[u8]) -> Option<Decoded<'_>> {
    if let Some((text, encoding)) = east_asian::clear_text(bytes) {
        return Some(Decoded::of(text, encoding));
    }
    let encoding = utf_16::by_han(bytes)?;
    Some(Decoded::of(encoding.decode_without_bom_handling(bytes).0, encoding))
}

/// Decodes `bytes` that are not UTF-8 if they are Chinese, Japanese or Korean text in one of the encodings of several bytes
/// a character, or UTF-16 with ASCII characters in it; returns the text and the encoding's label.
///
/// `None` if they are not valid as a whole: a few odd bytes are more likely damage than another encoding.
pub fn decode_east_asian(bytes: &[u8]) -> Option<(String, &'static str)> {
    let (encoding, bytes) = match Encoding::for_bom(bytes) {
        Some((encoding, mark_bytes)) => (encoding, &bytes[mark_bytes..]),
        None => (utf_16::by_zeros(bytes, ZEROS_IN_JSON).unwrap_or_else(|| guess(bytes)), bytes),
    };
    let (encoding, label) = match encoding {
        // A superset of both GB 2312 and GBK.
        _ if encoding == GBK || encoding == GB18030 => (GB18030, "gb18030"),
        _ if encoding == BIG5 => (BIG5, "big5"),
        _ if encoding == EUC_KR => (EUC_KR, "euc-kr"),
        _ if encoding == EUC_JP => (EUC_JP, "euc-jp"),
        _ if encoding == SHIFT_JIS => (SHIFT_JIS, "shift_jis"),
        _ if encoding == UTF_16LE => (UTF_16LE, "utf-16le"),
        _ if encoding == UTF_16BE => (UTF_16BE, "utf-16be"),
        _ => return None,
    };
    let text = encoding.decode_without_bom_handling_and_without_replacement(bytes)?;
    Some((text.into_owned(), label))
}

/// The text of `bytes` in `encoding`, or `None` unless (nearly) all of it is valid.
fn decode_as<'a>(encoding: &'static Encoding, bytes: &'a [u8]) -> Option<Cow<'a, str>> {
    let (text, has_errors) = encoding.decode_without_bom_handling(bytes);
    if !has_errors {
        return Some(text);
    }
    // ASCII bytes are valid in nearly every encoding, so they say nothing about this one.
    let (mut good, mut bad) = (0_usize, 0_usize);
    for character in text.chars().filter(|character| !character.is_ascii()) {
        if character == char::REPLACEMENT_CHARACTER { bad += 1 } else { good += 1 }
    }
    (good >= bad * CHARACTERS_PER_ERROR).then_some(text)
}

#[cfg(test)]
mod tests;
