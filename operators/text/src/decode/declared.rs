//! The charsets that a source or a document declares.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};

/// A document may declare its charset within this many bytes from its start, as in the HTML standard.
const DECLARATION_BYTES: usize = 1024;

/// The labels that apply to some bytes, the stronger one first: the caller's, and the document's own.
pub(super) struct Labels<'a> {
    labels: [Option<(Cow<'a, str>, Place)>; 2],
}

/// Where a label was found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Outside,
    Inside,
}

impl<'a> Labels<'a> {
    /// The labels of `bytes`, for which the caller knows `charset`.
    pub(super) fn of(bytes: &[u8], charset: Option<&'a str>) -> Self {
        let outside = charset.map(|label| (Cow::Borrowed(label), Place::Outside));
        let inside = label_inside(bytes).map(|label| (Cow::Owned(label), Place::Inside));
        Labels { labels: [outside, inside] }
    }

    /// The labels as written.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.labels.iter().flatten().map(|(label, _)| label.as_ref())
    }

    /// The encodings of the labels that have one.
    pub(super) fn encodings(&self) -> impl Iterator<Item = &'static Encoding> {
        self.labels.iter().flatten().filter_map(|(label, place)| {
            let encoding = Encoding::for_label_no_replacement(label.as_bytes())?;
            // A label that can be read as ASCII is not in UTF-16, so the HTML standard ignores this one.
            let is_utf_16 = encoding == UTF_16LE || encoding == UTF_16BE;
            (*place == Place::Outside || !is_utf_16).then_some(encoding)
        })
    }

    /// The first label that names a charset without a decoder.
    pub(super) fn unsupported(&self) -> Option<&'static str> {
        self.names().find_map(unsupported_charset)
    }
}

/// The label of `<meta charset=...>`, `<meta ... content="text/html; charset=...">` or `<?xml encoding=...?>`.
fn label_inside(bytes: &[u8]) -> Option<String> {
    // Labels are ASCII, and so are the tags around them, whatever the encoding of the text.
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(DECLARATION_BYTES)]).to_ascii_lowercase();
    ["charset", "encoding"].iter().find_map(|key| label_after(&head, key))
}

/// The first known label that follows `key` and an equals sign in `head`.
fn label_after(head: &str, key: &str) -> Option<String> {
    head.match_indices(key).find_map(|(at, _)| {
        let value = head[at + key.len()..].trim_start().strip_prefix('=')?;
        let value = value.trim_start().trim_start_matches(['"', '\'']).trim_start();
        let is_label = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ':' | '.');
        let label = &value[..value.find(|c| !is_label(c)).unwrap_or(value.len())];
        let is_known =
            Encoding::for_label(label.as_bytes()).is_some() || unsupported_charset(label).is_some();
        is_known.then(|| label.to_owned())
    })
}

/// The name of the charset that `label` stands for if it is a charset that [`decode`](crate::decode) cannot read.
///
/// These are charsets of the IANA registry that the Encoding Standard of the Web has no decoder for. `decode`
/// ignores such a label and guesses, and the result is then seldom right. `None` for readable charsets and for
/// what is no charset at all.
pub fn unsupported_charset(label: &str) -> Option<&'static str> {
    match label.trim().to_ascii_lowercase().as_str() {
        "euc-tw" | "euctw" | "x-euc-tw" | "cseuctw" | "cns11643" => Some("euc-tw"),
        "iso-2022-cn" | "csiso2022cn" | "iso-2022-cn-ext" => Some("iso-2022-cn"),
        "iso-2022-kr" | "csiso2022kr" => Some("iso-2022-kr"),
        "johab" | "cp1361" | "ms1361" => Some("johab"),
        "utf-7" | "utf7" | "unicode-1-1-utf-7" | "csunicode11utf7" => Some("utf-7"),
        "utf-32" | "utf32" | "utf-32le" | "utf-32be" | "ucs-4" | "iso-10646-ucs-4" => Some("utf-32"),
        "cesu-8" | "cscesu-8" => Some("cesu-8"),
        "scsu" => Some("scsu"),
        "bocu-1" => Some("bocu-1"),
        "viscii" | "csviscii" => Some("viscii"),
        "tcvn" | "tcvn5712" | "tcvn5712-1" | "x-viet-tcvn5712" => Some("tcvn"),
        "ibm437" | "cp437" | "437" => Some("ibm437"),
        "ibm850" | "cp850" | "850" => Some("ibm850"),
        "ibm852" | "cp852" | "852" => Some("ibm852"),
        "ibm037" | "cp037" | "ebcdic-cp-us" => Some("ibm037"),
        "ibm1047" | "cp1047" => Some("ibm1047"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_each_form_are_found() {
        let cases = [
            ("<meta charset=gbk>", Some("gbk")),
            ("<META CHARSET = \" Big5 \">", Some("big5")),
            ("<meta http-equiv=Content-Type content='text/html; charset=gb2312'>", Some("gb2312")),
            ("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>", Some("iso-8859-1")),
            ("<script src=a.js charset=x></script><meta charset=euc-kr>", Some("euc-kr")),
            ("<meta charset=\"EUC-TW\">", Some("euc-tw")),
            ("the charset of a page", None),
            ("charset=", None),
        ];
        for (head, expected) in cases {
            assert_eq!(label_inside(head.as_bytes()).as_deref(), expected, "{head}");
        }
    }

    #[test]
    fn only_known_charsets_without_a_decoder_are_unsupported() {
        let cases = [
            ("EUC-TW", Some("euc-tw")),
            (" utf-7 ", Some("utf-7")),
            ("iso-2022-kr", Some("iso-2022-kr")),
            ("gbk", None),
            ("iso-2022-jp", None),
            ("hz-gb-2312", None),
            ("x-none", None),
            ("", None),
        ];
        for (label, expected) in cases {
            assert_eq!(unsupported_charset(label), expected, "{label}");
        }
    }
}
