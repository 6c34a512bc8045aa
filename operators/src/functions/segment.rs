//! `segment(text)`: text to words.

use std::sync::Arc;

use arrow::array::{ArrayRef, ListBuilder, StringBuilder};
use arrow::datatypes::{DataType, Field};
use datafusion_common::Result;
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};
use fenliu_text::Segmenter;

use crate::array::{map_first, plain_text_type, texts};
use crate::function::{Example, Function, Operation, Reference};

pub(crate) static REFERENCE: Reference = Reference {
    name: "segment",
    syntax: "segment(text)",
    summary: "Cuts a text into words. Chinese is segmented by jieba, with its dictionary and a hidden Markov \
              model for words that the dictionary lacks.",
    rules: &[
        "Runs of Latin letters and digits stay whole.",
        "Punctuation marks are words; white space is not.",
        "Words of the configuration's `user_dict` are known too.",
    ],
    arguments: &[("text", "Text of any string type.")],
    returns: "`List<Utf8>`: the words in order. An empty list for text without words.",
    examples: &[
        Example { sql: "segment('央行宣布降息')", result: "[央行, 宣布, 降息]" },
        Example {
            sql: "segment('iPhone15 在北京发售。')", result: "[iPhone15, 在, 北京, 发售, 。]"
        },
        Example {
            sql: "array_to_string(segment('央行宣布降息'), ' ')", result: "央行 宣布 降息"
        },
    ],
    related: &["normalize", "to_simplified"],
};

/// The SQL function, with jieba's own dictionary.
pub(crate) fn function() -> ScalarUDF {
    function_with(Segmenter::default())
}

/// The SQL function, with the dictionary of `segmenter`.
pub(crate) fn function_with(segmenter: Segmenter) -> ScalarUDF {
    Function::udf(&REFERENCE, Segment(segmenter))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Segment(Segmenter);

impl Operation for Segment {
    fn argument_types(&self, name: &str, found: &[DataType]) -> Result<Vec<DataType>> {
        plain_text_type(name, found)
    }

    fn return_type(&self, _: &[DataType]) -> DataType {
        DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)))
    }

    fn invoke(&self, args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
        map_first(args, |array| {
            let mut lists = ListBuilder::new(StringBuilder::new());
            for text in texts(array)? {
                if let Some(text) = text {
                    self.0.words(text).for_each(|word| lists.values().append_value(word));
                }
                lists.append(text.is_some());
            }
            Ok(Arc::new(lists.finish()) as ArrayRef)
        })
    }
}
