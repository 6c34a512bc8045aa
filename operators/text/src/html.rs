//! `strip_html`: HTML to the text that a reader sees.
//!
//! - Tags and comments are removed, and so is the content of script, style, noscript, template, title and
//!   similar elements.
//! - Block elements and `<br>` become line breaks. A text that contains any of them is laid out as in a
//!   browser: line breaks of the source count as spaces, and blank lines are dropped.
//! - Character references are decoded. Some feeds escape all of their markup (`&lt;b&gt;`); a text without
//!   any real markup is therefore decoded first and stripped then. Beside real markup, escaped markup is text
//!   about HTML, and is kept.
//! - Text without markup is unchanged. A `<` counts as markup only where a known element, a comment or a
//!   doctype starts, so `a < b`, `x<y>z` and `<神探>` are kept.
//! - An unclosed element never hides the rest of a page: if a `<title>` or `<iframe>` is self-closed or has
//!   no end tag, only its start tag is removed.
//!
//! The parser is `lol_html`, which builds no tree. Its memory is bounded by [`MEMORY_LIMIT_BYTES`]; a text
//! that would need more keeps its tags. This module does not look for the main content of a page: navigation
//! and footers are text too.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use lol_html::errors::RewritingError;
use lol_html::html_content::{Element, TextType};
use lol_html::{HtmlRewriter, MemorySettings, Settings, doc_text, element, end_tag};
use memchr::{memchr, memchr2, memchr3, memmem};

use crate::decode_entities;

/// The bytes that the parser may hold at once. Real pages stay far below: it holds the open elements and one
/// tag.
const MEMORY_LIMIT_BYTES: usize = 16 << 20;

/// Marks a line break of the page until the line breaks of the source, which look the same, are spaces.
const BREAK: char = '\u{1E}';

/// Removes the markup of `text` and decodes its character references; returns whether that changed it.
///
/// [The crate's documentation](crate) describes the buffer `out`.
pub fn strip_html(text: &str, out: &mut String) -> bool {
    if memchr3(b'<', b'&', b'#', text.as_bytes()).is_none() {
        return false;
    }
    match strip_tags(text) {
        // References are decoded after the tags are gone: `&lt;b&gt;` must not become a tag.
        Some(plain) => decode_entities(&plain, out),
        None => {
            let mut decoded = String::with_capacity(text.len());
            decode_entities(text, &mut decoded);
            match strip_tags(&decoded) {
                Some(plain) => decode_entities(&plain, out),
                None => out.push_str(&decoded),
            }
        }
    }
    out != text
}

/// The text outside of tags, with its references still encoded; `None` if there is no markup, or if the
/// parser reaches its memory limit.
fn strip_tags(html: &str) -> Option<String> {
    if !Brackets::new(html).any(|(_, bracket)| bracket != Bracket::Text) {
        return None;
    }
    let page = Rc::new(RefCell::new(Page::default()));
    feed(html, &page).ok()?;
    let page = page.take();
    Some(if page.has_blocks { page.lines() } else { page.text })
}

/// The part of a page that the parser has read so far.
#[derive(Default)]
struct Page {
    text: String,
    /// The number of open elements that hide their content.
    hidden: usize,
    has_blocks: bool,
}

impl Page {
    fn push_break(&mut self) {
        self.text.push(BREAK);
        self.has_blocks = true;
    }

    /// The text with one line per block, single spaces and no empty lines.
    fn lines(&self) -> String {
        let mut lines = String::with_capacity(self.text.len());
        for line in self.text.split(BREAK) {
            let mut words = line.split_ascii_whitespace().peekable();
            if words.peek().is_some() && !lines.is_empty() {
                lines.push('\n');
            }
            while let Some(word) = words.next() {
                lines.push_str(word);
                if words.peek().is_some() {
                    lines.push(' ');
                }
            }
        }
        lines
    }
}

/// Runs the parser over `html`, and collects the text in `page`.
///
/// Two things are replaced on the way. A `<` that does not start markup is escaped, so that the parser keeps
/// it. A start tag without an end tag gets the name `x-…`, which no element has: the parser decides by the
/// name alone whether an element hides its content, and would otherwise hide the rest of the page.
fn feed(html: &str, page: &Rc<RefCell<Page>>) -> Result<(), RewritingError> {
    let (on_element, on_text) = (Rc::clone(page), Rc::clone(page));
    let settings = Settings::new()
        .append_element_content_handler(element!("*", move |element| {
            visit_element(element, &on_element);
            Ok(())
        }))
        .append_document_content_handler(doc_text!(move |chunk| {
            let mut page = on_text.borrow_mut();
            // The parser gives the content of script, style, noscript, title and textarea other types.
            if chunk.text_type() == TextType::Data && page.hidden == 0 {
                page.text.push_str(chunk.as_str());
            }
            Ok(())
        }))
        .with_memory_settings(MemorySettings::new().with_max_allowed_memory_usage(MEMORY_LIMIT_BYTES))
        // In strict mode the parser returns an error for markup that it cannot interpret without a tree, such as
        // `<xmp>` inside `<select>`, and the whole text would keep its tags.
        .with_strict(false);
    let mut rewriter = HtmlRewriter::new(settings, |_: &[u8]| {});
    let mut rest = 0;
    for (at, bracket) in Brackets::new(html) {
        let replacement: &[u8] = match bracket {
            Bracket::Markup => continue,
            Bracket::Text => b"&lt;",
            Bracket::Unclosed => b"<x-",
        };
        rewriter.write(&html.as_bytes()[rest..at])?;
        rewriter.write(replacement)?;
        rest = at + 1;
    }
    rewriter.write(&html.as_bytes()[rest..])?;
    rewriter.end()
}

/// Notes what `element` does to the text around and inside of it, when the parser reads its start tag.
fn visit_element(element: &mut Element<'_, '_>, page: &Rc<RefCell<Page>>) {
    let name = element.tag_name();
    let mut state = page.borrow_mut();
    let hides = HIDDEN.contains(&name.as_str());
    let breaks = BLOCKS.contains(&name.as_str());
    if breaks && state.hidden == 0 {
        state.push_break();
    } else if CELLS.contains(&name.as_str()) {
        state.text.push(' ');
    }
    // A void element such as `<br>` has no end tag, hence no handlers for it.
    let Some(at_end) = element.end_tag_handlers().filter(|_| hides || breaks) else {
        return;
    };
    state.hidden += usize::from(hides);
    let page = Rc::clone(page);
    at_end.push(end_tag!(move |_| {
        let mut state = page.borrow_mut();
        if hides {
            state.hidden = state.hidden.saturating_sub(1);
        } else if state.hidden == 0 {
            state.push_break();
        }
        Ok(())
    }));
}

/// The meaning of a `<`.
#[derive(Clone, Copy, PartialEq)]
enum Bracket {
    /// It is a character of the text.
    Text,
    /// It starts a tag, a comment or a doctype.
    Markup,
    /// It starts the start tag of an element that hides its content and has no end tag.
    Unclosed,
}

/// An iterator over every `<` of a text: its position in bytes, and its meaning.
///
/// The positions of the last ends are collected once, so that the time stays linear in the text however many
/// brackets it has.
struct Brackets<'a> {
    html: &'a str,
    position: usize,
    /// Position of the last `>`: a tag that starts behind it has no end.
    last_close: usize,
    /// Position of the last `-->`: a comment that starts behind it has no end.
    last_comment_end: usize,
    /// Position of the last end tag of each element that hides its content.
    last_ends: HashMap<&'static str, usize>,
}

impl<'a> Brackets<'a> {
    fn new(html: &'a str) -> Self {
        let last_close = html.rfind('>').unwrap_or(0);
        let last_comment_end = html.rfind("-->").unwrap_or(0);
        let last_ends = memmem::find_iter(html.as_bytes(), "</")
            .filter(|&at| at < last_close && starts_tag(&html[at + 1..]))
            .filter_map(|at| Some((hiding_element(&html[at + 2..])?, at)))
            .collect();
        Brackets { html, position: 0, last_close, last_comment_end, last_ends }
    }

    fn bracket(&self, at: usize) -> Bracket {
        let after = &self.html[at + 1..];
        let is_markup = if after.starts_with("!--") {
            at < self.last_comment_end
        } else {
            at < self.last_close && (starts_declaration(after) || starts_tag(after))
        };
        if !is_markup {
            return Bracket::Text;
        }
        let is_unclosed = hiding_element(after).is_some_and(|name| {
            is_self_closed(after) || self.last_ends.get(name).is_none_or(|&end| end < at)
        });
        if is_unclosed { Bracket::Unclosed } else { Bracket::Markup }
    }
}

impl Iterator for Brackets<'_> {
    type Item = (usize, Bracket);

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.position + memchr(b'<', &self.html.as_bytes()[self.position..])?;
        self.position = at + 1;
        Some((at, self.bracket(at)))
    }
}

fn starts_declaration(after: &str) -> bool {
    ["!doctype", "?xml"]
        .iter()
        .any(|name| after.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)))
}

/// Whether `after`, which follows a `<`, starts with the name of a known element or of a custom one (`o:p`,
/// `my-tag`).
fn starts_tag(after: &str) -> bool {
    let (name, rest) = split_name(after.strip_prefix('/').unwrap_or(after));
    if !rest.starts_with(['>', '/', ' ', '\t', '\n', '\r'])
        || !name.starts_with(|c: char| c.is_ascii_alphabetic())
    {
        return false;
    }
    name.contains([':', '-']) || is_known(&name.to_ascii_lowercase())
}

/// Splits the text that follows a `<` or `</` into the element's name and the rest.
fn split_name(after: &str) -> (&str, &str) {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'-');
    after.split_at(after.bytes().position(|byte| !is_name(byte)).unwrap_or(after.len()))
}

/// The element whose name `after` starts with, if its content is not running text.
fn hiding_element(after: &str) -> Option<&'static str> {
    let (name, _) = split_name(after);
    HIDDEN.iter().chain(RAW_TEXT).copied().find(|hiding| name.eq_ignore_ascii_case(hiding))
}

/// Whether the tag that `after` starts with ends in `/>`.
///
/// The search stops at the next `<`; otherwise many unclosed tags would each search the rest of the text, and
/// the time would be quadratic.
fn is_self_closed(after: &str) -> bool {
    memchr2(b'<', b'>', after.as_bytes()).is_some_and(|end| after[..end].ends_with('/'))
}

fn is_known(name: &str) -> bool {
    [HIDDEN, RAW_TEXT, BLOCKS, CELLS, INLINE].iter().any(|list| list.contains(&name))
}

/// Elements whose content a reader does not see as running text.
///
/// The parser never gives the content of script and style the type `Data`; they are listed because they are
/// known.
const HIDDEN: &[&str] = &["noscript", "script", "select", "style", "svg", "template", "title"];

/// The other elements to whose content the parser never gives the type `Data`.
const RAW_TEXT: &[&str] = &["iframe", "noframes", "textarea"];

/// Elements that start and end a line.
const BLOCKS: &[&str] = &[
    "address",
    "article",
    "aside",
    "blockquote",
    "body",
    "br",
    "caption",
    "center",
    "dd",
    "details",
    "dialog",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
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
    "legend",
    "li",
    "main",
    "nav",
    "ol",
    "option",
    "p",
    "pre",
    "section",
    "summary",
    "table",
    "tbody",
    "tfoot",
    "thead",
    "tr",
    "ul",
];

/// Elements that stand beside one another on a line, and are separated by a space.
const CELLS: &[&str] = &["td", "th"];

/// The other elements of HTML, the obsolete ones of news pages included.
const INLINE: &[&str] = &[
    "a", "abbr", "acronym", "area", "audio", "b", "base", "basefont", "bdi", "bdo", "big", "button",
    "canvas", "cite", "code", "col", "colgroup", "data", "datalist", "del", "dfn", "em", "embed", "font",
    "frame", "frameset", "head", "html", "i", "img", "input", "ins", "kbd", "label", "link", "map", "mark",
    "marquee", "meta", "meter", "nobr", "object", "optgroup", "output", "param", "picture", "progress", "q",
    "rp", "rt", "ruby", "s", "samp", "small", "source", "span", "strike", "strong", "sub", "sup", "time",
    "track", "tt", "u", "var", "video", "wbr",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{json_lines, text_of};
    use proptest::prelude::*;

    fn stripped(text: &str) -> String {
        let mut out = String::new();
        if strip_html(text, &mut out) { out } else { text.to_owned() }
    }

    #[test]
    fn known_markup_becomes_its_text() {
        let cases = [
            ("<p>第一段</p><p>第二段</p>", "第一段\n第二段"),
            ("a<br>b<br/>\n\n<br />c", "a\nb\nc"),
            ("<b>粗</b>体 <a href='x?a=1&amp;b=2' title=\"a>b\">链接</a>", "粗体 链接"),
            (
                "<html><head><title>标题</title><style>p{}</style></head><body>正文<script>if(a<b){}</script></body>",
                "正文",
            ),
            ("<head><title>t</title><body>未关闭的 head", "未关闭的 head"),
            ("a<noscript><img src=x>n</noscript><template><p>t</p></template>b", "ab"),
            ("x<!-- 注释 <p> -->y", "xy"),
            ("<div>a</p></i>b</div>c", "ab\nc"),
            ("<ul><li>一<li>二</ul>", "一\n二"),
            ("<table><tr><td>1</td><td>2</td></tr><tr><td>3</td></tr></table>", "1 2\n3"),
            ("<p>行一\n  仍是行一</p>", "行一 仍是行一"),
            ("<b>行一</b>\n行二", "行一\n行二"),
            ("<o:p></o:p>文", "文"),
            ("&lt;b&gt;bold&lt;/b&gt; &amp;lt;", "bold <"),
            ("<p>the &lt;img&gt; tag</p>", "the <img> tag"),
            (
                "sale..&lt;br&gt;&lt;FONT face=\"verdana\"&gt;&lt;B&gt;-The Post&lt;/B&gt;",
                "sale..\n-The Post",
            ),
            ("AT&amp;T &amp;nbsp;x", "AT&T &nbsp;x"),
            ("变异率&lt;20%；", "变异率<20%；"),
            ("Oracle #39;s", "Oracle's"),
            ("<p>1 < 2 & 3</p>", "1 < 2 & 3"),
            ("<div><select><option>北京<option>上海</select>新闻</div>", "新闻"),
            ("<p>A</p><iframe src=\"x\"/><p>body</p>", "A\nbody"),
            ("<p>A</p><iframe src=\"x\"/><p>body</p><iframe>old</iframe>", "A\nbody"),
            ("<script src='a.js' /><p>正文</p><script>x()</script>", "正文"),
            ("<title> 标签详解", " 标签详解"),
            ("<TITLE>t</TITLE><p>A</p><select><option>x<p>B</p><template>C", "A\nx\nB\nC"),
            ("<p>A</p><textarea>B</textarea", "A\nB</textarea"),
        ];
        for (input, expected) in cases {
            assert_eq!(stripped(input), expected, "{input:?}");
        }
    }

    #[test]
    fn plain_text_survives_unchanged() {
        let texts = [
            "a < b & c",
            "5<x<10",
            "I <3 you",
            "<神探> 上映",
            "<Titanic> 重映",
            "R&D #1",
            "a<b",
            "<p",
            "<!-- 没有结束",
            "第一行\n  第二行\n\n\n第三行 <-",
            "",
        ];
        for text in texts {
            assert!(!strip_html(text, &mut String::new()), "{text:?} became {:?}", stripped(text));
        }
    }

    #[test]
    fn many_open_brackets_and_deep_nesting_terminate() {
        for unit in ["<", "<!--", "<div>", "<div ", "&lt;", "<template>", "<title ", "</title>", "</p>"] {
            let text = unit.repeat(50_000) + ">";
            stripped(&text);
        }
    }

    /// Gold texts differ from their pages in spaces, quotes and list marks.
    fn letters(text: &str) -> String {
        text.chars().filter(|character| character.is_alphanumeric()).collect()
    }

    /// The main text that people marked on real pages must be kept.
    #[test]
    fn the_gold_text_of_real_pages_is_kept() {
        for (file, floor) in [("raw_html_zh.jsonl", 998), ("raw_html_en.jsonl", 994)] {
            let Some(rows) = json_lines(file) else { return };
            let (mut kept, mut all) = (0, 0);
            for row in rows.iter().filter(|row| row["html"].is_string() && row["body"].is_string()) {
                let page = letters(&stripped(text_of(row, "html")));
                for line in text_of(row, "body").lines().map(letters).filter(|line| !line.is_empty()) {
                    all += 1;
                    kept += usize::from(page.contains(&line));
                }
            }
            println!("{file}: {kept} of {all} gold lines kept");
            assert!(kept * 1000 >= all * floor, "{file}: {kept} of {all}");
        }
    }

    #[test]
    fn broken_references_of_real_briefs_are_repaired() {
        let Some(rows) = json_lines("briefs_en_agnews.jsonl") else { return };
        for row in &rows {
            let text = stripped(text_of(row, "body"));
            for broken in ["&lt;", " #39;", " #36;", "</", "<a "] {
                assert!(!text.to_lowercase().contains(broken), "{broken} is in {text}");
            }
        }
    }

    proptest! {
        #[test]
        fn total_on_any_text(text in "(<|>|/|p|b |br|script|!--|--|&lt;|&|#39;| |中|\\PC){0,60}") {
            stripped(&text);
        }

        #[test]
        fn text_without_brackets_and_references_is_untouched(text in "[^<&#]{0,60}") {
            prop_assert!(!strip_html(&text, &mut String::new()));
        }
    }
}
