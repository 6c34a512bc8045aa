//! `decode_bytes(binary [, charset])`: bytes of unknown encoding to text.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use arrow::datatypes::DataType;
use datafusion_common::{Result, exec_err, plan_err};
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use crate::array::{text_type, texts};
use crate::function::{Example, Function, Operation, Reference};

pub(crate) static REFERENCE: Reference = Reference {
    name: "decode_bytes",
    syntax: "decode_bytes(binary [, charset])",
    summary: "Turns bytes of unknown encoding into text. Decoding never fails: bytes that are invalid in the \
              chosen encoding become replacement characters (U+FFFD).",
    rules: &[
        "The first of these that applies decides on the encoding: a byte-order mark, or the zeros of UTF-16; UTF-8, if \
         the bytes are valid or damaged in few places; the `charset` argument, then the charset that the document \
         declares in its first 1024 bytes, if the bytes fit it; the guess of the detector that Firefox uses.",
        "A declared charset of one byte a character, which any bytes fit, is passed over if the bytes are clearly \
         Chinese, Japanese or Korean.",
        "Text that was decoded with a wrong charset and encoded again is repaired.",
        "Labels are those of the WHATWG Encoding Standard, in which `gb2312` and `gbk` mean GB 18030.",
    ],
    arguments: &[
        ("binary", "The bytes, of any binary type."),
        (
            "charset",
            "The charset that the source declares, such as `'gb2312'`. A null or unknown charset is ignored.",
        ),
    ],
    returns: "`Utf8`.",
    examples: &[
        Example { sql: "decode_bytes(X'D6D0B9FA', 'gbk')", result: "中国" },
        Example { sql: "decode_bytes(X'E4B8ADE59BBD', 'gbk')", result: "中国" },
    ],
    related: &["strip_html"],
};

/// The SQL function.
pub(crate) fn function() -> ScalarUDF {
    Function::udf(&REFERENCE, DecodeBytes)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct DecodeBytes;

impl Operation for DecodeBytes {
    fn argument_types(&self, name: &str, found: &[DataType]) -> Result<Vec<DataType>> {
        let (Some(bytes), 1..=2) = (found.first(), found.len()) else {
            return plan_err!("{name} takes bytes and, if known, a charset");
        };
        let bytes = match bytes {
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => bytes.clone(),
            DataType::FixedSizeBinary(_) | DataType::Null => DataType::Binary,
            other => return plan_err!("{name} takes bytes, not {other}"),
        };
        let charset = found.get(1).map(|charset| text_type(&format!("the charset of {name}"), charset));
        std::iter::once(Ok(bytes)).chain(charset).collect()
    }

    fn return_type(&self, _: &[DataType]) -> DataType {
        DataType::Utf8
    }

    fn invoke(&self, args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let Some(bytes) = arrays.first() else {
            return exec_err!("decode_bytes was called without arguments");
        };
        let charsets = arrays.get(1).map(|array| texts(array)).transpose()?;
        let mut builder = StringBuilder::with_capacity(bytes.len(), bytes.get_buffer_memory_size());
        for (row, bytes) in binaries(bytes)?.into_iter().enumerate() {
            let charset = charsets.as_ref().and_then(|charsets| charsets.get(row).copied().flatten());
            let text = bytes.map(|bytes| repaired(fenliu_text::decode(bytes, charset)));
            let total = builder.values_slice().len() + text.as_deref().map_or(0, str::len);
            if i32::try_from(total).is_err() {
                return exec_err!("a column of decoded text is larger than 2 GiB; use smaller batches");
            }
            builder.append_option(text);
        }
        Ok(ColumnarValue::Array(Arc::new(builder.finish())))
    }
}

/// The text without one wrong decoding by whoever wrote it.
fn repaired(text: Cow<'_, str>) -> Cow<'_, str> {
    let mut out = String::new();
    if fenliu_text::repair_mojibake(&text, &mut out) { Cow::Owned(out) } else { text }
}

/// The values of a `Binary`, `LargeBinary` or `BinaryView` column, in order.
fn binaries(array: &ArrayRef) -> Result<Vec<Option<&[u8]>>> {
    match array.data_type() {
        DataType::Binary => Ok(array.as_binary::<i32>().iter().collect()),
        DataType::LargeBinary => Ok(array.as_binary::<i64>().iter().collect()),
        DataType::BinaryView => Ok(array.as_binary_view().iter().collect()),
        other => exec_err!("decode_bytes was called on {other}"),
    }
}
