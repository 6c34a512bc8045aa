//! `detect_lang(text [, declared])`: the language of a text.

use std::sync::Arc;

use arrow::array::StringArray;
use arrow::datatypes::DataType;
use datafusion_common::{Result, plan_err};
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use fenliu_text::resolve_lang;

use crate::array::{plain_text_type, texts};
use crate::function::{Example, Function, Operation, Reference};

pub(crate) static REFERENCE: Reference = Reference {
    name: "detect_lang",
    syntax: "detect_lang(text [, declared])",
    summary: "The language of a text: the one that the source declares, if that can be, and otherwise the one that is \
              detected. The script with the most letters decides first, then letters and function words that only some \
              languages have, and a statistical model where these do not suffice.",
    rules: &[
        "A Chinese, Japanese or Korean character counts as much as four Latin letters.",
        "East Asian characters give `zh`, `ja` or `ko`. Simplified and traditional Chinese are both `zh`, and so is \
         Cantonese.",
        "Some thirty languages in Latin letters are told apart, the languages of Cyrillic letters by letters of their own \
         (`uk`, `be`, `kk`, `mn`, ...; else `ru`), and those of Arabic letters likewise (`fa`, `ur`, `ug`, ...; else `ar`). \
         Most other scripts give the one language that is mainly written in them.",
        "A text without letters gives `und`, and so does a headline of a few names in Latin letters, which could be of any \
         language.",
        "A declared language may be a code of two or three letters with or without a region (`zh-Hans`, `zho`), a name \
         (`English`, `中文`), or one of the codes of countries that are often written in its place (`cn`, `jp`, `ua`). It is \
         not believed if it is no language, or if the text has hardly any letters that the language is written in.",
    ],
    arguments: &[
        ("text", "Text of any string type."),
        (
            "declared",
            "The language that the source declares. Null or a word such as `unknown` declares nothing.",
        ),
    ],
    returns: "`Utf8`: an ISO 639-1 code, `ckb`, or `und` (undetermined). Null if both arguments are null.",
    examples: &[
        Example { sql: "detect_lang('iPhone 在中国开售')", result: "zh" },
        Example { sql: "detect_lang('Stocks fell on Friday as investors weighed new data')", result: "en" },
        Example { sql: "detect_lang('2024-01-01')", result: "und" },
        Example { sql: "detect_lang('央行宣布降息', 'zh-Hans')", result: "zh" },
        Example { sql: "detect_lang('央行宣布降息', 'English')", result: "zh" },
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
        let (Some(_), 1..=2) = (found.first(), found.len()) else {
            return plan_err!("{name} takes a text and, if known, the language that the source declares");
        };
        found.iter().map(|found| Ok(plain_text_type(name, std::slice::from_ref(found))?.remove(0))).collect()
    }

    fn return_type(&self, _: &[DataType]) -> DataType {
        DataType::Utf8
    }

    fn invoke(&self, args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let columns = arrays.iter().map(|array| texts(array)).collect::<Result<Vec<_>>>()?;
        let value = |column: usize, row: usize| columns.get(column)?.get(row).copied().flatten();
        let rows = columns.first().map_or(0, Vec::len);
        let languages = (0..rows).map(|row| resolve_lang(value(0, row), value(1, row)).code);
        Ok(ColumnarValue::Array(Arc::new(languages.collect::<StringArray>())))
    }
}
