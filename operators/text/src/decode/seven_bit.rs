//! Charsets that write Chinese and Japanese in ASCII bytes: ISO-2022-JP and HZ.
//!
//! Such bytes are valid ASCII, so only a label can tell. ISO-2022-JP announces a change of the character set by
//! an escape sequence, HZ (RFC 1843) by `~{` and `~}`.

use encoding_rs::{Encoding, GB18030, ISO_2022_JP};
use memchr::memchr2;

use super::declared::Labels;

const ESCAPE: u8 = 0x1B;

/// The text of ASCII `bytes` and its encoding, if they are declared to be in such a charset and are valid in it.
pub(super) fn decode_declared(bytes: &[u8], charset: Option<&str>) -> Option<(String, &'static Encoding)> {
    // Nearly all texts end here, before the search for a label.
    memchr2(ESCAPE, b'~', bytes)?;
    Labels::of(bytes, charset).names().find_map(|label| decode_as(label, bytes))
}

fn decode_as(label: &str, bytes: &[u8]) -> Option<(String, &'static Encoding)> {
    if label.trim().eq_ignore_ascii_case("hz-gb-2312") {
        return Some((decode_hz(bytes)?, GB18030));
    }
    let encoding = Encoding::for_label(label.as_bytes()).filter(|encoding| *encoding == ISO_2022_JP)?;
    let text = encoding.decode_without_bom_handling_and_without_replacement(bytes)?;
    Some((text.into_owned(), encoding))
}

/// The text of `bytes` in HZ: between `~{` and `~}`, the characters are those of GB 2312 without their high bits.
fn decode_hz(bytes: &[u8]) -> Option<String> {
    let mut gb = Vec::with_capacity(bytes.len());
    let mut high_bit = 0;
    let mut rest = bytes;
    while let [first, others @ ..] = rest {
        rest = others.get(1..).unwrap_or_default();
        match (first, others.first()) {
            (b'~', Some(b'{')) => high_bit = 0x80,
            (b'~', Some(b'}')) => high_bit = 0,
            (b'~', Some(b'~')) if high_bit == 0 => gb.push(b'~'),
            // A line that goes on in the next one.
            (b'~', Some(b'\n')) if high_bit == 0 => {}
            (b'\n', _) => {
                // A line without an end mark: RFC 1843 has every line begin in ASCII.
                high_bit = 0;
                gb.push(b'\n');
                rest = others;
            }
            (b'!'..=b'~', Some(second @ b'!'..=b'~')) if high_bit != 0 => {
                gb.extend([first | high_bit, second | high_bit]);
            }
            (first, _) => {
                gb.push(*first);
                rest = others;
            }
        }
    }
    let text = GB18030.decode_without_bom_handling_and_without_replacement(&gb)?;
    Some(text.into_owned())
}
