//! `decode_entities`: character references (`&amp;`, `&#8226;`) to the characters they stand for.
//!
//! `html-escape` decodes well-formed references. This module adds the malformed ones that real feeds contain:
//! - `&#128;` to `&#159;` are read as windows-1252, as browsers read them (HTML standard §13.2.5.84);
//! - `&nbsp` may lack its semicolon, as on many Chinese pages;
//! - ` #39;` is read as `&#39;`: in AG News, the ampersand was replaced by a space. This applies only to the
//!   few characters that feeds escape, since ` #33;` may just as well be a rank.
//!
//! Anything else, such as `R&D` or `&unknown;`, stays as it is.

use encoding_rs::WINDOWS_1252;
use html_escape::decode_html_entities_to_string;
use memchr::{memchr, memchr2};

/// No reference is longer than this many bytes; the longest is `&CounterClockwiseContourIntegral;`.
const LONGEST: usize = 34;

/// Appends `text` to `out` with its character references decoded.
pub fn decode_entities(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = memchr2(b'&', b'#', rest.as_bytes()) {
        let (before, reference) = rest.split_at(at);
        out.push_str(before);
        let used = if reference.starts_with('&') {
            decode_reference(reference, out)
        } else {
            decode_broken_reference(reference, out)
        };
        // No reference: the character is copied, and the search continues behind it.
        let used = used.unwrap_or_else(|| {
            out.push_str(&reference[..1]);
            1
        });
        rest = &reference[used..];
    }
    out.push_str(rest);
}

/// Decodes the reference at the start of `text`, and returns its length in bytes; `None` if there is none.
fn decode_reference(text: &str, out: &mut String) -> Option<usize> {
    let window = &text.as_bytes()[..text.len().min(LONGEST)];
    if let Some(end) = memchr(b';', window) {
        let reference = &text[..=end];
        // Before the decoder, which would give the invisible control characters U+0080 to U+009F.
        if let Some(character) = reference.strip_prefix("&#").and_then(windows_1252) {
            out.push(character);
            return Some(reference.len());
        }
        let start = out.len();
        decode_html_entities_to_string(reference, out);
        // The decoder copies a reference that it does not know.
        if &out[start..] != reference {
            return Some(reference.len());
        }
        out.truncate(start);
    }
    let name = "&nbsp";
    text.starts_with(name).then(|| {
        out.push('\u{A0}');
        name.len()
    })
}

/// Decodes a `#39;` that follows a space, and removes that space from `out`: it replaced the ampersand.
fn decode_broken_reference(text: &str, out: &mut String) -> Option<usize> {
    let window = &text.as_bytes()[..text.len().min("#65535;".len())];
    let end = memchr(b';', window)?;
    if !out.ends_with(' ') {
        return None;
    }
    let number = &text[1..=end];
    let punctuation = || code_point(number).filter(is_feed_punctuation).and_then(char::from_u32);
    let character = windows_1252(number).or_else(punctuation)?;
    // Five bytes of windows-1252 are not assigned and decode to control characters.
    if character.is_control() {
        return None;
    }
    out.pop();
    out.push(character);
    Some(end + 1)
}

/// Whether feeds write this character as a reference: `$`, `&`, `'`, the no-break space, dashes, quotes,
/// bullets and ellipses.
fn is_feed_punctuation(code_point: &u32) -> bool {
    matches!(code_point, 36 | 38 | 39 | 160 | 0x2013..=0x2026)
}

/// The character that the byte `146` of `146;` stands for in windows-1252; `None` outside of 128..=159.
fn windows_1252(number: &str) -> Option<char> {
    let byte = u8::try_from(code_point(number)?).ok()?;
    if !(128..=159).contains(&byte) {
        return None;
    }
    WINDOWS_1252.decode_without_bom_handling(&[byte]).0.chars().next()
}

/// The number of `146;`; `None` unless `number` consists of digits and a semicolon.
fn code_point(number: &str) -> Option<u32> {
    let digits = number.strip_suffix(';')?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(text: &str) -> String {
        let mut out = String::new();
        decode_entities(text, &mut out);
        out
    }

    #[test]
    fn references_of_each_kind_are_decoded() {
        let cases = [
            ("AT&amp;T &lt;b&gt; &quot;x&quot;", "AT&T <b> \"x\""),
            ("邓肯&#8226;温格汉姆", "邓肯•温格汉姆"),
            ("&#x4e2d;&#20013;&#38;", "中中&"),
            ("caf&#233; Reader&#146;s", "café Reader’s"),
            ("Virginia Tech #39;s all-Mac", "Virginia Tech's all-Mac"),
            ("closed its  #36;41 billion", "closed its $41 billion"),
            ("chips  #151; on Wednesday", "chips — on Wednesday"),
            ("&nbsp&nbsp2、召开地点", "\u{A0}\u{A0}2、召开地点"),
            ("[1]&nbsp;[2]", "[1]\u{A0}[2]"),
        ];
        for (input, expected) in cases {
            assert_eq!(decoded(input), expected, "{input:?}");
        }
    }

    #[test]
    fn text_that_only_resembles_a_reference_is_unchanged() {
        for text in [
            "R&D; M&S",
            "a & b",
            "&unknown;",
            "&#;",
            "&#0;",
            "C#4;",
            " #7;",
            "ranked #33; up from #45;",
            "#39;s",
            "&",
            "#",
            "&;",
            "&#x;",
        ] {
            assert_eq!(decoded(text), text);
        }
    }

    proptest! {
        #[test]
        fn total_on_any_text(text in "([&#; 0-9a-z]|amp|lt|nbsp|\\PC){0,40}") {
            decode_entities(&text, &mut String::new());
        }
    }
}
