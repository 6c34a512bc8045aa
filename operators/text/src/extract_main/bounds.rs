//! Whether a page is small enough for a tree.
//!
//! The builder of the tree looks through the open elements at many tags, and the scoring reads the text of an element
//! once for each element around it. Both take time in proportion to the *depth* as well as to the length, and a few
//! hundred kilobytes of `<div>` would keep them busy for minutes. What is bounded is therefore the number of open
//! elements, summed over all tags and over all bytes. Real pages stay far below: of 135, the largest sum over tags is
//! 65,000, and the deepest page has a depth of 51.

use crate::html::{Bracket, Brackets, Tag};

/// The longest page that a tree is built for, in bytes. Of 135 real pages, the longest has 460 kB.
const MAX_BYTES: usize = 4 << 20;

/// The most elements that may be open at once.
const MAX_DEPTH: usize = 256;

/// The largest sum of open elements over the tags. It also bounds the nodes of the tree, since a tag can open at most
/// each of the open elements once more: a `<b>` that was never closed goes on in the next paragraph.
const MAX_TAG_SUM: usize = 2_000_000;

/// The largest sum of open elements over the bytes. A page at this bound takes about a second.
const MAX_BYTE_SUM: usize = 100_000_000;

/// Whether a tree of `html` takes bounded time and memory.
pub(super) fn is_within_bounds(html: &str) -> bool {
    html.len() <= MAX_BYTES
        && Brackets::of_html(html).is_some_and(|brackets| are_within_bounds(html, brackets))
}

fn are_within_bounds(html: &str, brackets: Brackets<'_>) -> bool {
    let mut open = Vec::new();
    let (mut tag_sum, mut byte_sum, mut last) = (0, 0, 0);
    for (at, bracket) in brackets {
        byte_sum += (at - last) * open.len();
        last = at;
        if let Some(tag) = Tag::parse(&html[at + 1..]).filter(|_| bracket != Bracket::Text) {
            read(&tag, &mut open);
            tag_sum += open.len();
        }
        if open.len() > MAX_DEPTH || tag_sum > MAX_TAG_SUM {
            return false;
        }
    }
    byte_sum + (html.len() - last) * open.len() <= MAX_BYTE_SUM
}

/// Keeps the stack of open elements. An end tag that does not close the innermost element is ignored, so the stack is
/// at least as deep as the one that the parser keeps.
fn read<'a>(tag: &Tag<'a>, open: &mut Vec<&'a str>) {
    let is_open = |element: &&str| element.eq_ignore_ascii_case(tag.name);
    if tag.is_end {
        let with_end = open.iter().rposition(|element| is_open(element) || !may_lack_end(element));
        if let Some(at) = with_end.filter(|&at| is_open(&open[at])) {
            open.truncate(at);
        }
        return;
    }
    while open.last().is_some_and(|last| is_closed_by(last, tag.name)) {
        open.pop();
    }
    if !VOID.iter().any(is_open) && !tag.is_self_closed() {
        open.push(tag.name);
    }
}

fn may_lack_end(name: &str) -> bool {
    ["p", "li", "dd", "dt", "td", "th", "tr", "tbody", "option"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(name))
}

/// Whether the start tag `next` ends the element `open` that has no end tag of its own.
fn is_closed_by(open: &str, next: &str) -> bool {
    let is_one = |names: &[&str]| names.iter().any(|name| name.eq_ignore_ascii_case(next));
    match open.to_ascii_lowercase().as_str() {
        "p" => is_one(CLOSE_P),
        "li" => is_one(&["li"]),
        "dd" | "dt" => is_one(&["dd", "dt"]),
        "td" | "th" => is_one(&["td", "th", "tr", "tbody"]),
        "tr" => is_one(&["tr", "tbody"]),
        "option" => is_one(&["option"]),
        _ => false,
    }
}

/// Elements without content.
const VOID: &[&str] = &[
    "area", "base", "basefont", "br", "col", "embed", "frame", "hr", "img", "input", "link", "meta", "param",
    "source", "track", "wbr",
];

/// Elements that end an open paragraph.
const CLOSE_P: &[&str] = &[
    "address",
    "article",
    "aside",
    "blockquote",
    "center",
    "dd",
    "div",
    "dl",
    "dt",
    "figure",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "li",
    "main",
    "nav",
    "ol",
    "p",
    "pre",
    "section",
    "table",
    "tbody",
    "td",
    "th",
    "tr",
    "ul",
];
