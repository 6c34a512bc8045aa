//! Reading one tag, as far as its `<` needs it: the name, whether it is an end tag, and what follows the name.

use memchr::{memchr, memchr2};

/// The tag that a `<` may start.
pub(crate) struct Tag<'a> {
    pub(crate) name: &'a str,
    pub(crate) is_end: bool,
    /// What follows the name.
    rest: &'a str,
}

impl<'a> Tag<'a> {
    /// Reads the text behind a `<`; `None` unless a name follows, and behind it a space, a slash or a `>`.
    pub(crate) fn parse(after: &'a str) -> Option<Self> {
        let (is_end, named) = match after.strip_prefix('/') {
            Some(named) => (true, named),
            None => (false, after),
        };
        let (name, rest) = split_name(named);
        let is_tag = name.starts_with(|c: char| c.is_ascii_alphabetic())
            && rest.starts_with(['>', '/', ' ', '\t', '\n', '\r', '\u{C}']);
        is_tag.then_some(Tag { name, is_end, rest })
    }

    /// Whether the tag ends in `/>`.
    ///
    /// The search stops at the next `<`; otherwise many unclosed tags would each search the rest of the text, and
    /// the time would be quadratic.
    pub(crate) fn is_self_closed(&self) -> bool {
        memchr2(b'<', b'>', self.rest.as_bytes()).is_some_and(|end| self.rest[..end].ends_with('/'))
    }

    /// Whether nothing but well-formed attributes stands between the name and the `>`.
    pub(super) fn is_well_formed(&self) -> bool {
        self.attributes().is_some()
    }

    /// Whether the tag is well-formed and has an attribute with a value.
    ///
    /// The name must be followed by a space: `<https://news.example/?a=1>` is an address.
    pub(super) fn has_value(&self) -> bool {
        self.rest.starts_with(|c: char| c.is_ascii_whitespace()) && self.attributes() == Some(true)
    }

    /// Reads the attributes up to the `>`, and says whether one of them has a value; `None` if the syntax is broken.
    ///
    /// The time over all tags of a text is linear: outside of quotes the search stops at the next `<`, and a quoted
    /// value ends at the next such quote, which is no later than the one that the next tag would start with.
    fn attributes(&self) -> Option<bool> {
        let mut rest = self.rest;
        let mut has_value = false;
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
            if rest.starts_with('>') {
                return Some(has_value);
            }
            let (name, after) = rest.split_at(rest.find(ends_attribute_name)?);
            if name.is_empty() {
                return None;
            }
            rest = after.trim_start_matches(|c: char| c.is_ascii_whitespace());
            if let Some(value) = rest.strip_prefix('=') {
                has_value = true;
                rest = skip_value(value.trim_start_matches(|c: char| c.is_ascii_whitespace()))?;
            }
        }
    }
}

fn ends_attribute_name(c: char) -> bool {
    c.is_ascii_whitespace() || matches!(c, '=' | '>' | '/' | '<' | '"' | '\'')
}

/// What follows the value of an attribute that `text` starts with.
fn skip_value(text: &str) -> Option<&str> {
    if let Some(quote) = text.bytes().next().filter(|byte| matches!(byte, b'"' | b'\'')) {
        let end = memchr(quote, &text.as_bytes()[1..])?;
        return Some(&text[end + 2..]);
    }
    let end = text.find(|c: char| c.is_ascii_whitespace() || matches!(c, '>' | '<'))?;
    (end > 0).then(|| &text[end..])
}

/// Splits the text that follows a `<` or `</` into the element's name and the rest. XML has dots in names
/// (`body.content` in NITF).
fn split_name(text: &str) -> (&str, &str) {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'-' | b'.' | b'_');
    text.split_at(text.bytes().position(|byte| !is_name(byte)).unwrap_or(text.len()))
}
