//! `decode`: bytes of unknown encoding to text.
//!
//! The first of these that applies decides on the encoding:
//! 1. a byte-order mark;
//! 2. UTF-8, if the bytes are valid, or damaged in few places (a message may be cut within a character);
//! 3. the charset that the caller declares, then the one that the document declares in its first
//!    [`DECLARATION_BYTES`], if (nearly) all bytes are valid in it. Validity is required because declared
//!    charsets are often wrong;
//! 4. the guess of `chardetng`, the detector of Firefox.
//!
//! Labels are those of the WHATWG Encoding Standard, in which `gb2312` and `gbk` mean GB 18030. Decoding
//! never fails: bytes that are invalid in the chosen encoding become U+FFFD, the replacement character.

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8};

/// A document may declare its charset within this many bytes from its start, as in the HTML standard.
const DECLARATION_BYTES: usize = 1024;

/// The detector reads this many bytes from the first non-ASCII byte on, and as many at the end.
const SAMPLE_BYTES: usize = 32 << 10;

/// Text counts as valid in an encoding with at most one invalid place per this many valid characters.
const CHARACTERS_PER_ERROR: usize = 10;

/// Decodes `bytes` of unknown encoding to text.
///
/// `charset` is the label that the source declares, such as `gb2312`; an unknown label counts as none. The
/// result borrows from `bytes` if they are valid UTF-8.
pub fn decode<'a>(bytes: &'a [u8], charset: Option<&str>) -> Cow<'a, str> {
    if let Some((encoding, mark_bytes)) = Encoding::for_bom(bytes) {
        return encoding.decode_without_bom_handling(&bytes[mark_bytes..]).0;
    }
    if let Some(text) = decode_as(UTF_8, bytes) {
        return text;
    }
    let declared = charset.and_then(|label| Encoding::for_label(label.as_bytes()));
    let candidates = [declared, declared_inside(bytes)];
    if let Some(text) = candidates.into_iter().flatten().find_map(|encoding| decode_as(encoding, bytes)) {
        return text;
    }
    guess(bytes).decode_without_bom_handling(bytes).0
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

/// The charset of `<meta charset=...>`, `<meta ... content="text/html; charset=...">` or `<?xml
/// encoding=...?>`.
fn declared_inside(bytes: &[u8]) -> Option<&'static Encoding> {
    // Labels are ASCII, and so are the tags around them, whatever the encoding of the text.
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(DECLARATION_BYTES)]).to_ascii_lowercase();
    ["charset=", "encoding="].iter().find_map(|key| {
        let value = &head[head.find(key)? + key.len()..];
        let value = value.trim_start_matches([' ', '"', '\'']);
        let is_label = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ':' | '.');
        let end = value.find(|c| !is_label(c)).unwrap_or(value.len());
        Encoding::for_label(&value.as_bytes()[..end])
    })
}

/// The most likely encoding of bytes that are valid neither as UTF-8 nor in a declared charset.
fn guess(bytes: &[u8]) -> &'static Encoding {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{data_file, json_lines, text_of};
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;
    use encoding_rs::{BIG5, GB18030};
    use proptest::prelude::*;
    use std::fs;

    const NEWS: &str = "新华社北京电，记者从国家统计局获悉，今年一季度国内生产总值同比增长百分之五。";

    #[test]
    fn known_bytes_decode_to_their_text() {
        let gbk = GB18030.encode(NEWS).0.into_owned();
        let big5 = BIG5.encode("中央社台北電，氣象局今日發布天氣預報，明天有雨。").0.into_owned();
        let page = |charset: &str, text: &[u8]| {
            [format!("<html><meta charset={charset}>").as_bytes(), text].concat()
        };
        let utf16: Vec<u8> =
            [0xFF, 0xFE].into_iter().chain(NEWS.encode_utf16().flat_map(u16::to_le_bytes)).collect();
        let cases: Vec<(&str, Vec<u8>, Option<&str>, String)> = vec![
            ("utf-8", NEWS.into(), None, NEWS.into()),
            ("utf-8 with mark", format!("\u{FEFF}{NEWS}").into(), None, NEWS.into()),
            ("utf-8, wrong label", NEWS.into(), Some("gb2312"), NEWS.into()),
            ("utf-16 with mark", utf16, None, NEWS.into()),
            ("gbk, label", gbk.clone(), Some("GB2312"), NEWS.into()),
            ("gbk, no label", gbk.clone(), None, NEWS.into()),
            ("gbk, unknown label", gbk.clone(), Some("x-none"), NEWS.into()),
            ("gbk, meta", page("\"gbk\"", &gbk), None, format!("<html><meta charset=\"gbk\">{NEWS}")),
            ("gbk, wrong meta", page("utf-8", &gbk), None, format!("<html><meta charset=utf-8>{NEWS}")),
            ("big5, no label", big5, None, "中央社台北電，氣象局今日發布天氣預報，明天有雨。".into()),
            ("empty", vec![], None, String::new()),
        ];
        for (name, bytes, charset, expected) in cases {
            assert_eq!(decode(&bytes, charset), expected, "{name}");
        }
    }

    #[test]
    fn a_text_cut_within_a_character_is_still_that_text() {
        let cut = &NEWS.as_bytes()[..NEWS.len() - 1];
        let text = decode(cut, None);
        assert!(text.starts_with("新华社北京电") && text.ends_with('\u{FFFD}'), "{text}");
        let gbk = GB18030.encode(NEWS).0;
        assert!(decode(&gbk[..gbk.len() - 1], Some("gbk")).starts_with("新华社北京电"));
    }

    #[test]
    fn a_long_page_is_sampled_at_both_ends() {
        let gbk = GB18030.encode(NEWS).0;
        let page = [vec![b'<'; 200_000], gbk.to_vec(), vec![b' '; 200_000], gbk.to_vec()].concat();
        assert!(decode(&page, None).ends_with(NEWS));
        let chinese_only = gbk.repeat(2_000);
        assert_eq!(decode(&chinese_only, None), NEWS.repeat(2_000));
    }

    /// The true text of a file: its bytes decoded by the charset that the index states, errors replaced.
    fn truth(bytes: &[u8], charset: &str) -> Option<String> {
        Some(Encoding::for_label(charset.as_bytes())?.decode(bytes).0.into_owned())
    }

    #[test]
    fn real_documents_decode_as_their_true_charset() {
        let Some(index) = json_lines("raw/index.jsonl") else { return };
        let (mut right, mut all) = (0, 0);
        for row in &index {
            let bytes = fs::read(data_file(text_of(row, "file")).unwrap()).unwrap();
            all += 1;
            // The Encoding Standard lacks EUC-TW, so `truth` has no text for such files, and they count as
            // wrong.
            match truth(&bytes, text_of(row, "charset")) {
                Some(truth) if truth == decode(&bytes, None) => right += 1,
                _ => println!("wrong: {} ({})", text_of(row, "file"), text_of(row, "charset")),
            }
        }
        println!("decoded right: {right} of {all}");
        assert!(right * 100 >= all * 98, "{right} of {all}");
    }

    #[test]
    fn real_pages_decode_as_their_true_charset() {
        let Some(rows) = json_lines("raw_html_zh.jsonl") else { return };
        let mut seen = 0;
        for row in rows.iter().filter(|row| row["html_b64"].is_string()) {
            let bytes = BASE64_STANDARD.decode(text_of(row, "html_b64")).unwrap();
            assert_eq!(Some(decode(&bytes, None).into_owned()), truth(&bytes, text_of(row, "charset")));
            seen += 1;
        }
        assert!(seen > 0);
    }

    proptest! {
        #[test]
        fn total_on_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200), charset in "[a-z0-9-]{0,8}") {
            decode(&bytes, Some(&charset));
        }

        #[test]
        fn utf8_is_kept(text in "[^\u{FEFF}]{0,60}") {
            prop_assert_eq!(decode(text.as_bytes(), Some("gbk")), text.as_str());
        }
    }
}
