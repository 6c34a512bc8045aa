//! From the bytes of a configuration file to text.
//!
//! Contract: UTF-8, with or without a byte-order mark, with line ends of Unix or of Windows. The same file with either
//! line end gives the same configuration, also inside strings of several lines. Anything else is an error that says
//! what the file seems to be and where; it never quotes the file, because that may contain a secret.

/// The text of a file; the error continues a sentence that begins with the file's name.
pub(crate) fn decode(bytes: Vec<u8>) -> Result<String, String> {
    if is_utf16(&bytes) {
        return Err("is UTF-16 but must be UTF-8: save it with the encoding UTF-8".into());
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = error.as_bytes().iter().take(valid).filter(|&&byte| byte == b'\n').count() + 1;
        format!("is not UTF-8: line {line} has a byte that belongs to another encoding")
    })
}

/// Without the mark and with `\n` at the end of every line.
pub(crate) fn normalize(text: &str) -> String {
    text.strip_prefix('\u{FEFF}').unwrap_or(text).replace("\r\n", "\n")
}

/// Whether the file begins with the mark of UTF-16, or one of its first two characters is ASCII in UTF-16. TOML has no
/// place for a NUL.
fn is_utf16(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xFF, 0xFE])
        || bytes.starts_with(&[0xFE, 0xFF])
        || bytes.iter().take(4).any(|&b| b == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_and_the_line_ends_of_windows_are_removed() {
        let cases = [
            ("a = 1\nb = 2\n", "a = 1\nb = 2\n"),
            ("\u{FEFF}a = 1\r\nb = 2\r\n", "a = 1\nb = 2\n"),
            ("a = '''\r\nx\r\ny'''", "a = '''\nx\ny'''"),
            ("", ""),
            ("\u{FEFF}", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(normalize(&decode(text.into()).unwrap()), expected, "{text:?}");
        }
    }

    #[test]
    fn other_encodings_are_named_with_their_line() {
        let utf16 =
            |text: &str, bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
        for text in ["\u{FEFF}name = 'x'", "name = 'x'", "\n# 新闻"] {
            for bytes in [u16::to_le_bytes, u16::to_be_bytes] {
                assert!(decode(utf16(text, bytes)).unwrap_err().contains("UTF-16"), "{text:?}");
            }
        }
        let gbk = b"# ok\n# \xd0\xc2\xce\xc5\nname = 'x'".to_vec();
        assert!(decode(gbk).unwrap_err().contains("line 2"));
        assert!(decode(b"a = '\xe6\x96'".to_vec()).unwrap_err().contains("line 1"));
    }
}
