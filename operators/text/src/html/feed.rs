//! Runs the parser over a page.
//!
//! Some markup is replaced on the way. A `<` that does not start markup is escaped, so that the parser keeps it. A
//! start tag without an end tag gets the name `x-…`, which no element has: the parser decides by the name alone whether
//! an element hides its content, and would otherwise hide the rest of the page. Instructions such as `<?php … ?>` are
//! left out, since the parser would end them at the first `>`. The content of `<xmp>` is escaped and put in a `<pre>`.

use std::cell::RefCell;
use std::rc::Rc;

use lol_html::errors::RewritingError;
use lol_html::html_content::{Element, TextType};
use lol_html::{HtmlRewriter, MemorySettings, OutputSink, Settings, doc_text, element, end_tag};
use memchr::memchr2;

use super::brackets::{Bracket, Brackets};
use super::page::Page;

/// The bytes that the parser may hold at once. Real pages stay far below: it holds the open elements and one
/// tag.
pub(super) const MEMORY_LIMIT_BYTES: usize = 16 << 20;

/// The text of `html`, with its references still encoded.
pub(super) fn feed(html: &str, brackets: Brackets<'_>) -> Result<String, RewritingError> {
    let page = Rc::new(RefCell::new(Page::default()));
    let mut rewriter = HtmlRewriter::new(settings(&page), |_: &[u8]| {});
    let mut rest = 0;
    for (at, bracket) in brackets {
        if bracket == Bracket::Markup {
            continue;
        }
        rewriter.write(&html.as_bytes()[rest..at])?;
        rest = replace(html, at, bracket, &mut rewriter)?;
    }
    rewriter.write(&html.as_bytes()[rest..])?;
    rewriter.end()?;
    Ok(page.take().into_text())
}

/// Writes what stands for the bracket at `at`, and returns the position behind what it replaces.
fn replace<O: OutputSink>(
    html: &str,
    at: usize,
    bracket: Bracket,
    rewriter: &mut HtmlRewriter<'_, O>,
) -> Result<usize, RewritingError> {
    match bracket {
        Bracket::Markup => return Ok(at),
        Bracket::Text => rewriter.write(b"&lt;")?,
        Bracket::Unclosed => rewriter.write(b"<x-")?,
        Bracket::Instruction(end) => return Ok(end),
        Bracket::Verbatim(start, end, close) => {
            rewriter.write(b"<pre>")?;
            write_escaped(&html[start..end], rewriter)?;
            rewriter.write(b"</pre>")?;
            return Ok(close);
        }
    }
    Ok(at + 1)
}

fn write_escaped<O: OutputSink>(
    text: &str,
    rewriter: &mut HtmlRewriter<'_, O>,
) -> Result<(), RewritingError> {
    let mut rest = text.as_bytes();
    while let Some(at) = memchr2(b'<', b'&', rest) {
        rewriter.write(&rest[..at])?;
        rewriter.write(if rest[at] == b'<' { b"&lt;" } else { b"&amp;" })?;
        rest = &rest[at + 1..];
    }
    rewriter.write(rest)
}

fn settings<'handlers>(page: &Rc<RefCell<Page>>) -> Settings<'handlers, 'static> {
    let (on_element, on_text) = (Rc::clone(page), Rc::clone(page));
    Settings::new()
        .append_element_content_handler(element!("*", move |element| {
            visit(element, &on_element);
            Ok(())
        }))
        .append_document_content_handler(doc_text!(move |chunk| {
            // The parser gives the content of script, style and noscript other types. Titles are hidden by name, so
            // what remains of `RCData` is the content of textareas.
            if matches!(chunk.text_type(), TextType::Data | TextType::RCData) {
                on_text.borrow_mut().push_text(chunk.as_str());
            }
            Ok(())
        }))
        .with_memory_settings(MemorySettings::new().with_max_allowed_memory_usage(MEMORY_LIMIT_BYTES))
        // In strict mode the parser returns an error for markup that it cannot interpret without a tree, such as
        // `<xmp>` inside `<select>`, and the whole text would keep its tags.
        .with_strict(false)
}

/// Notes what `element` does to the text around and inside of it, when the parser reads its start tag.
fn visit(element: &mut Element<'_, '_>, page: &Rc<RefCell<Page>>) {
    let name = element.tag_name();
    if !page.borrow_mut().start(&name) {
        return;
    }
    // A void element such as `<br>` has no end tag, hence no handlers for it.
    let Some(at_end) = element.end_tag_handlers() else {
        return;
    };
    page.borrow_mut().open(&name);
    let page = Rc::clone(page);
    at_end.push(end_tag!(move |_| {
        page.borrow_mut().end(&name);
        Ok(())
    }));
}
