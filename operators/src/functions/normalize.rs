//! `normalize(text)`: one spelling for what looks the same.

use datafusion_expr::ScalarUDF;

use crate::array::TextToText;
use crate::function::{Example, Function, Reference};

pub(crate) static REFERENCE: Reference = Reference {
    name: "normalize",
    syntax: "normalize(text)",
    summary: "Brings text to one spelling, so that texts that look the same are the same. Normalising a \
              normalised text changes nothing.",
    rules: &[
        "Unicode Normalization Form C is applied.",
        "Full-width letters and digits become ASCII, and so do `％＄＃＆＠＋＝＜＞` beside them and `．` between digits. \
         The ideographic space becomes a space. Other Chinese punctuation stays full-width, because Chinese language \
         models were trained on it.",
        "Radicals, ligatures, mathematical letters and half-width kana and Hangul, as text out of PDF files and old \
         systems has them, become the usual characters.",
        "Control characters and all that Unicode calls ignorable are removed: zero-width characters, bidirectional marks, \
         variation selectors, byte-order marks. The replacement character (U+FFFD) becomes a space.",
        "A run of spaces becomes one space, or one tab if it contains a tab.",
        "Lines and the whole text are trimmed. Several blank lines become one.",
    ],
    arguments: &[("text", "Text of any string type.")],
    returns: "Text of the same type.",
    examples: &[
        Example {
            sql: "normalize('　ＡＢＣ１２３　新闻  快讯')", result: "ABC123 新闻 快讯"
        },
        Example {
            sql: "normalize('央行：《公告》，全文')", result: "央行：《公告》，全文"
        },
    ],
    related: &["strip_html", "to_simplified"],
};

/// The SQL function.
pub(crate) fn function() -> ScalarUDF {
    Function::udf(&REFERENCE, TextToText(fenliu_text::normalize))
}
