//! The elements of HTML and of news wires, by what they do to the text.
//!
//! NITF and NewsML are the formats of news agencies (IPTC); their names hardly occur elsewhere. Names are in lower
//! case: the parser gives them so.

/// Whether an element with this name exists; the case does not count.
pub(super) fn is_known(name: &str) -> bool {
    [HIDDEN, TEXT_ONLY, VERBATIM, BLOCKS, CELLS, INLINE].iter().any(|list| contains(list, name))
}

/// Whether a start tag with this name is markup in any text.
pub(super) fn is_sure(name: &str) -> bool {
    contains(SURE, name)
}

/// Whether what stands in the element is hidden or read in another way, so that it must have an end.
pub(super) fn has_own_content(name: &str) -> bool {
    [HIDDEN, TEXT_ONLY, VERBATIM].iter().any(|list| contains(list, name))
}

/// Whether no tag can stand in the element.
pub(super) fn is_text_only(name: &str) -> bool {
    contains(TEXT_ONLY, name)
}

/// Whether the element shows its content as it stands, tags included.
pub(super) fn is_verbatim(name: &str) -> bool {
    contains(VERBATIM, name)
}

pub(super) fn is_hidden(name: &str) -> bool {
    contains(HIDDEN, name)
}

pub(super) fn is_block(name: &str) -> bool {
    contains(BLOCKS, name)
}

pub(super) fn is_cell(name: &str) -> bool {
    contains(CELLS, name)
}

/// Whether line breaks in the element's source are line breaks of the text.
pub(super) fn keeps_lines(name: &str) -> bool {
    matches!(name, "pre" | "textarea" | "listing")
}

/// Whether the element is a ruby or a part of one.
pub(super) fn is_ruby(name: &str) -> bool {
    matches!(name, "ruby" | "rb" | "rt" | "rp")
}

fn contains(list: &[&str], name: &str) -> bool {
    list.iter().any(|element| element.eq_ignore_ascii_case(name))
}

/// Elements whose start tag alone shows that a text is HTML. Left out are names that are words, abbreviations or
/// symbols as well, such as `a`, `b`, `dd`, `form`, `main`, `s` and `time`.
const SURE: &[&str] = &[
    "article",
    "blockquote",
    "body",
    "body.content",
    "body.head",
    "br",
    "div",
    "dl",
    "figcaption",
    "figure",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "head",
    "hedline",
    "hgroup",
    "hl1",
    "hl2",
    "hr",
    "html",
    "iframe",
    "img",
    "inlinexml",
    "li",
    "newsitem",
    "newsml",
    "nitf",
    "noscript",
    "ol",
    "p",
    "script",
    "section",
    "span",
    "style",
    "table",
    "tbody",
    "td",
    "textarea",
    "tfoot",
    "th",
    "thead",
    "title",
    "tr",
    "ul",
    "video",
    "xmp",
];

/// Elements whose content a reader does not see as running text.
///
/// The parser never gives the content of script and style the type of running text; they are listed because they are
/// known.
const HIDDEN: &[&str] = &[
    "contentmeta",
    "datalist",
    "docdata",
    "itemmeta",
    "noembed",
    "noframes",
    "noscript",
    "rightsinfo",
    "script",
    "select",
    "style",
    "svg",
    "template",
    "title",
    "tobject",
];

/// Elements in which a `<` starts no tag but their own end tag.
const TEXT_ONLY: &[&str] =
    &["iframe", "noembed", "noframes", "noscript", "script", "style", "textarea", "title"];

/// Obsolete elements that show their content as it stands.
const VERBATIM: &[&str] = &["plaintext", "xmp"];

/// Elements that start and end a line.
const BLOCKS: &[&str] = &[
    "address",
    "article",
    "aside",
    "block",
    "blockquote",
    "body",
    "body.content",
    "body.end",
    "body.head",
    "br",
    "byline",
    "caption",
    "center",
    "contentitem",
    "contentset",
    "datacontent",
    "dateline",
    "dd",
    "details",
    "dialog",
    "dir",
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
    "headline",
    "hedline",
    "hgroup",
    "hl1",
    "hl2",
    "hr",
    "inlinexml",
    "legend",
    "li",
    "listing",
    "main",
    "media",
    "menu",
    "nav",
    "newscomponent",
    "newsitem",
    "newslines",
    "newsml",
    "nitf",
    "ol",
    "option",
    "p",
    "pre",
    "search",
    "section",
    "slugline",
    "subheadline",
    "summary",
    "table",
    "tagline",
    "tbody",
    "textarea",
    "tfoot",
    "thead",
    "tr",
    "ul",
];

/// Elements that stand beside one another on a line, and are separated by a space.
const CELLS: &[&str] = &["td", "th"];

/// The other elements of HTML, the obsolete ones of news pages included, of MathML, of news wires, and the one that
/// word processors leave behind.
const INLINE: &[&str] = &[
    "a", "abbr", "acronym", "applet", "area", "audio", "b", "base", "basefont", "bdi", "bdo", "big", "blink",
    "button", "canvas", "chron", "cite", "code", "col", "colgroup", "copyrite", "data", "del", "dfn", "em",
    "embed", "font", "frame", "frameset", "head", "html", "i", "img", "input", "ins", "kbd", "label", "link",
    "location", "map", "mark", "marquee", "math", "meta", "meter", "mi", "mn", "mo", "money", "nobr", "num",
    "o:p", "object", "optgroup", "org", "output", "param", "person", "picture", "progress", "q", "rb", "rp",
    "rt", "rtc", "ruby", "s", "samp", "small", "source", "span", "strike", "strong", "sub", "sup", "time",
    "track", "tt", "u", "var", "video", "wbr",
];
