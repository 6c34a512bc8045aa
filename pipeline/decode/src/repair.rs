//! Mends JSON that is not quite JSON: what exporters get wrong, and what is lost on the way.
//!
//! Contract: this runs only after the strict parser has refused a message, so that good messages cost nothing. What comes
//! out is parsed strictly again; a message that cannot be mended is rejected for the reason that the strict parser gave.
//! Everything is bounded by the size of the message.

use std::borrow::Cow;

use fenliu_text::decode_east_asian;

use crate::prefix::json_behind;

/// A message that was mended.
#[derive(Debug)]
pub(super) struct Mended {
    /// The text to parse.
    pub(super) text: String,
    /// The charset that the message was in, if it was not UTF-8; `invalid_utf8` if it was UTF-8 with mistakes.
    pub(super) charset: Option<&'static str>,
}

/// Mends `payload`.
pub(super) fn mended(payload: &[u8]) -> Mended {
    let payload = json_behind(payload).unwrap_or(payload);
    let (text, charset) = text_of(payload);
    let text = text.trim_start_matches('\u{feff}').trim();
    let text = unquoted(text).unwrap_or(Cow::Borrowed(text));
    Mended { text: rewritten(&text), charset }
}

/// The text of a message; bytes that belong to no charset become U+FFFD.
fn text_of(payload: &[u8]) -> (Cow<'_, str>, Option<&'static str>) {
    let has_nul = payload.iter().take(64).any(|byte| *byte == 0);
    if let (Ok(text), false) = (std::str::from_utf8(payload), has_nul) {
        return (Cow::Borrowed(text), None);
    }
    match decode_east_asian(payload) {
        Some((text, label)) => (text.into(), Some(label)),
        None => (String::from_utf8_lossy(payload), Some("invalid_utf8")),
    }
}

/// The JSON inside a JSON string.
fn unquoted(text: &str) -> Option<Cow<'_, str>> {
    if !text.starts_with('"') {
        return None;
    }
    let inner: String = serde_json::from_str(text).ok()?;
    inner.trim_start().starts_with(['{', '[']).then_some(inner.into())
}

/// Rewrites what is not JSON: bare `NaN` and `Infinity`, commas and comments before a closing bracket or at the end, and in
/// strings control characters, unknown escapes and halves of surrogate pairs.
fn rewritten(text: &str) -> String {
    let mut rewriter = Rewriter { rest: text, out: String::with_capacity(text.len()) };
    while !rewriter.rest.is_empty() {
        rewriter.step();
    }
    rewriter.out
}

struct Rewriter<'a> {
    rest: &'a str,
    out: String,
}

impl Rewriter<'_> {
    /// Takes what comes next outside of strings.
    fn step(&mut self) {
        for (word, json) in [("NaN", "null"), ("-Infinity", "null"), ("Infinity", "null")] {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.out.push_str(json);
                self.rest = rest;
                return;
            }
        }
        if self.rest.starts_with("//") {
            return self.skip(self.rest.find('\n').unwrap_or(self.rest.len()));
        }
        if self.rest.starts_with("/*") {
            return self.skip(self.rest.find("*/").map_or(self.rest.len(), |end| end + 2));
        }
        let Some(c) = self.rest.chars().next() else { return };
        self.rest = &self.rest[c.len_utf8()..];
        match c {
            '"' => {
                self.out.push('"');
                self.string();
            }
            ']' | '}' => {
                self.drop_comma();
                self.out.push(c);
            }
            _ => self.out.push(c),
        }
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
    }

    /// Removes a comma that nothing followed.
    fn drop_comma(&mut self) {
        let trimmed = self.out.trim_end().len();
        if self.out[..trimmed].ends_with(',') {
            self.out.truncate(trimmed - 1);
        }
    }

    /// Takes a string up to its end, or to that of the text.
    fn string(&mut self) {
        while let Some(c) = self.rest.chars().next() {
            self.rest = &self.rest[c.len_utf8()..];
            match c {
                '"' => {
                    self.out.push('"');
                    return;
                }
                '\\' => self.escape(),
                // JSON wants control characters escaped.
                c if c < ' ' => self.push_unicode(u32::from(c)),
                c => self.out.push(c),
            }
        }
    }

    /// Takes an escape, behind its backslash.
    fn escape(&mut self) {
        let Some(c) = self.rest.chars().next() else { return };
        self.rest = &self.rest[c.len_utf8()..];
        match c {
            '"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't' => {
                self.out.push('\\');
                self.out.push(c);
            }
            'u' => self.unicode(),
            'x' if self.hex(2).is_some() => {
                let code = self.hex(2).unwrap_or(0);
                self.skip(2);
                self.push_unicode(code);
            }
            c if c < ' ' => self.push_unicode(u32::from(c)),
            c => self.out.push(c),
        }
    }

    /// The value of the next `count` hexadecimal digits.
    fn hex(&self, count: usize) -> Option<u32> {
        let digits = self.rest.get(..count)?;
        if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            u32::from_str_radix(digits, 16).ok()
        } else {
            None
        }
    }

    /// Takes the digits of `\u`; half of a surrogate pair becomes U+FFFD.
    fn unicode(&mut self) {
        let Some(code) = self.hex(4) else { return self.out.push('u') };
        self.skip(4);
        match code {
            0xd800..=0xdbff => match self.low_half() {
                Some(low) => {
                    self.skip(6);
                    self.push_unicode(code);
                    self.push_unicode(low);
                }
                None => self.out.push(char::REPLACEMENT_CHARACTER),
            },
            0xdc00..=0xdfff => self.out.push(char::REPLACEMENT_CHARACTER),
            code => self.push_unicode(code),
        }
    }

    /// The lower half of a surrogate pair, if it follows.
    fn low_half(&self) -> Option<u32> {
        let digits = self.rest.strip_prefix("\\u")?.get(..4)?;
        let low = u32::from_str_radix(digits, 16).ok()?;
        (0xdc00..=0xdfff).contains(&low).then_some(low)
    }

    fn push_unicode(&mut self, code: u32) {
        self.out.push_str(&format!("\\u{code:04x}"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(payload: &[u8]) -> Value {
        let text = mended(payload).text;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn what_exporters_get_wrong_is_read_as_it_is_meant() {
        for (payload, wanted) in [
            (r#"{"a": NaN, "b": [Infinity, -Infinity]}"#, json!({ "a": null, "b": [null, null] })),
            ("{\"a\": \"x\ty\nz\"}", json!({ "a": "x\ty\nz" })),
            (r#"{"a": "it\'s", "b": "\x41\q"}"#, json!({ "a": "it's", "b": "Aq" })),
            (r#"{"a": [1, 2,], "b": 3,}"#, json!({ "a": [1, 2], "b": 3 })),
            ("{\"a\": 1} // done", json!({ "a": 1 })),
            ("{\"a\": /* one */ 1, // more\n}", json!({ "a": 1 })),
            (
                r#"{"a": "\ud83d", "b": "\ude00x", "c": "\ud83d\ude00"}"#,
                json!({ "a": "\u{fffd}", "b": "\u{fffd}x", "c": "😀" }),
            ),
            (r#""{\"a\": \"b\"}""#, json!({ "a": "b" })),
            ("\u{feff} {\"a\": NaN}", json!({ "a": null })),
            // What looks alike inside strings is left alone.
            (r#"{"a": "NaN, ] // x", "b": "http://c,}"}"#, json!({ "a": "NaN, ] // x", "b": "http://c,}" })),
        ] {
            assert_eq!(read(payload.as_bytes()), wanted, "{payload}");
        }
    }

    #[test]
    fn other_charsets_are_read_and_single_bytes_replaced() {
        let story = "{\"title\": \"中国人民银行宣布下调金融机构存款准备金率\"}";
        let (gbk, ..) = encoding_rs::GBK.encode(story);
        assert_eq!(mended(&gbk).charset, Some("gb18030"));
        assert_eq!(read(&gbk)["title"], "中国人民银行宣布下调金融机构存款准备金率");
        let utf_16: Vec<u8> = story.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(mended(&utf_16).charset, Some("utf-16le"));
        assert_eq!(read(&utf_16), read(story.as_bytes()));
        let damaged = b"{\"title\": \"Caf\xe9 closed\", \"x\": 1}";
        assert_eq!(read(damaged)["title"], "Caf\u{fffd} closed");
    }

    #[test]
    fn the_mark_of_a_registry_is_left_out() {
        for prefix in [&[0_u8, 0, 0, 0, 7][..], &[1; 17]] {
            assert_eq!(read(&[prefix, b"{\"a\": 1}"].concat()), json!({ "a": 1 }));
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_mended_to_a_text_of_bounded_size(payload in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            proptest::prop_assert!(mended(&payload).text.len() <= 6 * payload.len() + 16);
        }

        #[test]
        fn json_stays_what_it_is(text in "\\PC{0,40}") {
            let value = json!({ "a": text, "b": [1, "x,]", null] });
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            proptest::prop_assert_eq!(read(pretty.as_bytes()), value);
        }
    }
}
