//! `to_simplified(text)`: traditional Chinese to simplified.

use datafusion_expr::ScalarUDF;

use crate::array::TextToText;
use crate::function::{Example, Function, Reference};

pub(crate) static REFERENCE: Reference = Reference {
    name: "to_simplified",
    syntax: "to_simplified(text)",
    summary: "Converts traditional Chinese to simplified, by the dictionaries of OpenCC. Converting a \
              converted text changes nothing.",
    rules: &[
        "A text is converted only if it has more characters that only traditional text uses than characters \
         that only simplified text uses. Conversion would damage simplified text: 乾 in the name 乾安县 must be \
         kept.",
        "Kana count as evidence against traditional Chinese, so Japanese is not converted.",
    ],
    arguments: &[("text", "Text of any string type.")],
    returns: "Text of the same type.",
    examples: &[
        Example { sql: "to_simplified('臺灣的著作權')", result: "台湾的著作权" },
        Example {
            sql: "to_simplified('乾安县今年粮食产量创新高')", result: "乾安县今年粮食产量创新高"
        },
    ],
    related: &["normalize"],
};

/// The SQL function.
pub(crate) fn function() -> ScalarUDF {
    Function::udf(&REFERENCE, TextToText(fenliu_text::to_simplified))
}
