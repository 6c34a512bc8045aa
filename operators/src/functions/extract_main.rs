//! `extract_main(text)`: the main text of a whole page.

use datafusion_expr::ScalarUDF;

use crate::array::TextToText;
use crate::function::{Example, Function, Reference};

pub(crate) static REFERENCE: Reference = Reference {
    name: "extract_main",
    syntax: "extract_main(text)",
    summary: "The main text of a whole page, without navigation, advertisements and footers; the step takes the place of \
              `strip_html` where documents are pages.",
    rules: &[
        "A page is a text of more than 2 kB with an element `html` or `body`. Any other text is treated as by `strip_html`.",
        "The article is found by Readability (the crate `dom_smoothie`). If that finds next to nothing, the text of \
         `<article>` or of the page's own description (`articleBody` of JSON-LD) is taken, and else the whole page.",
        "Captions of pictures and paragraphs that only link elsewhere are left out.",
        "Pages with more than 4 MiB or 100,000 elements are treated as by `strip_html`.",
    ],
    arguments: &[("text", "Text of any string type.")],
    returns: "Text of the same type.",
    examples: &[Example { sql: "extract_main('<p>央行&nbsp;降息</p>')", result: "央行\u{a0}降息" }],
    related: &["strip_html", "normalize"],
};

/// The SQL function.
pub(crate) fn function() -> ScalarUDF {
    Function::udf(&REFERENCE, TextToText(fenliu_text::extract_main))
}
