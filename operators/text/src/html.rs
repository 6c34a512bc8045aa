//! `strip_html`: HTML, and the markup of news wires, to the text that a reader sees.
//!
//! - A text is HTML only if it holds markup that nothing else looks like; [`brackets`](self::brackets) says which.
//!   Any other text keeps its angle brackets: `a < b`, `<神探>`, `<https://…>`, `<AAPL.O>`, `vector<int>`.
//! - Tags, comments and processing instructions are removed, and so is the content of script, style, noscript,
//!   template, title and similar elements. `<![CDATA[…]]>` is unwrapped: what it holds is a part of the text.
//! - Block elements and `<br>` become line breaks. A text that contains any of them is laid out as in a browser: line
//!   breaks of the source count as spaces, except in `<pre>`, `<textarea>` and `<xmp>`, and blank lines are dropped.
//!   The cells of a table are separated by a space. The reading of a ruby follows its base in brackets.
//! - Character references are decoded. Some feeds escape all of their markup (`&lt;b&gt;`); a text without
//!   any real markup is therefore decoded first and stripped then. Beside real markup, escaped markup is text
//!   about HTML, and is kept.
//! - An unclosed element never hides the rest of a page: if a `<title>` or `<iframe>` is self-closed or has
//!   no end tag, only its start tag is removed.
//!
//! The parser is `lol_html`, which builds no tree. Its memory is bounded by
//! [`MEMORY_LIMIT_BYTES`](self::feed::MEMORY_LIMIT_BYTES); a text that would need more keeps its tags. This module does
//! not look for the main content of a page: navigation and footers are text too, and
//! [`extract_main`](crate::extract_main) leaves them out.

mod brackets;
mod elements;
mod feed;
mod page;
mod tag;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use memchr::{memchr3, memmem};

use crate::decode_entities;
pub(crate) use brackets::{Bracket, Brackets};
pub(crate) use tag::Tag;

/// Removes the markup of `text` and decodes its character references; returns whether that changed it.
///
/// [The crate's documentation](crate) describes the buffer `out`.
pub fn strip_html(text: &str, out: &mut String) -> bool {
    if memchr3(b'<', b'&', b'#', text.as_bytes()).is_none() {
        return false;
    }
    let unwrapped = unwrap_cdata(text);
    match strip_tags(&unwrapped) {
        // References are decoded after the tags are gone: `&lt;b&gt;` must not become a tag.
        Some(plain) => decode_entities(&plain, out),
        None => strip_escaped(&unwrapped, out),
    }
    out != text
}

/// Decodes a text without real markup, and removes the markup that this brings to light.
fn strip_escaped(text: &str, out: &mut String) {
    let mut decoded = String::with_capacity(text.len());
    decode_entities(text, &mut decoded);
    let unwrapped = unwrap_cdata(&decoded);
    match strip_tags(&unwrapped) {
        Some(plain) => decode_entities(&plain, out),
        None => out.push_str(&unwrapped),
    }
}

/// The text outside of tags, with its references still encoded; `None` if the text is not HTML, or if the
/// parser reaches its memory limit.
fn strip_tags(html: &str) -> Option<String> {
    let brackets = Brackets::of_html(html)?;
    feed::feed(html, brackets).ok()
}

/// Removes the marks around CDATA sections.
///
/// A parser of HTML reads `<![CDATA[` as a comment that ends at the next `>`, so that the first tag of the section
/// would vanish with it. A section without an end is one that was cut off, and loses its mark too.
fn unwrap_cdata(text: &str) -> Cow<'_, str> {
    const START: &str = "<![CDATA[";
    const END: &str = "]]>";
    let mut starts = memmem::find_iter(text.as_bytes(), START).peekable();
    if starts.peek().is_none() {
        return Cow::Borrowed(text);
    }
    let mut unwrapped = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, section)) = rest.split_once(START) {
        let (content, after) = section.split_once(END).unwrap_or((section, ""));
        unwrapped.push_str(before);
        unwrapped.push_str(content);
        rest = after;
    }
    unwrapped.push_str(rest);
    Cow::Owned(unwrapped)
}
