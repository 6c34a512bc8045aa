//! `decode_entities`: character references (`&amp;`, `&#8226;`) to the characters they stand for.
//!
//! `htmlize` decodes them as the HTML standard says (§13.2.5.72 ff.): all names, among them the 106 that need no
//! semicolon (`&nbsp`, `R&ampD`), and `&#128;` to `&#159;` as windows-1252. This module differs from the standard
//! where real feeds do:
//! - ` #39;` is read as `&#39;`: in AG News, the ampersand was replaced by a space. This applies only to the
//!   few characters that feeds escape, since ` #33;` may just as well be a rank;
//! - `&#55357;&#56832;` is one character: programs that count in UTF-16 write the two halves apart;
//! - a name without a semicolon stays where it is the key in an address: `?a=1&copy=2`, `?a=1&region=2`.
//!
//! Anything else, such as `R&D` or `&unknown;`, stays as it is. `&#0;` and half a character become U+FFFD, as the
//! standard says.

use encoding_rs::WINDOWS_1252;
use memchr::{memchr, memchr2};

/// Appends `text` to `out` with its character references decoded.
pub fn decode_entities(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = memchr2(b'&', b'#', rest.as_bytes()) {
        let (before, reference) = rest.split_at(at);
        out.push_str(before);
        let used = if reference.starts_with('&') {
            decode_pair(reference, out).or_else(|| decode_reference(reference, out))
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
///
/// The length includes letters and digits that follow a name without a semicolon (`&ampD`). They are read once, so the
/// time is linear in the text.
fn decode_reference(text: &str, out: &mut String) -> Option<usize> {
    let start = if text.starts_with("&#") { 2 } else { 1 };
    let word = text[start..].bytes().take_while(u8::is_ascii_alphanumeric).count();
    let end = start + word;
    let end = match text.as_bytes().get(end) {
        _ if word == 0 => return None,
        Some(b';') => end + 1,
        Some(b'=') if start == 1 => return None,
        _ => end,
    };
    let decoded = htmlize::unescape(&text[..end]);
    if decoded == text[..end] {
        return None;
    }
    out.push_str(&decoded);
    Some(end)
}

/// Decodes two references to the halves of a surrogate pair.
fn decode_pair(text: &str, out: &mut String) -> Option<usize> {
    let (high, first) = numeric_reference(text)?;
    if !(0xD800..0xDC00).contains(&high) {
        return None;
    }
    let (low, second) = numeric_reference(&text[first..])?;
    let halves = [u16::try_from(high).ok()?, u16::try_from(low).ok()?];
    out.push(char::decode_utf16(halves).next()?.ok()?);
    Some(first + second)
}

/// The number of the reference at the start of `text`, and its length in bytes.
fn numeric_reference(text: &str) -> Option<(u32, usize)> {
    // The longest reference to half a character is `&#55357;` or `&#xD83D;`; a few leading zeros do no harm.
    const LONGEST: usize = 16;
    let end = memchr(b';', &text.as_bytes()[..text.len().min(LONGEST)])?;
    let number = text.strip_prefix("&#")?.get(..end - 2)?;
    let value = match number.strip_prefix(['x', 'X']) {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => number.parse(),
    };
    Some((value.ok()?, end + 1))
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
            ("&quot你好&quot R&ampD &copy2023 &NotEqualTilde;", "\"你好\" R&D ©2023 ≂̸"),
            ("&#0;|&#xD800;|&#1114112;|&#99999999999;", "\u{FFFD}|\u{FFFD}|\u{FFFD}|\u{FFFD}"),
            ("&#39s &#x4E2D文 &#00000000000000000000000000000000039;", "'s 中文 '"),
            ("&#55357;&#56832; &#xD83D;&#xDE00; &#xd83d;&#56832;", "😀 😀 😀"),
            ("&#55357; &#56832; &#55357;&#65;", "\u{FFFD} \u{FFFD} \u{FFFD}A"),
            ("?a=1&amp;copy=2&amp;region=3", "?a=1&copy=2&region=3"),
            ("&amp;amp; &notit; &notin;", "&amp; ¬it; ∉"),
        ];
        for (input, expected) in cases {
            assert_eq!(decoded(input), expected, "{input:?}");
        }
    }

    #[test]
    fn text_that_only_resembles_a_reference_is_unchanged() {
        for text in [
            "R&D; M&S",
            "?a=1&copy=2",
            "https://news.example/?id=1&region=2&times=3&amp=4",
            "&#x;&#xg;",
            "a & b",
            "&unknown;",
            "&#;",
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
        fn total_on_any_text(text in "([&#;= 0-9a-z]|amp|lt|nbsp|&#55357;|&#56832;|\\PC){0,40}") {
            decode_entities(&text, &mut String::new());
        }
    }
}
