//! The one text that the model reads.

use std::borrow::Cow;

/// Joins headline and body the way the model sees them, in training and in serving alike.
///
/// Headline first, a line break between: when a long text is cut, the headline stays.
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
    fn an_absent_part_leaves_no_trace() {
        assert_eq!(document_text(None, None), "");
        assert_eq!(document_text(Some("t"), None), "t");
        assert_eq!(document_text(Some(""), Some("b")), "b");
        assert_eq!(document_text(Some("t"), Some("b")), "t\nb");
    }
}
