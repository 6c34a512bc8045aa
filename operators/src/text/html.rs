//! `strip_html`: HTML to the text that a reader sees.
//!
//! - Tags and comments go; so does the content of script, style, noscript, template, title and the like.
//! - Block elements and `<br>` become line breaks; in a text that has any of them, line breaks of the
//!   source are spaces, as in a browser, and blank lines are dropped.
//! - Character references are decoded. A text whose markup is all escaped (`&lt;b&gt;`, common in feeds) is
//!   decoded first; beside real markup, escaped markup is text about HTML and stays.
//! - Text without markup is left alone: a `<` counts only where a known element, a comment or a doctype
//!   starts, so `a < b`, `x<y>z` and `<神探>` survive.
//! - Nothing swallows the rest of a page: of a `<title>` or `<iframe>` that is self-closed or never closed,
//!   only the tag goes.
//!
//! Parsed by `lol_html`, which keeps no tree: memory beyond the text itself is bounded by
//! [`MEMORY_LIMIT_BYTES`]; a text that would need more keeps its tags. It does not look for the main
//! content of a page: navigation and footers are text too.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use datafusion::logical_expr::ScalarUDF;
use lol_html::errors::RewritingError;
use lol_html::html_content::{Element, TextType};
use lol_html::{HtmlRewriter, MemorySettings, Settings, doc_text, element, end_tag};
use memchr::{memchr, memchr2, memchr3, memmem};

use crate::array::TextFunction;
use crate::text::entities::decode_entities;

/// What the parser may hold at once: far above any real page's open elements and longest tag.
const MEMORY_LIMIT_BYTES: usize = 16 << 20;

/// Stands for a line break of the page while line breaks of the source are still to be told apart.
const BREAK: char = '\u{1E}';

/// The SQL function `strip_html(text)`.
pub(crate) fn function() -> ScalarUDF {
    ScalarUDF::from(TextFunction::new(
        "strip_html",
        strip_html,
        "Turns HTML to the text a reader sees: no tags, scripts or styles, one line per block element, \
         character references decoded. Text without markup is unchanged.",
        "SELECT strip_html('<p>央行&nbsp;降息</p><script>x()</script>'); -- '央行 降息'",
        "normalize",
    ))
}

/// The kernel; see the module's head.
pub(crate) fn strip_html(text: &str, out: &mut String) -> bool {
    if memchr3(b'<', b'&', b'#', text.as_bytes()).is_none() {
        return false;
    }
    match strip_tags(text) {
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

/// The text outside of tags, references still encoded; `None` when there is no markup.
fn strip_tags(html: &str) -> Option<String> {
    if !Brackets::new(html).any(|(_, bracket)| bracket != Bracket::Text) {
        return None;
    }
    let page = Rc::new(RefCell::new(Page::default()));
    feed(html, &page).ok()?;
    let page = page.take();
    Some(if page.has_blocks { page.lines() } else { page.text })
}

/// What the parser has seen so far.
#[derive(Default)]
struct Page {
    text: String,
    /// How many open elements hide their content.
    hidden: usize,
    has_blocks: bool,
}

impl Page {
    fn push_break(&mut self) {
        self.text.push(BREAK);
        self.has_blocks = true;
    }

    /// One line per block, spaces collapsed, no empty lines.
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

/// Runs the parser over `html`. On the way, every `<` that starts no markup is escaped, and an element with no
/// end is renamed to one that means nothing: the parser looks only at the name to tell what hides its content.
fn feed(html: &str, page: &Rc<RefCell<Page>>) -> Result<(), RewritingError> {
    let (on_element, on_text) = (Rc::clone(page), Rc::clone(page));
    let settings = Settings::new()
        .append_element_content_handler(element!("*", move |element| {
            visit_element(element, &on_element);
            Ok(())
        }))
        .append_document_content_handler(doc_text!(move |chunk| {
            let mut page = on_text.borrow_mut();
            // The content of script, style, noscript, title and textarea is of other types.
            if chunk.text_type() == TextType::Data && page.hidden == 0 {
                page.text.push_str(chunk.as_str());
            }
            Ok(())
        }))
        .with_memory_settings(MemorySettings::new().with_max_allowed_memory_usage(MEMORY_LIMIT_BYTES))
        .with_strict(false);
    let mut rewriter = HtmlRewriter::new(settings, |_: &[u8]| {});
    let mut rest = 0;
    for (at, bracket) in Brackets::new(html) {
        let replacement: &[u8] = match bracket {
            Bracket::Markup => continue,
            Bracket::Text => b"&lt;",
            Bracket::Endless => b"<x-",
        };
        rewriter.write(&html.as_bytes()[rest..at])?;
        rewriter.write(replacement)?;
        rest = at + 1;
    }
    rewriter.write(&html.as_bytes()[rest..])?;
    rewriter.end()
}

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
    // Elements such as `<br>` have no end tag to wait for.
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

/// What starts at a `<`.
#[derive(Clone, Copy, PartialEq)]
enum Bracket {
    /// Nothing: it is a character of the text.
    Text,
    /// A tag, a comment or a doctype.
    Markup,
    /// The start tag of an element that would hide the rest of the text, for it has no end.
    Endless,
}

/// Every `<` of a text: its position, and what starts there.
struct Brackets<'a> {
    html: &'a str,
    position: usize,
    /// Where the last `>` and `-->` are: what starts behind them has no end.
    last_close: usize,
    last_comment_end: usize,
    /// Where the last end tag of each element that hides its content is.
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
        let is_endless = hiding_element(after).is_some_and(|name| {
            is_self_closed(after) || self.last_ends.get(name).is_none_or(|&end| end < at)
        });
        if is_endless { Bracket::Endless } else { Bracket::Markup }
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

/// Whether `after`, which follows a `<`, is a known element's name or a custom one's (`o:p`, `my-tag`).
fn starts_tag(after: &str) -> bool {
    let (name, rest) = split_name(after.strip_prefix('/').unwrap_or(after));
    if !rest.starts_with(['>', '/', ' ', '\t', '\n', '\r'])
        || !name.starts_with(|c: char| c.is_ascii_alphabetic())
    {
        return false;
    }
    name.contains([':', '-']) || is_known(&name.to_ascii_lowercase())
}

/// Splits what follows a `<` or `</` behind the name.
fn split_name(after: &str) -> (&str, &str) {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'-');
    after.split_at(after.bytes().position(|byte| !is_name(byte)).unwrap_or(after.len()))
}

/// The element of which `after` starts with the name, if its content is no running text.
fn hiding_element(after: &str) -> Option<&'static str> {
    let (name, _) = split_name(after);
    HIDDEN.iter().chain(RAW_TEXT).copied().find(|hiding| name.eq_ignore_ascii_case(hiding))
}

/// Whether the tag that `after` starts with ends in `/>`. It is not looked for behind the next `<`, so that the
/// time stays linear.
fn is_self_closed(after: &str) -> bool {
    memchr2(b'<', b'>', after.as_bytes()).is_some_and(|end| after[..end].ends_with('/'))
}

fn is_known(name: &str) -> bool {
    [HIDDEN, RAW_TEXT, BLOCKS, CELLS, INLINE].iter().any(|list| list.contains(&name))
}

/// Elements whose content no reader sees as running text. (That of script and style never is `Data`.)
const HIDDEN: &[&str] = &["noscript", "script", "select", "style", "svg", "template", "title"];

/// The other elements whose content never is `Data`.
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

/// Elements that stand beside one another on a line.
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
    fn golden() {
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
    fn many_open_brackets_and_deep_nesting_end() {
        for unit in ["<", "<!--", "<div>", "<div ", "&lt;", "<template>", "<title ", "</title>", "</p>"] {
            let text = unit.repeat(50_000) + ">";
            stripped(&text);
        }
    }

    /// Gold texts differ from their pages in spaces, quotes and list marks.
    fn letters(text: &str) -> String {
        text.chars().filter(|character| character.is_alphanumeric()).collect()
    }

    /// Nothing of the main text that people marked on real pages may get lost.
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
