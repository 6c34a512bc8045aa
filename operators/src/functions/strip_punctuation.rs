//! `strip_punctuation(text)`: text without punctuation and symbols.

use datafusion_expr::ScalarUDF;

use crate::array::TextToText;
use crate::function::{Example, Function, Reference};

pub(crate) static REFERENCE: Reference = Reference {
    name: "strip_punctuation",
    syntax: "strip_punctuation(text)",
    summary: "Removes punctuation and symbols, the classic step before words are counted. Models that read sentences do \
              better without it.",
    rules: &[
        "Punctuation and symbols are the general categories P and S of Unicode, which include those of Chinese, emoji, \
         currency signs and arrows.",
        "A run of punctuation becomes one space, so that the words beside it do not join; line breaks and tabs in it stay.",
        "Punctuation that belongs to the spelling of a word or number stays: `don't`, `well-known`, `COVID-19`, `AT&T`, \
         `3.14`, `10,000`.",
        "Full stops between single letters go without a space: `U.S.` becomes `US`.",
    ],
    arguments: &[("text", "Text of any string type.")],
    returns: "Text of the same type.",
    examples: &[
        Example {
            sql: "strip_punctuation('央行：《公告》，全文')", result: "央行 公告 全文"
        },
        Example {
            sql: "strip_punctuation('The U.S. didn''t -- it cost 3.14!')",
            result: "The US didn't it cost 3.14",
        },
    ],
    related: &["normalize", "segment"],
};

/// The SQL function.
pub(crate) fn function() -> ScalarUDF {
    Function::udf(&REFERENCE, TextToText(fenliu_text::strip_punctuation))
}
