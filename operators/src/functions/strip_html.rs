//! `strip_html(text)`: HTML to the text that a reader sees.

use datafusion_expr::ScalarUDF;

use crate::array::TextToText;
use crate::function::{Example, Function, Reference};

pub(crate) static REFERENCE: Reference = Reference {
    name: "strip_html",
    syntax: "strip_html(text)",
    summary: "Turns HTML into the text that a reader sees: without tags, scripts and styles, with one line \
              for each block element, and with character references decoded. Text without markup is \
              unchanged.",
    rules: &[
        "The content of `script`, `style`, `noscript`, `template`, `title`, `select` and `svg` is removed.",
        "A text counts as HTML if it has a comment, a doctype, a start tag such as `<p>`, `<div>` or `<img>`, any end tag \
         of a known element, or another known element with its end tag or an attribute. So `a < b`, `<神探>`, \
         `<https://…>`, `<AAPL.O>` and `vector<int>` are kept.",
        "The elements of the news wires' NITF and NewsML are known; CDATA sections become their content, and notes above \
         characters (ruby) stand in brackets behind them. Cells of a table are separated by a tab.",
        "If all markup of a text is escaped (`&lt;p&gt;`), as in some feeds, it is decoded and removed too.",
        "Character references are also decoded where they are malformed in ways that feeds often are: \
         `&nbsp` without its semicolon, ` #39;` for `&#39;`, and `&#150;` for a dash of windows-1252.",
        "An element that is never closed does not hide the rest of the page.",
        "The main content of a page is not searched for: navigation and footers are kept as text.",
    ],
    arguments: &[("text", "Text of any string type.")],
    returns: "Text of the same type.",
    examples: &[
        Example {
            sql: "strip_html('<p>央行<b>降息</b></p><script>x()</script><p>第二段')",
            result: "央行降息\n第二段",
        },
        Example { sql: "strip_html('AT&amp;T: 1 < 2')", result: "AT&T: 1 < 2" },
        Example { sql: "strip_html('&lt;b&gt;Oracle #39;s&lt;/b&gt; plan')", result: "Oracle's plan" },
    ],
    related: &["normalize", "decode_bytes"],
};

/// The SQL function.
pub(crate) fn function() -> ScalarUDF {
    Function::udf(&REFERENCE, TextToText(fenliu_text::strip_html))
}
