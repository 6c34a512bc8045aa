//! The text that the model reads: headline and body as one string.

use std::borrow::Cow;

/// Joins headline and body into the text that the model reads, in training and in serving alike.
///
/// The headline comes first, followed by a line break. A text that is longer than the model can read is cut at its end,
/// so the headline is kept.
pub fn document_text<'a>(title: Option<&'a str>, body: Option<&'a str>) -> Cow<'a, str> {
    match (title.unwrap_or_default(), body.unwrap_or_default()) {
        ("", text) | (text, "") => Cow::Borrowed(text),
        (title, body) => Cow::Owned(format!("{title}\n{body}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_part_adds_no_line_break() {
        assert_eq!(document_text(None, None), "");
        assert_eq!(document_text(Some("t"), None), "t");
        assert_eq!(document_text(Some(""), Some("b")), "b");
        assert_eq!(document_text(Some("t"), Some("b")), "t\nb");
    }
}
