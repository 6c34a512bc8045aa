//! `detect_lang(text)`: the language of a text.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::DataType;
use datafusion_common::Result;
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use crate::array::{map_first, plain_text_type, texts};
use crate::function::{Example, Function, Operation, Reference};

pub(crate) static REFERENCE: Reference = Reference {
    name: "detect_lang",
    syntax: "detect_lang(text)",
    summary: "Detects the language of a text. The script with the most letters decides first; for Latin \
              letters, a statistical model decides among the languages that use them.",
    rules: &[
        "A Chinese, Japanese or Korean character counts as much as four Latin letters.",
        "Latin letters can give `de`, `en`, `es`, `fr`, `it`, `nl`, `pt`, `sv`, `tr` and `vi`.",
        "East Asian characters give `zh`, `ja` or `ko`. Simplified and traditional Chinese are both `zh`.",
        "Any other script gives the code of one language, although several may use it: Cyrillic `ru`, Arabic \
         `ar`, Hebrew `he`, Greek `el`, Devanagari `hi`, Thai `th`.",
        "A text without a letter of these scripts gives `und`.",
    ],
    arguments: &[("text", "Text of any string type.")],
    returns: "`Utf8`: an ISO 639-1 code, or `und` (undetermined).",
    examples: &[
        Example { sql: "detect_lang('iPhone 在中国开售')", result: "zh" },
        Example { sql: "detect_lang('Stocks fell on Friday as investors weighed new data')", result: "en" },
        Example { sql: "detect_lang('2024-01-01')", result: "und" },
    ],
    related: &["to_simplified"],
};

/// The SQL function.
pub(crate) fn function() -> ScalarUDF {
    Function::udf(&REFERENCE, DetectLang)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct DetectLang;

impl Operation for DetectLang {
    fn argument_types(&self, name: &str, found: &[DataType]) -> Result<Vec<DataType>> {
        plain_text_type(name, found)
    }

    fn return_type(&self, _: &[DataType]) -> DataType {
        DataType::Utf8
    }

    fn invoke(&self, args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
        map_first(args, |array| {
            let languages = texts(array)?.into_iter().map(|text| text.map(fenliu_text::detect_lang));
            Ok(Arc::new(languages.collect::<StringArray>()) as ArrayRef)
        })
    }
}
